//! Tokens, good and bad.

use portcullis_token::{Secret, Signer, base64url};
use serde_json::{Map, Value, json};

use crate::clock::CLOCK;

/// Makes tokens that one server takes: signed with its shared secret, with the claims that it asks for.
#[derive(Clone, Debug)]
pub struct Tokens {
    signer: Signer,
}

impl Tokens {
    /// With the shared secret `secret`, whose `kid` is `kid`.
    pub fn new(kid: &str, secret: &str) -> Self {
        Self { signer: Signer::hs256(Some(kid), &Secret::from(secret)).expect("a secret can sign") }
    }

    /// The claims of a good token for `subject`, an hour long.
    pub fn claims(subject: &str) -> Map<String, Value> {
        let now = Self::now();
        let claims = json!({
            "sub": subject,
            "iss": "portcullis",
            "aud": "portcullis",
            "scope": "chat",
            "iat": now,
            "exp": now + 3600,
        });
        claims.as_object().cloned().expect("it is an object")
    }

    /// A good token for `subject`.
    pub fn good(&self, subject: &str) -> String {
        self.signer.sign(&Self::claims(subject))
    }

    /// A good token for `subject` but for some claims; `null` takes a claim out.
    pub fn with(&self, subject: &str, changes: &Value) -> String {
        let mut claims = Self::claims(subject);
        for (name, value) in changes.as_object().expect("changes are an object") {
            if value.is_null() {
                claims.remove(name);
            } else {
                claims.insert(name.clone(), value.clone());
            }
        }
        self.signer.sign(&claims)
    }

    /// What signs them.
    pub const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The time, in seconds since 1970.
    pub fn now() -> u64 {
        CLOCK.unix_seconds()
    }
}

/// base64url without padding, as a token travels among the subprotocols.
pub fn wrap(text: impl AsRef<[u8]>) -> String {
    base64url::encode(text)
}

/// A token of any header, payload and signature.
pub fn forge(header: &str, payload: &str, signature: impl AsRef<[u8]>) -> String {
    format!("{}.{}.{}", wrap(header), wrap(payload), wrap(signature))
}

/// The same token with another value in one part (0 to 2), still good base64url.
pub fn alter(token: &str, part: usize) -> String {
    let mut parts: Vec<Vec<u8>> = token
        .split('.')
        .map(|part| base64url::decode(part).expect("the parts of a token are base64url"))
        .collect();
    // The last byte of a JSON text closes it; the one before it is inside.
    let place = parts[part].len() / 2;
    parts[part][place] ^= 1;
    parts.iter().map(wrap).collect::<Vec<_>>().join(".")
}
