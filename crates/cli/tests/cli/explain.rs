use serde_json::json;

use crate::Place;

#[test]
fn a_reason_a_close_code_a_status_and_the_list() {
    let place = Place::new();
    let pages: Vec<String> = ["PROTOCOL_MISMATCH", "unknown-key", "1006", "1008", "4408", "401", "--list"]
        .map(|what| format!("$ portcullis explain {what}\n{}", place.run(&["explain", what]).ended(0).stdout))
        .into();
    let pages = pages.join("\n");
    assert!(!pages.contains('\x1b'), "a pipe gets no colours");
    insta::assert_snapshot!(pages);
}

#[test]
fn as_json() {
    let place = Place::new();
    let entry = place.run(&["explain", "token_not_yet_valid", "--format", "json"]).ended(0).json();
    assert_eq!(entry["reason"], "NOT_YET_VALID");
    assert_eq!(entry["status"], 401);
    assert_eq!(
        entry["close_codes"],
        json!({"standard": 1008, "server-error": 1011, "strict-protocol": 1008, "application": 4409})
    );
    let code = place.run(&["--format", "json", "explain", "1006"]).ended(0).json();
    assert_eq!(
        (&code["close_code"], &code["may_be_sent"], &code["reasons"]),
        (&json!(1006), &json!(false), &json!({}))
    );
    let status = place.run(&["explain", "403", "--format", "json"]).ended(0).json();
    let reasons: Vec<_> = status["reasons"].as_array().unwrap().iter().map(|line| &line["reason"]).collect();
    assert_eq!(reasons, ["ORIGIN_NOT_ALLOWED", "INSUFFICIENT_SCOPE"]);
    let list = place.run(&["explain", "--list", "--format", "json"]).ended(0).json();
    assert_eq!(list.as_array().unwrap().len(), 45);
}

#[test]
fn what_does_not_exist_exits_with_2_and_a_suggestion() {
    let place = Place::new();
    for (what, expected) in [
        ("TOKEN_EXPIERD", "error: `TOKEN_EXPIERD` is not a reason; did you mean TOKEN_EXPIRED?\n"),
        (
            "502",
            "error: no reason answers with HTTP 502; Portcullis did not send it: look at the proxy in front of it\n",
        ),
    ] {
        assert_eq!(place.run(&["explain", what]).ended(2).stderr, expected);
    }
}
