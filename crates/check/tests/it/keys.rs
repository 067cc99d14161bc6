//! Every kind of private key that tokens are made with, against a server that has the public one.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis_check::{Selection, SigningKey, Verdict};
use portcullis_token::{Algorithm, KeySet};

use crate::{Bed, options, run};

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label} KEY-----\n{}\n-----END {label} KEY-----\n", STANDARD.encode(der))
}

/// The group of authentication against a server with that key: all is tried, and nothing is found.
fn passes(private: &[u8], public: &[u8], algorithm: Algorithm) {
    let mut keys = KeySet::new();
    keys.add_pem(None, &pem("PUBLIC", public), &[algorithm]).unwrap();
    let bed = Bed::with_keys(keys);
    let mut options = options(&bed, Selection::new(&["A".to_owned()], &[], &[], Vec::new()).unwrap());
    options.tokens.clear();
    options.login = None;
    options.key = Some(SigningKey::private(&pem("PRIVATE", private)).unwrap());
    let report = run(options);
    let open: Vec<String> =
        report.cases.iter().filter(|finding| finding.verdict != Verdict::Pass).map(crate::shown).collect();
    assert!(open.is_empty(), "{algorithm:?}: {}", open.join("\n"));
}

#[test]
fn rsa() {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    passes(private.as_ref(), public.as_ref(), Algorithm::Rs256);
}

#[test]
fn curves() {
    for (signing, algorithm) in [
        (&ECDSA_P256_SHA256_FIXED_SIGNING, Algorithm::Es256),
        (&ECDSA_P384_SHA384_FIXED_SIGNING, Algorithm::Es384),
    ] {
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        passes(pair.to_pkcs8v1().unwrap().as_ref(), public.as_ref(), algorithm);
    }
}

#[test]
fn edwards() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    passes(pair.to_pkcs8v1().unwrap().as_ref(), public.as_ref(), Algorithm::EdDsa);
}
