//! The whole way: an account, a login, a connection, a question, an answer; and how each of them ends.

use portcullis_reason::Reason;
use portcullis_test::{Request, Response, Server, Shared, wrap};
use serde_json::{Value, json};

use crate::{
    Scenario,
    support::{assert_order, assert_problem, events, question},
};

/// Signs with a key of its own, as a server without any configuration does.
static OWN_KEY: Shared = Shared::new(|| crate::server().without_secret().start());

/// What is earned here, and how.
pub(crate) const EARNED: &[Scenario] = &[
    (Reason::LoginFailed, logins_that_fail),
    (Reason::TokenRevoked, a_refresh_token_that_was_used),
    (Reason::BadRequest, bodies_that_say_nothing),
    (Reason::NotFound, what_is_not_there),
];

#[test]
fn the_auth_service_earns_its_reasons() {
    for (_, scenario) in EARNED {
        scenario();
    }
}

pub(crate) fn add(server: &Server, name: &str) {
    let (code, text) = server.command(&["users", "add", name, "--password-stdin"], "correct horse battery\n");
    assert_eq!(code, 0, "{text}");
}

pub(crate) fn post(server: &Server, path: &str, body: &Value) -> Response {
    server.ask_auth(&Request::post(path, body))
}

pub(crate) fn login(server: &Server, name: &str, password: &str) -> Response {
    post(server, "/auth/login", &json!({ "username": name, "password": password }))
}

pub(crate) fn granted(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.raw);
    assert_eq!(response.field("Cache-Control"), Some("no-store"), "{}", response.raw);
    response.json()
}

/// Connects as a page does, with the token of `grant`.
pub(crate) fn connect(server: &Server, grant: &Value) -> portcullis_test::Peer {
    let element = format!("jwt.{}", wrap(grant["access_token"].as_str().unwrap()));
    let mut peer = server.connect();
    peer.open(&Request::upgrade("/ws").protocols(&["jwt-auth", &element]));
    let first = peer.json();
    assert_eq!(first["payload"]["user_id"], grant["user"]["id"], "{first}");
    peer
}

#[test]
fn from_an_account_to_an_answer() {
    for server in [OWN_KEY.get(), std::sync::Arc::new(crate::server().start())] {
        add(&server, "ada");
        let grant = granted(&login(&server, "ada", "correct horse battery"));
        assert_eq!((&grant["token_type"], &grant["user"]["name"]), (&json!("Bearer"), &json!("ada")));
        let mut peer = connect(&server, &grant);
        peer.say(&question("m", "t", "My page offers ['jwt', token] and is refused. Why? It sends jwt.abc"));
        let messages = peer.until_ended(1);
        assert_eq!(messages[0]["type"], "message_accepted");
        let told = events(&messages);
        assert_eq!(assert_order(&told).len(), 1);
        let has = |kind: &str| told.iter().any(|event| event["type"] == kind);
        for kind in ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"]
        {
            assert!(has(kind), "no {kind} in {told:?}");
        }
        let answer = told.last().unwrap()["payload"]["final_response"].as_str().unwrap();
        assert!(answer.contains("jwt-auth"), "the right form is told: {answer}");
        let deltas = told.iter().filter_map(|event| event["payload"]["delta"].as_str()).collect::<String>();
        assert_eq!(deltas, answer, "the pieces are the answer");
    }
}

#[test]
fn a_login_goes_on_until_it_is_ended() {
    let server = OWN_KEY.get();
    add(&server, "grace");
    let first = granted(&login(&server, "grace", "correct horse battery"));
    let refresh =
        |grant: &Value| post(&server, "/auth/refresh", &json!({ "refresh_token": grant["refresh_token"] }));
    let second = granted(&refresh(&first));
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    connect(&server, &second);
    // What becomes of its access tokens is in `revocation`.
    let logout = post(&server, "/auth/logout", &json!({ "refresh_token": second["refresh_token"] }));
    assert_eq!((logout.status, logout.body.as_str()), (204, ""), "{}", logout.raw);
    let refused = refresh(&second);
    assert_problem("after logout", &refused, Reason::TokenRevoked);
    assert_eq!(refused.status, 401);
    // A refresh token opens no connection.
    let token = second["refresh_token"].as_str().unwrap();
    assert_eq!(server.ask(&Request::upgrade("/ws").bearer(token)).reason(), "TOKEN_MALFORMED");
}

#[test]
fn a_disabled_account_logs_in_no_more() {
    let server = OWN_KEY.get();
    add(&server, "alan");
    let grant = granted(&login(&server, "alan", "correct horse battery"));
    assert_eq!(server.command(&["users", "disable", "alan"], "").0, 0);
    // As a wrong password looks, byte by byte but for the request's name.
    let blind = |response: Response| {
        let mut problem = response.json();
        problem["request_id"].take();
        problem
    };
    let disabled = blind(login(&server, "alan", "correct horse battery"));
    assert_eq!(disabled["reason"], "LOGIN_FAILED");
    assert_eq!(disabled, blind(login(&server, "alan", "wrong")));
    assert_eq!(disabled, blind(login(&server, "nobody", "wrong")));
    let refused = post(&server, "/auth/refresh", &json!({ "refresh_token": grant["refresh_token"] }));
    assert_eq!(refused.reason(), "TOKEN_REVOKED", "{}", refused.raw);
    assert_eq!(server.command(&["users", "enable", "alan"], "").0, 0);
    granted(&login(&server, "alan", "correct horse battery"));
}

#[test]
fn a_minted_token_is_taken() {
    let server = OWN_KEY.get();
    let (code, token) = server.command(&["token", "mint", "--sub", "ci"], "");
    assert_eq!(code, 0, "{token}");
    let mut peer = server.connect();
    peer.open(&Request::upgrade("/ws").bearer(token.trim()));
    assert_eq!(peer.json()["payload"]["user_id"], "ci");
    let (code, expired) = server.command(&["token", "mint", "--sub", "ci", "--ttl=-1h"], "");
    assert_eq!(code, 0, "{expired}");
    assert_eq!(server.ask(&Request::upgrade("/ws").bearer(expired.trim())).reason(), "TOKEN_EXPIRED");
}

#[test]
fn the_printed_link_works_once() {
    let server = OWN_KEY.get();
    let printed = server.stdout().line(&["#link="]);
    let (page, code) = printed.trim().split_once("#link=").unwrap();
    assert_eq!(page, format!("http://{}/", server.gateway()));
    let link = || post(&server, "/auth/link", &json!({ "code": code }));
    let grant = granted(&link());
    assert_eq!(grant["user"]["name"], "demo");
    connect(&server, &grant);
    assert_eq!(link().reason(), "TOKEN_REVOKED");
}

fn logins_that_fail() {
    let server = OWN_KEY.get();
    let answer = login(&server, "nobody", "guess");
    assert_problem("an unknown name", &answer, Reason::LoginFailed);
    assert_eq!(answer.status, 401);
    assert!(answer.has("WWW-Authenticate"), "HT-01 {}", answer.raw);
}

fn a_refresh_token_that_was_used() {
    let server = OWN_KEY.get();
    add(&server, "joan");
    let grant = granted(&login(&server, "joan", "correct horse battery"));
    let refresh =
        |grant: &Value| post(&server, "/auth/refresh", &json!({ "refresh_token": grant["refresh_token"] }));
    let second = granted(&refresh(&grant));
    // Used twice: one of the two is a thief, so both are out.
    assert_problem("reuse", &refresh(&grant), Reason::TokenRevoked);
    assert_problem("the other one", &refresh(&second), Reason::TokenRevoked);
}

fn bodies_that_say_nothing() {
    let server = OWN_KEY.get();
    for body in [json!([]), json!({}), json!({ "username": 7, "password": "x" })] {
        assert_problem("a body", &post(&server, "/auth/login", &body), Reason::BadRequest);
    }
}

fn what_is_not_there() {
    let server = OWN_KEY.get();
    assert_problem("a path", &server.ask_auth(&Request::plain("GET", "/auth/nothing")), Reason::NotFound);
}
