//! Signing secrets that everybody knows.

use serde_json::Value;

use crate::{
    outcome::{Found, Gravity, Outcome},
    probe::Probe,
};

/// Tries tokens that are signed with them.
pub(super) async fn known_secret(probe: &Probe) -> Found {
    for secret in KNOWN_SECRETS {
        let token = probe.mint().with_secret(secret.as_bytes(), &Value::Null);
        let admission = probe.attempt("signed with a sample secret", &probe.with_token(&token)?).await?;
        if admission.is_admitted() {
            return Ok(
                Outcome::fail(format!("signed with the secret `{secret}`: {admission}")).grave(Gravity::Open)
            );
        }
    }
    Ok(Outcome::pass(format!("{} secrets out of examples open nothing", KNOWN_SECRETS.len())))
}

/// Secrets out of tutorials and templates.
const KNOWN_SECRETS: &[&str] = &[
    "secret",
    "your-256-bit-secret",
    "changeme",
    "supersecret",
    "your-secret-key",
    "dev-secret-key",
    "a-string-secret-at-least-256-bits-long",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
];
