//! What can be loaded as a key, and what the owner is told about the rest.

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::KeySize,
    signature::{KeyPair as _, RsaKeyPair},
};
use portcullis_token::{
    Algorithm, Issuer, KeyError, KeySet, MAX_JWKS_BYTES, Policy, Secret, Signer, Verifier,
};
use serde_json::{Value, json};

use crate::mint::{KEYS, NOW, SECRET, encode, good_claims, pem, public_der, token};

fn takes(keys: &KeySet, algorithm: Algorithm) -> bool {
    Verifier::new([Issuer::unnamed(keys.clone())], Policy::default(), 0)
        .verify(&token(algorithm, &good_claims()), NOW)
        .is_ok()
}

#[test]
fn pem_files_of_each_kind() {
    use Algorithm::{EdDsa, Es256, Es384, Ps512, Rs256};
    for algorithm in [Rs256, Ps512, Es256, Es384, EdDsa] {
        let der = public_der(algorithm);
        for text in [
            pem("PUBLIC KEY", &der),
            pem("PUBLIC KEY", &der).replace('\n', "\r\n"),
            format!("Issued by somebody\n{}\n# end\n", pem("PUBLIC KEY", &der)),
        ] {
            let mut keys = KeySet::new();
            keys.add_pem(Some("k"), &text, &[]).unwrap();
            assert!(takes(&keys, algorithm), "{algorithm}");
        }
    }
    // What a key pair calls its public key is PKCS#1 (RFC 8017 §A.1.1) for RSA.
    let mut keys = KeySet::new();
    keys.add_pem(None, &pem("RSA PUBLIC KEY", KEYS.rsa.public_key().as_ref()), &[Rs256]).unwrap();
    assert!(takes(&keys, Rs256));
    assert!(!takes(&keys, Ps512));
}

#[test]
fn other_files_are_refused_with_advice() {
    let rsa = public_der(Algorithm::Rs256);
    let p256 = public_der(Algorithm::Es256);
    let short = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let private: Pkcs8V1Der<'_> = short.as_der().unwrap();
    let mut cut = pem("PUBLIC KEY", &p256);
    cut.truncate(80);
    let table: Vec<(&str, String, &[Algorithm], KeyError, &str)> = vec![
        ("empty", String::new(), &[], KeyError::NotPem, "BEGIN PUBLIC KEY"),
        ("bare base64", encode(&rsa), &[], KeyError::NotPem, "BEGIN PUBLIC KEY"),
        ("cut off", cut, &[], KeyError::DamagedPem, "END"),
        (
            "not base64",
            "-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----".to_owned(),
            &[],
            KeyError::DamagedPem,
            "base64",
        ),
        (
            "another END",
            pem("PUBLIC KEY", &rsa).replace("END PUBLIC", "END PRIVATE"),
            &[],
            KeyError::DamagedPem,
            "END",
        ),
        (
            "two keys",
            pem("PUBLIC KEY", &rsa) + &pem("PUBLIC KEY", &p256),
            &[],
            KeyError::SeveralKeys,
            "each key",
        ),
        ("a private key", pem("PRIVATE KEY", private.as_ref()), &[], KeyError::PrivateKey, "-pubout"),
        ("an EC private key", pem("EC PRIVATE KEY", b"x"), &[], KeyError::PrivateKey, "-pubout"),
        (
            "an encrypted private key",
            pem("ENCRYPTED PRIVATE KEY", b"x"),
            &[],
            KeyError::PrivateKey,
            "-pubout",
        ),
        ("a certificate", pem("CERTIFICATE", b"x"), &[], KeyError::Certificate, "openssl x509"),
        ("parameters", pem("EC PARAMETERS", b"x"), &[], KeyError::UnsupportedPem, "PUBLIC KEY"),
        ("nonsense", pem("PUBLIC KEY", b"nonsense"), &[], KeyError::InvalidKey, "not a valid"),
        (
            "a damaged key",
            pem("PUBLIC KEY", &p256[..p256.len() - 1]),
            &[],
            KeyError::InvalidKey,
            "not a valid",
        ),
        (
            "ES256 with an RSA key",
            pem("PUBLIC KEY", &rsa),
            &[Algorithm::Es256],
            KeyError::WrongKind { algorithm: Algorithm::Es256, key: "an RSA key" },
            "ES256",
        ),
        (
            "HS256 with a public key",
            pem("PUBLIC KEY", &rsa),
            &[Algorithm::Rs256, Algorithm::Hs256],
            KeyError::WrongKind { algorithm: Algorithm::Hs256, key: "an RSA key" },
            "HS256",
        ),
        (
            "ES384 with a P-256 key",
            pem("PUBLIC KEY", &p256),
            &[Algorithm::Es384],
            KeyError::WrongKind { algorithm: Algorithm::Es384, key: "a P-256 key" },
            "ES384",
        ),
    ];
    for (name, text, algorithms, expected, advice) in table {
        let mut keys = KeySet::new();
        let error = keys.add_pem(Some("k"), &text, algorithms).unwrap_err();
        assert_eq!(error, expected, "{name}");
        assert!(error.to_string().contains(advice), "{name}: {error}");
        assert!(keys.is_empty(), "{name}");
    }
}

#[test]
fn secrets_are_as_long_as_their_hash() {
    use Algorithm::{Es256, Hs256, Hs384, Hs512};
    let secret = |len: usize| Secret::from(&SECRET[..len]);
    let mut keys = KeySet::new();
    keys.add_secret(Some("a"), &secret(32), &[Hs256]).unwrap();
    keys.add_secret(Some("b"), &secret(64), &[Hs256, Hs384, Hs512]).unwrap();
    assert_eq!(keys.len(), 4);
    assert!(keys.warnings().is_empty());
    for (secret, algorithms, expected) in [
        (secret(31), &[Hs256][..], KeyError::SecretTooShort { algorithm: Hs256, needed: 32, bytes: 31 }),
        (secret(47), &[Hs256, Hs384], KeyError::SecretTooShort { algorithm: Hs384, needed: 48, bytes: 47 }),
        (secret(63), &[Hs512], KeyError::SecretTooShort { algorithm: Hs512, needed: 64, bytes: 63 }),
        (Secret::from(""), &[Hs256], KeyError::EmptySecret),
        (secret(64), &[], KeyError::NoAlgorithm),
        (secret(64), &[Es256], KeyError::WrongKind { algorithm: Es256, key: "a shared secret" }),
    ] {
        let error = keys.add_secret(Some("c"), &secret, algorithms).unwrap_err();
        assert_eq!(error, expected);
        assert!(secret.expose().is_empty() || !error.to_string().contains(&SECRET[..16]));
    }
    assert_eq!(keys.len(), 4, "a refused secret leaves nothing behind");

    let mut lenient = KeySet::new().allow_short_secrets();
    lenient.add_secret(Some("dev"), &secret(10), &[Hs256]).unwrap();
    let warning = lenient.warnings()[0].to_string();
    assert!(warning.contains("\"dev\"") && warning.contains("10 bytes"), "{warning}");
    let signer = Signer::hs256(None, &secret(31)).unwrap();
    assert!(matches!(keys.add_signer(&signer), Err(KeyError::SecretTooShort { bytes: 31, .. })));
    assert_eq!(lenient.add_signer(&signer), Ok(()));
    assert_eq!(lenient.add_secret(None, &Secret::from(""), &[Hs256]), Err(KeyError::EmptySecret));
}

#[test]
fn short_and_long_rsa_keys() {
    // 2041 to 2047 bits still fill 256 bytes: bits are what is counted.
    for (n, expected) in [
        (vec![0xff; 128], Some(1024)),
        ([&[0x7f][..], &[0xff; 255]].concat(), Some(2047)),
        ([&[0x80][..], &[0xff; 255]].concat(), None),
        ([&[0x00, 0x80][..], &[0xff; 255]].concat(), None),
        (vec![0xff; 1025], Some(8200)),
        (Vec::new(), Some(0)),
    ] {
        let jwk = json!({ "kty": "RSA", "n": encode(&n), "e": "AQAB" });
        let verdict = KeySet::new().add_jwks(jwk.to_string().as_bytes());
        match expected {
            None => assert_eq!(verdict, Ok(())),
            Some(bits) => {
                assert_eq!(verdict, Err(KeyError::NoUsableKey(KeyError::RsaLength { bits }.to_string())));
            }
        }
    }
}

fn ec(algorithm: Algorithm) -> Value {
    let (pair, len, crv) = match algorithm {
        Algorithm::Es256 => (&KEYS.p256, 32, "P-256"),
        _ => (&KEYS.p384, 48, "P-384"),
    };
    let point = pair.public_key().as_ref();
    json!({ "kty": "EC", "crv": crv, "x": encode(&point[1..=len]), "y": encode(&point[len + 1..]) })
}

fn with(mut jwk: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

#[test]
fn a_jwk_set_gives_what_it_can() {
    use Algorithm::{EdDsa, Es256, Es384, Hs256, Hs512, Ps256, Rs256};
    let public: aws_lc_rs::rsa::PublicKey = KEYS.rsa.public_key().clone();
    let (n, e) = rsa_numbers(public.as_ref());
    let set = json!({ "keys": [
        { "kty": "RSA", "kid": "r", "n": n, "e": e },
        { "kty": "RSA", "kid": "r-pinned", "alg": "PS384", "use": "sig", "n": n, "e": e },
        with(ec(Es256), &json!({ "kid": "e", "use": "sig", "key_ops": ["verify"], "x5t": "?", "ext": true })),
        with(ec(Es384), &json!({ "kid": "e", "alg": "ES384" })),
        { "kty": "OKP", "crv": "Ed25519", "x": encode(KEYS.ed25519.public_key()) },
        { "kty": "X" },
        { "kid": "no kty" },
        { "kty": "OKP", "crv": "X25519", "x": "AA" },
        with(ec(Es256), &json!({ "crv": "secp256k1" })),
        with(ec(Es256), &json!({ "use": "enc" })),
        with(ec(Es256), &json!({ "key_ops": ["deriveKey"] })),
        with(ec(Es256), &json!({ "alg": "ECDH-ES" })),
        with(ec(Es256), &json!({ "alg": "ES384" })),
        with(ec(Es256), &json!({ "alg": 7 })),
        with(ec(Es256), &json!({ "x": "AA" })),
        with(ec(Es256), &json!({ "x": "====" })),
        with(ec(Es256), &json!({ "y": ec(Es256)["x"] })),
        { "kty": "RSA", "n": n },
        { "kty": "oct", "k": encode(SECRET) },
        "not an object",
    ] });
    let mut keys = KeySet::new();
    keys.add_jwks(set.to_string().as_bytes()).unwrap();
    assert_eq!(keys.len(), 6 + 1 + 1 + 1 + 1);
    assert_eq!(keys.warnings().len(), 14, "{:#?}", keys.warnings());
    for algorithm in [Rs256, Ps256, Es256, Es384, EdDsa] {
        assert!(takes(&keys, algorithm), "{algorithm}");
    }
    assert!(!takes(&keys, Hs256), "a shared secret beside public keys");

    let mut keys = KeySet::new();
    let secret = json!({ "keys": [{ "kty": "oct", "kid": "s", "k": encode(SECRET) }] });
    keys.add_jwks(secret.to_string().as_bytes()).unwrap();
    assert!(takes(&keys, Hs256) && takes(&keys, Hs512));
    assert_eq!(keys.len(), 3);
}

#[test]
fn doubtful_jwks_are_warned_about() {
    let set = json!({ "keys": [
        with(ec(Algorithm::Es256), &json!({ "kid": "twin\n" })),
        with(ec(Algorithm::Es256), &json!({ "kid": "twin\n", "d": "AAAA" })),
    ] });
    let mut keys = KeySet::new();
    keys.add_jwks(set.to_string().as_bytes()).unwrap();
    let warnings: Vec<String> = keys.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "key \"twin\\n\": another ES256 key has the same kid; both are tried",
            "key \"twin\\n\": the set carries its private key; whoever can read the set can sign",
        ]
    );
}

#[test]
fn what_is_no_jwk_set() {
    let table: Vec<(String, KeyError)> = vec![
        (String::new(), KeyError::NotJwks),
        ("[]".to_owned(), KeyError::NotJwks),
        ("{}".to_owned(), KeyError::NotJwks),
        (r#"{"keys":{}}"#.to_owned(), KeyError::NotJwks),
        (r#"{"keys":[]}"#.to_owned(), KeyError::NoUsableKey("it is empty".to_owned())),
        (r#"{"keys":[{"kty":"X"}]}"#.to_owned(), KeyError::NoUsableKey("its kty is not known".to_owned())),
        (" ".repeat(MAX_JWKS_BYTES + 1), KeyError::JwksTooLarge { bytes: MAX_JWKS_BYTES + 1 }),
        (format!(r#"{{"keys":[{}]}}"#, vec!["1"; 101].join(",")), KeyError::JwksTooLarge { bytes: 211 + 1 }),
    ];
    for (text, expected) in table {
        let error = KeySet::new().add_jwks(text.as_bytes()).unwrap_err();
        assert_eq!(error, expected, "{}", &text[..text.len().min(40)]);
    }
}

/// The modulus and exponent out of PKCS#1: 30 82 len, 02 82 0101 00 n, 02 03 e.
fn rsa_numbers(pkcs1: &[u8]) -> (String, String) {
    let modulus = &pkcs1[9..9 + 256];
    (encode(modulus), encode(&pkcs1[9 + 256 + 2..]))
}
