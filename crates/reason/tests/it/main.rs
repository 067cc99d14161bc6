//! The catalogue against the promises that others build on: stable identifiers, true statuses, codes that may be sent,
//! and help that says something.

mod catalogue;
mod help;
