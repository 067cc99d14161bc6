//! Whose a connection is, and how much of one peer's doing is allowed and remembered.
//!
//! Every listener meets strangers, and what it does about them is the same: it counts them by [`Host`] and [`Network`],
//! believes what [`Proxies`] that are trusted say of them, and keeps their [`Allowances`] in tables that do not grow
//! without bound. This crate has no socket and no clock: addresses and times are arguments.

mod address;
mod allowances;
mod proxies;

pub use address::{Host, Network};
pub use allowances::Allowances;
pub use proxies::{Proxies, parse_network};
