//! The handshake from bytes to bytes, through the public API alone.

mod client;
mod credentials;
mod head;
mod negotiation;
mod parts;
mod preflight;
mod properties;
mod rejections;
mod support;
mod upgrade;
