//! The doctor's tools. Each does one real thing, tells it as a tool's result, and adds what follows from it to the
//! [`Case`]. None of them puts a credential into what it tells: a fingerprint and a length stand for it.

pub(crate) mod call;
mod catalogue;
pub(crate) mod context;
mod form;
mod log;
mod origin;
mod proxy;
mod server;
mod token;
