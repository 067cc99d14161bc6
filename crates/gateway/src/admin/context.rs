//! What the dashboard's routes share.

use std::{net::SocketAddr, sync::Arc};

use portcullis_handshake::InvalidPolicy;
use portcullis_token::Secret;

use super::{guard::Guard, sessions::Sessions};
use crate::gate::Gate;

/// The server that is shown, and who may look.
pub(crate) struct Admin {
    pub(super) gate: Arc<Gate>,
    pub(super) guard: Guard,
    pub(super) sessions: Sessions,
}

impl Admin {
    /// The dashboard's part of the listener at `listen`, whose operators know `key`.
    pub(crate) fn new(gate: Arc<Gate>, listen: SocketAddr, key: &Secret) -> Result<Self, InvalidPolicy> {
        let options = &gate.options.admin;
        Ok(Self {
            guard: Guard::new(listen, &options.allowed_origins)?,
            sessions: Sessions::new(key, options.session.get(), listen.port()),
            gate,
        })
    }
}
