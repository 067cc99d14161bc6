//! Any bytes as a request head: a decision without panic, the same for every split, within the limits, and never a
//! connection for a request without a token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_handshake::{
    Head, HeadLimits, HeadReader, Policy, Refusal, Rejection, SameOrigin, Upgrade,
};

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 24, target: 512 };

fuzz_target!(|input: &[u8]| {
    let whole = HeadReader::new(LIMITS).advance(input);
    assert_eq!(whole, piecemeal(input), "the split of the input changed the result");
    if let Ok(Some(end)) = whole {
        assert!(end <= LIMITS.bytes && input[..end].ends_with(b"\r\n\r\n"));
    } else if input.len() >= LIMITS.bytes {
        assert!(whole.is_err(), "waiting for more behind the limit");
    }
    match Head::parse(input, &LIMITS) {
        Err(rejection) => check_refusal(&rejection),
        Ok(head) => {
            assert_eq!(whole, Ok(Some(head.len())));
            // What stands behind the head changes nothing.
            let alone = Head::parse(&input[..head.len()], &LIMITS).expect("the head alone is the same head");
            assert_eq!(
                (alone.method(), alone.path(), alone.query()),
                (head.method(), head.path(), head.query())
            );
            assert!(head.fields().len() <= LIMITS.fields);
            assert!(head.path().starts_with('/') || head.path() == "*");
            for field in head.fields() {
                assert!(
                    !field.name.is_empty()
                        && !field.value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
                );
            }
            upgrade(&head);
        }
    }
});

/// Two cuts that the input itself chooses, then byte by byte around them.
fn piecemeal(input: &[u8]) -> Result<Option<usize>, Rejection> {
    let seed = input.iter().fold(7_usize, |seed, &byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let mut reader = HeadReader::new(LIMITS);
    let mut end = 0;
    let mut step = seed;
    loop {
        let result = reader.advance(&input[..end]);
        if result != Ok(None) || end == input.len() {
            return result;
        }
        step = step.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        end = (end + 1 + (step >> 33) % 61).min(input.len());
    }
}

fn upgrade(head: &Head<'_>) {
    let policy = policy();
    let mut out = Vec::new();
    let decided =
        Upgrade::check(head, &policy).and_then(|upgrade| upgrade.credentials(&policy)).and_then(|offer| {
            let token = offer.token().to_owned();
            assert!(!token.is_empty() && token.len() <= policy.max_token_bytes());
            offer.accept((), &policy, &mut out)?;
            Ok(token)
        });
    match decided {
        Ok(_) => {
            assert!(out.starts_with(b"HTTP/1.1 101 ") && out.ends_with(b"\r\n\r\n"));
            // A token has to come from somewhere.
            let credential = |name: &str| {
                name.eq_ignore_ascii_case("authorization")
                    || name.eq_ignore_ascii_case("sec-websocket-protocol")
            };
            assert!(head.is_upgrade() && head.method() == "GET");
            assert!(head.fields().iter().any(|field| credential(field.name)));
        }
        Err(rejection) => {
            assert!(out.is_empty(), "a refusal wrote a 101");
            check_refusal(&rejection);
        }
    }
}

fn check_refusal(rejection: &Rejection) {
    let status = rejection.reason.status().expect("a refused request has a status");
    assert!((400..500).contains(&status), "a client's mistake became a {status}");
    let mut out = Vec::new();
    Refusal::new(rejection, "fuzz").write_http1("GET", &mut out);
    assert!(out.starts_with(b"HTTP/1.1 4"));
}

fn policy() -> Policy<u8> {
    Policy::builder()
        .route("/ws", 1)
        .route("/ws/factory", 2)
        .mode("main", 1)
        .mode("factory", 2)
        .mode_path("/")
        .mode_path("/ws")
        .allow_origin("https://app.example")
        .same_origin(SameOrigin::Any)
        .max_token_bytes(1024)
        .build()
        .expect("a good policy")
}
