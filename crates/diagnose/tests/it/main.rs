//! The engine from outside.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod corpus;
mod properties;
mod redaction;
