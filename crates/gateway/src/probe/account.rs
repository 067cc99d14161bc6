//! Who the probe logs in as.

use std::{fmt, net::SocketAddr};

use portcullis_token::Secret;

/// An account that the probe logs in with, and where.
#[derive(Clone)]
pub struct ProbeAccount {
    /// The address of the auth service.
    pub auth: SocketAddr,
    /// The account's name.
    pub name: String,
    /// Its password. Best made anew at each start.
    pub password: Secret,
    /// A device token of the account's, so that strangers who try its name cannot use up its attempts.
    pub device_token: String,
}

impl fmt::Debug for ProbeAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeAccount")
            .field("auth", &self.auth)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
