//! The catalogue of reasons: every way Portcullis says no, defined once.
//!
//! A [`Reason`] is a stable identifier with everything that is derived from it: the HTTP status and challenge of a
//! refused request, the close code of a live connection (one per [`CloseProfile`]), whether trying again helps, who
//! is at fault, and the help text. Server answers, log fields, metric labels, `portcullis explain`, the built-in
//! agent and `docs/reasons/` are keyed by it. This crate owns the words and numbers; it does no I/O and keeps no state.

mod catalogue;
mod close;
mod close_help;
mod help;
mod problem;
mod refusal;
mod rejection;

pub use catalogue::{BearerError, Fault, Reason, Retry, Severity, UnknownReason};
pub use close::{CloseProfile, MAX_CLOSE_REASON};
pub use close_help::{CloseCode, CloseCodeHelp};
pub use help::Help;
pub use problem::{PROBLEM_CONTENT_TYPE, Problem};
pub use refusal::Refusal;
pub use rejection::Rejection;
