//! Issuers side by side: a key speaks for the users of its own issuer and for nobody else's.

use aws_lc_rs::hmac;
use portcullis_reason::Reason::{
    self, AlgorithmNotAllowed, AudienceMismatch, ClaimMissing, InsufficientScope, IssuerMismatch,
    SignatureInvalid, UnknownKey,
};
use portcullis_token::{Algorithm, Issuer, KeySet, Policy, Secret, Verifier};
use serde_json::{Value, json};

use crate::mint::{NOW, SECRET, add, encode, good_claims, keys_for, pem, public_der, raw, token};

const HS: Algorithm = Algorithm::Hs256;
const ES: Algorithm = Algorithm::Es256;
const RS: Algorithm = Algorithm::Rs256;

const HOME: &str = "portcullis";
const AWAY: &str = "https://id.example";

fn verifier<const N: usize>(issuers: [Issuer; N]) -> Verifier {
    Verifier::new(issuers, Policy::default(), 100)
}

fn of(issuer: Option<&str>) -> Value {
    json!({ "sub": "ann", "exp": NOW + 100, "iss": issuer })
}

/// What comes of a token that says it is of `issuer`, signed for `algorithm`; asked twice, since the second answer may come
/// from the cache.
fn verdict(verifier: &Verifier, algorithm: Algorithm, issuer: Option<&str>) -> Option<Reason> {
    let token = token(algorithm, &of(issuer));
    let ask = || verifier.verify(&token, NOW).err().map(|rejection| rejection.reason);
    let first = ask();
    assert_eq!(first, ask());
    first
}

#[test]
fn a_named_issuers_key_speaks_for_it_alone() {
    let verifier = verifier([Issuer::named(AWAY, keys_for(&[HS])), Issuer::named(HOME, keys_for(&[ES]))]);
    assert_eq!(verdict(&verifier, HS, Some(AWAY)), None);
    assert_eq!(verdict(&verifier, ES, Some(HOME)), None);
    for (algorithm, issuer) in
        [(ES, Some(AWAY)), (HS, Some(HOME)), (HS, None), (ES, None), (HS, Some("other"))]
    {
        assert_eq!(verdict(&verifier, algorithm, issuer), Some(IssuerMismatch), "{algorithm} {issuer:?}");
    }
}

#[test]
fn a_key_without_an_issuer_speaks_for_nobody_who_has_keys() {
    let strangers = [HS, RS, Algorithm::EdDsa, Algorithm::Es384];
    for order in [false, true] {
        let mut issuers = [Issuer::named(HOME, keys_for(&[ES])), Issuer::unnamed(keys_for(&strangers))];
        if order {
            issuers.reverse();
        }
        let verifier = verifier(issuers);
        assert_eq!(verdict(&verifier, ES, Some(HOME)), None);
        for stranger in strangers {
            assert_eq!(verdict(&verifier, stranger, Some(HOME)), Some(IssuerMismatch), "{stranger}");
            assert_eq!(verdict(&verifier, stranger, Some(AWAY)), None, "{stranger}: whoever has no keys");
            assert_eq!(verdict(&verifier, stranger, None), None, "{stranger}: nobody in particular");
        }
        assert_eq!(verdict(&verifier, ES, Some(AWAY)), Some(IssuerMismatch));
    }
}

#[test]
fn an_issuer_whose_keys_are_gone_stays_its_own() {
    let verifier = verifier([Issuer::named(HOME, keys_for(&[ES])), Issuer::unnamed(keys_for(&[HS]))]);
    assert!(verifier.replace_keys(Some(HOME), KeySet::new()));
    assert_eq!(verdict(&verifier, HS, Some(HOME)), Some(IssuerMismatch));
}

#[test]
fn a_kid_names_a_key_within_its_issuer() {
    let other = Secret::from("another-Zx3v9QmT0sLr8KjW2yUn5BcH7eAf1DgPq4Rk6Vt1Xw8Yz0Ab2Cd4Ef6Gh8Ij0KlM");
    let keys = |secret: &Secret| {
        let mut keys = KeySet::new();
        keys.add_secret(Some("2026"), secret, &[HS]).unwrap();
        keys
    };
    let mut crowd = KeySet::new();
    for n in 0..50 {
        crowd.add_secret(Some("2026"), &Secret::new(vec![n; 64]), &[HS]).unwrap();
    }
    // One that publishes fifty keys with the others' kid keeps none of their tokens out.
    let verifier = verifier([
        Issuer::named("https://crowd.example", crowd),
        Issuer::named(HOME, keys(&other)),
        Issuer::named(AWAY, keys(&Secret::from(SECRET))),
    ]);
    let ask = |issuer: &str, kid: &str| {
        let header = json!({ "alg": "HS256", "kid": kid }).to_string();
        let verdict = verifier.verify(&raw(HS, &header, of(Some(issuer)).to_string()), NOW);
        verdict.err().map(|rejection| rejection.reason)
    };
    assert_eq!(ask(AWAY, "2026"), None);
    assert_eq!(ask(HOME, "2026"), Some(IssuerMismatch), "signed by the other one's key of that kid");
    assert_eq!(ask(AWAY, "2025"), Some(UnknownKey));
}

#[test]
fn issuers_with_a_key_in_common_are_told_apart() {
    let tenant = |name: &str, audience: &str| Issuer {
        audiences: vec![audience.to_owned()],
        ..Issuer::named(name, keys_for(&[ES]))
    };
    let verifier = verifier([tenant("https://id.example/1", "one"), tenant("https://id.example/2", "two")]);
    let ask = |tenant: u8, audience: &str| {
        let issuer = format!("https://id.example/{tenant}");
        let claims = json!({ "sub": "ann", "exp": NOW + 100, "iss": issuer, "aud": audience });
        verifier.verify(&token(ES, &claims), NOW).map_err(|rejection| rejection.reason)
    };
    for (tenant, audience, expected) in [
        (1, "one", None),
        (2, "two", None),
        (1, "two", Some(AudienceMismatch)),
        (2, "one", Some(AudienceMismatch)),
        (3, "one", Some(IssuerMismatch)),
    ] {
        assert_eq!(ask(tenant, audience).err(), expected, "{tenant} {audience}");
    }
    assert!(!ask(1, "one").unwrap().same_subject(&ask(2, "two").unwrap()));
}

#[test]
fn rules_are_the_issuers() {
    let strict = Issuer {
        audiences: vec!["chat".to_owned()],
        required_claims: vec!["email".to_owned()],
        required_scopes: vec!["chat:use".to_owned()],
        scopes_claim: Some("permissions".to_owned()),
        ..Issuer::named(AWAY, keys_for(&[RS]))
    };
    let verifier = verifier([Issuer::named(HOME, keys_for(&[ES])), strict]);
    let ask = |algorithm, changes: Value| {
        let mut claims = good_claims();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        verifier.verify(&token(algorithm, &claims), NOW).map_err(|rejection| rejection.reason)
    };
    assert_eq!(ask(ES, json!({ "iss": HOME })).err(), None, "the home issuer asks for none of it");
    let good =
        json!({ "iss": AWAY, "aud": "chat", "email": "a@b", "permissions": ["chat:use", "x"], "scope": "y" });
    let identity = ask(RS, good.clone()).unwrap();
    assert_eq!(identity.scopes().collect::<Vec<_>>(), ["chat:use", "x"]);
    for (name, change, expected) in [
        ("aud", json!("other"), AudienceMismatch),
        ("email", Value::Null, ClaimMissing),
        ("permissions", json!(["chat"]), InsufficientScope),
        ("permissions", json!(7), ClaimMissing),
        ("permissions", Value::Null, InsufficientScope),
    ] {
        let mut changed = good.clone();
        changed[name] = change;
        changed["scope"] = json!("chat:use");
        assert_eq!(ask(RS, changed).err(), Some(expected), "{name}");
    }
    // A claim that is known otherwise can hold the scopes as well.
    let scp = Issuer {
        required_scopes: vec!["chat".to_owned()],
        scopes_claim: Some("scp".to_owned()),
        ..Issuer::named(AWAY, keys_for(&[HS]))
    };
    let verifier = self::verifier([scp]);
    for (claims, expected) in [
        (json!({ "sub": "ann", "exp": NOW + 9, "iss": AWAY, "scp": "chat", "scope": "x" }), None),
        (json!({ "sub": "ann", "exp": NOW + 9, "iss": AWAY, "scope": "chat" }), Some(InsufficientScope)),
    ] {
        assert_eq!(
            verifier.verify(&token(HS, &claims), NOW).err().map(|rejection| rejection.reason),
            expected
        );
    }
}

#[test]
fn algorithms_are_the_issuers() {
    let rsa = || {
        let mut keys = KeySet::new();
        for algorithm in [RS, Algorithm::Ps256] {
            add(&mut keys, None, algorithm);
        }
        keys
    };
    let pinned = Issuer { algorithms: vec![RS], ..Issuer::named(AWAY, rsa()) };
    let verifier = verifier([pinned, Issuer::named(HOME, keys_for(&[HS]))]);
    assert_eq!(verdict(&verifier, RS, Some(AWAY)), None);
    assert_eq!(verdict(&verifier, Algorithm::Ps256, Some(AWAY)), Some(AlgorithmNotAllowed));
    assert_eq!(verdict(&verifier, HS, Some(AWAY)), Some(IssuerMismatch), "the algorithm of another issuer");
    // Keys that come later are held to it as well.
    assert!(verifier.replace_keys(Some(AWAY), rsa()));
    assert_eq!(verdict(&verifier, RS, Some(AWAY)), None);
    assert_eq!(verdict(&verifier, Algorithm::Ps256, Some(AWAY)), Some(AlgorithmNotAllowed));
    // The public key of one issuer, taken for the secret of another, is no secret of theirs.
    let published = pem("PUBLIC KEY", &public_der(RS));
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(of(Some(AWAY)).to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, published.as_bytes()), signed.as_bytes());
    let forged = format!("{signed}.{}", encode(tag));
    assert_eq!(verifier.verify(&forged, NOW).unwrap_err().reason, SignatureInvalid);
}

#[test]
fn other_keys_of_one_issuer_leave_the_others_tokens_remembered() {
    let verifier = verifier([Issuer::named(HOME, keys_for(&[ES])), Issuer::named(AWAY, keys_for(&[RS]))]);
    assert_eq!(verdict(&verifier, ES, Some(HOME)), None);
    assert_eq!(verdict(&verifier, RS, Some(AWAY)), None);
    assert_eq!(verifier.cached(), 2);
    assert!(verifier.replace_keys(Some(AWAY), keys_for(&[Algorithm::EdDsa])));
    assert_eq!(verifier.cached(), 1);
    assert_eq!(verdict(&verifier, ES, Some(HOME)), None);
    assert_eq!(verdict(&verifier, RS, Some(AWAY)), Some(AlgorithmNotAllowed));
    assert!(!verifier.replace_keys(Some("https://nobody.example"), KeySet::new()));
    assert!(!verifier.replace_keys(None, KeySet::new()));
}
