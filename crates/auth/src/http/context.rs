//! What a route is told of a request beside its body.

use std::{net::IpAddr, sync::Arc};

/// Which request it is, and whose.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) request_id: Arc<str>,
    pub(super) address: IpAddr,
}
