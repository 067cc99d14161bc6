//! Refused handshakes, kept for the operator.

mod evidence;
mod ledger;
mod own;
mod shape;

pub(crate) use evidence::Evidence;
pub(crate) use ledger::{Entry, Filter, Ledger};
pub use own::{OwnRefusal, OwnRefusals};
