//! Any text as a token, and any header and claims under a good signature: no panic, no identity without a signature of
//! ours or behind its end, and inspection agrees with verification.
#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use libfuzzer_sys::fuzz_target;
use portcullis_reason::Reason;
use portcullis_token::{
    Algorithm, Issuer, KeySet, MAX_INSPECTED_BYTES, Policy, Secret, Verifier, base64url, inspect,
};

/// What the seeds are signed with.
const SECRET: &str = "the fuzzer's secret, 32 bytes or more";
const NOW: u64 = 1_750_000_000;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let mut keys = KeySet::new();
    keys.add_secret(None, &Secret::from(SECRET), &[Algorithm::Hs256]).expect("the secret is long enough");
    let issuer = Issuer { audiences: vec!["portcullis".to_owned()], ..Issuer::named("portcullis", keys) };
    Verifier::new([issuer], Policy::default(), 0)
});

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    // A header and claims, one a line, are signed: a fuzzer finds no signature by itself.
    match text.split_once('\n') {
        Some((header, claims)) => {
            let signed = format!("{}.{}", base64url::encode(header), base64url::encode(claims));
            let signature = base64url::encode(sign(&signed));
            check(&format!("{signed}.{signature}"), true);
        }
        None => check(text, false),
    }
});

fn check(token: &str, is_signed: bool) {
    let verified = VERIFIER.verify(token, NOW);
    let inspected = inspect(token, NOW);
    assert!(inspected.bytes <= token.len().max(MAX_INSPECTED_BYTES));
    match verified {
        Ok(identity) => {
            let (signed, signature) = token.rsplit_once('.').expect("a token has parts");
            assert_eq!(base64url::decode(signature).as_deref(), Ok(&sign(signed)[..]), "not our signature");
            assert!(!identity.subject().is_empty());
            assert_eq!(identity.issuer(), Some("portcullis"));
            let leeway = VERIFIER.policy().leeway;
            assert!(
                identity.expires_at().is_some_and(|end| NOW < end.saturating_add(leeway)),
                "it has expired"
            );
            // Inspection knows of no leeway.
            let by_its_times = [Some(Reason::TokenExpired), Some(Reason::NotYetValid)];
            let found = inspected.reason();
            assert!(found.is_none() || by_its_times.contains(&found), "{:?}", inspected.findings);
        }
        Err(rejection) => {
            let of_a_signature = matches!(rejection.reason, Reason::SignatureInvalid | Reason::UnknownKey);
            assert!(!(is_signed && of_a_signature), "{rejection:?}");
            assert!(rejection.reason.status().is_some_and(|status| status < 500), "{rejection:?}");
        }
    }
}

fn sign(text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}
