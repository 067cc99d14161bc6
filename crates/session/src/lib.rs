//! The connection after the 101, sans-I/O: heartbeat, limits, commands, close.
