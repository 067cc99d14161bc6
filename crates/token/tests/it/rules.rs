//! One row for each rule: what breaks it, and the reason it earns.

use portcullis_reason::Reason::{self, *};
use portcullis_token::{Algorithm, Issuer, KeySet, Policy, Secret, Verifier};
use serde_json::{Value, json};

use crate::mint::{NOW, SECRET, add, encode, good_claims, keys_for, public_der, raw, sign, token, verifier};

const HS: Algorithm = Algorithm::Hs256;

fn refused(verifier: &Verifier, token: &str) -> Reason {
    verifier.verify(token, NOW).expect_err("refused").reason
}

/// The good claims with these members instead; `null` takes one away.
fn with(changes: &Value) -> Value {
    let mut claims = good_claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

#[test]
fn a_good_token_of_each_algorithm_is_taken() {
    for algorithm in Algorithm::ALL {
        let token = token(*algorithm, &with(&json!({ "jti": "j-1" })));
        let identity = verifier(*algorithm).verify(&token, NOW).unwrap();
        assert_eq!(identity.subject(), "ann", "{algorithm}");
        assert_eq!(identity.issuer(), Some("https://id.example"));
        assert_eq!(identity.jti(), Some("j-1"));
        assert_eq!(identity.expires_at(), Some(NOW + 600));
        assert_eq!(identity.issued_at(), Some(NOW - 60));
        assert_eq!(identity.scopes().collect::<Vec<_>>(), ["chat", "read"]);
    }
}

#[test]
fn no_key_serves_another_algorithm() {
    for key in Algorithm::ALL {
        let verifier = verifier(*key);
        for signed in Algorithm::ALL.iter().filter(|signed| *signed != key) {
            assert_eq!(
                refused(&verifier, &token(*signed, &good_claims())),
                AlgorithmNotAllowed,
                "{signed} for {key}"
            );
            // The header claims the key's algorithm, and the signature is another's.
            let header = json!({ "alg": key }).to_string();
            let forged = raw(*signed, header, good_claims().to_string());
            assert_eq!(refused(&verifier, &forged), SignatureInvalid, "{signed} as {key}");
        }
    }
}

#[test]
fn a_public_key_is_no_secret() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let public = public_der(algorithm);
        for secret in [crate::mint::pem("PUBLIC KEY", &public).into_bytes(), public] {
            let signed = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(good_claims().to_string()));
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
            let forged = format!("{signed}.{}", encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes())));
            assert_eq!(refused(&verifier(algorithm), &forged), AlgorithmNotAllowed);
        }
    }
}

#[test]
fn form() {
    let verifier = verifier(HS);
    let good = token(HS, &good_claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    // The last character of a 32-byte signature carries four bits; the next letter has the same four and a stray one.
    let last = signature.chars().last().unwrap();
    let stray = format!("{}{}", &good[..good.len() - 1], char::from(last as u8 + 1));
    let table: Vec<(&str, String, Reason)> = vec![
        ("empty", String::new(), TokenMalformed),
        ("one part", "abc".to_owned(), TokenMalformed),
        ("not a token", "invalid_token_format".to_owned(), TokenMalformed),
        ("ten thousand letters", "a".repeat(10_000), TokenTooLarge),
        ("two parts", format!("{header}.{payload}"), TokenMalformed),
        ("four parts", format!("{good}.x"), TokenMalformed),
        ("five parts, a JWE", format!("{header}.a.b.c.d"), TokenMalformed),
        ("six parts", "a.b.c.d.e.f".to_owned(), TokenMalformed),
        ("dots alone", "..".to_owned(), TokenMalformed),
        ("no header", format!(".{payload}.{signature}"), TokenMalformed),
        ("no payload", format!("{header}..{signature}"), TokenMalformed),
        ("no signature", format!("{header}.{payload}."), SignatureInvalid),
        ("half a signature", format!("{header}.{payload}.{}", &signature[..20]), SignatureInvalid),
        ("a longer signature", format!("{header}.{payload}.{signature}AAAA"), SignatureInvalid),
        ("padding", format!("{header}.{payload}.{signature}="), TokenMalformed),
        ("padding inside", format!("{header}=.{payload}.{signature}"), TokenMalformed),
        ("stray bits", stray, TokenMalformed),
        ("a space before", format!(" {good}"), TokenMalformed),
        ("a newline behind", format!("{good}\n"), TokenMalformed),
        ("a tab inside", good.replacen('.', "\t.", 1), TokenMalformed),
        ("quotes", format!("\"{good}\""), TokenMalformed),
        ("a scheme", format!("Bearer {good}"), TokenMalformed),
        ("standard base64", format!("{header}.{payload}.+{}", &signature[1..]), TokenMalformed),
        ("NUL", format!("{good}\0"), TokenMalformed),
        ("not ASCII", format!("{header}.{payload}.é{}", &signature[2..]), TokenMalformed),
        ("a length of 4n+1", format!("{header}.{payload}.{}", &signature[..41]), TokenMalformed),
        ("JSON", format!("{{\"payload\":\"{payload}\"}}"), TokenMalformed),
    ];
    assert!(verifier.verify(&good, NOW).is_ok());
    for (name, token, reason) in table {
        assert_eq!(refused(&verifier, &token), reason, "{name}");
    }
}

#[test]
fn size() {
    let mut claims = good_claims();
    claims["filler"] = "x".repeat(2000).into();
    let token = token(HS, &claims);
    let at = |max_token_bytes| {
        Verifier::new([Issuer::unnamed(keys_for(&[HS]))], Policy { max_token_bytes, ..Policy::default() }, 0)
    };
    assert!(at(token.len()).verify(&token, NOW).is_ok());
    assert_eq!(refused(&at(token.len() - 1), &token), TokenTooLarge);
}

#[test]
fn header() {
    let verifier = verifier(HS);
    let claims = good_claims().to_string();
    let table: &[(&str, &[u8], Option<Reason>)] = &[
        ("plain", br#"{"alg":"HS256"}"#, None),
        ("JWT", br#"{"alg":"HS256","typ":"JWT"}"#, None),
        ("access token", br#"{"typ":"at+jwt","alg":"HS256"}"#, None),
        ("media type", br#"{"typ":"application/AT+jwt","alg":"HS256"}"#, None),
        ("white space", b" {\n \"alg\" : \"HS256\" } ", None),
        ("escapes", br#"{"\u0061lg":"HS\u003256"}"#, None),
        ("unknown members", br#"{"alg":"HS256","x":{"alg":"none"},"y":[1,2]}"#, None),
        ("keys are not fetched", br#"{"alg":"HS256","jku":"https://evil.example/","x5u":"file:///etc/passwd","jwk":{"kty":"oct","k":"AA"}}"#, None),
        ("a kid where no key has one", br#"{"alg":"HS256","kid":"../../dev/null"}"#, None),
        ("b64 true says nothing", br#"{"alg":"HS256","b64":true}"#, None),
        ("not JSON", b"alg=HS256", Some(TokenMalformed)),
        ("an array", br#"["HS256"]"#, Some(TokenMalformed)),
        ("a string", br#""HS256""#, Some(TokenMalformed)),
        ("cut off", br#"{"alg":"HS256""#, Some(TokenMalformed)),
        ("more behind", br#"{"alg":"HS256"}{}"#, Some(TokenMalformed)),
        ("UTF-16", b"{\0\"\0a\0l\0g\0\"\0", Some(TokenMalformed)),
        ("a byte order mark", b"\xef\xbb\xbf{\"alg\":\"HS256\"}", Some(TokenMalformed)),
        ("bad UTF-8", b"{\"alg\":\"HS256\",\"x\":\"\xff\"}", Some(TokenMalformed)),
        ("alg twice", br#"{"alg":"HS256","alg":"HS256"}"#, Some(TokenMalformed)),
        ("alg twice, once escaped", br#"{"alg":"HS256","\u0061lg":"none"}"#, Some(TokenMalformed)),
        ("an unknown member twice", br#"{"alg":"HS256","x":1,"x":1}"#, Some(TokenMalformed)),
        ("no alg", b"{}", Some(TokenMalformed)),
        ("Alg", br#"{"Alg":"HS256"}"#, Some(TokenMalformed)),
        ("alg null", br#"{"alg":null}"#, Some(TokenMalformed)),
        ("alg a list", br#"{"alg":["HS256"]}"#, Some(TokenMalformed)),
        ("none", br#"{"alg":"none"}"#, Some(AlgorithmNotAllowed)),
        ("None", br#"{"alg":"None"}"#, Some(AlgorithmNotAllowed)),
        ("nOnE", br#"{"alg":"nOnE"}"#, Some(AlgorithmNotAllowed)),
        ("NONE, escaped", br#"{"alg":"\u004eONE"}"#, Some(AlgorithmNotAllowed)),
        ("empty alg", br#"{"alg":""}"#, Some(AlgorithmNotAllowed)),
        ("hs256", br#"{"alg":"hs256"}"#, Some(AlgorithmNotAllowed)),
        ("HS512 with the HS256 secret", br#"{"alg":"HS512"}"#, Some(AlgorithmNotAllowed)),
        ("an unknown alg", br#"{"alg":"ES256K"}"#, Some(AlgorithmNotAllowed)),
        ("crit", br#"{"alg":"HS256","crit":["exp"],"exp":1}"#, Some(TokenMalformed)),
        ("crit empty", br#"{"alg":"HS256","crit":[]}"#, Some(TokenMalformed)),
        ("crit standard", br#"{"alg":"HS256","crit":["alg"]}"#, Some(TokenMalformed)),
        ("crit null", br#"{"alg":"HS256","crit":null}"#, Some(TokenMalformed)),
        ("b64 false", br#"{"alg":"HS256","b64":false}"#, Some(TokenMalformed)),
        ("b64 false and crit", br#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, Some(TokenMalformed)),
        ("zip", br#"{"alg":"HS256","zip":"DEF"}"#, Some(TokenMalformed)),
        ("refresh token", br#"{"alg":"HS256","typ":"rt+jwt"}"#, Some(TokenMalformed)),
        ("logout token", br#"{"alg":"HS256","typ":"logout+jwt"}"#, Some(TokenMalformed)),
        ("typ a number", br#"{"alg":"HS256","typ":1}"#, Some(TokenMalformed)),
        ("kid a number", br#"{"alg":"HS256","kid":1}"#, Some(TokenMalformed)),
        ("kid null", br#"{"alg":"HS256","kid":null}"#, Some(TokenMalformed)),
    ];
    for (name, header, expected) in table {
        let verdict = verifier.verify(&raw(HS, header, &claims), NOW);
        assert_eq!(verdict.err().map(|rejection| rejection.reason), *expected, "{name}");
    }
    let many: Vec<String> = (0..33).map(|n| format!("\"m{n}\":0")).collect();
    let header = format!("{{\"alg\":\"HS256\",{}}}", many.join(","));
    assert_eq!(refused(&verifier, &raw(HS, header, &claims)), TokenMalformed, "too many members");
}

#[test]
fn unsigned_tokens_are_refused_with_and_without_a_signature() {
    for alg in ["none", "None", "NONE", "nOnE"] {
        let head =
            format!("{}.{}", encode(json!({ "alg": alg }).to_string()), encode(good_claims().to_string()));
        for signature in [String::new(), "AAAA".to_owned(), encode(sign(HS, head.as_bytes()))] {
            assert_eq!(refused(&verifier(HS), &format!("{head}.{signature}")), AlgorithmNotAllowed);
        }
    }
}

#[test]
fn claims() {
    let verifier = verifier(HS);
    let table: Vec<(&str, Value, Option<Reason>)> = vec![
        ("exp just ahead", json!({ "exp": NOW + 1 }), None),
        ("exp now, within the leeway", json!({ "exp": NOW }), None),
        ("exp 29 s ago", json!({ "exp": NOW - 29 }), None),
        ("exp 30 s ago", json!({ "exp": NOW - 30 }), Some(TokenExpired)),
        ("exp long ago", json!({ "exp": 1 }), Some(TokenExpired)),
        ("exp zero", json!({ "exp": 0 }), Some(TokenExpired)),
        ("exp with a fraction", json!({ "exp": 1_900_000_000.5 }), None),
        ("exp with a fraction, past", json!({ "exp": 1_899_999_970.9 }), Some(TokenExpired)),
        ("no exp", json!({ "exp": null }), Some(ClaimMissing)),
        ("exp a string", json!({ "exp": (NOW + 60).to_string() }), Some(ClaimMissing)),
        ("exp true", json!({ "exp": true }), Some(ClaimMissing)),
        ("exp a list", json!({ "exp": [NOW + 60] }), Some(ClaimMissing)),
        ("exp negative", json!({ "exp": -1 }), Some(ClaimMissing)),
        ("exp a negative fraction", json!({ "exp": -0.5 }), Some(ClaimMissing)),
        ("exp in milliseconds", json!({ "exp": NOW * 1000 }), Some(ClaimMissing)),
        ("exp huge", json!({ "exp": u64::MAX }), Some(ClaimMissing)),
        ("exp beyond integers", json!({ "exp": 1e300 }), Some(ClaimMissing)),
        ("nbf within the leeway", json!({ "nbf": NOW + 30 }), None),
        ("nbf ahead", json!({ "nbf": NOW + 31 }), Some(NotYetValid)),
        ("nbf with a fraction", json!({ "nbf": 1_900_000_030.5 }), Some(NotYetValid)),
        ("nbf a string", json!({ "nbf": "0" }), Some(ClaimMissing)),
        ("nbf negative", json!({ "nbf": -5 }), Some(ClaimMissing)),
        ("iat within the leeway", json!({ "iat": NOW + 30 }), None),
        ("iat ahead", json!({ "iat": NOW + 31 }), Some(NotYetValid)),
        ("iat a string", json!({ "iat": "now" }), Some(ClaimMissing)),
        ("expired and not yet valid", json!({ "exp": NOW - 90, "nbf": NOW + 90 }), Some(TokenExpired)),
        ("no sub", json!({ "sub": null }), Some(ClaimMissing)),
        ("sub empty", json!({ "sub": "" }), Some(ClaimMissing)),
        ("sub a number", json!({ "sub": 7 }), Some(ClaimMissing)),
        ("sub of 256 bytes", json!({ "sub": "s".repeat(256) }), None),
        ("sub of 257 bytes", json!({ "sub": "s".repeat(257) }), Some(TokenMalformed)),
        ("sub with escapes", json!({ "sub": "a\"\n\u{1f600}" }), None),
        ("iss a number", json!({ "iss": 7 }), Some(ClaimMissing)),
        ("jti a number", json!({ "jti": 7 }), Some(ClaimMissing)),
        ("jti of 257 bytes", json!({ "jti": "s".repeat(257) }), Some(TokenMalformed)),
        ("aud where none is known", json!({ "aud": "chat" }), Some(AudienceMismatch)),
        ("scope a number", json!({ "scope": 7 }), Some(ClaimMissing)),
        ("unknown claims", json!({ "name": "Ann", "roles": { "a": [1, null] } }), None),
    ];
    for (name, changes, expected) in table {
        let verdict = verifier.verify(&token(HS, &with(&changes)), NOW);
        assert_eq!(verdict.err().map(|rejection| rejection.reason), expected, "{name}");
    }
}

#[test]
fn payloads() {
    let verifier = verifier(HS);
    let table: &[(&str, &[u8], Reason)] = &[
        ("not JSON", b"foo", TokenMalformed),
        ("an array", b"[]", TokenMalformed),
        ("null", b"null", TokenMalformed),
        ("bad UTF-8", b"{\"sub\":\"\xff\",\"exp\":1900000600}", TokenMalformed),
        (
            "bad UTF-8 in an unknown claim",
            b"{\"sub\":\"a\",\"x\":\"\xff\",\"exp\":1900000600}",
            TokenMalformed,
        ),
        ("a byte order mark", b"\xef\xbb\xbf{\"sub\":\"a\",\"exp\":1900000600}", TokenMalformed),
        ("exp twice", br#"{"sub":"a","exp":1900000600,"exp":1900000600}"#, TokenMalformed),
        ("sub twice, once escaped", br#"{"sub":"a","s\u0075b":"b","exp":1900000600}"#, TokenMalformed),
        ("an unknown claim twice", br#"{"sub":"a","x":1,"exp":1900000600,"x":2}"#, TokenMalformed),
        ("exp null", br#"{"sub":"a","exp":null}"#, ClaimMissing),
        ("sub null", br#"{"sub":null,"exp":1900000600}"#, ClaimMissing),
        ("a number beyond all", br#"{"sub":"a","exp":1e999}"#, TokenMalformed),
        ("not a number", br#"{"sub":"a","exp":NaN}"#, TokenMalformed),
        ("more behind", br#"{"sub":"a","exp":1900000600} x"#, TokenMalformed),
    ];
    for (name, payload, expected) in table {
        assert_eq!(refused(&verifier, &raw(HS, r#"{"alg":"HS256"}"#, payload)), *expected, "{name}");
    }
}

#[test]
fn policies() {
    let base = || Issuer::unnamed(keys_for(&[HS]));
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let issuers =
        || Issuer { names: list(&["https://a.example", "https://id.example"]), others: false, ..base() };
    let audience = || Issuer { audiences: list(&["chat", "admin"]), ..base() };
    let claim = || Issuer { required_claims: list(&["email", "jti"]), ..base() };
    let scope = || Issuer { required_scopes: list(&["chat", "write"]), ..base() };
    let table: Vec<(&str, Issuer, Value, Option<Reason>)> = vec![
        ("iss listed", issuers(), json!({}), None),
        ("no iss", issuers(), json!({ "iss": null }), Some(IssuerMismatch)),
        ("another iss", issuers(), json!({ "iss": "https://b.example" }), Some(IssuerMismatch)),
        ("iss with a slash more", issuers(), json!({ "iss": "https://id.example/" }), Some(IssuerMismatch)),
        ("iss in capitals", issuers(), json!({ "iss": "https://ID.example" }), Some(IssuerMismatch)),
        (
            "iss with a look-alike letter",
            issuers(),
            json!({ "iss": "https://іd.example" }),
            Some(IssuerMismatch),
        ),
        ("aud listed", audience(), json!({ "aud": "chat" }), None),
        ("aud in an array", audience(), json!({ "aud": ["x", "admin"] }), None),
        ("no aud", audience(), json!({}), Some(AudienceMismatch)),
        ("aud empty", audience(), json!({ "aud": [] }), Some(AudienceMismatch)),
        ("another aud", audience(), json!({ "aud": "chatx" }), Some(AudienceMismatch)),
        ("other auds", audience(), json!({ "aud": ["x", "y"] }), Some(AudienceMismatch)),
        ("aud a number", audience(), json!({ "aud": 1 }), Some(ClaimMissing)),
        ("aud with a number in it", audience(), json!({ "aud": ["chat", 1] }), Some(ClaimMissing)),
        ("any aud", Issuer { any_audience: true, ..base() }, json!({ "aud": "whatever" }), None),
        ("claims present", claim(), json!({ "email": "a@b", "jti": "1" }), None),
        ("an unknown claim missing", claim(), json!({ "jti": "1" }), Some(ClaimMissing)),
        ("a known claim missing", claim(), json!({ "email": "a@b" }), Some(ClaimMissing)),
        ("scopes enough", scope(), json!({ "scope": "x write chat" }), None),
        ("scopes as scp", scope(), json!({ "scope": null, "scp": ["write", "chat"] }), None),
        ("scopes as scp text", scope(), json!({ "scope": null, "scp": "write chat" }), None),
        ("a scope missing", scope(), json!({}), Some(InsufficientScope)),
        ("no scopes", scope(), json!({ "scope": null }), Some(InsufficientScope)),
        (
            "one string that joins both",
            scope(),
            json!({ "scope": null, "scp": ["chat write"] }),
            Some(InsufficientScope),
        ),
        ("a scope that begins alike", scope(), json!({ "scope": "chat writes" }), Some(InsufficientScope)),
    ];
    for (name, issuer, changes, expected) in table {
        let verdict = Verifier::new([issuer], Policy::default(), 0).verify(&token(HS, &with(&changes)), NOW);
        assert_eq!(verdict.err().map(|rejection| rejection.reason), expected, "{name}");
    }
    let table: Vec<(&str, Policy, Value, Option<Reason>)> = vec![
        (
            "exp not asked for",
            Policy { require_expiry: false, ..Policy::default() },
            json!({ "exp": null }),
            None,
        ),
        (
            "exp not asked for, and past",
            Policy { require_expiry: false, ..Policy::default() },
            json!({ "exp": 5 }),
            Some(TokenExpired),
        ),
        (
            "typ asked for",
            Policy { require_type: true, ..Policy::default() },
            json!({}),
            Some(TokenMalformed),
        ),
        ("no leeway", Policy { leeway: 0, ..Policy::default() }, json!({ "exp": NOW }), Some(TokenExpired)),
        (
            "an hour's leeway is a minute",
            Policy { leeway: 3600, ..Policy::default() },
            json!({ "exp": NOW - 60 }),
            Some(TokenExpired),
        ),
    ];
    for (name, policy, changes, expected) in table {
        let verdict = Verifier::new([base()], policy, 0).verify(&token(HS, &with(&changes)), NOW);
        assert_eq!(verdict.err().map(|rejection| rejection.reason), expected, "{name}");
    }
    let null = raw(HS, r#"{"alg":"HS256"}"#, r#"{"sub":"a","exp":1900000600,"email":null,"jti":"1"}"#);
    assert_eq!(
        refused(&Verifier::new([claim()], Policy::default(), 0), &null),
        ClaimMissing,
        "a required claim is null"
    );
}

#[test]
fn keys_are_chosen_by_kid_and_alg() {
    let other = Secret::from("another-Zx3v9QmT0sLr8KjW2yUn5BcH7eAf1DgPq4Rk6Vt1Xw8Yz0Ab2Cd4Ef6Gh8Ij0KlM");
    let mut named = KeySet::new();
    add(&mut named, Some("new"), HS);
    named.add_secret(Some("old"), &other, &[HS]).unwrap();
    add(&mut named, Some("new"), Algorithm::Es256);
    let mut mixed = named.clone();
    add(&mut mixed, None, Algorithm::Es384);

    let table: &[(&str, &KeySet, Algorithm, &str, Option<Reason>)] = &[
        ("its kid", &named, HS, r#"{"alg":"HS256","kid":"new"}"#, None),
        ("its kid, of two with one kid", &named, Algorithm::Es256, r#"{"alg":"ES256","kid":"new"}"#, None),
        ("no kid", &named, HS, r#"{"alg":"HS256"}"#, None),
        ("another key's kid", &named, HS, r#"{"alg":"HS256","kid":"old"}"#, Some(SignatureInvalid)),
        ("an unknown kid", &named, HS, r#"{"alg":"HS256","kid":"newer"}"#, Some(UnknownKey)),
        ("an empty kid", &named, HS, r#"{"alg":"HS256","kid":""}"#, Some(UnknownKey)),
        ("a kid with NUL", &named, HS, r#"{"alg":"HS256","kid":"new\u0000"}"#, Some(UnknownKey)),
        (
            "the kid of a key for another alg",
            &named,
            Algorithm::Es256,
            r#"{"alg":"ES256","kid":"old"}"#,
            Some(AlgorithmNotAllowed),
        ),
        (
            "no kid and no key for the alg",
            &named,
            Algorithm::EdDsa,
            r#"{"alg":"EdDSA"}"#,
            Some(AlgorithmNotAllowed),
        ),
        (
            "an unknown kid, and a key without one",
            &mixed,
            Algorithm::Es384,
            r#"{"alg":"ES384","kid":"x"}"#,
            None,
        ),
        (
            "an unknown kid, and no key without one fits",
            &mixed,
            HS,
            r#"{"alg":"HS256","kid":"x"}"#,
            Some(UnknownKey),
        ),
    ];
    for (name, keys, algorithm, header, expected) in table {
        let verifier = Verifier::new([Issuer::unnamed((*keys).clone())], Policy::default(), 0);
        let verdict = verifier.verify(&raw(*algorithm, header, good_claims().to_string()), NOW);
        assert_eq!(verdict.err().map(|rejection| rejection.reason), *expected, "{name}");
    }
}

#[test]
fn a_token_without_kid_is_tried_with_eight_keys() {
    let with_others_before = |count: usize| {
        let mut keys = KeySet::new();
        for n in 0..count {
            keys.add_secret(None, &Secret::new(vec![n as u8; 64]), &[HS]).unwrap();
        }
        add(&mut keys, None, HS);
        Verifier::new([Issuer::unnamed(keys)], Policy::default(), 0)
    };
    let token = token(HS, &good_claims());
    assert!(with_others_before(7).verify(&token, NOW).is_ok());
    assert_eq!(refused(&with_others_before(8), &token), SignatureInvalid);
}

#[test]
fn claims_are_not_told_before_the_signature() {
    // Expired, of a wrong audience, without sub and unsigned: the signature alone is told.
    let claims = json!({ "exp": 5, "aud": "x" });
    let bad = raw(Algorithm::Hs512, r#"{"alg":"HS256"}"#, claims.to_string());
    assert_eq!(refused(&verifier(HS), &bad), SignatureInvalid);
    let not_json = raw(Algorithm::Hs512, r#"{"alg":"HS256"}"#, "foo");
    assert_eq!(refused(&verifier(HS), &not_json), SignatureInvalid);
}

#[test]
fn no_refusal_quotes_the_token() {
    let secretive = "s3cretive";
    let verifier = verifier(HS);
    let claims = with(&json!({ "sub": 7, "name": secretive })).to_string();
    for token in [
        raw(HS, r#"{"alg":"HS256"}"#, &claims),
        raw(HS, format!(r#"{{"alg":"{secretive}"}}"#), &claims),
        raw(HS, format!(r#"{{"alg":"HS256","typ":"{secretive}"}}"#), &claims),
        raw(HS, r#"{"alg":"HS256"}"#, secretive),
        secretive.to_owned(),
    ] {
        let rejection = verifier.verify(&token, NOW).unwrap_err();
        let said = format!("{rejection:?} {rejection}");
        assert!(!said.contains(secretive) && !said.contains(&token), "{said}");
    }
    let shown = format!("{verifier:?}");
    assert!(!shown.contains(SECRET) && !shown.contains(&SECRET[..8]), "{shown}");
}
