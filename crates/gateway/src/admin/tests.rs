//! The dashboard's listener over real sockets.

use portcullis_reason::{Fault, Reason};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Duration, timeout},
};

use crate::testing::{KEY, Running, start};

const JSON: &str = "Content-Type: application/json";

fn running() -> Running {
    start(|_| {}, None)
}

#[tokio::test]
async fn everything_behind_the_login_needs_a_session() {
    let server = running();
    for path in ["/admin/snapshot", "/admin/refusals"] {
        let reply = server.ask("GET", path, &[], "").await;
        assert_eq!((reply.status(), reply.field("www-authenticate")), (401, None), "{path}");
        for cookie in ["", "x", "portcullis_operator=x"] {
            let line = format!("Cookie: portcullis_operator_{}={cookie}", server.admin.port());
            assert_eq!(server.ask("GET", path, &[&line], "").await.status(), 401, "{path} {cookie}");
        }
    }
    assert_eq!(server.ask("POST", "/admin/logout", &[], "").await.status(), 401);
    let cookie = server.log_in().await;
    assert_eq!(server.ask("GET", "/admin/snapshot", &[&cookie], "").await.status(), 200);
    assert!(
        server.ask("GET", "/admin/session", &[&cookie], "").await.json()["expires_in"].as_u64().unwrap() > 0
    );
    assert_eq!(server.ask("POST", "/admin/logout", &[&cookie], "").await.status(), 204);
    assert_eq!(
        server.ask("GET", "/admin/snapshot", &[&cookie], "").await.status(),
        401,
        "the session is over"
    );
    assert_eq!(server.ask("GET", "/admin/session", &[&cookie], "").await.json()["expires_in"], 0);
}

#[tokio::test]
async fn the_cookie_is_the_dashboards_alone() {
    let server = running();
    let body = json!({ "key": format!("{KEY}\n") }).to_string();
    let reply = server.ask("POST", "/admin/login", &[JSON], &body).await;
    let cookie = reply.field("set-cookie").unwrap();
    for part in ["; Path=/admin;", "; HttpOnly", "; SameSite=Strict", "; Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "over plain HTTP a browser would drop it: {cookie}");
    assert_eq!(reply.field("cache-control"), Some("no-store"));
    let second = server.ask("POST", "/admin/login", &[JSON], &body).await;
    assert_ne!(second.field("set-cookie"), Some(cookie), "every session has its own secret");

    let proxied =
        start(|options| options.admin.allowed_origins = vec!["https://ops.example.com".to_owned()], None);
    let fields = [JSON, "Host: ops.example.com", "Origin: https://ops.example.com"];
    let reply = proxied.ask("POST", "/admin/login", &fields, &body).await;
    assert!(reply.field("set-cookie").unwrap().ends_with("; Secure"));
}

#[tokio::test]
async fn a_wrong_key_opens_nothing_and_many_of_them_have_to_wait() {
    let server = running();
    for _ in 0..10 {
        let reply = server.ask("POST", "/admin/login", &[JSON], r#"{"key":"guess"}"#).await;
        assert_eq!((reply.status(), reply.json()["reason"].as_str()), (401, Some("LOGIN_FAILED")));
        assert_eq!(reply.field("set-cookie"), None);
    }
    let reply = server.ask("POST", "/admin/login", &[JSON], r#"{"key":"guess"}"#).await;
    assert_eq!((reply.status(), reply.json()["reason"].as_str()), (429, Some("RATE_LIMITED")));
    assert!(reply.field("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(reply.field("set-cookie"), None);
    // Whoever shares the operator's address, as everybody on loopback does, keeps nobody out who knows the key.
    server.log_in().await;
    let metrics = server.ask("GET", "/metrics", &[], "").await;
    assert!(metrics.body().contains("portcullis_operator_logins_total{outcome=\"refused\"} 11"));
}

#[tokio::test]
async fn what_is_no_login_is_refused_as_such() {
    let server = running();
    for (fields, body) in [
        (vec![], json!({ "key": KEY }).to_string()),
        (vec!["Content-Type: text/plain"], json!({ "key": KEY }).to_string()),
        (vec!["Content-Type: application/x-www-form-urlencoded"], format!("key={KEY}")),
        (vec![JSON], "{".to_owned()),
        (vec![JSON], "{}".to_owned()),
        (vec![JSON], json!({ "key": "x".repeat(10_000) }).to_string()),
    ] {
        let reply = server.ask("POST", "/admin/login", &fields, &body).await;
        assert_eq!(reply.status(), 400, "{fields:?} {body:.40}");
    }
}

#[tokio::test]
async fn a_foreign_name_or_page_gets_nothing_but_the_metrics_stay_open() {
    let server = running();
    let cookie = server.log_in().await;
    for foreign in [
        "Host: rebound.evil.example:9464",
        "Origin: https://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        for (method, path) in [
            ("GET", "/dashboard"),
            ("GET", "/admin/snapshot"),
            ("POST", "/admin/login"),
            ("POST", "/admin/logout"),
        ] {
            let reply =
                server.ask(method, path, &[foreign, &cookie, JSON], &json!({ "key": KEY }).to_string()).await;
            assert_eq!(reply.status(), 403, "{method} {path} {foreign}");
            assert_eq!(reply.field("set-cookie"), None);
        }
    }
    assert_eq!(
        server.ask("GET", "/admin/snapshot", &[&cookie], "").await.status(),
        200,
        "nobody logged it out"
    );
    assert_eq!(server.ask("GET", "/metrics", &["Host: gateway.monitoring.svc"], "").await.status(), 200);
    let page = server.ask("GET", "/dashboard", &[], "").await;
    assert!(page.field("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert_eq!(page.field("x-frame-options"), Some("DENY"));
}

#[tokio::test]
async fn a_refused_handshake_is_told_in_its_shape_and_no_token_gets_out() {
    let server = running();
    let cookie = server.log_in().await;
    let token = server.token();
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    let bare = format!("jwt.{forged}");
    server.upgrade("/ws", &["jwt-auth", &bare], &[("Cookie", &token)]).await;
    server.upgrade(&format!("/ws?token={token}"), &["jwt-auth"], &[]).await;
    server.upgrade("/ws?build=yesterday", &["jwt", &token], &[("Origin", "http://localhost:1")]).await;
    server.upgrade(&format!("/ws/{token}"), &[], &[("Authorization", &token)]).await;
    let reply = server.ask("GET", "/admin/refusals", &[&cookie], "").await;
    let all = reply.json()["refusals"].clone();
    let reasons: Vec<_> =
        all.as_array().unwrap().iter().map(|refusal| refusal["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["UNKNOWN_MODE", "ORIGIN_NOT_ALLOWED", "NO_TOKEN", "SIGNATURE_INVALID"]);
    assert_eq!(all[3]["form"], "subprotocol_bare");
    assert_eq!(all[3]["evidence"]["protocols"][1], format!("jwt.<{} bytes, 3 parts>", forged.len()));
    assert_eq!(all[1]["evidence"]["stale_page"], true);
    assert_eq!(all[0]["evidence"]["authorization"][0], format!("<{} bytes>", token.len()));
    let snapshot = server.ask("GET", "/admin/snapshot", &[&cookie], "").await;
    for part in token.split('.').chain(forged.split('.')) {
        assert!(!reply.body().contains(&part[..12]) && !snapshot.body().contains(&part[..12]));
    }
    let totals = &snapshot.json()["totals"];
    assert_eq!(totals["refused"]["NO_TOKEN"], 1);
    assert_eq!(totals["stale_pages"], 1);

    let of_reason = server.ask("GET", "/admin/refusals?reason=NO_TOKEN", &[&cookie], "").await.json();
    assert_eq!(of_reason["refusals"].as_array().unwrap().len(), 1);
    let id = of_reason["refusals"][0]["request_id"].as_str().unwrap();
    let one = server.ask("GET", &format!("/admin/refusals?request_id={id}"), &[&cookie], "").await.json();
    assert_eq!(one["refusals"][0]["reason"], "NO_TOKEN");
    let none = server.ask("GET", "/admin/refusals?reason=NO_SUCH", &[&cookie], "").await.json();
    assert_eq!(none["refusals"], json!([]));
}

#[tokio::test]
async fn an_old_page_hears_that_it_is_old_and_is_counted() {
    let server = running();
    let token = server.token();
    let reply = server.upgrade("/ws?build=yesterday", &["jwt", &token], &[]).await;
    assert!(reply.contains("PROTOCOL_MISMATCH") && reply.contains("another build"), "{reply}");
    let reply = server.upgrade("/ws", &["jwt", &token], &[]).await;
    assert!(reply.contains("PROTOCOL_MISMATCH") && !reply.contains("another build"), "{reply}");
    let element = format!("jwt.{token}");
    let current = format!("/ws?build={}", crate::embedded::build_id());
    assert!(server.upgrade(&current, &["jwt-auth", &element], &[]).await.starts_with("HTTP/1.1 101"));
    let old = server.upgrade("/ws?build=yesterday", &["jwt-auth", &element], &[]).await;
    assert!(old.starts_with("HTTP/1.1 101"), "an old page that is right otherwise is served: {old}");
    let metrics = server.ask("GET", "/metrics", &[], "").await;
    assert!(metrics.body().contains("portcullis_stale_pages_total 2"), "{}", metrics.body());
}

#[tokio::test]
async fn a_claimed_probe_is_still_refused_and_still_counted() {
    let server = running();
    server.upgrade("/ws", &["jwt-auth"], &[(crate::mark::HEADER, "0123456789abcdef0123456789abcdef")]).await;
    let metrics = server.ask("GET", "/metrics", &[], "").await;
    assert!(metrics.body().contains("portcullis_handshake_rejections_total{reason=\"NO_TOKEN\"} 1"));
}

#[tokio::test]
async fn without_the_dashboard_only_the_metrics_are_there() {
    let server = start(|options| options.admin.dashboard = false, None);
    for path in ["/dashboard", "/admin/session", "/admin/snapshot", "/"] {
        assert_eq!(server.ask("GET", path, &[], "").await.status(), 404, "{path}");
    }
    assert_eq!(server.ask("GET", "/metrics", &[], "").await.status(), 200);
}

/// Every metric that the Grafana dashboard and the alert rules name is exported under that name.
#[tokio::test]
async fn the_deployed_rules_name_metrics_that_exist() {
    let server = running();
    // What has no sample yet is exported with its first.
    server.upgrade("/ws", &["jwt-auth"], &[]).await;
    let metrics = server.ask("GET", "/metrics", &[], "").await;
    let exported: Vec<&str> = metrics
        .body()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let grafana = include_str!("../../../../deploy/grafana/portcullis.json");
    serde_json::from_str::<serde_json::Value>(grafana).expect("the Grafana dashboard is JSON");
    let rules = include_str!("../../../../deploy/prometheus/portcullis.rules.yml");
    let mut named = 0;
    for text in [grafana, rules] {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        // Names with a colon are made by the rules themselves; the prefix alone is the product's name.
        for name in words.filter(|word| word.starts_with("portcullis_") && !word.contains(':')) {
            assert!(exported.contains(&name), "{name} is named in deploy/ and not exported");
            named += 1;
        }
    }
    assert!(named > 40, "{named}");
    // The reference describes all that is exported.
    let described = |name: &str| {
        let base =
            ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        include_str!("../../../../docs/metrics.md").contains(&format!("| `{base}` |"))
    };
    for name in exported.iter().filter(|name| !name.is_empty()) {
        assert!(described(name), "{name} is exported and not described in docs/metrics.md");
    }
    // The reasons that cost error budget are the catalogue's.
    let listed = rules.split("reason=~\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let mut listed: Vec<_> = listed.split('|').collect();
    let mut ours: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| reason.fault() != Fault::Client)
        .map(|reason| reason.id())
        .collect();
    listed.sort_unstable();
    ours.sort_unstable();
    assert_eq!(listed, ours);
}

#[tokio::test]
async fn a_half_written_request_does_not_keep_the_server_from_stopping() {
    let server = running();
    let mut half = TcpStream::connect(server.admin).await.unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nX: ").await.unwrap();
    assert_eq!(server.ask("GET", "/health", &[], "").await.status(), 200, "both are accepted");
    timeout(Duration::from_secs(20), server.stop())
        .await
        .expect("it stops within the time for what is going on");
}

#[tokio::test]
async fn sockets_that_say_nothing_are_few_and_let_go() {
    let head = portcullis_units::Duration::from_millis(200);
    let server = start(|options| options.handshake.timeout = head, None);
    let mut silent = Vec::new();
    for _ in 0..super::CONNECTIONS + 40 {
        let mut socket = TcpStream::connect(server.admin).await.unwrap();
        socket.write_all(b"GET /metrics HTTP/1.1\r\nX: ").await.unwrap();
        silent.push(socket);
    }
    // They are in its way for no longer than their heads may take.
    assert_eq!(server.ask("GET", "/metrics", &[], "").await.status(), 200);
    for socket in &mut silent {
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    }
}
