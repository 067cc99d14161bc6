//! What holds for every input of a kind; what single questions must lead to is in [`super::questions`].

use std::collections::HashSet;

use portcullis_agent::Task;
use portcullis_reason::Reason;
use serde_json::{Value, json};

use super::support::{NOW, ask, ask_next, run_task, task, with};

#[tokio::test]
async fn one_answer_for_a_token_a_code_and_a_log_line() {
    let expired = with("exp", json!(NOW - 11_045));
    let transcript = ask(&format!(
        "Sec-WebSocket-Protocol: jwt-auth, jwt.{expired}\nConnection closed with 1006\nConnection closed with 1006\nSSOT Auth failed"
    ))
    .await;
    assert!(transcript.headline().starts_with("**TOKEN_EXPIRED"));
    let count = |tool: &str| transcript.tools().iter().filter(|name| **name == tool).count();
    for tool in ["check_token_form", "decode_token", "look_up", "explain_close_code"] {
        assert_eq!(count(tool), 1, "{tool}: the same evidence is looked into once");
    }
    assert!(transcript.answer.contains("1006") && transcript.answer.contains("SSOT"));
}

#[tokio::test]
async fn a_follow_up_is_about_what_was_found_before() {
    let first = ask("jwt.abc").await;
    let history = [("jwt.abc", first.answer.as_str())];
    let fix = ask_next("and how do I fix it?", &history).await;
    assert!(fix.headline().contains("TOKEN_MALFORMED"), "{}", fix.answer);
    assert!(fix.answer.contains(Reason::TokenMalformed.help().fix()));
    let why = ask_next("why does that happen?", &history).await;
    assert!(why.answer.contains(Reason::TokenMalformed.help().cause()));
    assert_ne!(fix.answer, why.answer);
    // New evidence is about itself, and without a history there is nothing to refer to.
    assert!(
        ask_next("and what is AUDIENCE_MISMATCH?", &history).await.headline().contains("AUDIENCE_MISMATCH")
    );
    assert!(ask("fix it").await.headline().contains("cannot tell"));
}

#[tokio::test]
async fn every_reason_is_explained_and_differently() {
    let mut answers = HashSet::new();
    for reason in Reason::ALL {
        let transcript = ask(&format!("The server says {reason}")).await;
        assert!(transcript.headline().contains(reason.id()), "{reason}");
        assert!(transcript.tools().contains(&"explain_reason"), "{reason}");
        assert!(transcript.answer.contains(reason.help().remedy()), "{reason}");
        assert!(answers.insert(transcript.answer), "{reason}: the same answer twice");
    }
}

#[tokio::test]
async fn refusals_are_the_asking_users_own() {
    let mine = run_task(Task { user_id: "refused".into(), ..task("why was I refused?") }).await.unwrap();
    assert!(mine.headline().contains("TOKEN_EXPIRED"), "{}", mine.answer);
    assert!(mine.answer.contains("`r1`") && mine.answer.contains("AUDIENCE_MISMATCH"));
    let other = ask("why was I refused?").await;
    assert!(!other.all().contains("r1"), "{}", other.answer);
    assert!(other.answer.contains("none that is known to be yours"));
}

#[tokio::test]
async fn arguments_show_a_fingerprint_and_no_token() {
    let token = with("secret_claim", Value::from("hidden-value"));
    let transcript = ask(&format!("new WebSocket(url, ['jwt', '{token}'])")).await;
    let all = transcript.all();
    for part in token.split('.') {
        assert!(!all.contains(part), "a part of the token in {all}");
    }
    assert!(!all.contains("hidden-value"));
    assert!(all.contains("secret_claim"), "names of other claims are shown");
    assert!(all.contains(&portcullis_token::fingerprint(&token).to_string()));
}
