//! What kinds of live connections there are.

use portcullis_event::Mode;

/// As what a live connection is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    User(Mode),
    /// `/ws/echo`.
    Echo,
    /// This server's own probe, which is no user.
    Probe,
}
