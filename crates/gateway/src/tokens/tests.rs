//! An authority that has to ask somebody: what waits for it, and what does not.

use std::time::Duration;

use portcullis_reason::{Reason, Rejection};
use portcullis_test::{Peer, Request, Response, wrap};
use portcullis_token::{Authority, Signer, Verdict, Verifier};
use serde_json::{Map, Value, json};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, oneshot},
};

use crate::testing::{Running, start_with};

/// Verifies each token when it is told to, as one does that asks an issuer about it.
struct Remote {
    verifier: Verifier,
    asked: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

impl Authority for Remote {
    fn verify(&self, token: &str, now: u64) -> Verdict {
        let verified = self.verifier.verify(token, now);
        let asked = self.asked.clone();
        Verdict::Wait(Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            asked.send(answer).unwrap();
            let unavailable = |_| Rejection::new(Reason::AuthUnavailable, "the issuer hung up");
            answered.await.map_err(unavailable).and(verified)
        }))
    }

    fn leeway(&self) -> u64 {
        self.verifier.policy().leeway
    }

    fn has_one_issuer(&self) -> bool {
        self.verifier.has_one_issuer()
    }
}

/// A gateway on real sockets, and the questions that its authority was asked.
struct Scene {
    server: Running,
    questions: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    /// Drives the server; the test itself is a client that blocks.
    _runtime: Runtime,
}

impl Scene {
    fn new(patience: Duration) -> Self {
        let runtime = Runtime::new().unwrap();
        let (asked, questions) = mpsc::unbounded_channel();
        let server = {
            let _inside = runtime.enter();
            let patience = portcullis_units::Duration::from_millis(patience.as_millis().try_into().unwrap());
            start_with(|options| options.handshake.timeout = patience, |verifier| Remote { verifier, asked })
        };
        Self { server, questions, _runtime: runtime }
    }

    fn token(&self, changes: &Value) -> String {
        signed(&self.server.signer, changes)
    }

    /// A connection whose request was sent; there is no answer yet when its token is asked about.
    fn send(&mut self, request: &Request) -> (Peer, oneshot::Sender<()>) {
        let mut peer = Peer::connect(self.server.gateway);
        peer.send(&request.bytes());
        let question = self.questions.blocking_recv().expect("the authority is asked");
        (peer, question)
    }

    /// What comes of a request whose token the authority knows about at once.
    fn ask(&mut self, request: &Request) -> Response {
        let (mut peer, question) = self.send(request);
        question.send(()).unwrap();
        peer.response()
    }

    /// A live connection.
    fn live(&mut self) -> Peer {
        let token = self.token(&json!({}));
        let (mut peer, question) = self.send(&Request::upgrade("/ws").bearer(&token));
        question.send(()).unwrap();
        let response = peer.response_to_head();
        assert_eq!(response.status, 101, "{}", response.raw);
        assert_eq!(peer.json()["type"], "connection_established");
        peer
    }
}

fn signed(signer: &Signer, changes: &Value) -> String {
    let now = portcullis_test::Tokens::now();
    let mut claims: Map<String, Value> =
        json!({ "sub": "ada", "exp": now + 600 }).as_object().cloned().unwrap();
    claims.extend(changes.as_object().cloned().unwrap());
    signer.sign(&claims)
}

fn plain(method: &str, target: &str, token: &str) -> Request {
    Request::plain(method, target).bearer(token).field("Connection", "close")
}

const LONG: Duration = Duration::from_mins(1);

#[test]
fn an_upgrade_waits_for_its_token_and_nobody_waits_for_the_upgrade() {
    let mut scene = Scene::new(LONG);
    let token = scene.token(&json!({}));
    let (mut peer, question) = scene.send(&Request::upgrade("/ws").bearer(&token));
    // Others are served meanwhile, another user's upgrade among them.
    let health = Peer::connect(scene.server.gateway).ask(&Request::plain("GET", "/ws/health"));
    assert_eq!(health.status, 200, "{}", health.raw);
    let mut other = scene.live();
    other.say(&json!({ "type": "ping", "payload": {} }));
    other.wait_for("pong");

    question.send(()).unwrap();
    let response = peer.response_to_head();
    assert_eq!(response.status, 101, "{}", response.raw);
    assert_eq!(peer.json()["payload"]["user_id"], "ada");
}

#[test]
fn a_late_refusal_says_what_an_early_one_does() {
    let mut scene = Scene::new(LONG);
    let expired = scene.token(&json!({ "exp": 1_000_000_000 }));
    let forged = signed(&Signer::generate_es256().unwrap(), &json!({}));
    for (token, reason) in [(expired, "TOKEN_EXPIRED"), (forged, Reason::UnknownKey.shown_as().id())] {
        let refused = scene.ask(&Request::upgrade("/ws").bearer(&token));
        assert_eq!((refused.status, refused.reason().as_str()), (401, reason), "{}", refused.raw);
        assert!(refused.field("WWW-Authenticate").unwrap().contains("invalid_token"), "{}", refused.raw);
        let refused = scene.ask(&plain("GET", "/api/v1/threads", &token));
        assert_eq!((refused.status, refused.reason().as_str()), (401, reason), "{}", refused.raw);
    }
}

#[test]
fn nobody_comes_in_whose_token_nobody_answers_for() {
    let mut scene = Scene::new(LONG);
    let token = scene.token(&json!({}));
    // The authority hangs up.
    let (mut peer, question) = scene.send(&Request::upgrade("/ws").bearer(&token));
    drop(question);
    let refused = peer.response();
    assert_eq!((refused.status, refused.reason()), (503, "AUTH_UNAVAILABLE".to_owned()), "{}", refused.raw);
    assert!(refused.has("Retry-After"), "{}", refused.raw);

    // It never answers: the handshake's deadline is the bound, for all that asks.
    let mut scene = Scene::new(Duration::from_millis(300));
    let token = scene.token(&json!({}));
    for request in [
        Request::upgrade("/ws").bearer(&token),
        plain("GET", "/sse", &token),
        plain("GET", "/api/v1/threads", &token),
    ] {
        let (mut peer, _question) = scene.send(&request);
        let refused = peer.response();
        let told = (refused.status, refused.reason());
        assert_eq!(told, (503, "AUTH_UNAVAILABLE".to_owned()), "{}", refused.raw);
    }
}

#[test]
fn requests_without_an_upgrade_wait_as_well() {
    let mut scene = Scene::new(LONG);
    let token = scene.token(&json!({}));
    let listed = scene.ask(&plain("GET", "/api/v1/threads", &token));
    assert_eq!((listed.status, listed.json()["threads"].clone()), (200, json!([])), "{}", listed.raw);
    let element = format!("jwt.{}", wrap(&token));
    let preflight = Request::post("/ws/preflight", &json!({ "protocols": ["jwt-auth", element] }));
    let accepted = scene.ask(&preflight.field("Connection", "close"));
    assert_eq!(accepted.json()["accepted"], true, "{}", accepted.raw);
    let (mut stream, question) = scene.send(&plain("GET", "/sse", &token));
    question.send(()).unwrap();
    let head = stream.response_to_head();
    assert_eq!(head.status, 200, "{}", head.raw);
}

#[test]
fn a_live_connection_goes_on_while_its_fresh_token_is_verified() {
    let mut scene = Scene::new(LONG);
    let mut peer = scene.live();
    let reauthenticate =
        |id: &str, token: &str| json!({ "type": "reauthenticate", "id": id, "payload": { "token": token } });
    let fresh = scene.token(&json!({ "sid": "login-1" }));
    peer.say(&reauthenticate("one", &fresh));
    let question = scene.questions.blocking_recv().unwrap();
    // Messages are answered, and a second token is refused, since there is no telling which of two would win.
    peer.say(&reauthenticate("two", &fresh));
    let refused = peer.wait_for("error");
    assert_eq!(refused["payload"]["reason"], "RATE_LIMITED", "{refused}");
    assert_eq!(refused["payload"]["message_id"], "two", "{refused}");
    peer.say(&json!({ "type": "ping", "payload": {} }));
    peer.wait_for("pong");
    question.send(()).unwrap();

    // Another user's token is refused late, by its message's name, and the connection goes on.
    let other = scene.token(&json!({ "sub": "bob" }));
    let question = loop {
        // Until the first one is done with, which nobody tells.
        peer.say(&reauthenticate("three", &other));
        peer.say(&json!({ "type": "ping", "payload": {} }));
        peer.wait_for("pong");
        if let Ok(question) = scene.questions.try_recv() {
            break question;
        }
    };
    question.send(()).unwrap();
    let refused = peer.wait_for("error");
    assert_eq!(refused["payload"]["message_id"], "three", "{refused}");
    assert_eq!(refused["payload"]["reason"], "INSUFFICIENT_SCOPE", "{refused}");

    // The connection lives by the fresh token's login from now on.
    scene.server.handle.revoke([("login-1".to_owned(), u64::MAX)]);
    assert_eq!(peer.closed().code, Some(1008));
}

#[test]
fn a_login_that_ends_while_its_token_is_verified_has_ended() {
    let mut scene = Scene::new(LONG);
    let token = scene.token(&json!({ "sid": "login-2" }));
    let (mut peer, question) = scene.send(&Request::upgrade("/ws").bearer(&token));
    scene.server.handle.revoke([("login-2".to_owned(), u64::MAX)]);
    question.send(()).unwrap();
    let refused = peer.response();
    assert_eq!((refused.status, refused.reason()), (401, "TOKEN_REVOKED".to_owned()), "{}", refused.raw);
}
