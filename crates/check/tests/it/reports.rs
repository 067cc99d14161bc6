//! The reports of a run, and what a run says when something is missing.

use portcullis_check::{Baseline, Selection, Symptom, Verdict, formats};
use serde_json::Value;

use crate::{Bed, check, finding, options, run};

/// Neither sent, nor sent back by a server in whatever place.
#[test]
fn no_credential_is_in_any_report() {
    for defect in ["rule/no-echo-refused", "rule/no-echo", "rule/two-element"] {
        let bed = Bed::start(defect);
        let report = check(&bed, &["A", "N", "E", "rule/login"]);
        let json = serde_json::to_string(&report).unwrap();
        for text in [
            json,
            formats::junit(&report),
            formats::sarif(&report).to_string(),
            formats::html(&report),
            formats::markdown(&report),
        ] {
            // The beginnings of a JWT, and of one in base64url once more.
            assert!(!text.contains("eyJ") && !text.contains("ZXlK"), "{defect}: a token is in it");
            assert!(!text.contains(crate::SECRET), "{defect}: the secret is in it");
        }
    }
}

/// What was masked on its way would be found by whoever takes the mask away: the record has it without, and cleaned.
#[test]
fn frames_are_on_record_unmasked_and_without_their_tokens() {
    let bed = Bed::start("");
    let report = check(&bed, &["rule/renewal"]);
    let exchange = &finding(&report, "rule/renewal").evidence[0];
    let (_, message) = exchange.sent.split_once("[masked] ").unwrap();
    assert!(message.contains("\"type\":\"reauthenticate\",\"payload\":{\"token\":\"<"), "{message}");
}

#[test]
fn every_format_tells_the_failure() {
    let bed = Bed::start("rule/before-101/no-token");
    let report = check(&bed, &["rule/before-101/no-token", "rfc6455/4.2.1/method"]);
    assert_eq!(report.grade.map(portcullis_check::Grade::name), Some("F"));
    let (junit, html, markdown) =
        (formats::junit(&report), formats::html(&report), formats::markdown(&report));
    let (root, _) = junit.split_once("<testsuite ").unwrap();
    assert!(
        root.contains("errors=\"0\" time=\"") && !root.contains("skipped"),
        "as the schema has it: {root}"
    );
    assert!(junit.contains("failures=\"1\"") && junit.contains("<failure type=\"NO_TOKEN\""), "{junit}");
    assert!(html.starts_with("<!doctype html>") && html.contains("rule/before-101/no-token"));
    assert!(markdown.contains("| `rule/before-101/no-token` | practice | fail |"), "{markdown}");
    let sarif = formats::sarif(&report);
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "rule/before-101/no-token");
    assert_eq!(sarif["runs"][0]["results"][0]["level"], "error");
    let json: Value = serde_json::to_value(&report).unwrap();
    for member in ["grade", "scores", "summary", "cases"] {
        assert!(!json[member].is_null(), "{member}");
    }
    for member in ["id", "group", "level", "verdict", "reason", "evidence", "remedy"] {
        assert!(json["cases"][1].get(member).is_some(), "{member}");
    }
}

#[test]
fn markup_that_a_server_sends_stays_text() {
    let bed = Bed::start("rule/no-internals");
    let report = check(&bed, &["rule/no-internals"]);
    let html = formats::html(&report);
    assert!(html.contains("&quot;/app/ws.py&quot;"), "the evidence is shown");
    assert!(!html.contains("\"/app/ws.py\""), "and escaped");
}

#[test]
fn only_what_got_worse_counts_with_a_baseline() {
    let right = Bed::start("");
    let before = check(&right, &["H"]);
    let json = serde_json::to_string(&before).unwrap();
    let baseline = Baseline::read(&json).unwrap();
    assert_eq!(baseline.worse(&before), []);
    let wrong = Bed::start("rfc6455/4.2.1/method");
    let worse = baseline.worse(&check(&wrong, &["H"]));
    assert_eq!(worse.iter().map(|case| case.id).collect::<Vec<_>>(), ["rfc6455/4.2.1/method"]);
    assert!(Baseline::read("{}").is_err());
}

#[test]
fn each_symptom_leads_to_its_cause() {
    for (defect, cases, symptom) in [
        ("rule/browser-gets-a-name", &["N"][..], Symptom::Browser1006),
        ("rule/before-101/short", &["rule/before-101/short"], Symptom::Browser1006),
        ("rule/never-1011", &["rule/never-1011"], Symptom::Closed1011),
        ("rule/binary", &["rule/binary"], Symptom::Closed1011),
        ("rfc9110/15.5.2/status", &["E"], Symptom::Bare403),
        ("rule/no-bypass", &["rule/no-bypass"], Symptom::WorksInTests),
        ("rule/before-101/no-token", &["rule/before-101/no-token"], Symptom::WorksInTests),
    ] {
        let bed = Bed::start(defect);
        let report = check(&bed, cases);
        assert_eq!(
            report.root_causes.iter().map(|cause| cause.symptom).collect::<Vec<_>>(),
            [symptom],
            "{defect}"
        );
        assert!(report.root_causes[0].remedy.len() > 40, "{defect}");
    }
}

/// A token that is taken nowhere: the cause is named, and what depends on a good connection is left open.
#[test]
fn without_a_good_connection_nothing_passes_by_default() {
    let bed = Bed::start("");
    let selection = Selection::new(&["H".into(), "A".into(), "G".into()], &[], &[], Vec::new()).unwrap();
    let mut options = options(&bed, selection);
    options.key = None;
    options.tokens =
        vec![crate::sign("quite another secret, of no use", &serde_json::json!({ "sub": "ada" }))];
    let report = run(options);
    assert_eq!(report.root_causes[0].symptom, Symptom::NoToken);
    assert!(report.root_causes[0].cause.contains("401"), "{}", report.root_causes[0].cause);
    assert_eq!(finding(&report, "rfc6455/4.2.1/method").verdict, Verdict::Inconclusive);
    assert_eq!(finding(&report, "rule/before-101/no-token").verdict, Verdict::Pass);
    let passed = report.cases.iter().filter(|finding| finding.verdict == Verdict::Pass);
    assert!(passed.map(|finding| finding.id).eq(["rule/before-101/no-token", "rule/no-bypass"]));
}

/// The page sends the token in one way, the server reads it in another: the oldest of the five symptoms.
#[test]
fn a_token_that_is_sent_to_the_wrong_place_is_told_the_right_one() {
    let bed = Bed::start("");
    let selection = Selection::new(&["N".into()], &[], &[], Vec::new()).unwrap();
    let mut options = options(&bed, selection);
    options.forms = vec!["two-element".parse().unwrap()];
    let report = run(options);
    let cause = &report.root_causes[0];
    assert_eq!(cause.symptom, Symptom::NoToken);
    assert!(
        cause.cause.contains("it takes `Sec-WebSocket-Protocol: jwt-auth, jwt.<base64url(token)>`"),
        "{}",
        cause.cause
    );
    assert!(cause.cause.contains("PROTOCOL_MISMATCH"), "what the server says: {}", cause.cause);
}

#[test]
fn a_token_that_has_expired_is_told_to_be() {
    let bed = Bed::start("");
    let selection = Selection::new(&["N".into()], &[], &[], Vec::new()).unwrap();
    let mut options = options(&bed, selection);
    options.key = None;
    options.tokens = vec![crate::sign(
        crate::SECRET,
        &serde_json::json!({ "sub": "ada", "iss": crate::NAME, "aud": crate::NAME, "exp": 1_700_000_000 }),
    )];
    let report = run(options);
    let cause = &report.root_causes[0];
    assert!(cause.cause.contains("expired") && cause.cause.contains(" days ago."), "{}", cause.cause);
    // A person sees at a glance what came of all attempts: one line for each outcome, however many forms were tried.
    let lines: Vec<&str> = cause.cause.lines().skip(1).collect();
    assert!(report.tried.len() > 20 && lines.len() <= 4, "{lines:#?}");
    let expired = lines.iter().find(|line| line.contains("TOKEN_EXPIRED")).expect("what the server says");
    assert!(expired.contains("Authorization: Bearer <token>"), "{expired}");
    assert!(cause.remedy.contains("--token-command"), "for who gave the token: {}", cause.remedy);
}

#[test]
fn without_a_token_where_one_is_needed_the_way_to_give_one_is_told() {
    let bed = Bed::start("");
    let selection = Selection::new(&["H".into()], &[], &[], Vec::new()).unwrap();
    let mut options = options(&bed, selection);
    (options.key, options.tokens, options.login) = (None, Vec::new(), None);
    let report = run(options);
    let untried = |case: &&portcullis_check::Finding| case.verdict == Verdict::Inconclusive;
    let says: Vec<&str> = report.cases.iter().filter(untried).map(|case| case.says.as_str()).collect();
    assert!(says.len() > 10 && says.iter().all(|says| says.contains("--token-file")), "{says:#?}");
}

/// Without a key, what cannot be made is said to be untried.
#[test]
fn what_needs_a_key_is_inconclusive_without_one() {
    let bed = Bed::start("");
    let selection = Selection::new(&["A".into()], &[], &[], Vec::new()).unwrap();
    let mut options = options(&bed, selection);
    options.key = None;
    let report = run(options);
    for (id, verdict) in [
        ("rfc7519/4.1.4/expired", Verdict::Inconclusive),
        ("rfc8725/3.1/alg-confusion", Verdict::Inconclusive),
        ("rfc8725/3.2/alg-none", Verdict::Pass),
        ("rfc7515/5.2/signature", Verdict::Pass),
        ("rfc8725/3.5/known-secret", Verdict::Pass),
    ] {
        assert_eq!(finding(&report, id).verdict, verdict, "{id}");
    }
    assert!(finding(&report, "rfc7519/4.1.4/expired").says.contains("--secret-file"));
}

#[test]
fn a_server_that_is_not_there_cannot_be_tested() {
    let bed = Bed::start("");
    let selection = Selection::new(&[], &[], &[], Vec::new()).unwrap();
    let options = options(&bed, selection);
    drop(bed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(portcullis_check::run(options, &())).unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}
