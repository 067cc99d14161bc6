//! What people paste, and what they are told about it.

use portcullis_reason::Reason::{self, *};
use portcullis_token::{Algorithm, Inspection, MAX_INSPECTED_BYTES, Part, fingerprint, inspect};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::mint::{NOW, encode, good_claims, raw, token};

const HS: Algorithm = Algorithm::Hs256;

fn says(seen: &Inspection, words: &str) -> bool {
    seen.findings.iter().any(|finding| finding.message.contains(words))
}

fn with(name: &str, value: Value) -> String {
    let mut claims = good_claims();
    claims[name] = value;
    token(HS, &claims)
}

#[test]
fn a_good_token_is_shown_and_not_judged() {
    let token = token(HS, &good_claims());
    let seen = inspect(&token, NOW);
    assert_eq!(seen.reason(), None);
    assert_eq!(seen.header, Some(json!({ "alg": "HS256" })));
    assert_eq!(seen.claims, Some(good_claims()));
    assert_eq!(seen.expires_in, Some(600));
    assert_eq!(seen.fingerprint, fingerprint(&token));
    assert!(!seen.wrapped);
    assert!(says(&seen, "expires in 10 min") && says(&seen, "issued for 11 min"), "{seen:?}");
    assert!(says(&seen, "only a server with the key can tell"));
}

#[test]
fn each_fault_is_named() {
    let good = token(HS, &good_claims());
    let parts: Vec<&str> = good.split('.').collect();
    let none = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(good_claims().to_string()));
    let header = |text: &str| raw(HS, text, good_claims().to_string());
    let payload = |text: &str| raw(HS, r#"{"alg":"HS256"}"#, text);
    let table: Vec<(String, Option<Reason>, &str)> = vec![
        (String::new(), Some(TokenMalformed), "empty"),
        ("jwt.".to_owned(), Some(TokenMalformed), "empty"),
        ("jwt.abc".to_owned(), Some(TokenMalformed), "too short"),
        ("jwt.invalid_token_format".to_owned(), Some(TokenMalformed), "too short"),
        ("undefined".to_owned(), Some(TokenMalformed), "no token"),
        ("a".repeat(100), Some(TokenMalformed), "one part"),
        ("a".repeat(10_000), Some(TokenTooLarge), "10000 bytes"),
        ("a".repeat(MAX_INSPECTED_BYTES + 1), Some(TokenTooLarge), "too many"),
        (format!("{}.{}", parts[0], parts[1]), Some(TokenMalformed), "two parts"),
        (format!("{good}.x"), Some(TokenMalformed), "4 parts"),
        ("a.b.c.d.e".to_owned(), Some(TokenMalformed), "JWE"),
        (format!("{}..{}", parts[0], parts[2]), Some(TokenMalformed), "payload is empty"),
        (format!("{}.{}.", parts[0], parts[1]), Some(TokenMalformed), "signature is empty"),
        (
            format!("{}.{}.{}", parts[0], parts[1], &parts[2][..20]),
            Some(SignatureInvalid),
            "15 bytes; HS256 makes 32",
        ),
        (format!("{good}="), Some(TokenMalformed), "padding (=) at index 43"),
        (format!("{}.{}.a+b/", parts[0], parts[1]), Some(TokenMalformed), "standard base64"),
        (good.replace('.', "%2E"), Some(TokenMalformed), "percent-encoded"),
        (format!("{}.{}.é", parts[0], parts[1]), Some(TokenMalformed), "'é' at index 0"),
        (format!("{}.{}.abcde", parts[0], parts[1]), Some(TokenMalformed), "cut off"),
        (format!("{}.{}.ab", parts[0], parts[1]), Some(TokenMalformed), "last character"),
        (format!("{}...", &good[..30]), Some(TokenMalformed), "shortened"),
        (format!(" {good}\n"), Some(TokenMalformed), "around the token"),
        (good.replacen('.', ".\n", 1), Some(TokenMalformed), "inside the token"),
        (format!("\"{good}\""), Some(TokenMalformed), "in quotes"),
        (format!("bearer {good}"), None, "Authorization header"),
        (format!("jwt.{good}"), None, "behind \"jwt.\""),
        (format!("base64url.bearer.authorization.k8s.io.{}", encode(&good)), None, "canonical form"),
        (encode(&good), None, "canonical form"),
        (none, Some(AlgorithmNotAllowed), "alg is none"),
        (header("{}"), Some(TokenMalformed), "no alg"),
        (header("[]"), Some(TokenMalformed), "header is not a JSON object"),
        (header("{"), Some(TokenMalformed), "header is not JSON"),
        (header(r#"{"alg":"ES512"}"#), Some(AlgorithmNotAllowed), "not one of HS256"),
        (header(r#"{"alg":7}"#), Some(TokenMalformed), "alg is not a string"),
        (header(r#"{"alg":"HS256","alg":"HS256"}"#), Some(TokenMalformed), "member twice"),
        (header(r#"{"alg":"HS256","crit":["x"]}"#), Some(TokenMalformed), "crit"),
        (header(r#"{"alg":"HS256","b64":false}"#), Some(TokenMalformed), "b64"),
        (header(r#"{"alg":"HS256","zip":"DEF"}"#), Some(TokenMalformed), "zip"),
        (header(r#"{"alg":"HS256","typ":"rt+jwt"}"#), Some(TokenMalformed), "refresh token"),
        (header(r#"{"alg":"HS256","kid":7}"#), Some(TokenMalformed), "kid is not a string"),
        (header(r#"{"alg":"HS256","jku":"https://x"}"#), None, "(jku)"),
        (header(r#"{"alg":"ES256"}"#), Some(SignatureInvalid), "32 bytes; ES256 makes 64"),
        (payload("foo"), Some(TokenMalformed), "payload is not JSON"),
        (payload("eyJzdWIiOiJhIn0"), Some(TokenMalformed), "once more"),
        (payload(r#"{"sub":"a"}"#), Some(ClaimMissing), "no exp"),
        (payload(r#"{"exp":1900000600}"#), Some(ClaimMissing), "no sub"),
        (with("exp", json!(NOW - 11_045)), Some(TokenExpired), "expired 3 h 4 min ago"),
        (with("exp", json!(NOW)), Some(TokenExpired), "expired 0 s ago"),
        (with("exp", json!("soon")), Some(ClaimMissing), "not a number of seconds"),
        (with("exp", json!(NOW * 1000)), Some(ClaimMissing), "milliseconds"),
        (with("exp", json!(-4)), Some(ClaimMissing), "negative"),
        (with("nbf", json!(NOW + 3600)), Some(NotYetValid), "1 h in the future"),
        (with("iat", json!(NOW + 90)), Some(NotYetValid), "1 min 30 s in the future"),
        (with("sub", json!("")), Some(ClaimMissing), "sub is empty"),
        (with("sub", json!(7)), Some(ClaimMissing), "sub is not a string"),
        (with("iss", json!(7)), Some(ClaimMissing), "iss is not a string"),
        (with("aud", json!([7])), Some(ClaimMissing), "aud is neither"),
    ];
    for (text, reason, words) in table {
        let seen = inspect(&text, NOW);
        assert!(says(&seen, words), "{words}: {:#?}", seen.findings);
        assert_eq!(seen.reason(), reason, "{words}: {:#?}", seen.findings);
    }
}

#[test]
fn the_canonical_element_is_unwrapped() {
    let good = token(HS, &good_claims());
    let seen = inspect(&encode(&good), NOW);
    assert!(seen.wrapped);
    assert_eq!(seen.claims, Some(good_claims()));
    assert_eq!(seen.fingerprint, fingerprint(&good));
    let padded = format!("{}=", encode(&good));
    assert_eq!(inspect(&padded, NOW).reason(), Some(TokenMalformed));
}

#[test]
fn the_byte_at_fault_is_found() {
    let seen = inspect(&format!("{}.e!0.", encode(r#"{"alg":"HS256"}"#)), NOW);
    let finding = seen.findings.iter().find(|finding| finding.part == Part::Payload).unwrap();
    assert_eq!((finding.at, finding.reason), (Some(1), Some(TokenMalformed)));
}

#[test]
fn neither_signature_nor_claims_leak() {
    let good = token(HS, &with_name());
    let signature = good.rsplit('.').next().unwrap();
    for text in [good.clone(), encode(&good), format!("Bearer {good}"), format!("{good}\n")] {
        let seen = inspect(&text, NOW);
        let json = serde_json::to_string(&seen).unwrap();
        assert!(!json.contains(signature), "{json}");
        assert!(!format!("{seen:?}").contains("Ann"));
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["claims"]["name"], "Ann");
        assert!(read["findings"].is_array());
    }
}

fn with_name() -> Value {
    let mut claims = good_claims();
    claims["name"] = "Ann".into();
    claims
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC*", now in any::<u64>()) {
        let seen = inspect(&text, now);
        prop_assert!(!seen.findings.is_empty());
    }

    #[test]
    fn never_panics_on_near_tokens(
        header in "\\PC{0,40}", payload in "\\PC{0,60}", tail in "[a-zA-Z0-9_.=+/ -]{0,60}", wrap in any::<bool>(), now in any::<u64>(),
    ) {
        let text = format!("{}.{}.{tail}", encode(header), encode(payload));
        let seen = inspect(&if wrap { encode(&text) } else { text }, now);
        prop_assert!(!seen.findings.is_empty());
    }

    #[test]
    fn never_panics_on_odd_claims(exp in any::<f64>(), nbf in any::<i64>(), iat in any::<u64>(), now in any::<u64>()) {
        let claims = json!({ "exp": exp, "nbf": nbf, "iat": iat, "sub": "a" });
        let seen = inspect(&token(HS, &claims), now);
        prop_assert!(!seen.findings.is_empty());
    }
}
