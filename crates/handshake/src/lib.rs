//! RFC 6455 opening handshake, server and client role, sans-I/O: bytes in, a decision and bytes out.
//!
//! The server role is a chain of types; each step takes what the one before it gave, so that none can be left out:
//!
//! ```text
//! bytes ─ HeadReader ─▶ Head ─ Upgrade::check ─▶ Upgrade ─ credentials ─▶ Offer ─ accept(identity) ─▶ Negotiated
//!         (complete?)         (steps 4, 5)                (step 7)               (step 10, writes the 101)
//! ```
//!
//! Steps have the numbers of the table "The way of a connection" in ARCHITECTURE.md.
//!
//! Between the steps the caller does what is not ours: admission after [`Upgrade::check`], verification and
//! authorization of the token that an [`Offer`] lends out. This crate never learns what an identity is; a
//! [`Negotiated`] has no other constructor than [`Offer::accept`]. Every refusal is a [`Rejection`], and
//! a [`Refusal`] is the one place that turns it into an HTTP response. [`Preflight`] takes the same decision
//! without a socket. The crate owns no clock, socket or configuration format.

mod accept;
mod client;
mod credentials;
mod head;
mod negotiate;
mod origin;
mod policy;
mod preflight;
mod request;
mod target;
mod upgrade;

pub use accept::accept_value;
pub use client::{ClientError, ClientRequest, ResponseHead, encode_key};
pub use credentials::CredentialForm;
pub use head::{Field, Head, HeadLimits, HeadReader, MAX_FIELDS, Parts, Version};
pub use negotiate::{Negotiated, NegotiatedParts, Offer};
pub use origin::{InvalidOrigin, SameOrigin};
pub use policy::{InvalidPolicy, Policy, PolicyBuilder};
pub use portcullis_reason::{Reason, Refusal, Rejection};
pub use preflight::{Caller, Preflight, PreflightOffer, PreflightRequest};
pub use upgrade::Upgrade;
