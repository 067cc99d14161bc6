//! The crate from outside: vectors, rules, the cache, and the same verdicts as another implementation.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod cache;
mod differential;
mod inspect;
mod issuers;
mod keys;
mod mint;
mod rules;
mod wycheproof;
