//! The keys that tokens are verified with, each tied to one algorithm.

mod jwks;
mod material;
mod pem;

use std::fmt;

pub use jwks::MAX_JWKS_BYTES;
pub(crate) use material::Material;
pub(crate) use pem::{private_key as read_private_key, write_private_key};

use crate::{Algorithm, Secret, Signer, algorithm::Family};

/// The keys of an [`Issuer`](crate::Issuer).
///
/// Every key is parsed once, when it is added, and tied to the algorithms listed for it; a token's `alg` chooses among
/// those and never beyond (RFC 8725 §3.1). A token with a `kid` is tried with the keys of that `kid`, or, where none
/// has it, with the keys that were added without one. A token without `kid` is tried with all keys of its algorithm, up
/// to eight.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    warnings: Vec<KeyWarning>,
    allow_short_secrets: bool,
}

/// One key for one algorithm. A key that is good for several stands in the set once for each.
#[derive(Clone)]
pub(crate) struct Key {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    material: Material,
}

impl Key {
    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl KeySet {
    /// No keys yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes shared secrets that are shorter than their hash, with a warning. Not for production.
    #[must_use]
    pub fn allow_short_secrets(mut self) -> Self {
        self.allow_short_secrets = true;
        self
    }

    /// Adds a shared secret for the `algorithms` listed, at least one of HS256, HS384 and HS512.
    ///
    /// Several secrets, each with its `kid`, make a rotation without a gap.
    ///
    /// # Errors
    /// If the secret is empty or shorter than the hash (RFC 7518 §3.2), if no algorithm is listed, or another kind of one.
    pub fn add_secret(
        &mut self,
        kid: Option<&str>,
        secret: &Secret,
        algorithms: &[Algorithm],
    ) -> Result<(), KeyError> {
        if algorithms.is_empty() {
            return Err(KeyError::NoAlgorithm);
        }
        check_family(Family::Hmac, algorithms)?;
        let bytes = secret.expose();
        if bytes.is_empty() {
            return Err(KeyError::EmptySecret);
        }
        for algorithm in algorithms {
            self.check_length(kid, *algorithm, bytes.len())?;
        }
        for algorithm in algorithms {
            self.push(kid, *algorithm, Material::hmac(*algorithm, bytes));
        }
        Ok(())
    }

    /// Adds a public key from a PEM file: `PUBLIC KEY` (RSA, P-256, P-384, Ed25519) or `RSA PUBLIC KEY`.
    ///
    /// With no `algorithms` listed the key gets those of its kind: RS* and PS*, ES256, ES384 or `EdDSA`.
    ///
    /// # Errors
    /// If the file holds something else, and what to do about it; if the key is too short, not on its curve or of
    /// another kind than the algorithms.
    pub fn add_pem(
        &mut self,
        kid: Option<&str>,
        pem: &str,
        algorithms: &[Algorithm],
    ) -> Result<(), KeyError> {
        let key = material::PublicKey::from_der(&pem::public_key(pem)?)?;
        self.push_public(kid, &key, algorithms)
    }

    /// Adds the keys of a JWK set (RFC 7517 §5), or a single JWK.
    ///
    /// Keys that are not for signatures, or of a kind or algorithm that is not spoken here, are passed over with a warning.
    /// Shared secrets (`oct`) are taken only from a set that has nothing else.
    ///
    /// # Errors
    /// If the text is larger than [`MAX_JWKS_BYTES`], not a JWK set, or has no key that can be used.
    pub fn add_jwks(&mut self, json: &[u8]) -> Result<(), KeyError> {
        jwks::add(self, json)
    }

    /// Adds what verifies the tokens of `signer`.
    ///
    /// # Errors
    /// If its shared secret is shorter than the hash.
    pub fn add_signer(&mut self, signer: &Signer) -> Result<(), KeyError> {
        if let Some(bytes) = signer.secret_len() {
            self.check_length(signer.kid(), signer.algorithm(), bytes)?;
        }
        let material = signer.verifying()?;
        self.push(signer.kid(), signer.algorithm(), material);
        Ok(())
    }

    /// What the keys are for, one by one.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.keys.iter().map(Key::algorithm)
    }

    /// Keeps only the keys for one of `algorithms`.
    pub(crate) fn keep(&mut self, algorithms: &[Algorithm]) {
        self.keys.retain(|key| algorithms.contains(&key.algorithm));
    }

    /// Takes over the keys and warnings of `other`.
    pub fn merge(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.warnings.extend(other.warnings);
    }

    /// What was passed over or is doubtful about the keys so far.
    pub fn warnings(&self) -> &[KeyWarning] {
        &self.warnings
    }

    /// How many keys there are; one that is good for several algorithms counts once for each.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none, so that no token is good.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Finds the key that verifies `signature` over `message`.
    pub(crate) fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Option<&Key> {
        self.asked(kid, algorithm)
            .take(MAX_TRIED)
            .find(|key| key.material.verifies(algorithm, message, signature))
    }

    /// The keys that a token could mean.
    fn asked(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        let named = self.has_kid(kid);
        let asked = move |key: &&Key| match (named, kid) {
            (true, _) => key.kid.as_deref() == kid,
            (false, Some(_)) => key.kid.is_none(),
            (false, None) => true,
        };
        self.keys.iter().filter(asked).filter(move |key| key.algorithm == algorithm)
    }

    /// Whether a token could mean one of these keys.
    pub(crate) fn is_asked(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        self.asked(kid, algorithm).next().is_some()
    }

    /// Whether a key has that `kid`.
    pub(crate) fn has_kid(&self, kid: Option<&str>) -> bool {
        kid.is_some() && self.keys.iter().any(|key| key.kid.as_deref() == kid)
    }

    /// Whether any key has a `kid`.
    pub(crate) fn has_kids(&self) -> bool {
        self.keys.iter().any(|key| key.kid.is_some())
    }

    /// Whether a key is worth remembering verifications for.
    pub(crate) fn has_asymmetric(&self) -> bool {
        self.keys.iter().any(|key| key.algorithm.family().is_asymmetric())
    }

    /// Whether a secret of `bytes` bytes will do for `algorithm` (RFC 7518 §3.2).
    fn check_length(
        &mut self,
        kid: Option<&str>,
        algorithm: Algorithm,
        bytes: usize,
    ) -> Result<(), KeyError> {
        let needed = algorithm.hash_len();
        if bytes < needed {
            if !self.allow_short_secrets {
                return Err(KeyError::SecretTooShort { algorithm, needed, bytes });
            }
            let text =
                format!("{bytes} bytes are too few for {algorithm}, which needs {needed} (RFC 7518 §3.2)");
            self.warn(kid, text);
        }
        Ok(())
    }

    fn push_public(
        &mut self,
        kid: Option<&str>,
        key: &material::PublicKey,
        algorithms: &[Algorithm],
    ) -> Result<(), KeyError> {
        let algorithms = if algorithms.is_empty() { defaults(key.family()) } else { algorithms };
        check_family(key.family(), algorithms)?;
        for algorithm in algorithms {
            self.push(kid, *algorithm, key.material(*algorithm)?);
        }
        Ok(())
    }

    fn push(&mut self, kid: Option<&str>, algorithm: Algorithm, material: Material) {
        if kid.is_some()
            && self.keys.iter().any(|key| key.kid.as_deref() == kid && key.algorithm == algorithm)
        {
            self.warn(kid, format!("another {algorithm} key has the same kid; both are tried"));
        }
        self.keys.push(Key { kid: kid.map(Into::into), algorithm, material });
    }

    fn warn(&mut self, kid: Option<&str>, text: String) {
        self.warnings.push(KeyWarning { kid: kid.map(shown_kid), text });
    }
}

/// The algorithms of a kind of key, where none are listed.
const fn defaults(family: Family) -> &'static [Algorithm] {
    use Algorithm::{EdDsa, Es256, Es384, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    match family {
        Family::Hmac => &[Hs256, Hs384, Hs512],
        Family::Rsa => &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512],
        Family::P256 => &[Es256],
        Family::P384 => &[Es384],
        Family::Ed25519 => &[EdDsa],
    }
}

fn check_family(family: Family, algorithms: &[Algorithm]) -> Result<(), KeyError> {
    match algorithms.iter().find(|algorithm| algorithm.family() != family) {
        Some(algorithm) => Err(KeyError::WrongKind { algorithm: *algorithm, key: family.describe() }),
        None => Ok(()),
    }
}

/// A `kid` as a warning shows it: an identifier and no secret, but possibly a stranger's text.
fn shown_kid(kid: &str) -> String {
    kid.chars().take(64).flat_map(char::escape_debug).collect()
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("keys", &self.keys)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid.as_deref().map(shown_kid))
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Something about a key that its owner should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyWarning {
    kid: Option<String>,
    text: String,
}

impl fmt::Display for KeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            Some(kid) => write!(f, "key \"{kid}\": {}", self.text),
            None => write!(f, "key without kid: {}", self.text),
        }
    }
}

/// Why a key cannot be used, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A shared secret of no bytes.
    #[error("the secret is empty")]
    EmptySecret,
    /// A shared secret that is shorter than the hash (RFC 7518 §3.2).
    #[error(
        "the secret has {bytes} bytes and {algorithm} needs at least {needed} (RFC 7518 §3.2); `openssl rand -base64 48` makes a good one"
    )]
    SecretTooShort {
        /// For which algorithm.
        algorithm: Algorithm,
        /// The least.
        needed: usize,
        /// What it has.
        bytes: usize,
    },
    /// Shared secrets are never given an algorithm by guessing.
    #[error("no algorithm is listed for the secret; list HS256, HS384 or HS512")]
    NoAlgorithm,
    /// A key of one kind, an algorithm of another.
    #[error("{algorithm} does not work with {key}")]
    WrongKind {
        /// The algorithm.
        algorithm: Algorithm,
        /// What the key is.
        key: &'static str,
    },
    /// The text has no PEM block.
    #[error("this is not PEM; a public key starts with `-----BEGIN PUBLIC KEY-----`")]
    NotPem,
    /// The PEM block does not end, or what is in it is not base64.
    #[error("the PEM block is damaged: it is not base64 up to a matching END line")]
    DamagedPem,
    /// Several keys in one file.
    #[error("the file holds more than one PEM block; give each key a file and a kid of its own")]
    SeveralKeys,
    /// A private key where a public one belongs.
    #[error(
        "this is a private key, and a verifier needs the public one alone: `openssl pkey -in KEY.pem -pubout -out PUBLIC.pem`; keep the private key away from here"
    )]
    PrivateKey,
    /// A certificate where a key belongs.
    #[error("this is a certificate; take its key out with `openssl x509 -in CERT.pem -noout -pubkey`")]
    Certificate,
    /// Another kind of PEM block.
    #[error("this kind of PEM block is not taken; give a `PUBLIC KEY` or an `RSA PUBLIC KEY`")]
    UnsupportedPem,
    /// Not a key for signatures, or damaged, or a point that is not on its curve.
    #[error("this is not a valid RSA, P-256, P-384 or Ed25519 key")]
    InvalidKey,
    /// RSA below 2048 bits (RFC 7518 §3.3) or above 8192.
    #[error("the RSA key has {bits} bits; 2048 to 8192 are taken (RFC 7518 §3.3)")]
    RsaLength {
        /// What it has.
        bits: usize,
    },
    /// An RSA key from a generator that is broken (CVE-2017-15361).
    #[error(
        "the RSA key comes from a broken generator (ROCA, CVE-2017-15361); its private key can be computed: replace it"
    )]
    WeakRsa,
    /// A JWK set over the limit.
    #[error("the JWK set has {bytes} bytes or too many keys; at most {max} bytes and 100 keys are taken", max = MAX_JWKS_BYTES)]
    JwksTooLarge {
        /// What it has.
        bytes: usize,
    },
    /// Not a JWK set.
    #[error("this is not a JWK set: a JSON object with an array `keys` (RFC 7517 §5)")]
    NotJwks,
    /// A JWK set of which nothing can be used.
    #[error("the JWK set has no key that can verify signatures here: {0}")]
    NoUsableKey(String),
    /// The private key for signing cannot be read.
    #[error(
        "this is not a P-256 private key in PKCS#8 (`-----BEGIN PRIVATE KEY-----`); `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one"
    )]
    InvalidPrivateKey,
    /// The cryptographic library failed to make a key.
    #[error("no key could be generated")]
    Generate,
}

/// The most keys that one token is tried with, so that a token without `kid` stays cheap to refuse.
const MAX_TRIED: usize = 8;
