//! Keys that the measured server trusts, and tokens made with them.

use std::{fs, path::Path};

use anyhow::Context as _;
use portcullis_token::{Secret, Signer};
use serde_json::{Map, Value, json};

use crate::clock::CLOCK;

/// One key of each kind that is measured.
pub(crate) struct Keys {
    hs256: Signer,
    es256: Signer,
}

/// What signs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Hs256,
    Es256,
}

impl Keys {
    /// Makes the keys and writes what the server needs of them into `dir`.
    pub(crate) fn create(dir: &Path) -> anyhow::Result<Self> {
        let secret = Secret::generate();
        let hs256 = Signer::hs256(Some("shared"), &secret).context("the shared secret")?;
        let es256 = Signer::generate_es256().context("the ES256 key")?;
        fs::write(dir.join(SECRET_FILE), secret.expose())?;
        fs::write(dir.join(JWKS_FILE), es256.jwks().to_string())?;
        Ok(Self { hs256, es256 })
    }

    /// A token for user number `user` that is good for an hour, with the claims of an ordinary access token. `serial`
    /// tells tokens of the same user apart.
    pub(crate) fn mint(&self, algorithm: Algorithm, user: usize, serial: usize) -> String {
        self.sign(algorithm, user, serial, process_time() + 3_600)
    }

    /// A token that is sound and expired an hour ago.
    pub(crate) fn mint_expired(&self, user: usize) -> String {
        self.sign(Algorithm::Hs256, user, 0, process_time() - 3_600)
    }

    fn sign(&self, algorithm: Algorithm, user: usize, serial: usize, expires_at: u64) -> String {
        let claims = json!({
            "iss": "https://id.example.com",
            "sub": format!("user-{user:08}"),
            "iat": expires_at - 3_600,
            "exp": expires_at,
            "jti": format!("{serial:016x}"),
            "scope": "chat",
        });
        let empty = Map::new();
        let claims: &Map<String, Value> = claims.as_object().unwrap_or(&empty);
        match algorithm {
            Algorithm::Hs256 => self.hs256.sign(claims),
            Algorithm::Es256 => self.es256.sign(claims),
        }
    }
}

/// Names of the files that the server's configuration points at.
pub(crate) const SECRET_FILE: &str = "secret";
pub(crate) const JWKS_FILE: &str = "jwks.json";

fn process_time() -> u64 {
    CLOCK.unix_seconds()
}
