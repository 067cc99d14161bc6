//! A connection that works, once one was found.

use std::time::Duration;

use portcullis_dial::Response;

use crate::form::Form;

/// A connection that works.
#[derive(Clone, Debug)]
pub(crate) struct Good {
    /// How the token is sent.
    pub(crate) form: Form,
    /// Every way that works.
    pub(crate) forms: Vec<Form>,
    /// The origin that works; none where a page's own is refused.
    pub(crate) origin: Option<String>,
    pub(crate) response: Response,
    /// Shapes of what the server says to somebody who is inside.
    pub(crate) answers: Vec<String>,
    /// Whether somebody without a token is let in.
    pub(crate) open: bool,
    /// Whether a token that was made here works as the given one does.
    pub(crate) minted: Result<(), String>,
    /// How long handshakes took before anything else was tried.
    pub(crate) handshakes: Vec<Duration>,
}
