//! JWS, JWT and JWK checks: a token, a key set and the time in, an identity out.
//!
//! [`Verifier::verify`] is the only way to an [`Identity`], so whoever holds one holds proof that a token was verified.
//! The crate reads no clock and fetches nothing: the time is an argument (`now`, seconds since 1970 UTC), and keys are
//! given as a [`KeySet`] and replaced from outside.
//!
//! # Order of checks
//!
//! The first that fails decides, so that the same token always earns the same reason:
//!
//! 1. size (`TOKEN_TOO_LARGE`), then form: three parts, base64url, nothing around them (`TOKEN_MALFORMED`)
//! 2. header: JSON, unique names, no `crit`, `typ` (`TOKEN_MALFORMED`); `alg` known (`ALGORITHM_NOT_ALLOWED`)
//! 3. key: by `kid` (`UNKNOWN_KEY`), then by `alg` (`ALGORITHM_NOT_ALLOWED`)
//! 4. signature (`SIGNATURE_INVALID`)
//! 5. claims, of which nothing is told before this point: JSON with unique names (`TOKEN_MALFORMED`), `exp`, `nbf`,
//!    `iat`, `iss`, `aud`, `sub`, required claims, required scopes
//!
//! Steps 3 to 5 are taken for one [`Issuer`] after the other: each has keys and rules of its own, a `kid` names a key
//! within its issuer, and a key says nothing about another issuer's users.
//!
//! Revocation is not checked there: callers ask [`Revocations::check`] after every `verify`, also when the answer came
//! from the cache.

mod algorithm;
mod authority;
pub mod base64url;
mod fingerprint;
mod identity;
mod inspect;
mod issuer;
mod json;
mod keys;
mod policy;
mod revocations;
pub mod secret;
mod signer;
mod verifier;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use authority::{Authority, Verdict, Waiting};
pub use fingerprint::{Fingerprint, fingerprint};
pub use identity::Identity;
pub use inspect::{Finding, Inspection, MAX_INSPECTED_BYTES, Part, inspect};
pub use issuer::Issuer;
pub use keys::{KeyError, KeySet, KeyWarning, MAX_JWKS_BYTES};
pub use policy::Policy;
pub use revocations::Revocations;
pub use secret::Secret;
pub use signer::Signer;
pub use verifier::Verifier;
pub use zeroize::Zeroizing;
