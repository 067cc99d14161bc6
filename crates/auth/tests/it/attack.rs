//! Strangers who want nobody else to log in.

use std::sync::Arc;

use portcullis_auth::{AttemptOptions, ServerOptions};
use portcullis_units::Duration as Span;
use tokio::net::TcpSocket;

use super::*;

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// An address of this machine. Each is another client.
fn stranger(n: u16) -> [u8; 4] {
    let [high, low] = n.to_be_bytes();
    [127, 1, high, low]
}

const OWNER: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [127, 0, 0, 77];

/// A connection from an address of this machine.
async fn connect(server: &Server, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    socket.connect(server.address).await.unwrap()
}

/// One request with its answer, from an address of this machine.
async fn send(server: &Server, from: [u8; 4], path: &str, fields: &[(&str, &str)], body: &Value) -> Answer {
    let mut stream = connect(server, from).await;
    stream.write_all(request(path, fields, body).as_bytes()).await.unwrap();
    Answer::parse(&read_to_end(&mut stream).await)
}

fn request(path: &str, fields: &[(&str, &str)], body: &Value) -> String {
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    for (name, value) in fields.iter().chain([&JSON]) {
        request.extend([name, ": ", value, "\r\n"]);
    }
    let body = body.to_string();
    request.extend(["Content-Length: ", &body.len().to_string(), "\r\n\r\n", &body]);
    request
}

async fn login(server: &Server, from: [u8; 4], name: &str, password: &str) -> Answer {
    send(server, from, "/auth/login", &[], &json!({ "username": name, "password": password })).await
}

/// Waits until something is so.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_mins(1), wait).await.expect("in time");
}

/// Hashes that cost something, one at a time.
fn slow(queue: u32) -> Options {
    let mut options = options();
    options.passwords.memory = ByteSize::from_mib(4);
    options.passwords.concurrency = NonZeroU32::MIN;
    options.passwords.queue = queue;
    options
}

#[tokio::test]
async fn an_owner_logs_in_where_they_did_before_while_a_stranger_polls_their_name() {
    let server = Server::start().await;
    assert_eq!(login(&server, OWNER, "ada", PASSWORD).await.status, 200);
    for _ in 0..10 {
        for _ in 0..20 {
            login(&server, stranger(1), "ada", "a wrong password").await;
        }
        // A person who tries again every few seconds.
        server.clock.advance(Duration::from_secs(5));
        assert_eq!(login(&server, OWNER, "ada", PASSWORD).await.status, 200);
    }
    assert!(server.handle.stats().rate_limited > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_on_a_new_device_gets_in_while_strangers_poll_their_name_from_everywhere() {
    let server = Arc::new(Server::start().await);
    // 60 addresses that poll until all first tries are gone, and the burst.
    let mut strangers = tokio::task::JoinSet::new();
    for n in 0..60 {
        let server = Arc::clone(&server);
        strangers.spawn(async move {
            let mut last = 0;
            for _ in 0..20 {
                last = login(&server, stranger(n), "ada", "a wrong password").await.status;
            }
            assert_eq!(last, 429);
        });
    }
    strangers.join_all().await;
    // All come again when something is free again, which is after five seconds.
    server.clock.advance(Duration::from_secs(5));
    for n in 0..60 {
        login(&server, stranger(n), "ada", "a wrong password").await;
    }
    assert_eq!(login(&server, ELSEWHERE, "ada", PASSWORD).await.status, 200);
    // A name that nobody has is limited alike.
    for n in 100..160 {
        for _ in 0..4 {
            login(&server, stranger(n), "nobody", "a wrong password").await;
        }
    }
    server.clock.advance(Duration::from_secs(5));
    assert_eq!(login(&server, stranger(100), "nobody", "a wrong password").await.refused().0, 429);
    assert_eq!(login(&server, ELSEWHERE, "nobody", "a wrong password").await.refused().0, 401);
}

#[tokio::test]
async fn behind_a_proxy_that_is_not_named_a_stranger_keeps_nobody_out_who_logged_in_before() {
    // Stranger and owner have one address: the proxy's.
    let attempts = AttemptOptions {
        address_burst: number(40),
        address_interval: Span::from_millis(100),
        ..AttemptOptions::default()
    };
    let server = Server::with(Options { attempts, ..options() }, |_| {}).await;
    assert_eq!(login(&server, OWNER, "ada", PASSWORD).await.status, 200);
    for n in 0..60 {
        login(&server, OWNER, &format!("nobody {n}"), "a wrong password").await;
    }
    assert_eq!(login(&server, OWNER, "bob", "a wrong password").await.refused().0, 429);
    for _ in 0..20 {
        assert_eq!(login(&server, OWNER, "ada", PASSWORD).await.status, 200);
        server.clock.advance(Duration::from_millis(100));
        login(&server, OWNER, "nobody", "a wrong password").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_new_gets_a_hash_while_sixty_addresses_keep_the_queue_full() {
    let server = Arc::new(Server::with(slow(16), |_| {}).await);
    let over = CancellationToken::new();
    let mut strangers = tokio::task::JoinSet::new();
    for n in 0..60 {
        let (server, over) = (Arc::clone(&server), over.clone());
        strangers.spawn(async move {
            let mut turned_away = 0;
            while !over.is_cancelled() {
                let answer = login(&server, stranger(n), &format!("nobody {n}"), "a wrong password").await;
                turned_away += u32::from(answer.status == 503);
            }
            turned_away
        });
    }
    // The queue is full, and asked again at once by all whom it turns away.
    until(|| server.handle.stats().overloads >= 100).await;
    for n in 0..10 {
        let answer = login(&server, [127, 0, 1, n], "ada", PASSWORD).await;
        assert_eq!(answer.status, 200, "{n}: {}", answer.text);
    }
    over.cancel();
    let mut turned_away = 0;
    while let Some(count) = strangers.join_next().await {
        turned_away += count.unwrap();
    }
    assert!(turned_away >= 100, "{turned_away}");
}

#[tokio::test]
async fn a_device_that_logged_in_before_has_its_own_attempts_from_wherever_it_asks() {
    let server = Server::start().await;
    let first = login(&server, OWNER, "ada", PASSWORD).await;
    assert_eq!(first.field("set-cookie"), None, "no page asked");
    let token = first.json()["device_token"].as_str().unwrap().to_owned();

    let page = [("Origin", PAGE)];
    let body = json!({ "username": "ada", "password": PASSWORD });
    let answer = send(&server, OWNER, "/auth/login", &page, &body).await;
    assert_eq!(answer.json().get("device_token"), None, "a page never sees it");
    let cookie = answer.field("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();

    // The address is used up, and the name.
    let drain = async |from| {
        while login(&server, from, "ada", "a wrong password").await.status == 401 {}
        for n in 0..60 {
            login(&server, from, &format!("nobody {n}"), "a wrong password").await;
        }
    };
    drain(ELSEWHERE).await;
    assert_eq!(login(&server, ELSEWHERE, "ada", PASSWORD).await.refused().0, 429);
    let with_token = json!({ "username": "ADA", "password": PASSWORD, "device_token": token });
    assert_eq!(send(&server, ELSEWHERE, "/auth/login", &[], &with_token).await.status, 200);
    drain(stranger(9)).await;
    let with_cookie = [("Origin", PAGE), ("Cookie", cookie.as_str())];
    assert_eq!(send(&server, stranger(9), "/auth/login", &with_cookie, &body).await.status, 200);

    // It opens nothing, it is bound to its name, and it is known after a restart.
    let wrong = json!({ "username": "ada", "password": "a wrong password", "device_token": token });
    assert_eq!(send(&server, OWNER, "/auth/login", &[], &wrong).await.refused().0, 401);
    let other = json!({ "username": "nobody", "password": PASSWORD, "device_token": token });
    drain(stranger(10)).await;
    assert_eq!(send(&server, stranger(10), "/auth/login", &[], &other).await.refused().0, 429);
    let server = server.restart().await;
    while login(&server, stranger(11), "ada", "a wrong password").await.status == 401 {}
    assert_eq!(send(&server, stranger(11), "/auth/login", &[], &with_token).await.status, 200);
}

#[tokio::test]
async fn a_device_guesses_no_more_often_than_anybody() {
    let server = Server::start().await;
    let token = login(&server, OWNER, "ada", PASSWORD).await.json()["device_token"].clone();
    let wrong = json!({ "username": "ada", "password": "a wrong password", "device_token": token });
    let mut guesses = 0;
    while send(&server, stranger(1), "/auth/login", &[], &wrong).await.status == 401 {
        guesses += 1;
    }
    assert!((10..=25).contains(&guesses), "{guesses}");
}

fn tight(burst: u32) -> Options {
    let server = ServerOptions { request_burst: number(burst), ..ServerOptions::default() };
    Options { server, ..options() }
}

#[tokio::test]
async fn every_route_has_a_rate_for_each_address_and_health_is_answered() {
    for (method, path) in [
        ("POST", "/auth/login"),
        ("POST", "/auth/refresh"),
        ("POST", "/auth/logout"),
        ("POST", "/auth/revoke"),
        ("POST", "/auth/link"),
        ("OPTIONS", "/auth/login"),
        ("GET", "/.well-known/jwks.json"),
        ("GET", "/nothing"),
    ] {
        let server = Server::with(tight(3), |_| {}).await;
        let fields = [JSON, ("Origin", PAGE)];
        for _ in 0..3 {
            assert_ne!(server.send(method, path, &fields, "{}").await.status, 429, "{path}");
        }
        let answer = server.send(method, path, &fields, "{}").await;
        assert_eq!(answer.refused(), (429, "RATE_LIMITED".to_owned()), "{method} {path}");
        assert_eq!(server.send("GET", "/health", &[], "").await.status, 200, "{path}");
        let elsewhere = send(&server, ELSEWHERE, "/auth/logout", &[], &json!({ "refresh_token": "" })).await;
        assert_eq!(elsewhere.status, 204, "{path}");
        server.clock.advance(Duration::from_millis(50));
        assert_ne!(server.send(method, path, &fields, "{}").await.status, 429, "{path}");
    }
}

#[tokio::test]
async fn a_page_reads_that_it_asks_too_often() {
    let server = Server::with(tight(1), |_| {}).await;
    server.login("ada", PASSWORD).await;
    let answer = server.login("ada", PASSWORD).await;
    assert_eq!(answer.refused(), (429, "RATE_LIMITED".to_owned()));
    assert_eq!(answer.field("access-control-allow-origin"), Some(PAGE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refreshes_from_one_address_costs_others_nothing() {
    let server = Arc::new(Server::start().await);
    let mut token = login(&server, OWNER, "ada", PASSWORD).await.granted().1;
    let over = CancellationToken::new();
    let mut flood = tokio::task::JoinSet::new();
    for n in 0..60_u8 {
        let (server, over) = (Arc::clone(&server), over.clone());
        flood.spawn(async move {
            let body = json!({ "refresh_token": format!("pcr_{}{n:02}", "A".repeat(41)) });
            let mut refused = 0;
            while !over.is_cancelled() {
                let answer = send(&server, ELSEWHERE, "/auth/refresh", &[], &body).await;
                refused += u32::from(answer.status == 429);
            }
            refused
        });
    }
    until(|| server.handle.stats().rate_limited >= 60).await;
    for _ in 0..20 {
        assert_eq!(login(&server, OWNER, "ada", PASSWORD).await.status, 200);
        let answer = send(&server, OWNER, "/auth/refresh", &[], &json!({ "refresh_token": token })).await;
        token = answer.granted().1;
    }
    over.cancel();
    while let Some(refused) = flood.join_next().await {
        assert!(refused.unwrap() > 0);
    }
}

#[tokio::test]
async fn slow_bodies_make_room_for_whoever_comes() {
    let mut options = options();
    options.server.max_connections = number(8);
    options.server.max_connections_per_address = number(4);
    options.server.body_timeout = Span::from_secs(60);
    options.server.header_timeout = Span::from_secs(60);
    let server = Server::with(options, |_| {}).await;
    let mut open = Vec::new();
    for n in [1, 2] {
        for _ in 0..4 {
            let mut stream = connect(&server, stranger(n)).await;
            let head = "POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
            stream
                .write_all(format!("{head}Expect: 100-continue\r\nContent-Length: 99\r\n\r\n").as_bytes())
                .await
                .unwrap();
            // The head was read, and the body is waited for.
            stream.read_exact(&mut [0; 25]).await.unwrap();
            stream.write_all(b"{").await.unwrap();
            open.push(stream);
        }
    }
    for n in 0..8 {
        assert_eq!(login(&server, [127, 0, 1, n], "ada", PASSWORD).await.status, 200, "{n}");
    }
    // One that is cut is the strangers' own.
    assert_eq!(read_to_end(&mut open[0]).await, "");
}

#[tokio::test]
async fn a_client_behind_a_named_proxy_is_counted_for_itself() {
    let mut options = Options { trusted_proxies: Some(vec!["127.0.0.1".into()]), ..tight(200) };
    options.attempts.address_burst = number(3);
    options.attempts.account_burst = number(100);
    options.server.max_connections_per_address = number(2);
    let server = Server::with(options, |_| {}).await;
    let body = json!({ "username": "ada", "password": "a wrong password" });
    let ask = async |from, client: &str| {
        send(&server, from, "/auth/login", &[("X-Forwarded-For", client)], &body).await.status
    };
    for client in ["203.0.113.1", "203.0.113.2", "2001:db8::1"] {
        for _ in 0..3 {
            assert_eq!(ask(OWNER, client).await, 401, "{client}");
        }
        assert_eq!(ask(OWNER, client).await, 429, "{client}");
        assert_eq!(
            ask(OWNER, &format!("198.51.100.9, {client}")).await,
            429,
            "{client}: what a client claims"
        );
    }
    // Who is no proxy is believed nothing.
    for n in 0..3 {
        assert_eq!(ask(ELSEWHERE, &format!("203.0.113.{}", 100 + n)).await, 401);
    }
    assert_eq!(ask(ELSEWHERE, "203.0.113.200").await, 429);

    // The proxy has as many connections as it needs, and each client as many as one may have.
    let mut open = Vec::new();
    for (n, client) in ["203.0.113.50", "203.0.113.50", "203.0.113.51"].into_iter().enumerate() {
        let mut stream = connect(&server, OWNER).await;
        let head = "POST /auth/logout HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n";
        stream
            .write_all(format!("{head}X-Forwarded-For: {client}\r\nContent-Length: 9\r\n\r\n").as_bytes())
            .await
            .unwrap();
        stream.read_exact(&mut [0; 25]).await.unwrap_or_else(|_| panic!("{n}"));
        open.push(stream);
    }
    let answer =
        send(&server, OWNER, "/auth/logout", &[("X-Forwarded-For", "203.0.113.50")], &json!({})).await;
    assert_eq!(answer.refused(), (429, "TOO_MANY_CONNECTIONS".to_owned()));
    let answer =
        send(&server, OWNER, "/auth/logout", &[("X-Forwarded-For", "203.0.113.52")], &json!({})).await;
    assert_eq!(answer.refused().0, 400);
}

#[tokio::test]
async fn limits_hold_while_the_time_of_day_jumps() {
    let mut options = options();
    options.attempts.account_burst = number(3);
    let server = Server::with(options, |_| {}).await;
    let hour = 3_600;
    for jump in [NOW - 2 * hour, NOW + 26 * hour] {
        while login(&server, stranger(1), "ada", "a wrong password").await.status == 401 {}
        server.clock.set(jump);
        let answer = login(&server, stranger(1), "ada", PASSWORD).await;
        assert_eq!((answer.refused().0, answer.field("retry-after")), (429, Some("30")));
        server.clock.advance(Duration::from_secs(30));
        assert_eq!(login(&server, stranger(1), "ada", PASSWORD).await.status, 200);
    }
}
