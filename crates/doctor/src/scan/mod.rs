//! Scanners: what of the field stands in a text. Each walks the text once, with bounds on what it keeps.

pub(crate) mod credential;
pub(crate) mod element;
pub(crate) mod head;
pub(crate) mod nginx;
pub(crate) mod number;
pub(crate) mod offer;
#[cfg(test)]
mod offer_tests;
