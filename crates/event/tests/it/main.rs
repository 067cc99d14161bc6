//! The protocol as others see it: vectors, schema and document against the code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod document;
mod properties;
mod samples;
mod schema;
mod snapshots;
mod vectors;
