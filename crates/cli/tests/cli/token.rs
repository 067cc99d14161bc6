use crate::{Place, mode};

#[test]
fn mint_verify_inspect() {
    let place = Place::new();
    let minted = place
        .run(&[
            "token",
            "mint",
            "--data-dir",
            "data",
            "--sub",
            "ada",
            "--claim",
            "tenant=acme",
            "--format",
            "json",
        ])
        .ended(0);
    assert_eq!(minted.stderr, "made the data directory data\n");
    assert_eq!(mode(&place.path("data")), 0o700);
    assert_eq!(mode(&place.path("data/keys/auth-es256.pem")), 0o600);
    let minted = minted.json();
    assert_eq!(minted["claims"]["tenant"], "acme");
    let token = minted["token"].as_str().unwrap();

    let verified =
        place.run_with(&["token", "verify", "--data-dir", "data", "--format", "json"], token).ended(0);
    assert_eq!(verified.json()["subject"], "ada");
    assert!(!verified.report().contains(token));
    let text =
        place.run_with(&["token", "verify", "--data-dir", "data"], &format!("  {token}\n")).ended(0).stdout;
    assert!(text.starts_with("✓ the token is good\n  subject     ada\n"), "{text}");
    place.run(&["token", "verify", "--data-dir", "data", token]).ended(0);

    let inspected = place.run_with(&["token", "inspect", "-", "--format", "json"], token).ended(0);
    assert_eq!(inspected.json()["claims"]["sub"], "ada");
    let signature = token.rsplit('.').next().unwrap();
    assert!(!inspected.stdout.contains(signature), "what is printed cannot be used as a token");
    let text = place.run_with(&["token", "inspect"], token).ended(0).stdout;
    assert!(text.contains("sub      \"ada\"") && !text.contains(signature), "{text}");
}

#[test]
fn each_fault_has_its_reason_and_exits_with_1() {
    let place = Place::new();
    let mint = |more: &[&str]| {
        let args = [&["token", "mint", "--data-dir", "data", "--sub", "ada"], more].concat();
        place.run(&args).ended(0).stdout.trim().to_owned()
    };
    let good = mint(&[]);
    let tampered = {
        let (head, signature) = good.rsplit_once('.').unwrap();
        format!("{head}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..])
    };
    let foreign = {
        let args = ["token", "mint", "--data-dir", "other", "--sub", "ada"];
        place.run(&args).ended(0).stdout.trim().to_owned()
    };
    for (token, reason) in [
        (mint(&["--ttl=-1h"]), "TOKEN_EXPIRED"),
        (mint(&["--claim", "nbf=99999999999"]), "NOT_YET_VALID"),
        (mint(&["--aud", "someone-else"]), "AUDIENCE_MISMATCH"),
        (mint(&["--claim", "sub=null"]), "CLAIM_MISSING"),
        (tampered, "SIGNATURE_INVALID"),
        (foreign, "UNKNOWN_KEY"),
        (good[..good.len() / 2].to_owned(), "TOKEN_MALFORMED"),
        (String::new(), "TOKEN_MALFORMED"),
        ("jwt.abc".to_owned(), "TOKEN_MALFORMED"),
        ("a".repeat(100_000), "TOKEN_TOO_LARGE"),
    ] {
        let args = ["token", "verify", "--data-dir", "data"];
        let ran = place.run_with(&args, &token).ended(1);
        assert!(ran.stdout.starts_with(&format!("✗ {reason}: ")), "{reason}: {}", ran.report());
        assert!(token.len() < 20 || !ran.report().contains(&token), "{reason}: the token is not repeated");
        let json = place.run_with(&[&args[..], &["--format", "json"]].concat(), &token).ended(1).json();
        assert_eq!((&json["accepted"], &json["reason"]), (&false.into(), &reason.into()));
    }
}

#[test]
fn inspect_finds_faults_without_a_key() {
    let place = Place::new();
    let expired =
        place.run(&["token", "mint", "--data-dir", "data", "--sub", "ada", "--ttl=-1h"]).ended(0).stdout;
    for (token, reason) in [
        (expired.trim(), "TOKEN_EXPIRED"),
        ("jwt.", "TOKEN_MALFORMED"),
        ("not a token", "TOKEN_MALFORMED"),
        // {"alg":"none"}.{"sub":"a"}.
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "ALGORITHM_NOT_ALLOWED"),
    ] {
        let ran = place.run_with(&["token", "inspect"], token).ended(1);
        assert!(ran.stdout.contains(reason), "{reason}: {}", ran.report());
    }
}

#[test]
fn a_shared_secret_signs_and_verifies() {
    let place = Place::new();
    place.write("secret.key", "q7Rt0-Zx3VbKfLmWpYcN8sHdUeJgA5oTi2\n");
    place.write("portcullis.toml", "[[token.secrets]]\nkid = \"a\"\nfile = \"secret.key\"\n");
    let config = ["--config", "portcullis.toml"];
    let mint = [&["token", "mint", "--sub", "ada"][..], &config].concat();
    let token = place.run(&mint).ended(0).stdout;
    assert!(!place.path(".portcullis/keys").exists(), "no key of its own is made");
    let verify = [&["token", "verify"][..], &config].concat();
    place.run_with(&verify, &token).ended(0);
    place.write("secret.key", "Z9cN2-another-one-KfLmWpYq7Rt0VbXsHdU");
    let ran = place.run_with(&verify, &token).ended(1);
    assert!(ran.stdout.starts_with("✗ SIGNATURE_INVALID"), "{}", ran.report());
}

#[test]
fn looking_makes_nothing() {
    let place = Place::new();
    let ran = place.run_with(&["token", "verify", "--data-dir", "data"], "x").ended(3);
    assert!(ran.stderr.contains("there is no data directory data"), "{}", ran.stderr);
    assert!(!place.path("data").exists());
}
