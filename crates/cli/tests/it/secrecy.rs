//! Credentials never leave: with everything logged that can be logged, none is in the log, an answer, an event or a metric.

use std::{fs, path::Path};

use portcullis_diagnose::forms::{Form, forms};
use portcullis_test::{Peer, Request, Server, Tokens, alter, forge, wrap};
use serde_json::{Value, json};

use crate::{durable::whole, support::question};

/// Everything that came out of a server, and everything that must not be in it.
#[derive(Default)]
struct Evidence {
    said: Vec<(String, String)>,
    secrets: Vec<String>,
}

impl Evidence {
    /// A token in all its forms: as it is, wrapped, and its signature alone.
    fn token(&mut self, token: &str) {
        self.secrets.push(token.to_owned());
        self.secrets.push(wrap(token));
        // The last of three parts; what has none is secret as a whole.
        self.secrets.extend(token.split('.').nth(2).filter(|part| part.len() > 8).map(str::to_owned));
    }

    fn heard(&mut self, name: &str, text: impl Into<String>) {
        self.said.push((name.to_owned(), text.into()));
    }

    fn ask(&mut self, server: &Server, name: &str, request: &Request) {
        self.heard(name, server.ask(request).raw);
    }

    fn assert_silent(&self) {
        assert!(
            self.secrets.len() > 10 && self.said.len() > 50,
            "{} {}",
            self.secrets.len(),
            self.said.len()
        );
        for (name, text) in &self.said {
            for secret in &self.secrets {
                assert!(!text.contains(secret.as_str()), "{name} holds a credential");
            }
        }
    }
}

#[test]
fn no_credential_comes_out_of_the_gateway() {
    let server = crate::server()
        .set("log.level", "\"trace\"")
        .set("dev.echo", "true")
        .set("gateway.allowed_origins", r#"["https://chat.example"]"#)
        .start();
    let mut evidence = Evidence::default();
    let tokens = server.tokens();
    let good = server.token("ann");
    let stranger = Tokens::new("test", "another secret of the same key id, also long enough");
    let all = [
        good.clone(),
        tokens.with("ann", &json!({ "exp": Tokens::now() - 3600 })),
        tokens.with("ann", &json!({ "nbf": Tokens::now() + 3600 })),
        tokens.with("ann", &json!({ "aud": "billing" })),
        tokens.with("ann", &json!({ "sub": null })),
        tokens.with("ann", &json!({ "note": "x".repeat(14_000) })),
        tokens.signer().sign_as("rt+jwt", &Tokens::claims("ann")),
        alter(&good, 2),
        stranger.good("ann"),
        Tokens::new("nobody's", "another secret of another key id, also long enough").good("ann"),
        forge(r#"{"alg":"none"}"#, r#"{"sub":"ann","exp":99999999999}"#, "a signature of some length"),
        forge("no JSON at all", r#"{"sub":"ann"}"#, "another signature of some length"),
        "opaque-token-0123456789abcdefghijklmnopqrstuvwxyz".to_owned(),
    ];
    for token in &all {
        evidence.token(token);
        everywhere(&server, &mut evidence, token);
    }
    talk(&server, &mut evidence, &good, &all);
    let metrics = server.metrics();
    evidence.heard("metrics", metrics);
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    evidence.heard("log", server.log().text());
    evidence.secrets.push("Qm7-tR2x_Wz9KpL4vYc8NhD3sFgJ6bTe1UaXo5Ei0rM".to_owned());
    evidence.heard("standard output", server.stdout().text());
    let recorded = on_disk(&server.data_dir().join("events"));
    assert!(!recorded.contains("agent_completed"), "what was answered is sealed on the disk");
    evidence.heard("record of events", recorded);
    evidence.assert_silent();
    // Something else stands for a token in the log, so that there was something to find.
    assert!(server.log().text().contains("\"level\":\"DEBUG\""));
}

/// The bytes of all files in a folder, as far as they are text.
fn on_disk(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            text.push_str(&on_disk(&entry.path()));
        } else {
            text.push_str(&String::from_utf8_lossy(&fs::read(entry.path()).unwrap()));
        }
    }
    text
}

/// Offers one token in every form that there is.
fn everywhere(server: &Server, evidence: &mut Evidence, token: &str) {
    let wrapped = wrap(token);
    let upgrade = || Request::upgrade("/ws");
    for (name, request) in [
        ("bearer", upgrade().bearer(token)),
        ("another scheme", upgrade().field("Authorization", format!("Token {token}"))),
        ("Basic", upgrade().field("Authorization", format!("Basic {wrapped}"))),
        ("wrapped", upgrade().protocols(&["jwt-auth", &format!("jwt.{wrapped}")])),
        ("bare", upgrade().protocols(&["jwt-auth", &format!("jwt.{token}")])),
        ("padded", upgrade().protocols(&["jwt-auth", &format!("jwt.{wrapped}=")])),
        (
            "Kubernetes",
            upgrade().protocols(&["jwt-auth", &format!("base64url.bearer.authorization.k8s.io.{wrapped}")]),
        ),
        ("two elements", upgrade().protocols(&["jwt", token])),
        ("two elements, wrapped", upgrade().protocols(&["jwt", &wrapped])),
        ("no prefix", upgrade().protocols(&["jwt-auth", token])),
        ("another prefix", upgrade().protocols(&["jwt-auth", &format!("token.{wrapped}")])),
        ("no name of ours", upgrade().protocols(&["soap", &format!("jwt.{wrapped}")])),
        (
            "a browser without a name",
            upgrade().protocols(&[&format!("jwt.{wrapped}")]).field("Origin", "https://chat.example"),
        ),
        (
            "a foreign page",
            upgrade()
                .protocols(&["jwt-auth", &format!("jwt.{wrapped}")])
                .field("Origin", "https://evil.example"),
        ),
        (
            "twice",
            upgrade().bearer(token).protocols(&[
                "jwt-auth",
                &format!("jwt.{wrapped}"),
                &format!("jwt.{wrapped}"),
            ]),
        ),
        ("the query", Request::upgrade(&format!("/ws?token={token}"))),
        ("the path", Request::upgrade(&format!("/ws/{token}"))),
        ("the mode", Request::upgrade(&format!("/ws?mode={token}")).bearer(token)),
        ("the resume parameter", Request::upgrade(&format!("/ws?resume={token}")).bearer(token)),
        ("a cookie", upgrade().field("Cookie", format!("token={token}"))),
        ("an origin", upgrade().field("Origin", format!("https://{token}"))),
        ("a key", upgrade().bearer(token).instead("Sec-WebSocket-Key", token)),
        ("a broken line", upgrade().field("X-A", format!("{token}\r\n {token}"))),
        ("no handshake", Request::plain("GET", "/ws").bearer(token)),
        ("echo", Request::upgrade("/ws/echo").bearer(token)),
        ("stats", Request::plain("GET", "/ws/stats").bearer(token)),
        ("a plain query", Request::plain("GET", &format!("/ws/config?access_token={token}"))),
        ("a page", Request::plain("GET", &format!("/{token}"))),
        ("a reason", Request::plain("GET", &format!("/reasons/{token}"))),
        ("preflight by GET", Request::plain("GET", "/ws/preflight").bearer(token)),
        ("preflight by POST", preflight(&["jwt-auth", &format!("jwt.{wrapped}")])),
        ("preflight, two elements", preflight(&["jwt", token])),
        ("preflight, as a mode", Request::post("/ws/preflight", &json!({ "mode": token, "protocols": [] }))),
        ("preflight, in the wrong place", Request::post("/ws/preflight", &json!({ "protocols": token }))),
        ("preflight, no JSON", Request::post("/ws/preflight", &json!(token))),
    ] {
        evidence.ask(server, name, &request);
    }
}

fn preflight(protocols: &[&str]) -> Request {
    Request::post("/ws/preflight", &json!({ "mode": "main", "protocols": protocols }))
}

/// Says every token on live connections, in every place of a message.
fn talk(server: &Server, evidence: &mut Evidence, good: &str, all: &[String]) {
    let mut number = 0;
    for path in ["/ws", "/ws/legacy", "/ws/isolated"] {
        let mut peer = server.connect();
        peer.open(&Request::upgrade(path).bearer(good));
        let mut heard = vec![peer.json()];
        for token in all {
            heard.extend(say(&mut peer, &json!({ "type": "reauthenticate", "payload": { "token": token } })));
            heard.extend(say(&mut peer, &json!({ "type": "reauthenticate", "token": [token] })));
            heard.extend(say(&mut peer, &json!({ "type": token, "id": "x", "payload": {} })));
            heard.extend(say(
                &mut peer,
                &json!({ "type": "user_message", "payload": { "content": [token] } }),
            ));
            heard.extend(say(
                &mut peer,
                &json!({ "type": "user_message", "payload": { "content": "a", "agent": [token] } }),
            ));
            peer.text(&format!("{{\"type\":\"user_message\",{token}"));
            heard.extend(peer.drain());
            for content in [
                format!("Why is {token} refused?"),
                format!("new WebSocket(url, ['jwt-auth', 'jwt.{}'])", wrap(token)),
            ] {
                number += 1;
                peer.say(&question(&format!("{path}-{number}"), "t", &content));
                heard.extend(peer.until_ended(1));
            }
        }
        for message in heard {
            evidence.heard(path, message.to_string());
        }
    }
}

#[test]
fn what_is_kept_of_a_question_holds_no_credential() {
    let server = crate::server().start();
    let token = server.token("ann");
    let (wrapped, opaque) = (wrap(&token), "Opaque-0123456789-token");
    let mut secrets: Vec<&str> = token.split('.').skip(1).collect();
    secrets.extend([wrapped.as_str(), opaque, "s3cret-pass", "MIGHAgEAMBMGByqGSM49AgEG"]);
    let forms = [
        "Why is TOKEN refused?",
        "why WRAPPED?",
        "why 'jwt.WRAPPED' and jwt-auth.TOKEN?",
        "Sec-WebSocket-Protocol: jwt, OPAQUE",
        "new WebSocket(url, ['jwt', 'OPAQUE'])",
        "base64url.bearer.authorization.k8s.io.WRAPPED",
        "curl -H 'Authorization: Bearer OPAQUE'",
        "Authorization: Basic OPAQUE",
        "Cookie: a=1; session=OPAQUE",
        "wss://h/ws?access_token=TOKEN&x=1 and ?ticket=OPAQUE",
        "{\"refresh_token\": \"OPAQUE\", \"password\": \"s3cret-pass\"}",
        "{\"name\":\"Authorization\",\"value\":\"Token OPAQUE\"}",
        "DB_PASSWORD=s3cret-pass and postgres://u:s3cret-pass@h/db",
        "my password is s3cret-pass",
        "x-api-key: OPAQUE",
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n-----END PRIVATE KEY-----",
    ];
    let mut peer = server.live("/ws", "ann");
    for (number, form) in forms.iter().enumerate() {
        let content = form.replace("TOKEN", &token).replace("WRAPPED", &wrapped).replace("OPAQUE", opaque);
        peer.say(&question(&format!("m{number}"), "t", &content));
        peer.until_ended(1);
    }
    let server = server.restart();
    let kept: Vec<_> = whole(&server, "ann", "t").1;
    let said: Vec<_> = kept.iter().filter(|event| event["type"] == "user_message").collect();
    assert_eq!(said.len(), forms.len());
    for (event, form) in said.iter().zip(forms) {
        let content = event["payload"]["content"].as_str().unwrap();
        assert!(
            content.contains('[') && !secrets.iter().any(|secret| content.contains(secret)),
            "{form}: {content}"
        );
    }
    let kept = Value::from(kept).to_string();
    assert!(!secrets.iter().any(|secret| kept.contains(secret)), "an answer or a step holds a credential");
}

/// Walks the tables of the detectors, so that a form that is added there is pasted here.
#[test]
fn no_form_of_a_credential_is_kept() {
    let server = crate::server().start();
    let forms = forms();
    let mut peer = server.live("/ws", "ann");
    let thread = |number: usize| format!("t{}", number / 8);
    for (number, form) in forms.iter().enumerate() {
        peer.say(&question(&format!("m{number}"), &thread(number), &form.text));
        peer.until_ended(1);
    }
    let server = server.restart();
    let mut said = 0;
    for first in (0..forms.len()).step_by(8) {
        let kept: Vec<_> = whole(&server, "ann", &thread(first)).1;
        said += kept.iter().filter(|event| event["type"] == "user_message").count();
        let kept = Value::from(kept).to_string();
        for Form { text, secret } in &forms[first..forms.len().min(first + 8)] {
            assert!(!kept.contains(secret.as_str()), "{text} is kept");
        }
    }
    assert_eq!(said, forms.len(), "all of them were recorded");
    let files = on_disk(&server.data_dir());
    for Form { text, secret } in &forms {
        assert!(!files.contains(secret.as_str()), "{text} is on the disk");
    }
}

fn say(peer: &mut Peer, message: &Value) -> Vec<Value> {
    peer.say(message);
    peer.drain()
}

#[test]
fn no_password_or_refresh_token_comes_out_of_the_auth_service() {
    let server = crate::server().without_secret().set("log.level", "\"trace\"").start();
    let mut evidence = Evidence::default();
    let (password, wrong) = ("correct-horse-battery-0123456789", "wrong-horse-battery-9876543210");
    let (code, text) = server.command(&["users", "add", "ada", "--password-stdin"], &format!("{password}\n"));
    assert_eq!(code, 0, "{text}");
    let post = |path: &str, body: Value| server.ask_auth(&Request::post(path, &body));
    for secret in [password, wrong] {
        evidence.secrets.push(secret.to_owned());
    }
    let grant = post("/auth/login", json!({ "username": "ada", "password": password })).json();
    let again = post("/auth/refresh", json!({ "refresh_token": grant["refresh_token"] })).json();
    for grant in [&grant, &again] {
        evidence.token(grant["access_token"].as_str().unwrap());
        evidence.secrets.push(grant["refresh_token"].as_str().unwrap().to_owned());
    }
    let link = server.stdout().line(&["#link="]);
    let link = link.trim().split_once("#link=").unwrap().1.to_owned();
    let linked = post("/auth/link", json!({ "code": link })).json();
    evidence.secrets.extend([link, linked["refresh_token"].as_str().unwrap().to_owned()]);
    evidence.token(linked["access_token"].as_str().unwrap());

    let secrets = evidence.secrets.clone();
    for secret in &secrets {
        for (path, body) in [
            ("/auth/login", json!({ "username": secret, "password": wrong })),
            ("/auth/login", json!({ "username": "ada", "password": [secret] })),
            ("/auth/login", json!([secret])),
            ("/auth/refresh", json!({ "refresh_token": secret })),
            ("/auth/refresh", json!({ "refresh_token": [secret] })),
            ("/auth/refresh", json!({ "refresh_tokn": secret })),
            ("/auth/link", json!({ "code": secret })),
            ("/auth/logout", json!({ "refresh_token": secret })),
        ] {
            evidence.heard(path, post(path, body).raw);
        }
        let target = format!("/auth/{secret}?{secret}");
        evidence.heard("a path", server.ask_auth(&Request::plain("GET", &target).bearer(secret)).raw);
    }
    let metrics = server.metrics();
    evidence.heard("metrics", metrics);
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    evidence.heard("log", server.log().text());
    evidence.assert_silent();
}
