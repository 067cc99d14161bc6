//! What an answer says went wrong, in words of our own.

use portcullis_reason::Reason;
use serde_json::Value;

/// The reason that a problem document names, or its status.
pub(super) fn reason(problem: &Value, status: u16) -> String {
    match known(&problem["reason"]) {
        named if named != UNNAMED => named,
        _ => format!("HTTP {status}"),
    }
}

/// A reason of the catalogue: no text of an answer is passed on.
pub(super) fn known(reason: &Value) -> String {
    let reason = reason.as_str().and_then(|id| id.parse::<Reason>().ok());
    reason.map_or(UNNAMED, Reason::id).to_owned()
}

const UNNAMED: &str = "a failure without a known reason";
