//! The plain routes beside the WebSockets.

use portcullis_reason::Reason;
use portcullis_test::{Request, wrap};
use serde_json::{Value, json};

use crate::support::assert_problem;

#[test]
fn health_answers_get_head_and_options() {
    let server = crate::server().start();
    let get = server.ask(&Request::plain("GET", "/ws/health"));
    assert_eq!((get.status, get.json()["status"].as_str()), (200, Some("ok")), "{}", get.raw);
    let mut peer = server.connect();
    peer.send(&Request::plain("HEAD", "/ws/health").bytes());
    let head = peer.response_to_head();
    assert_eq!((head.status, peer.ended()), (200, Vec::new()), "{}", head.raw);
    assert_eq!(head.field("Content-Length"), get.field("Content-Length"), "{}", head.raw);
    let options = server.ask(&Request::plain("OPTIONS", "/ws/health"));
    assert_eq!(
        (options.status, options.field("Allow")),
        (204, Some("GET, HEAD, OPTIONS")),
        "{}",
        options.raw
    );
    let auth = server.ask_auth(&Request::plain("GET", "/health"));
    assert_eq!((auth.status, auth.json()["status"].as_str()), (200, Some("ok")), "{}", auth.raw);
}

#[test]
fn config_tells_what_a_client_needs() {
    let server = crate::server().start();
    let config = server.ask(&Request::plain("GET", "/ws/config"));
    assert_eq!((config.status, config.field("Cache-Control")), (200, Some("no-store")), "{}", config.raw);
    let config = config.json();
    assert_eq!(config["protocol_version"], "v1");
    assert_eq!(config["subprotocols"], json!(["portcullis.v1", "jwt-auth", "bearer"]));
    assert_eq!(config["auth_url"], format!("http://{}", server.auth()));
    assert_eq!(config["heartbeat_interval_ms"], 25_000);
    assert_eq!(config["max_message_bytes"], 64 * 1024);
    assert_eq!(config["max_token_bytes"], 16 * 1024);
    // What it tells is true: every path that it names takes a connection.
    for (mode, paths) in config["modes"].as_object().unwrap() {
        for path in paths.as_array().unwrap() {
            let (_, greeting) = crate::support::greet(&server, path.as_str().unwrap(), "ann");
            assert_eq!(greeting["mode"], mode.as_str(), "{path}");
        }
    }
}

#[test]
fn a_preflight_of_a_good_handshake_is_accepted() {
    let server = crate::server().start();
    let token = server.token("ann");
    let element = format!("jwt.{}", wrap(&token));
    let post =
        |protocols: Value| Request::post("/ws/preflight", &json!({ "mode": "main", "protocols": protocols }));
    for (request, protocol) in [
        (post(json!(["jwt-auth", element])), json!("jwt-auth")),
        (post(json!(["portcullis.v1", "jwt-auth", element])), json!("portcullis.v1")),
        (post(json!([])).bearer(&token), Value::Null),
        (Request::plain("GET", "/ws/preflight").bearer(&token), Value::Null),
        (Request::plain("GET", "/ws/preflight?mode=isolated").bearer(&token), Value::Null),
    ] {
        let response = server.ask(&request);
        let told = response.json();
        assert_eq!((response.status, &told["accepted"]), (200, &json!(true)), "{}", response.raw);
        assert_eq!((&told["user_id"], &told["protocol"]), (&json!("ann"), &protocol), "{told}");
        assert!(told["token_expires_at"].is_string(), "{told}");
        assert!(!response.raw.contains(&token) && !response.raw.contains(&element), "{}", response.raw);
    }
    // It makes no session.
    assert_eq!(server.figure("portcullis_handshakes_total{outcome=\"accepted\"}"), 0);
    let options =
        server.ask(&Request::plain("OPTIONS", "/ws/preflight").field("Origin", "https://a.example"));
    assert_eq!(options.status, 204, "{}", options.raw);
    assert_eq!(options.field("Access-Control-Allow-Origin"), Some("https://a.example"), "{}", options.raw);
}

#[test]
fn stats_are_for_people_with_a_token() {
    let server = crate::server().start();
    let stats = |change: &dyn Fn(Request) -> Request| server.ask(&change(Request::plain("GET", "/ws/stats")));
    let _live = server.live("/ws/isolated", "ann");
    let told = stats(&|request| request.bearer(&server.token("ann")));
    assert_eq!(told.status, 200, "{}", told.raw);
    assert_eq!(told.json()["connections"], json!({ "factory": 0, "isolated": 1, "legacy": 0, "main": 0 }));
    assert!(!told.raw.contains("ann"), "{}", told.raw);

    let nobody = stats(&|request| request);
    assert_problem("no token", &nobody, Reason::NoToken);
    assert_eq!(nobody.field("WWW-Authenticate"), Some("Bearer realm=\"portcullis\""), "BT-04 {}", nobody.raw);
    let expired = server.tokens().with("ann", &json!({ "exp": 1 }));
    let refused = stats(&|request| request.bearer(&expired));
    assert_problem("expired", &refused, Reason::TokenExpired);
    let challenge = refused.field("WWW-Authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "BT-06 {}", refused.raw);
    assert!(!refused.raw.contains(&expired));
}

#[test]
fn what_is_not_there_is_refused_with_a_problem() {
    let server = crate::server().start();
    for (name, request, reason) in [
        ("a WebSocket path without an endpoint", Request::plain("GET", "/ws/nowhere"), Reason::UnknownMode),
        ("an endpoint without an upgrade", Request::plain("GET", "/ws"), Reason::BadUpgrade),
        ("an endpoint by POST", Request::post("/ws/main", &json!({})), Reason::MethodNotAllowed),
        ("a reason that is none", Request::plain("GET", "/reasons/NONSENSE"), Reason::NotFound),
        (
            "a method that a route does not take",
            Request::plain("DELETE", "/ws/config"),
            Reason::MethodNotAllowed,
        ),
        ("a body that is no JSON", Request::post("/ws/preflight", &json!("x")), Reason::BadRequest),
        (
            "a body of another kind",
            Request::plain("POST", "/ws/preflight").field("Content-Length", "2").behind("{}"),
            Reason::BadRequest,
        ),
    ] {
        let response = server.ask(&request);
        assert_eq!(response.reason(), reason.id(), "{name}: {}", response.raw);
        assert_eq!(Some(response.status), reason.status(), "{name}: {}", response.raw);
        assert_problem(name, &response, reason);
        assert_eq!(response.field("Cache-Control"), Some("no-store"), "{name}: {}", response.raw);
        assert_eq!(response.has("Allow"), response.status == 405, "{name}: {}", response.raw);
    }
    let help = server.ask(&Request::plain("GET", "/reasons/TOKEN_EXPIRED"));
    assert_eq!(help.status, 200);
    assert!(help.body.starts_with("# TOKEN_EXPIRED"), "{}", help.raw);
}

#[test]
fn a_connection_serves_one_request() {
    let server = crate::server().start();
    // HT-22: what stands behind a plain request is not read as another one either.
    let mut peer = server.connect();
    let upgrade = Request::upgrade("/ws").bearer(&server.token("ann")).bytes();
    peer.send(&[Request::plain("GET", "/ws/health").bytes(), upgrade].concat());
    assert_eq!(peer.response().status, 200);
    peer.finish();
    assert_eq!(peer.ended(), b"");
    assert_eq!(server.figure("portcullis_handshakes_total{outcome=\"accepted\"}"), 0);
}
