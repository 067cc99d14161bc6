//! Making tokens.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::{
    Algorithm, KeyError, Secret, base64url,
    fingerprint::sha256,
    keys::{Material, read_private_key, write_private_key},
};

/// Signs tokens with one key. Cloning shares the key.
#[derive(Clone)]
pub struct Signer(Arc<Inner>);

struct Inner {
    kid: Option<Box<str>>,
    key: Key,
}

enum Key {
    Hs256 { key: Box<hmac::Key>, secret_len: usize },
    Es256(EcdsaKeyPair),
}

impl Signer {
    /// Signs with HS256 and a shared secret.
    ///
    /// # Errors
    /// If the secret is empty. A short one is the verifier's to refuse, whose policy differs by environment.
    pub fn hs256(kid: Option<&str>, secret: &Secret) -> Result<Self, KeyError> {
        if secret.expose().is_empty() {
            return Err(KeyError::EmptySecret);
        }
        let key = Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()));
        let key = Key::Hs256 { key, secret_len: secret.expose().len() };
        Ok(Self(Arc::new(Inner { kid: kid.map(Into::into), key })))
    }

    /// Signs with ES256 and a fresh key, whose `kid` is its thumbprint (RFC 7638).
    ///
    /// # Errors
    /// If the library cannot make a key.
    pub fn generate_es256() -> Result<Self, KeyError> {
        let pair =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyError::Generate)?;
        Ok(Self::es256(pair))
    }

    /// Signs with ES256 and the key in a PKCS#8 document (RFC 5958).
    ///
    /// # Errors
    /// If it is not a P-256 key.
    pub fn es256_from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map(Self::es256)
            .map_err(|_| KeyError::InvalidPrivateKey)
    }

    /// Signs with ES256 and the key in a PEM file (`PRIVATE KEY`), as [`to_pem`](Self::to_pem) writes it.
    ///
    /// # Errors
    /// If the file has something else in it.
    pub fn es256_from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::es256_from_pkcs8(&read_private_key(pem)?)
    }

    fn es256(pair: EcdsaKeyPair) -> Self {
        let (x, y) = coordinates(&pair);
        let kid = thumbprint(&x, &y).into_boxed_str();
        Self(Arc::new(Inner { kid: Some(kid), key: Key::Es256(pair) }))
    }

    /// The private key as PEM (PKCS#8), for a file that nobody else may read; none for a shared secret.
    pub fn to_pem(&self) -> Option<Zeroizing<String>> {
        match &self.0.key {
            Key::Hs256 { .. } => None,
            Key::Es256(pair) => pair.to_pkcs8v1().ok().map(|der| write_private_key(der.as_ref())),
        }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0.key {
            Key::Hs256 { .. } => Algorithm::Hs256,
            Key::Es256(_) => Algorithm::Es256,
        }
    }

    /// The key id that the tokens carry.
    pub fn kid(&self) -> Option<&str> {
        self.0.kid.as_deref()
    }

    /// An access token (`typ` is `at+jwt`, RFC 9068 §2.1) with these claims, just as they are.
    pub fn sign(&self, claims: &Map<String, Value>) -> String {
        self.sign_as("at+jwt", claims)
    }

    /// A token of the kind `typ`; with one of its own it cannot be mistaken for an access token (RFC 8725 §3.11).
    pub fn sign_as(&self, typ: &str, claims: &Map<String, Value>) -> String {
        let mut header = json!({ "alg": self.algorithm(), "typ": typ });
        if let (Some(kid), Some(header)) = (self.kid(), header.as_object_mut()) {
            header.insert("kid".to_owned(), kid.into());
        }
        let payload = serde_json::to_vec(claims).expect("a map of JSON values is JSON");
        let mut token =
            format!("{}.{}", base64url::encode(header.to_string().as_bytes()), base64url::encode(&payload));
        let signature = match &self.0.key {
            Key::Hs256 { key, .. } => base64url::encode(hmac::sign(key, token.as_bytes()).as_ref()),
            Key::Es256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), token.as_bytes());
                base64url::encode(signature.expect("a key that was parsed can sign").as_ref())
            }
        };
        token.push('.');
        token.push_str(&signature);
        token
    }

    /// The public key as a JWK (RFC 7517), for others to verify with; none for a shared secret.
    pub fn public_jwk(&self) -> Option<Value> {
        let Key::Es256(pair) = &self.0.key else { return None };
        let (x, y) = coordinates(pair);
        Some(
            json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.kid(), "alg": "ES256", "use": "sig" }),
        )
    }

    /// The JWK set to publish: the public key, or nothing where tokens are signed with a shared secret.
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.public_jwk().into_iter().collect::<Vec<_>>() })
    }

    /// How long the shared secret is, if there is one.
    pub(crate) fn secret_len(&self) -> Option<usize> {
        match &self.0.key {
            Key::Hs256 { secret_len, .. } => Some(*secret_len),
            Key::Es256(_) => None,
        }
    }

    /// What verifies this signer's tokens.
    pub(crate) fn verifying(&self) -> Result<Material, KeyError> {
        match &self.0.key {
            Key::Hs256 { key, .. } => Ok(Material::Hmac(key.clone())),
            Key::Es256(pair) => Material::public(Algorithm::Es256, pair.public_key().as_ref()),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.algorithm())
    }
}

/// The affine coordinates as a JWK has them, from the uncompressed point.
fn coordinates(pair: &EcdsaKeyPair) -> (String, String) {
    let point = pair.public_key().as_ref();
    (base64url::encode(&point[1..33]), base64url::encode(&point[33..65]))
}

/// The SHA-256 of the required members in the order of their names (RFC 7638 §3).
fn thumbprint(x: &str, y: &str) -> String {
    base64url::encode(sha256(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Issuer, KeySet, Policy, Verifier};

    fn claims() -> Map<String, Value> {
        json!({ "sub": "ann", "exp": 2_000_000_000 }).as_object().cloned().unwrap()
    }

    fn subject(keys: KeySet, token: &str) -> Option<String> {
        Verifier::new([Issuer::unnamed(keys)], Policy::default(), 0)
            .verify(token, 1_900_000_000)
            .ok()
            .map(|it| it.subject().to_owned())
    }

    #[test]
    fn an_es256_key_survives_its_file_and_its_jwk() {
        let signer = Signer::generate_es256().unwrap();
        let again = Signer::es256_from_pem(&signer.to_pem().unwrap()).unwrap();
        assert_eq!(signer.kid(), again.kid());
        let mut keys = KeySet::new();
        keys.add_jwks(signer.jwks().to_string().as_bytes()).unwrap();
        assert_eq!(subject(keys, &again.sign(&claims())).as_deref(), Some("ann"));
        let mut keys = KeySet::new();
        keys.add_signer(&again).unwrap();
        assert_eq!(subject(keys, &signer.sign(&claims())).as_deref(), Some("ann"));
    }

    #[test]
    fn the_kid_is_the_thumbprint() {
        // RFC 7638 §3.1 is on an RSA key; this one is the P-256 key of RFC 7517 appendix A.1, computed by hand.
        let (x, y) =
            ("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
        assert_eq!(thumbprint(x, y), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
    }

    #[test]
    fn a_token_of_another_kind_is_no_access_token() {
        let signer = Signer::hs256(Some("k"), &Secret::generate()).unwrap();
        let mut keys = KeySet::new();
        keys.add_signer(&signer).unwrap();
        assert_eq!(subject(keys.clone(), &signer.sign(&claims())).as_deref(), Some("ann"));
        assert_eq!(subject(keys, &signer.sign_as("rt+jwt", &claims())), None);
    }

    #[test]
    fn shared_secrets_are_not_published() {
        let signer = Signer::hs256(None, &Secret::generate()).unwrap();
        assert_eq!(signer.public_jwk(), None);
        assert!(signer.to_pem().is_none());
        assert_eq!(signer.jwks(), json!({ "keys": [] }));
        assert_eq!(format!("{signer:?}"), "Signer(HS256)");
    }

    #[test]
    fn other_keys_are_refused() {
        let wrong = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
        assert_eq!(Signer::es256_from_pem(wrong).unwrap_err(), KeyError::InvalidPrivateKey);
        assert_eq!(Signer::es256_from_pkcs8(b"no").unwrap_err(), KeyError::InvalidPrivateKey);
        assert_eq!(Signer::hs256(None, &Secret::from("")).unwrap_err(), KeyError::EmptySecret);
    }
}
