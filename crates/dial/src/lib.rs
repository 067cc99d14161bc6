//! Where a server is, and whose certificates are trusted: the part of a client that the tester (`check`) and the load
//! generator (`load`) share. It opens no socket.

mod target;
mod tls;

pub use target::{Target, TargetError};
pub use tls::{Trust, connector};
