//! What a route is told of a request beside its body.

use std::{net::IpAddr, sync::Arc};

use crate::{pool::Claim, seats::Seat};

/// The connection that a request came on.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) peer: IpAddr,
    pub(crate) seat: Arc<Seat>,
}

/// Which request it is, and whose.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) request_id: Arc<str>,
    /// The client's, also behind a trusted proxy.
    pub(super) address: IpAddr,
    pub(super) claim: Claim,
    pub(super) seat: Arc<Seat>,
}
