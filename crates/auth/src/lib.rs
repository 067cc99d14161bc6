//! The embedded auth service: accounts, login, refresh with rotation, JWKS.
//!
//! It makes one binary complete for development and small teams; larger ones point the gateway at their identity
//! provider. This crate owns the account database, the password hashes, the refresh tokens, the signing key and its own
//! listener. It leaves the verification of access tokens to `portcullis-token`, the configuration file to the command,
//! and TLS to whatever stands in front.
//!
//! - [`Accounts`] works without the server, also from a second process while the server runs (`portcullis users`).
//! - [`Service`] answers `/auth/login`, `/auth/refresh`, `/auth/logout`, `/auth/revoke`, `/auth/link`, `/health` and
//!   `/.well-known/jwks.json`; its [`Handle`] makes one-time login links, knows the public keys and tells which logins end.
//!
//! Invariants: a refresh token and a link's code are stored as SHA-256 alone; a refresh token is good for one use, and
//! a second use ends the whole login; every login attempt that is not rate limited costs exactly one password hash;
//! no mistake of a client's earns a 5xx, and no password, token or code reaches a log or an error.

pub mod accounts;
mod app;
mod device;
mod endings;
mod error;
mod files;
mod http;
mod limiter;
mod links;
mod options;
mod origins;
mod password;
mod pool;
mod seats;
mod secrets;
mod server;
mod service;
mod signing;
mod stats;

pub use accounts::{Accounts, User};
pub use endings::EndedLogin;
pub use error::Error;
pub use links::LinkCode;
pub use options::{AttemptOptions, Options, PasswordOptions, ServerOptions};
pub use password::{Error as PasswordError, MAX_PASSWORD, MIN_PASSWORD};
pub use server::bind;
pub use service::{Handle, Service, Setup};
pub use signing::{SharedSecret, Signing};
pub use stats::Stats;

use portcullis_units::random::bytes as random;
