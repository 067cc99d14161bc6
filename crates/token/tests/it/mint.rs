//! Tokens of any algorithm and any content, signed with keys that live as long as the test process.

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::AsDer as _,
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use portcullis_token::{Algorithm, Issuer, KeySet, Policy, Secret, Verifier};
use serde_json::{Value, json};

/// A moment for tests that do not care when it is.
pub(crate) const NOW: u64 = 1_900_000_000;

/// 64 bytes, so that it is good for every HMAC.
pub(crate) const SECRET: &str = "Zx3v9QmT0sLr8KjW2yUn5BcH7eAf1DgPq4Rk6Vt1Xw8Yz0Ab2Cd4Ef6Gh8Ij0KlM";

pub(crate) struct Keys {
    pub(crate) rsa: RsaKeyPair,
    pub(crate) p256: EcdsaKeyPair,
    pub(crate) p384: EcdsaKeyPair,
    pub(crate) ed25519: Ed25519KeyPair,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    p256: EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    p384: EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
    ed25519: Ed25519KeyPair::generate().unwrap(),
});

pub(crate) fn sign(algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
    let hmac = |hash| hmac::sign(&hmac::Key::new(hash, SECRET.as_bytes()), message).as_ref().to_vec();
    let rsa = |padding: &'static dyn signature::RsaEncoding| {
        let mut made = vec![0; KEYS.rsa.public_modulus_len()];
        KEYS.rsa.sign(padding, &SystemRandom::new(), message, &mut made).unwrap();
        made
    };
    let ecdsa = |pair: &EcdsaKeyPair| pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
    match algorithm {
        Algorithm::Hs256 => hmac(hmac::HMAC_SHA256),
        Algorithm::Hs384 => hmac(hmac::HMAC_SHA384),
        Algorithm::Hs512 => hmac(hmac::HMAC_SHA512),
        Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
        Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
        Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
        Algorithm::Ps256 => rsa(&signature::RSA_PSS_SHA256),
        Algorithm::Ps384 => rsa(&signature::RSA_PSS_SHA384),
        Algorithm::Ps512 => rsa(&signature::RSA_PSS_SHA512),
        Algorithm::Es256 => ecdsa(&KEYS.p256),
        Algorithm::Es384 => ecdsa(&KEYS.p384),
        Algorithm::EdDsa => KEYS.ed25519.sign(message).as_ref().to_vec(),
    }
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with exactly this header and payload, signed with `algorithm` whatever the header says.
pub(crate) fn raw(algorithm: Algorithm, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = sign(algorithm, signed.as_bytes());
    format!("{signed}.{}", encode(signature))
}

/// A token with a plain header.
pub(crate) fn token(algorithm: Algorithm, claims: &Value) -> String {
    raw(algorithm, json!({ "alg": algorithm }).to_string(), claims.to_string())
}

/// Claims that the default policy takes at [`NOW`].
pub(crate) fn good_claims() -> Value {
    json!({ "sub": "ann", "exp": NOW + 600, "iat": NOW - 60, "iss": "https://id.example", "scope": "chat read" })
}

/// The `SubjectPublicKeyInfo` of the key for `algorithm`.
pub(crate) fn public_der(algorithm: Algorithm) -> Vec<u8> {
    match algorithm {
        Algorithm::Es256 => KEYS.p256.public_key().as_der().unwrap().as_ref().to_vec(),
        Algorithm::Es384 => KEYS.p384.public_key().as_der().unwrap().as_ref().to_vec(),
        Algorithm::EdDsa => KEYS.ed25519.public_key().as_der().unwrap().as_ref().to_vec(),
        _ => KEYS.rsa.public_key().as_der().unwrap().as_ref().to_vec(),
    }
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let body: Vec<String> = STANDARD
        .encode(der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", body.join("\n"))
}

/// Adds the key for `algorithm`, tied to it alone.
pub(crate) fn add(keys: &mut KeySet, kid: Option<&str>, algorithm: Algorithm) {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
            keys.add_secret(kid, &Secret::from(SECRET), &[algorithm]).unwrap();
        }
        _ => keys.add_pem(kid, &pem("PUBLIC KEY", &public_der(algorithm)), &[algorithm]).unwrap(),
    }
}

pub(crate) fn keys_for(algorithms: &[Algorithm]) -> KeySet {
    let mut keys = KeySet::new();
    for algorithm in algorithms {
        add(&mut keys, None, *algorithm);
    }
    keys
}

/// A verifier for one algorithm under the default policy, without a cache.
pub(crate) fn verifier(algorithm: Algorithm) -> Verifier {
    Verifier::new([Issuer::unnamed(keys_for(&[algorithm]))], Policy::default(), 0)
}
