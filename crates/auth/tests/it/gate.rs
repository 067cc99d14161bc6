//! Who may ask, and in which form.

use super::*;

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[tokio::test]
async fn a_page_of_ours_may_ask_and_read_the_answer() {
    let server = Server::start().await;
    let asks = [
        ("Origin", PAGE),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    let preflight = server.send("OPTIONS", "/auth/login", &asks, "").await;
    assert_eq!(preflight.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", PAGE),
        ("access-control-allow-methods", "POST, OPTIONS"),
        ("access-control-allow-headers", "content-type"),
        ("access-control-max-age", "7200"),
        ("vary", "origin"),
    ] {
        assert_eq!(preflight.field(name), Some(value), "{name}");
    }
    for answer in [server.login("ada", PASSWORD).await, server.login("ada", "wrong password").await] {
        assert_eq!(answer.field("access-control-allow-origin"), Some(PAGE));
        assert_eq!(answer.field("access-control-expose-headers"), Some("x-request-id, retry-after"));
        assert_eq!(answer.field("access-control-allow-credentials"), None);
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test]
async fn a_foreign_page_is_told_so_and_nothing_else() {
    let server = Server::start().await;
    let login = json!({ "username": "ada", "password": PASSWORD }).to_string();
    let own = format!("http://{}", server.address);
    let before = server.handle.stats();
    for origin in
        ["http://evil.test", "http://127.0.0.1:80000", "http://127.0.0.1:8000.evil.test", "null", "", &own]
    {
        for (method, path, body) in [
            ("POST", "/auth/login", login.as_str()),
            ("POST", "/auth/login", "garbage"),
            ("POST", "/auth/logout", "{}"),
            ("OPTIONS", "/auth/login", ""),
        ] {
            let answer = server.send(method, path, &[("Origin", origin), JSON], body).await;
            assert_eq!(answer.refused(), (403, "ORIGIN_NOT_ALLOWED".to_owned()), "{method} {origin}");
            assert_eq!(answer.field("access-control-allow-origin"), None);
        }
    }
    let both = [("Origin", PAGE), ("Origin", "http://evil.test"), JSON];
    assert_eq!(server.send("POST", "/auth/login", &both, &login).await.status, 403);
    assert_eq!(server.handle.stats(), before);
    // No browser, no origin.
    assert_eq!(server.send("POST", "/auth/login", &[JSON], &login).await.status, 200);
}

#[tokio::test]
async fn a_form_cannot_log_in() {
    let server = Server::start().await;
    let login = json!({ "username": "ada", "password": PASSWORD }).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let fields = [("Origin", PAGE), ("Content-Type", content_type)];
        let answer = server.send("POST", "/auth/login", &fields, &login).await;
        assert_eq!(answer.refused(), (400, "BAD_REQUEST".to_owned()));
    }
    assert_eq!(server.send("POST", "/auth/login", &[], &login).await.refused().0, 400);
    let charset = [("Content-Type", "application/json; charset=utf-8")];
    assert_eq!(server.send("POST", "/auth/login", &charset, &login).await.status, 200);
}

#[tokio::test]
async fn each_address_has_its_methods() {
    let server = Server::start().await;
    for (method, path, status, reason, allow) in [
        ("GET", "/auth/login", 405, "METHOD_NOT_ALLOWED", Some("POST, OPTIONS")),
        ("PUT", "/auth/refresh", 405, "METHOD_NOT_ALLOWED", Some("POST, OPTIONS")),
        ("DELETE", "/auth/logout", 405, "METHOD_NOT_ALLOWED", Some("POST, OPTIONS")),
        ("POST", "/health", 405, "METHOD_NOT_ALLOWED", Some("GET, HEAD, OPTIONS")),
        ("POST", "/.well-known/jwks.json", 405, "METHOD_NOT_ALLOWED", Some("GET, HEAD, OPTIONS")),
        ("BREW", "/auth/link", 405, "METHOD_NOT_ALLOWED", Some("POST, OPTIONS")),
        ("GET", "/", 404, "NOT_FOUND", None),
        ("POST", "/auth/login/", 404, "NOT_FOUND", None),
        ("POST", "/auth//login", 404, "NOT_FOUND", None),
        ("POST", "/AUTH/login", 404, "NOT_FOUND", None),
        ("GET", "/auth/../health", 404, "NOT_FOUND", None),
        ("OPTIONS", "/nothing", 404, "NOT_FOUND", None),
    ] {
        let answer = server.send(method, path, &[], "").await;
        assert_eq!(answer.refused(), (status, reason.to_owned()), "{method} {path}");
        assert_eq!(answer.field("allow"), allow, "{method} {path}");
    }
    assert_eq!(server.send("OPTIONS", "/health", &[], "").await.field("allow"), Some("GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn health_and_keys_answer_get_and_head() {
    let server = Server::start().await;
    let health = server.send("GET", "/health?verbose=1", &[], "").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("ok")));
    assert_eq!(health.json()["checks"], json!({ "database": "ok" }));
    let keys = server.send("GET", "/.well-known/jwks.json", &[], "").await;
    assert_eq!(keys.json(), *server.handle.jwks());
    assert_eq!(keys.field("cache-control"), Some("public, max-age=300"));
    for (path, length) in [("/health", health.text.len()), ("/.well-known/jwks.json", keys.text.len())] {
        let head = server.send("HEAD", path, &[], "").await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
        assert_eq!(head.field("content-length"), Some(&*length.to_string()));
    }
}

#[tokio::test]
async fn whatever_is_sent_is_the_senders_mistake() {
    let server = Server::start().await;
    let deep = "[".repeat(5_000);
    let long = format!(r#"{{"username":"ada","password":"{}"}}"#, "x".repeat(16 * 1024));
    for path in ["/auth/login", "/auth/refresh", "/auth/logout", "/auth/link"] {
        for body in [
            "",
            " ",
            "null",
            "0",
            "\"text\"",
            "[]",
            "{}",
            "{",
            "}",
            "{\"username\":",
            "\u{feff}{}",
            &deep,
            &long,
            r#"{"username":null,"password":null}"#,
            r#"{"username":{},"password":[]}"#,
            r#"{"username":"a","username":"b","password":"c"}"#,
            r#"{"username":"a","email":"b","password":"c"}"#,
            r#"{"username":"\ud800","password":"x"}"#,
            r#"{"refresh_token":1}"#,
            r#"{"refresh_token":["pcr_"]}"#,
            r#"{"code":null}"#,
            "{\"username\":\"a\u{0}\",\"password\":\"x\"}",
        ] {
            let answer = server.send("POST", path, &[JSON], body).await;
            assert_eq!(answer.refused(), (400, "BAD_REQUEST".to_owned()), "{path} {body:.40}");
        }
    }
    let head =
        "POST /auth/login HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n";
    let raw: &[(&str, Vec<u8>)] = &[
        ("not UTF-8", [head.as_bytes(), b"Content-Length: 4\r\n\r\n\xff\xfe\xff\xfe"].concat()),
        ("a chunk that is none", format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n").into()),
        ("endless chunks", {
            let chunks = format!("1000\r\n{}\r\n", "x".repeat(0x1000)).repeat(5);
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").into()
        }),
        ("a length that promises too much", format!("{head}Content-Length: 99999999999\r\n\r\n{{}}").into()),
        ("a length that is none", format!("{head}Content-Length: -1\r\n\r\n{{}}").into()),
        ("two lengths", format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}").into()),
        ("a huge head", format!("GET /health HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(40_000)).into()),
        ("many fields", format!("GET /health HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500)).into()),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 client hello\r\n\r\n".to_vec()),
        ("a line of nothing", b"\0\0\0\0\r\n\r\n".to_vec()),
    ];
    for (name, bytes) in raw {
        let answer = Answer::parse(&server.raw(bytes).await);
        assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
    }
    assert_eq!(server.login("ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_body_of_the_greatest_length_is_read_and_one_more_byte_is_not() {
    let server = Server::start().await;
    let body = |length: usize| {
        let mut body = json!({ "username": "ada", "password": PASSWORD }).to_string();
        body.push_str(&" ".repeat(length - body.len()));
        body
    };
    assert_eq!(server.send("POST", "/auth/login", &[JSON], &body(16 * 1024)).await.status, 200);
    let answer = server.send("POST", "/auth/login", &[JSON], &body(16 * 1024 + 1)).await;
    assert_eq!(answer.refused(), (400, "BAD_REQUEST".to_owned()));
}
