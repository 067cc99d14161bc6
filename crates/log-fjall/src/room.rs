//! Whether there is room for more.

use std::sync::Arc;

/// What is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    /// Why acceptances are refused.
    pub(crate) full: Option<Arc<str>>,
}
