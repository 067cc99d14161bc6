use super::support::{NOW, ask, good, with};
use serde_json::json;

#[tokio::test]
async fn explore() {
    let good = good();
    let expired = with("exp", json!(NOW - 11_045));
    for text in [
        "jwt.abc",
        "jwt.",
        "eyJhbGciOiJIUzI1NiIs…",
        &format!("['jwt', '{good}']"),
        &expired,
        &format!(
            "Sec-WebSocket-Protocol: jwt.{expired}\nConnection closed with 1006\nERROR: \"SSOT AUTHENTICATION FAILED: NO_TOKEN\""
        ),
        "1006",
        "why does my browser only show 1006?",
        "How do I send the token from a browser?",
        "Unexpected response code: 403",
        "AUDIENCE_MISMATCH",
        "what is the weather in Paris?",
        "ERROR: \"Message routing failed for user 105945141827451681156\"",
        "check this server's configuration",
    ] {
        let t = ask(text).await;
        eprintln!("=================== {}\n{:?}", &text[..text.len().min(100)], t.tools());
        eprintln!("{}", t.answer);
    }
}
