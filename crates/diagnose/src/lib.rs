//! Logs and HAR files to causes and remedies.
//!
//! The engine is fed bytes in pieces of any size, and gives a [`Report`]: which handshakes and sessions failed and why, in the
//! catalogue's words, what followed from what, which hop has to change, and how. It reads the formats of [`Format`], told line
//! by line, so that logs may be mixed.
//!
//! ```text
//! bytes ─ split ─▶ lines, objects ─ format ─▶ findings ─ correlate ─▶ events ─ report ─▶ incidents
//! ```
//!
//! ```
//! use portcullis_diagnose::{Engine, Hop};
//! use portcullis_reason::Reason;
//!
//! let mut engine = Engine::new();
//! engine.feed(b"12:10:06 ERROR SSOT AUTHENTICATION FAILED: NO_TOKEN\n12:10:07 ERROR Message routing failed for us");
//! engine.feed(b"er 7\n");
//! let report = engine.finish();
//! let incident = &report.incidents[0];
//! assert_eq!((incident.reason, incident.hop), (Some(Reason::NoToken), Some(Hop::Client)));
//! assert_eq!(incident.consequences[0].count, 1);
//! ```
//!
//! It owns no file, clock or colour. Its memory is bounded whatever it is fed: lines, objects, open events, incidents and the
//! evidence of each have limits, beyond which it counts. What it shows of a line holds no credential.

mod advice;
mod correlate;
mod credential;
mod engine;
mod evidence;
mod format;
mod keys;
mod markdown;
mod plain;
mod redact;
mod report;
mod series;
mod signal;
mod signature;
mod split;
mod text;
mod time;
mod trace;

#[cfg(any(test, feature = "forms"))]
pub use credential::forms;
pub use credential::{PREFIXES, SUBPROTOCOLS};
pub use engine::Engine;
pub use evidence::Evidence;
pub use format::Format;
pub use plain::is_plain;
pub use redact::redacted;
pub use report::{Consequence, Counts, Incident, Report, shown};
pub use signal::{Hop, Symptom};
pub use signature::Signature;
