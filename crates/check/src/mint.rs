//! Tokens: good ones where there is a key, and bad ones of every kind.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis_token::{Secret, Zeroizing, base64url};
use portcullis_units::random;
use serde_json::{Map, Value, json};

use crate::{clock::CLOCK, evidence::Redactor};

/// What a server's tokens are signed with.
pub struct SigningKey(Kind);

enum Kind {
    Shared { secret: Secret, algorithm: Hmac },
    Es256(EcdsaKeyPair),
    Es384(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hmac {
    Hs256,
    Hs384,
    Hs512,
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing in it.
    #[error("the secret is empty")]
    Empty,
    /// Not a private key in PKCS#8.
    #[error(
        "the file is not a private key in PEM (PKCS#8, `BEGIN PRIVATE KEY`); make one of it: openssl pkcs8 -topk8 -nocrypt -in KEY"
    )]
    NotPkcs8,
    /// A kind of key that no algorithm here uses.
    #[error("the key is neither RSA, P-256, P-384 nor Ed25519")]
    Unsupported,
    /// A name of no algorithm for shared secrets.
    #[error("`{0}` is not an algorithm for a shared secret: HS256, HS384 or HS512")]
    Algorithm(String),
}

impl SigningKey {
    /// A shared secret; `algorithm` is HS256 unless given.
    ///
    /// # Errors
    /// If the secret is empty or the algorithm is none.
    pub fn shared(secret: Secret, algorithm: Option<&str>) -> Result<Self, KeyError> {
        if secret.expose().is_empty() {
            return Err(KeyError::Empty);
        }
        let algorithm = match algorithm {
            None | Some("HS256") => Hmac::Hs256,
            Some("HS384") => Hmac::Hs384,
            Some("HS512") => Hmac::Hs512,
            Some(other) => return Err(KeyError::Algorithm(other.to_owned())),
        };
        Ok(Self(Kind::Shared { secret, algorithm }))
    }

    /// A private key in PEM (PKCS#8).
    ///
    /// # Errors
    /// If it is none, or of a kind that is not known here.
    pub fn private(pem: &str) -> Result<Self, KeyError> {
        let begin = "-----BEGIN PRIVATE KEY-----";
        let body = pem
            .split(begin)
            .nth(1)
            .and_then(|rest| rest.split("-----END").next())
            .ok_or(KeyError::NotPkcs8)?;
        let text: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
        let der = Zeroizing::new(STANDARD.decode(text.as_bytes()).map_err(|_| KeyError::NotPkcs8)?);
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der) {
            return Ok(Self(Kind::Es256(pair)));
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &der) {
            return Ok(Self(Kind::Es384(pair)));
        }
        if let Ok(pair) = RsaKeyPair::from_pkcs8(&der) {
            return Ok(Self(Kind::Rs256(pair)));
        }
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
            .map(|pair| Self(Kind::EdDsa(pair)))
            .map_err(|_| KeyError::Unsupported)
    }

    /// The `alg` of its tokens.
    pub const fn algorithm(&self) -> &'static str {
        match &self.0 {
            Kind::Shared { algorithm: Hmac::Hs256, .. } => "HS256",
            Kind::Shared { algorithm: Hmac::Hs384, .. } => "HS384",
            Kind::Shared { algorithm: Hmac::Hs512, .. } => "HS512",
            Kind::Es256(_) => "ES256",
            Kind::Es384(_) => "ES384",
            Kind::Rs256(_) => "RS256",
            Kind::EdDsa(_) => "EdDSA",
        }
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.0 {
            Kind::Shared { secret, algorithm } => hmac(*algorithm, secret.expose(), bytes),
            Kind::Es256(pair) | Kind::Es384(pair) => {
                pair.sign(&random, bytes).expect("a key that was parsed can sign").as_ref().to_vec()
            }
            Kind::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature)
                    .expect("a key that was parsed can sign");
                signature
            }
            Kind::EdDsa(pair) => pair.sign(bytes).as_ref().to_vec(),
        }
    }

    /// What a confused server would take for the secret of an HMAC: the public key, in the forms that servers hold it.
    fn public_forms(&self) -> Vec<Vec<u8>> {
        let spki = |prefix: &[u8], point: &[u8]| [prefix, point].concat();
        let (raw, der) = match &self.0 {
            Kind::Shared { .. } => return Vec::new(),
            Kind::Es256(pair) => (pair.public_key().as_ref(), spki(SPKI_P256, pair.public_key().as_ref())),
            Kind::Es384(pair) => (pair.public_key().as_ref(), spki(SPKI_P384, pair.public_key().as_ref())),
            Kind::EdDsa(pair) => (pair.public_key().as_ref(), spki(SPKI_ED25519, pair.public_key().as_ref())),
            Kind::Rs256(pair) => {
                let key = pair.public_key().as_ref();
                (key, rsa_spki(key))
            }
        };
        let text = STANDARD.encode(&der);
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
        vec![format!("{pem}\n").into_bytes(), pem.into_bytes(), der, raw.to_vec()]
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.algorithm())
    }
}

/// Makes the tokens of a run.
pub(crate) struct Mint {
    key: Option<SigningKey>,
    given: Vec<String>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    redactor: Redactor,
}

impl Mint {
    /// `given` are tokens of one or two users; `claims` go into every token that is made.
    pub(crate) fn new(
        key: Option<SigningKey>,
        given: Vec<String>,
        kid: Option<&str>,
        claims: &Map<String, Value>,
        redactor: Redactor,
    ) -> Self {
        for token in &given {
            redactor.learn(token);
        }
        if let Some(SigningKey(Kind::Shared { secret, .. })) = &key
            && let Ok(text) = str::from_utf8(secret.expose())
        {
            redactor.learn(text);
        }
        let parts = given.first().and_then(|token| read(token));
        let (mut header, mut base) = parts.unwrap_or_else(|| {
            let header = json!({ "alg": "HS256", "typ": "JWT" }).as_object().cloned().unwrap_or_default();
            let base = json!({ "sub": "portcullis-check" }).as_object().cloned().unwrap_or_default();
            (header, base)
        });
        if let Some(key) = &key {
            header.insert("alg".to_owned(), key.algorithm().into());
        }
        if let Some(kid) = kid {
            header.insert("kid".to_owned(), kid.into());
        }
        for (name, value) in claims {
            base.insert(name.clone(), value.clone());
        }
        Self { key, given, header, claims: base, redactor }
    }

    pub(crate) const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub(crate) fn has_token(&self) -> bool {
        self.has_key() || !self.given.is_empty()
    }

    pub(crate) fn has_two_users(&self) -> bool {
        self.has_key() || self.given.len() > 1
    }

    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.key, Some(SigningKey(Kind::Shared { .. })))
    }

    /// A token that the server should take: the given one, else one that is made.
    pub(crate) fn good(&self) -> Option<String> {
        self.given.first().cloned().or_else(|| self.minted(&Value::Null))
    }

    /// A good token of another user.
    pub(crate) fn second(&self) -> Option<String> {
        if let Some(token) = self.given.get(1) {
            return Some(token.clone());
        }
        let subject =
            format!("{}-2", self.claims.get("sub").and_then(Value::as_str).unwrap_or("portcullis-check"));
        self.minted(&json!({ "sub": subject }))
    }

    /// A signed token with these claims changed; `null` takes one out.
    pub(crate) fn minted(&self, changes: &Value) -> Option<String> {
        self.minted_with(&Value::Null, changes)
    }

    /// The same, with changes of the header.
    pub(crate) fn minted_with(&self, header: &Value, changes: &Value) -> Option<String> {
        let key = self.key.as_ref()?;
        Some(self.assemble(&self.header_with(header), &self.fresh(changes), |bytes| key.sign(bytes)))
    }

    /// The good token's claims under another header, with a signature of the caller's.
    pub(crate) fn forged(&self, header: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        self.assemble(&self.header_with(header), &self.fresh(&Value::Null), sign)
    }

    /// A token signed by HMAC with `secret`, of the server's own algorithm where that is one, else HS256.
    pub(crate) fn with_secret(&self, secret: &[u8], changes: &Value) -> String {
        let algorithm = match self.header.get("alg").and_then(Value::as_str) {
            Some("HS384") => Hmac::Hs384,
            Some("HS512") => Hmac::Hs512,
            _ => Hmac::Hs256,
        };
        let name = match algorithm {
            Hmac::Hs256 => "HS256",
            Hmac::Hs384 => "HS384",
            Hmac::Hs512 => "HS512",
        };
        let header = self.header_with(&json!({ "alg": name }));
        self.assemble(&header, &self.fresh(changes), |bytes| hmac(algorithm, secret, bytes))
    }

    /// Tokens whose algorithm is not the one that was agreed on, though the key is known to the server: HMAC with the
    /// public key as its secret, or the shared secret under another algorithm.
    pub(crate) fn confused(&self) -> Vec<String> {
        let Some(key) = &self.key else { return Vec::new() };
        if let Kind::Shared { secret, algorithm } = &key.0 {
            let (other, name) =
                if *algorithm == Hmac::Hs512 { (Hmac::Hs256, "HS256") } else { (Hmac::Hs512, "HS512") };
            return vec![self.forged(&json!({ "alg": name }), |bytes| hmac(other, secret.expose(), bytes))];
        }
        let forms = key.public_forms();
        forms
            .iter()
            .map(|form| self.forged(&json!({ "alg": "HS256" }), |b| hmac(Hmac::Hs256, form, b)))
            .collect()
    }

    /// When the given token ended, if it has.
    pub(crate) fn expired(&self) -> Option<u64> {
        let (_, claims) = read(self.given.first()?)?;
        claims.get("exp").and_then(Value::as_u64).filter(|exp| *exp <= now())
    }

    /// The subject of the good token.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.claims.get("sub").and_then(Value::as_str)
    }

    /// Whether the good token has that claim.
    pub(crate) fn has_claim(&self, name: &str) -> bool {
        self.claims.contains_key(name)
    }

    fn header_with(&self, changes: &Value) -> Map<String, Value> {
        merged(&self.header, changes)
    }

    /// The claims with times of now.
    fn fresh(&self, changes: &Value) -> Map<String, Value> {
        let now = now();
        let mut claims = self.claims.clone();
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), (now + 3600).into());
        claims.remove("nbf");
        if claims.contains_key("jti") {
            claims.insert("jti".to_owned(), base64url::encode(random::bytes::<12>()).into());
        }
        merged(&claims, changes)
    }

    fn assemble(
        &self,
        header: &Map<String, Value>,
        claims: &Map<String, Value>,
        sign: impl Fn(&[u8]) -> Vec<u8>,
    ) -> String {
        let part = |map: &Map<String, Value>| base64url::encode(json!(map).to_string().as_bytes());
        let mut token = format!("{}.{}", part(header), part(claims));
        let signature = base64url::encode(sign(token.as_bytes()));
        token.push('.');
        token.push_str(&signature);
        self.redactor.learn(&token);
        token
    }
}

/// `base` with the members of `changes`; `null` takes one out.
fn merged(base: &Map<String, Value>, changes: &Value) -> Map<String, Value> {
    let mut map = base.clone();
    for (name, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            map.remove(name);
        } else {
            map.insert(name.clone(), value.clone());
        }
    }
    map
}

/// Header and claims of a token, unverified.
fn read(token: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let mut parts = token.split('.').map(|part| {
        let bytes = base64url::decode(part).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()?.as_object().cloned()
    });
    Some((parts.next()??, parts.next()??))
}

/// The same token with one bit changed in a part (0 to 2), still good base64url; none if it is no JWT.
pub(crate) fn altered(token: &str, part: usize) -> Option<String> {
    let mut parts: Vec<Vec<u8>> =
        token.split('.').map(|part| base64url::decode(part).ok()).collect::<Option<_>>()?;
    let bytes = parts.get_mut(part)?;
    let place = bytes.len() / 2;
    *bytes.get_mut(place)? ^= 1;
    Some(parts.iter().map(base64url::encode).collect::<Vec<_>>().join("."))
}

/// The same token for another subject under the old signature.
pub(crate) fn resubjected(token: &str) -> Option<String> {
    let (_, mut claims) = read(token)?;
    claims.insert("sub".to_owned(), "admin".into());
    let mut parts = token.split('.');
    let (header, _, signature) = (parts.next()?, parts.next()?, parts.next()?);
    Some(format!("{header}.{}.{signature}", base64url::encode(json!(claims).to_string().as_bytes())))
}

fn hmac(algorithm: Hmac, secret: &[u8], bytes: &[u8]) -> Vec<u8> {
    let algorithm = match algorithm {
        Hmac::Hs256 => hmac::HMAC_SHA256,
        Hmac::Hs384 => hmac::HMAC_SHA384,
        Hmac::Hs512 => hmac::HMAC_SHA512,
    };
    hmac::sign(&hmac::Key::new(algorithm, secret), bytes).as_ref().to_vec()
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    CLOCK.unix_seconds()
}

/// The `SubjectPublicKeyInfo` of an RSA key in PKCS#1 (RFC 8017 A.1.1).
fn rsa_spki(key: &[u8]) -> Vec<u8> {
    let wrap = |tag: u8, body: &[u8]| {
        let length = body.len().to_be_bytes();
        let length = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
        let mut out = vec![tag];
        if body.len() < 0x80 {
            out.push(body.len() as u8);
        } else {
            out.push(0x80 | length.len() as u8);
            out.extend_from_slice(length);
        }
        out.extend_from_slice(body);
        out
    };
    let bits = [&[0][..], key].concat();
    wrap(0x30, &[RSA_ALGORITHM, &wrap(0x03, &bits)].concat())
}

/// `rsaEncryption` with its empty parameters.
const RSA_ALGORITHM: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
/// What stands before the point of a P-256 key (RFC 5480).
const SPKI_P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3,
    1, 7, 3, 0x42, 0,
];
/// What stands before the point of a P-384 key.
const SPKI_P384: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22, 3, 0x62,
    0,
];
/// What stands before an Ed25519 key (RFC 8410).
const SPKI_ED25519: &[u8] = &[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

#[cfg(test)]
mod tests {
    use portcullis_token::Signer;

    use super::*;

    fn mint(key: SigningKey) -> Mint {
        Mint::new(Some(key), Vec::new(), Some("k"), &Map::new(), Redactor::default())
    }

    #[test]
    fn a_shared_secret_signs_as_the_server_does() {
        let secret = Secret::from("a secret of thirty-two characters");
        let mint = mint(SigningKey::shared(secret.clone(), None).unwrap());
        let token = mint.good().unwrap();
        let (_, claims) = read(&token).unwrap();
        // Ours and the project's signer agree byte by byte once the headers do.
        let signed = token.rsplit_once('.').unwrap();
        assert_eq!(base64url::encode(hmac(Hmac::Hs256, secret.expose(), signed.0.as_bytes())), signed.1);
        assert_eq!(claims["sub"], "portcullis-check");
        assert_eq!(mint.confused().len(), 1);
    }

    #[test]
    fn a_private_key_signs_and_is_confused_in_four_forms() {
        let signer = Signer::generate_es256().unwrap();
        let key = SigningKey::private(&signer.to_pem().unwrap()).unwrap();
        assert_eq!(key.algorithm(), "ES256");
        let pem = String::from_utf8(key.public_forms()[0].clone()).unwrap();
        let jwk = signer.public_jwk().unwrap();
        let mint = mint(key);
        assert_eq!(mint.confused().len(), 4);
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let point = STANDARD.decode(body).unwrap();
        assert_eq!(base64url::encode(&point[27..59]), jwk["x"].as_str().unwrap());
    }

    #[test]
    fn tokens_are_altered_in_one_place() {
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
        let other = altered(token, 2).unwrap();
        assert_ne!(other, token);
        assert_eq!(other.rsplit_once('.').unwrap().0, token.rsplit_once('.').unwrap().0);
        assert_eq!(read(&resubjected(token).unwrap()).unwrap().1["sub"], "admin");
        assert_eq!(altered("opaque", 2), None);
    }

    #[test]
    fn keys_that_are_none_are_told() {
        assert_eq!(SigningKey::private("hello").unwrap_err(), KeyError::NotPkcs8);
        assert_eq!(SigningKey::shared(Secret::from(""), None).unwrap_err(), KeyError::Empty);
        assert!(matches!(SigningKey::shared(Secret::from("x"), Some("RS256")), Err(KeyError::Algorithm(_))));
    }
}
