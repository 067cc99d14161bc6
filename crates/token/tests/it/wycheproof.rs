//! Project Wycheproof's vectors, each with the reason it earns here.

use portcullis_reason::Reason::{self, AlgorithmNotAllowed, SignatureInvalid, TokenMalformed, UnknownKey};
use portcullis_token::{Issuer, KeySet, Policy, Verifier};
use serde_json::Value;

use self::Outcome::{NoKey, Refused, Signed};

/// What became of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The signature verified. The payloads are no claims, which is only found out after that.
    Signed,
    /// The key was refused before any token was looked at.
    NoKey,
    Refused(Reason),
}

fn outcome(group: &Value, jws: &Value) -> Outcome {
    let set = group.get("public").unwrap_or_else(|| &group["private"]);
    let mut keys = KeySet::new();
    if keys.add_jwks(set.to_string().as_bytes()).is_err() {
        return NoKey;
    }
    let verifier =
        Verifier::new([Issuer::unnamed(keys)], Policy { max_token_bytes: 64 * 1024, ..Policy::default() }, 0);
    let text = jws.as_str().map_or_else(|| jws.to_string(), str::to_owned);
    let rejection = verifier.verify(&text, 0).expect_err("no vector has claims");
    match rejection.reason {
        TokenMalformed if rejection.detail.starts_with("the payload is not") => Signed,
        reason => Refused(reason),
    }
}

/// Where the outcome is not `Signed` for a vector marked valid, or `SIGNATURE_INVALID` for one marked invalid: first and
/// last `tcId`, the outcome, and why.
const SIGNATURES: &[(u64, u64, Outcome, &str)] = &[
    (4, 4, Refused(TokenMalformed), "two parts"),
    (6, 7, Refused(TokenMalformed), "no payload"),
    (8, 8, Refused(UnknownKey), "the modified header names another kid"),
    (9, 15, Refused(TokenMalformed), "no header, or a fourth part"),
    (16, 16, Refused(AlgorithmNotAllowed), "alg none"),
    (17, 17, Refused(TokenMalformed), "JSON serialisation"),
    (21, 21, Refused(TokenMalformed), "two parts"),
    (23, 24, Refused(TokenMalformed), "no payload"),
    (25, 25, Refused(UnknownKey), "the modified header names another kid"),
    (26, 30, Refused(TokenMalformed), "no header"),
    (31, 31, Refused(AlgorithmNotAllowed), "HS256 with the public key for a secret"),
    (36, 36, Refused(TokenMalformed), "two parts"),
    (38, 39, Refused(TokenMalformed), "no payload"),
    (40, 40, Refused(UnknownKey), "the modified header names another kid"),
    (41, 45, Refused(TokenMalformed), "no header"),
    (259, 259, Refused(TokenMalformed), "a good JWS without payload is no JWT"),
    (264, 264, Refused(TokenMalformed), "a good JWS without payload is no JWT"),
    (268, 268, Refused(TokenMalformed), "a good JWS without payload is no JWT"),
    (272, 272, Refused(TokenMalformed), "a good JWS without payload is no JWT"),
    (320, 320, Refused(TokenMalformed), "a good JWS without payload is no JWT"),
    (325, 325, Refused(TokenMalformed), "a good JWS without payload is no JWT"),
    (332, 332, Refused(AlgorithmNotAllowed), "RS256 with a key for PS512"),
    (334, 334, Refused(AlgorithmNotAllowed), "RS384 with a key for PS512"),
    (336, 336, Refused(AlgorithmNotAllowed), "RS512 with a key for PS512"),
    (338, 338, Refused(AlgorithmNotAllowed), "PS256 with a key for PS512"),
    (340, 340, Refused(AlgorithmNotAllowed), "PS384 with a key for PS512"),
    (341, 344, Refused(AlgorithmNotAllowed), "alg none in four spellings"),
    (346, 346, Refused(AlgorithmNotAllowed), "marked valid, though the key says PS256 and the token PS384"),
    (347, 347, NoKey, "P-521 is not spoken here"),
    (350, 350, Refused(AlgorithmNotAllowed), "marked valid, though the key says PS256 and the token PS384"),
    (351, 351, NoKey, "P-521 is not spoken here"),
    (353, 356, NoKey, "keys for encryption"),
    (360, 366, Refused(TokenMalformed), "characters outside of base64url"),
    (367, 367, Signed, "marked invalid for padding that the vector does not have: it is a good token"),
    (368, 369, Refused(TokenMalformed), "characters outside of base64url"),
    (370, 370, Signed, "marked invalid for padding that the vector does not have: it is a good token"),
    (
        371,
        373,
        Refused(TokenMalformed),
        "characters outside of base64url, which others pass over (RFC 7515 §2 does not)",
    ),
    (374, 375, Refused(TokenMalformed), "stray bits in the last character"),
];

const KEYS: &[(u64, u64, Outcome, &str)] = &[
    (1, 1, Refused(UnknownKey), "a shared secret beside a public key is passed over"),
    (4, 4, Signed, "two keys of one kid and alg are both tried, with a warning (RFC 7517 §4.5 is a SHOULD)"),
    (6, 6, NoKey, "use is enc"),
    (7, 7, NoKey, "ROCA"),
    (8, 8, NoKey, "1024 bits"),
    (9, 9, NoKey, "the exponent is 1"),
    (10, 12, NoKey, "shorter than the hash"),
    (16, 18, NoKey, "an empty secret"),
    (19, 26, NoKey, "alg, use, point, curve or kty do not fit"),
];

#[test]
fn each_signature_vector_earns_its_reason() {
    check(include_str!("../vectors/json_web_signature_test.json"), SIGNATURES, 401);
}

#[test]
fn each_key_vector_earns_its_reason() {
    check(include_str!("../vectors/json_web_key_test.json"), KEYS, 26);
}

fn check(vectors: &str, exceptions: &[(u64, u64, Outcome, &str)], count: usize) {
    let document: Value = serde_json::from_str(vectors).unwrap();
    let mut seen = 0;
    for group in document["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            let listed = exceptions.iter().find(|(first, last, ..)| (*first..=*last).contains(&id));
            let (expected, why) = match (listed, test["result"].as_str()) {
                (Some((_, _, expected, why)), _) => (*expected, *why),
                (None, Some("valid")) => (Signed, "marked valid"),
                (None, _) => (Refused(SignatureInvalid), "marked invalid"),
            };
            assert_eq!(outcome(group, &test["jws"]), expected, "{id} {}: {why}", test["comment"]);
            seen += 1;
        }
    }
    assert_eq!(seen, count);
}
