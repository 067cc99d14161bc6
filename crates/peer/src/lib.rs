//! Whose a connection is, and how much of one peer's doing is allowed, remembered and told.
//!
//! Every listener meets strangers, and what it does about them is the same: it counts them by [`Host`] and [`Network`],
//! believes what [`Proxies`] that are trusted say of them, keeps their [`Allowances`] in tables that do not grow without
//! bound, and writes so many log [`Lines`] about them and no more. This crate has no socket and no clock: addresses and times are arguments.

mod address;
mod allowances;
mod lines;
mod proxies;

pub use address::{Host, Network};
pub use allowances::Allowances;
pub use lines::Lines;
pub use proxies::{Proxies, parse_network};
