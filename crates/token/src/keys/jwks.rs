//! JWK sets (RFC 7517 §5).

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{KeyError, KeySet, defaults, material::PublicKey};
use crate::{Algorithm, Secret, algorithm::Family, base64url};

/// The largest JWK set that is read. Sets of the large identity providers have 2 to 10 KB.
pub const MAX_JWKS_BYTES: usize = 256 * 1024;

const MAX_KEYS: usize = 100;

pub(super) fn add(set: &mut KeySet, json: &[u8]) -> Result<(), KeyError> {
    let bytes = json.len();
    if bytes > MAX_JWKS_BYTES {
        return Err(KeyError::JwksTooLarge { bytes });
    }
    let document: Value = serde_json::from_slice(json).map_err(|_| KeyError::NotJwks)?;
    let jwks: Vec<&Map<String, Value>> = match (document.get("keys"), &document) {
        (Some(Value::Array(keys)), _) if keys.len() > MAX_KEYS => {
            return Err(KeyError::JwksTooLarge { bytes });
        }
        (Some(Value::Array(keys)), _) => keys.iter().filter_map(Value::as_object).collect(),
        (None, Value::Object(jwk)) if jwk.contains_key("kty") => vec![jwk],
        _ => return Err(KeyError::NotJwks),
    };
    // A secret beside public keys has been published with them, or the file mixes two purposes: both make
    // a public key look like a secret to some verifier.
    let mixed = jwks.iter().any(|jwk| text(jwk, "kty").is_some_and(|kty| kty != "oct"));

    let before = set.len();
    let mut last_skip = "it is empty".to_owned();
    for jwk in jwks {
        let kid = text(jwk, "kid");
        match add_one(set, jwk, kid, mixed) {
            Ok(()) if jwk.contains_key("d") => {
                set.warn(
                    kid,
                    "the set carries its private key; whoever can read the set can sign".to_owned(),
                );
            }
            Ok(()) => {}
            Err(skip) => {
                let why = skip.describe();
                set.warn(kid, format!("passed over: {why}"));
                last_skip = why;
            }
        }
    }
    if set.len() == before { Err(KeyError::NoUsableKey(last_skip)) } else { Ok(()) }
}

/// Why a key is passed over (RFC 7517 §5: ignored rather than failing the set).
enum Skip {
    Why(&'static str),
    Key(KeyError),
}

impl Skip {
    fn describe(self) -> String {
        match self {
            Self::Why(why) => why.to_owned(),
            Self::Key(error) => error.to_string(),
        }
    }
}

impl From<KeyError> for Skip {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

fn add_one(set: &mut KeySet, jwk: &Map<String, Value>, kid: Option<&str>, mixed: bool) -> Result<(), Skip> {
    if jwk.get("use").is_some_and(|usage| usage != "sig") {
        return Err(Skip::Why("its use is not sig"));
    }
    if let Some(operations) = jwk.get("key_ops")
        && !operations
            .as_array()
            .is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
    {
        return Err(Skip::Why("its key_ops lack verify"));
    }
    let listed: Option<Algorithm> = match jwk.get("alg") {
        None => None,
        Some(alg) => {
            let alg = alg.as_str().and_then(|alg| alg.parse().ok());
            Some(alg.ok_or(Skip::Why("its alg is not a signature algorithm that is spoken here"))?)
        }
    };
    let algorithms = listed.as_slice();
    match (text(jwk, "kty"), text(jwk, "crv")) {
        (Some("RSA"), _) => {
            set.push_public(kid, &PublicKey::rsa(&number(jwk, "n")?, &number(jwk, "e")?)?, algorithms)?;
        }
        (Some("EC"), Some("P-256")) => {
            set.push_public(
                kid,
                &PublicKey::curve(Family::P256, &number(jwk, "x")?, &number(jwk, "y")?)?,
                algorithms,
            )?;
        }
        (Some("EC"), Some("P-384")) => {
            set.push_public(
                kid,
                &PublicKey::curve(Family::P384, &number(jwk, "x")?, &number(jwk, "y")?)?,
                algorithms,
            )?;
        }
        (Some("OKP"), Some("Ed25519")) => {
            set.push_public(kid, &PublicKey::ed25519(&number(jwk, "x")?)?, algorithms)?;
        }
        (Some("oct"), _) if mixed => {
            return Err(Skip::Why("a shared secret has no place beside public keys"));
        }
        (Some("oct"), _) => {
            let secret = Secret::new(number(jwk, "k")?.to_vec());
            let fitting: Vec<Algorithm> = match listed {
                Some(algorithm) => vec![algorithm],
                // The secret's length says which hashes it is good for.
                None => defaults(Family::Hmac)
                    .iter()
                    .copied()
                    .filter(|hs| secret.expose().len() >= hs.hash_len())
                    .collect(),
            };
            let fitting = if fitting.is_empty() { vec![Algorithm::Hs256] } else { fitting };
            set.add_secret(kid, &secret, &fitting)?;
        }
        (Some("EC" | "OKP"), _) => return Err(Skip::Why("its curve is not spoken here")),
        _ => return Err(Skip::Why("its kty is not known")),
    }
    Ok(())
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name)?.as_str()
}

fn number(jwk: &Map<String, Value>, name: &str) -> Result<Zeroizing<Vec<u8>>, Skip> {
    let text = text(jwk, name).ok_or(Skip::Why("a member of its key material is missing"))?;
    let bytes =
        base64url::decode(text.as_bytes()).map_err(|_| Skip::Why("its key material is not base64url"))?;
    Ok(Zeroizing::new(bytes))
}
