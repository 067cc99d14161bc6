//! What stops the service from starting or going on.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::{accounts, password};

/// Why the service cannot start, run or do what its [`Handle`](crate::Handle) was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options break a rule of [`Options::validate`](crate::Options::validate).
    #[error("auth.{key} {message}")]
    Options {
        /// The key, as in `passwords.memory`.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// An origin is not of the form `scheme://host` or `scheme://host:port`.
    #[error("`{0}` is not an origin; write it as the browser does, for instance `https://chat.example.com`")]
    Origin(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The signing key cannot be read or made.
    #[error("the signing key in {} is no good", path.display())]
    Key {
        /// The key file, or the data directory where a shared secret signs.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: portcullis_token::KeyError,
    },
    /// The account database.
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
    /// The password hash's cost.
    #[error(transparent)]
    Password(#[from] password::Error),
    /// So many unused login links exist that no more are made.
    #[error("too many login links wait to be used")]
    TooManyLinks,
    /// A link may live for a day at most, and some time at least.
    #[error("a login link lives for at least a second and at most a day")]
    LinkLifetime,
}
