//! The gate itself: sockets, clocks, limits, metrics, the page.
