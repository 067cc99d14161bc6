//! What every tool has to work with.

use std::sync::Arc;

use crate::{found::Browser, surroundings::Configuration};

/// What a tool has to work with.
pub(crate) struct Context {
    pub(crate) now: u64,
    pub(crate) configuration: Arc<Configuration>,
    pub(crate) browser: Browser,
    /// Whether the message names a reason: then some server has judged already.
    pub(crate) named: bool,
    /// The origin of a page that the message names.
    pub(crate) origin: Option<String>,
    /// Whether the message has code that opens a `WebSocket`.
    pub(crate) script: bool,
    /// Whether the message shows how credentials were sent. A token beside that is judged by itself.
    pub(crate) offered: bool,
}
