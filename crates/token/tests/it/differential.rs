//! The same verdicts as `jsonwebtoken`, and no token that survives a change.

use jsonwebtoken::{DecodingKey, Validation};
use portcullis_token::{Algorithm, Issuer, Policy, Verifier};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::mint::{KEYS, NOW, SECRET, good_claims, keys_for, raw, sign, token};

use aws_lc_rs::signature::KeyPair as _;

/// What the reference says. It reads the real clock, so tokens for it are dated far from now, one way or the other.
fn reference(algorithm: Algorithm, token: &str, issuer: &Issuer) -> bool {
    let key = match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => DecodingKey::from_secret(SECRET.as_bytes()),
        Algorithm::Es256 => DecodingKey::from_ec_der(KEYS.p256.public_key().as_ref()),
        Algorithm::Es384 => DecodingKey::from_ec_der(KEYS.p384.public_key().as_ref()),
        Algorithm::EdDsa => DecodingKey::from_ed_der(KEYS.ed25519.public_key().as_ref()),
        _ => DecodingKey::from_rsa_der(KEYS.rsa.public_key().as_ref()),
    };
    let mut validation = Validation::new(algorithm.name().parse().unwrap());
    validation.set_required_spec_claims(&["exp", "sub"]);
    validation.leeway = Policy::default().leeway;
    validation.validate_nbf = true;
    if !issuer.names.is_empty() {
        validation.set_issuer(&issuer.names);
        validation.set_required_spec_claims(&["exp", "sub", "iss"]);
    }
    if !issuer.audiences.is_empty() {
        validation.set_audience(&issuer.audiences);
        validation.required_spec_claims.insert("aud".to_owned());
    }
    jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation).is_ok()
}

/// Claims that both may take or refuse: right, wrong and missing values of each that counts.
fn claims() -> impl Strategy<Value = Value> {
    let past_or_far = prop_oneof![4 => Just(json!(7_000_000_000_u64)), 1 => Just(json!(1000)), 1 => Just(json!(7e9)), 1 => Just(Value::Null), 1 => Just(json!("7000000000"))];
    let not_before =
        prop_oneof![4 => Just(None), 2 => Just(Some(json!(1000))), 1 => Just(Some(json!(6_900_000_000_u64)))];
    let issuer = prop_oneof![4 => Just(Some(json!("https://id.example"))), 1 => Just(Some(json!("https://evil.example"))), 1 => Just(None)];
    let audience = prop_oneof![
        3 => Just(Some(json!("chat"))),
        2 => Just(Some(json!(["other", "chat"]))),
        1 => Just(Some(json!(["other"]))),
        2 => Just(None),
    ];
    let subject = prop_oneof![6 => "[a-zäé\"\\\\]{1,20}".prop_map(|sub| Some(json!(sub))), 1 => Just(None)];
    (past_or_far, not_before, issuer, audience, subject).prop_map(|(exp, nbf, iss, aud, sub)| {
        let mut claims = Map::new();
        let members = [("exp", Some(exp)), ("nbf", nbf), ("iss", iss), ("aud", aud), ("sub", sub)];
        claims.extend(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        Value::Object(claims)
    })
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL)
}

/// The real time, at which the reference looks: any that lies between the far past and the far future will do.
const BETWEEN: u64 = 3_000_000_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_on_signed_tokens(
        algorithm in algorithm(),
        claims in claims(),
        named in any::<bool>(),
        audience in any::<bool>(),
    ) {
        let keys = keys_for(&[algorithm]);
        let mut issuer = if named { Issuer::named("https://id.example", keys) } else { Issuer::unnamed(keys) };
        if audience { issuer.audiences.push("chat".to_owned()); }
        let token = token(algorithm, &claims);
        let verifier = Verifier::new([issuer.clone()], Policy::default(), 0);
        prop_assert_eq!(verifier.verify(&token, BETWEEN).is_ok(), reference(algorithm, &token, &issuer), "{}", claims);
    }

    #[test]
    fn agrees_on_mutated_tokens(
        algorithm in algorithm(),
        at in any::<prop::sample::Index>(),
        mutation in 0..5,
        byte in prop::char::range('!', '~'),
    ) {
        let mut token = token(algorithm, &json!({ "sub": "ann", "exp": 7_000_000_000_u64 })).into_bytes();
        let at = at.index(token.len());
        match mutation {
            0 => token[at] = byte as u8,
            1 => token.insert(at, byte as u8),
            2 => drop(token.remove(at)),
            3 => token.truncate(at),
            _ => {}
        }
        let token = String::from_utf8(token).unwrap();
        let verifier = Verifier::new([Issuer::unnamed(keys_for(&[algorithm]))], Policy::default(), 0);
        let ours = verifier.verify(&token, BETWEEN);
        prop_assert_eq!(ours.is_ok(), reference(algorithm, &token, &Issuer::default()), "{:?}", ours);
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in "\\PC*") {
        let verifier = Verifier::new([Issuer::unnamed(keys_for(&[Algorithm::Hs256, Algorithm::Es256]))], Policy::default(), 10);
        prop_assert!(verifier.verify(&text, NOW).is_err());
    }

    #[test]
    fn any_signed_header_and_payload_end_in_a_verdict(
        header in prop::collection::vec(any::<u8>(), 1..60),
        payload in prop::collection::vec(any::<u8>(), 1..60),
        good_header in any::<bool>(),
    ) {
        let header = if good_header { br#"{"alg":"HS256"}"#.to_vec() } else { header };
        let verifier = Verifier::new([Issuer::unnamed(keys_for(&[Algorithm::Hs256]))], Policy::default(), 0);
        prop_assert!(verifier.verify(&raw(Algorithm::Hs256, header, payload), NOW).is_err());
    }
}

#[test]
fn no_token_survives_the_change_of_one_byte() {
    for algorithm in
        [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa]
    {
        let good = token(algorithm, &good_claims());
        let verifier = Verifier::new([Issuer::unnamed(keys_for(&[algorithm]))], Policy::default(), 100);
        // In the cache or not: a changed token is another token.
        verifier.verify(&good, NOW).unwrap();
        for at in 0..good.len() {
            for change in [1, 2, 4, 8, 16, 32, 64] {
                let mut bytes = good.clone().into_bytes();
                bytes[at] ^= change;
                let changed = String::from_utf8(bytes).unwrap();
                let verdict = verifier.verify(&changed, NOW);
                assert!(verdict.is_err(), "{algorithm}: byte {at} with bit {change} flipped");
            }
        }
        verifier.verify(&good, NOW).unwrap();
    }
}

#[test]
fn the_reference_takes_what_we_sign_and_its_tokens_are_taken() {
    let claims = json!({ "sub": "ann", "exp": 7_000_000_000_u64 });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let made = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    let verifier = Verifier::new([Issuer::unnamed(keys_for(&[Algorithm::Hs256]))], Policy::default(), 0);
    assert_eq!(verifier.verify(&made, NOW).unwrap().subject(), "ann");

    let signer = portcullis_token::Signer::generate_es256().unwrap();
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(signer.jwks()).unwrap();
    let key = DecodingKey::from_jwk(set.find(signer.kid().unwrap()).unwrap()).unwrap();
    let token = signer.sign(claims.as_object().unwrap());
    let decoded =
        jsonwebtoken::decode::<Value>(&token, &key, &Validation::new(jsonwebtoken::Algorithm::ES256));
    assert_eq!(decoded.unwrap().claims["sub"], "ann");
}

#[test]
fn ecdsa_in_der_form_is_refused() {
    let head = "eyJhbGciOiJFUzI1NiJ9.e30";
    let fixed = sign(Algorithm::Es256, head.as_bytes());
    let integer = |bytes: &[u8]| [&[0x02, 33, 0][..], bytes].concat();
    let der = [&[0x30, 70][..], &integer(&fixed[..32]), &integer(&fixed[32..])].concat();
    let verifier = Verifier::new([Issuer::unnamed(keys_for(&[Algorithm::Es256]))], Policy::default(), 0);
    for (signature, expected) in [(fixed, "CLAIM_MISSING"), (der, "SIGNATURE_INVALID")] {
        let token = format!("{head}.{}", crate::mint::encode(signature));
        assert_eq!(verifier.verify(&token, NOW).unwrap_err().reason.id(), expected);
    }
}
