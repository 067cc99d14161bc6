//! The listener: deadlines, bounds, files, the end.

use portcullis_auth::{Error, ServerOptions};
use portcullis_units::Duration as Span;

use super::*;

fn quick(change: impl FnOnce(&mut ServerOptions)) -> Options {
    let mut server = ServerOptions {
        header_timeout: Span::from_secs(1),
        body_timeout: Span::from_secs(1),
        drain_timeout: Span::from_secs(3),
        ..ServerOptions::default()
    };
    change(&mut server);
    Options { server, ..options() }
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let server = Server::with(quick(|_| {}), |_| {}).await;
    for start in ["", "POST /auth/login HTTP/1.1\r\nHost: a\r\n"] {
        let answer = server.raw(start.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Server::with(quick(|_| {}), |_| {}).await;
    let fields = [("Content-Type", "application/json"), ("Content-Length", "30")];
    let answer = server.send("POST", "/auth/login", &fields, "").await;
    assert_eq!(answer.refused(), (400, "BAD_REQUEST".to_owned()));
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_gets_them_back() {
    let server = Server::with(quick(|server| server.max_connections_per_address = number(2)), |_| {}).await;
    let ask = format!("GET /health HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(ask.as_bytes()).await.unwrap();
        assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
        open.push(stream);
    }
    assert_eq!(server.raw(ask.as_bytes()).await, "");
    // Idle ones end by their deadline, and make room.
    for mut stream in open {
        read_to_end(&mut stream).await;
    }
    assert_eq!(server.send("GET", "/health", &[], "").await.status, 200);
}

#[tokio::test]
async fn stopping_lets_a_request_end_and_cuts_what_does_not() {
    let server = Server::with(quick(|server| server.body_timeout = Span::from_secs(60)), |_| {}).await;
    let head =
        "POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n";
    let login = json!({ "username": "ada", "password": PASSWORD }).to_string();
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("{head}Content-Length: {}\r\n\r\n", login.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server asks for the body: the request is under way.
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).await.unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        streams.push(stream);
    }
    server.drain.cancel();
    streams[0].write_all(login.as_bytes()).await.unwrap();
    assert_eq!(Answer::parse(&read_to_end(&mut streams[0]).await).status, 200);
    assert_eq!(read_to_end(&mut streams[1]).await, "");
    timeout(Duration::from_secs(10), server.done).await.expect("an end within the drain timeout").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_broken_database_is_our_failure_and_says_no_more() {
    let server = Server::start().await;
    let other = rusqlite::Connection::open(accounts::file(server.folder.path())).unwrap();
    other.execute_batch("PRAGMA foreign_keys = OFF; ALTER TABLE users RENAME TO gone").unwrap();
    let health = server.send("GET", "/health", &[], "").await;
    assert_eq!(health.refused(), (503, "AUTH_UNAVAILABLE".to_owned()));
    let login = server.login("ada", PASSWORD).await;
    assert_eq!(login.refused(), (500, "INTERNAL".to_owned()));
    assert!(!login.text.contains("users"), "{}", login.text);
    // It heals without a restart.
    other.execute_batch("ALTER TABLE gone RENAME TO users").unwrap();
    assert_eq!(server.login("ada", PASSWORD).await.status, 200);
}

#[cfg(unix)]
#[tokio::test]
async fn every_file_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start().await;
    server.login("ada", PASSWORD).await;
    let mut files = 0;
    for folder in [server.folder.path().to_owned(), server.folder.path().join("keys")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let expected = if entry.file_type().unwrap().is_dir() { 0o700 } else { 0o600 };
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, expected, "{entry:?}");
            files += 1;
        }
    }
    assert!(files >= 4, "{files}");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let start = |options: Options, origins: &[&str]| {
        let origins = origins.iter().map(ToString::to_string).collect();
        Service::new(options, Setup { origins, ..Setup::new(folder.path()) })
            .err()
            .map(|error| error.to_string())
    };
    let error = start(Options { issuer: String::new(), ..options() }, &[]);
    assert_eq!(error.as_deref(), Some("auth.issuer must not be empty"));
    assert!(start(options(), &["*"]).unwrap().starts_with("`*` is not an origin"));
    assert_eq!(start(options(), &[PAGE]), None);
    let taken = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind(address).await.unwrap_err();
    assert!(matches!(&error, Error::Listen { .. }) && error.to_string().contains(&address.to_string()));
}
