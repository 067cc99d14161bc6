//! Whole transcripts, for people to read in review.

use std::fmt::Write as _;

use portcullis_agent::AgentEvent;
use portcullis_reason::Reason;

use super::support::{NOW, Transcript, ask, with};

fn render(transcript: &Transcript) -> String {
    let mut out = String::new();
    for event in &transcript.events {
        match event {
            AgentEvent::Thinking { content, step } => writeln!(out, "{step}. {content}"),
            AgentEvent::ToolExecuting { tool_name, tool_args, .. } => {
                writeln!(out, "-> {tool_name} {tool_args}")
            }
            AgentEvent::ToolCompleted { tool_name, ok, result_summary, .. } => {
                writeln!(out, "<- {tool_name} ok={ok} {result_summary}")
            }
            AgentEvent::Heard(_) | AgentEvent::PartialResult { .. } => Ok(()),
        }
        .unwrap();
    }
    write!(out, "\n{}", transcript.answer).unwrap();
    // The catalogue's own prose is reviewed where it is written.
    for help in Reason::ALL.iter().map(|reason| reason.help()) {
        out = out
            .replace(help.fix(), "(the catalogue's steps)")
            .replace(help.cause(), "(the catalogue's cause)");
    }
    out
}

#[tokio::test]
async fn malformed_token() {
    insta::assert_snapshot!(render(&ask("My page sends jwt.abc and gets refused").await));
}

#[tokio::test]
async fn expired_token_with_code_and_log_line() {
    let expired = with("exp", serde_json::json!(NOW - 11_045));
    let text = format!("Sec-WebSocket-Protocol: jwt-auth, jwt.{expired}\nclosed with 1006\nSSOT Auth failed");
    insta::assert_snapshot!(render(&ask(&text).await));
}

#[tokio::test]
async fn code_of_the_two_element_form() {
    insta::assert_snapshot!(render(&ask("new WebSocket(url, ['jwt', token])").await));
}

#[tokio::test]
async fn close_code_alone() {
    insta::assert_snapshot!(render(&ask("1006").await));
}

#[tokio::test]
async fn plain_question() {
    insta::assert_snapshot!(render(&ask("How do I send the token from a browser?").await));
}
