//! Agents that do what the message says, word by word.

use portcullis_router::Agents;
use portcullis_test::Scripted;

/// Agents of which each instance knows its number.
pub(crate) fn scripted() -> Agents {
    Agents::new(Scripted::maker())
}
