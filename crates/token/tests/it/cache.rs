//! The cache may make a verdict faster and never another one.

use std::sync::Arc;

use portcullis_reason::Reason;
use portcullis_token::{Algorithm, Issuer, Policy, Verifier};
use serde_json::json;

use crate::mint::{NOW, good_claims, keys_for, token};

const ES: Algorithm = Algorithm::Es256;

fn verifier(capacity: usize) -> Verifier {
    Verifier::new([Issuer::unnamed(keys_for(&[ES, Algorithm::Hs256]))], Policy::default(), capacity)
}

fn reason(verifier: &Verifier, token: &str, now: u64) -> Reason {
    verifier.verify(token, now).unwrap_err().reason
}

#[test]
fn remembers_asymmetric_tokens_alone() {
    let verifier = verifier(100);
    verifier.verify(&token(Algorithm::Hs256, &good_claims()), NOW).unwrap();
    assert_eq!(verifier.cached(), 0);
    let es = token(ES, &good_claims());
    let first = verifier.verify(&es, NOW).unwrap();
    assert_eq!(verifier.cached(), 1);
    let second = verifier.verify(&es, NOW).unwrap();
    assert!(first.same_subject(&second));
    assert_eq!(second.subject(), "ann");
    assert_eq!(verifier.cached(), 1);
}

#[test]
fn remembers_no_refusal_and_nothing_without_a_capacity() {
    let verifier = verifier(100);
    // The signature of another token.
    let (good, other) = (token(ES, &good_claims()), token(ES, &json!({})));
    let bad = format!("{}{}", &good[..good.len() - 86], &other[other.len() - 86..]);
    assert_eq!(reason(&verifier, &bad, NOW), Reason::SignatureInvalid);
    let expired = token(ES, &json!({ "sub": "ann", "exp": 5 }));
    assert_eq!(reason(&verifier, &expired, NOW), Reason::TokenExpired);
    assert_eq!(verifier.cached(), 0);

    let without = self::verifier(0);
    without.verify(&token(ES, &good_claims()), NOW).unwrap();
    assert_eq!(without.cached(), 0);
}

#[test]
fn an_entry_ends_with_its_token() {
    let verifier = verifier(100);
    let token = token(ES, &json!({ "sub": "ann", "exp": NOW + 100 }));
    for now in [NOW, NOW + 99, NOW + 100, NOW + 129] {
        verifier.verify(&token, now).unwrap();
    }
    assert_eq!(verifier.cached(), 1);
    assert_eq!(reason(&verifier, &token, NOW + 130), Reason::TokenExpired);
    assert_eq!(verifier.cached(), 0);
    assert_eq!(reason(&verifier, &token, NOW + 130), Reason::TokenExpired);
}

#[test]
fn a_clock_that_goes_back_is_believed() {
    let verifier = verifier(100);
    let token = token(ES, &json!({ "sub": "ann", "exp": NOW + 1000, "nbf": NOW }));
    verifier.verify(&token, NOW).unwrap();
    assert_eq!(reason(&verifier, &token, NOW - 31), Reason::NotYetValid);
    verifier.verify(&token, NOW).unwrap();
}

#[test]
fn other_keys_empty_it() {
    let verifier = verifier(100);
    let token = token(ES, &good_claims());
    verifier.verify(&token, NOW).unwrap();
    verifier.replace_keys(None, keys_for(&[Algorithm::EdDsa]));
    assert_eq!(verifier.cached(), 0);
    assert_eq!(reason(&verifier, &token, NOW), Reason::AlgorithmNotAllowed);
    verifier.replace_keys(None, keys_for(&[ES]));
    assert_eq!(verifier.cached(), 0);
    verifier.verify(&token, NOW).unwrap();
    verifier.replace_keys(None, keys_for(&[Algorithm::Hs256]));
    assert_eq!(reason(&verifier, &token, NOW), Reason::AlgorithmNotAllowed);
}

#[test]
fn stays_within_its_bounds() {
    let verifier = verifier(8);
    for n in 0..200 {
        verifier.verify(&token(ES, &json!({ "sub": n.to_string(), "exp": NOW + 100 })), NOW).unwrap();
        assert!(verifier.cached() <= 8, "{}", verifier.cached());
    }
    assert!(verifier.cached() > 0);
}

#[test]
fn a_key_withdrawn_under_load_is_withdrawn() {
    let verifier = Arc::new(verifier(1000));
    let tokens: Vec<String> =
        (0..20).map(|n| token(ES, &json!({ "sub": n.to_string(), "exp": NOW + 100 }))).collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for token in tokens.iter().cycle().take(400) {
                    if let Ok(identity) = verifier.verify(token, NOW) {
                        assert!(tokens[identity.subject().parse::<usize>().unwrap()] == *token);
                    }
                }
            });
        }
        scope.spawn(|| verifier.replace_keys(None, keys_for(&[Algorithm::EdDsa])));
    });
    // Threads that still had the old keys may have put tokens in after the clearing; none is found.
    for token in &tokens {
        assert_eq!(reason(&verifier, token, NOW), Reason::AlgorithmNotAllowed);
    }
}
