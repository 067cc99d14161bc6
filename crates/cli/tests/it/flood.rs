//! Strangers who would fill the log, on each of the three listeners.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use portcullis_test::{PATIENCE, Server};

/// Sends the same request again and again on few connections, and reads an answer for each.
fn flood(address: SocketAddr, request: &str, times: usize) {
    let mut answered = 0;
    while answered < times {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Some listeners answer one request for each connection.
        for _ in 0..64 {
            if stream.write_all(request.as_bytes()).is_err() {
                break;
            }
            let mut answer = [0; 4096];
            match stream.read(&mut answer) {
                Ok(0) | Err(_) => break,
                Ok(_) => answered += 1,
            }
        }
    }
}

fn lines(server: &Server, text: &str) -> usize {
    server.log().text().lines().filter(|line| line.contains(text)).count()
}

#[test]
fn each_listener_logs_so_many_lines_about_strangers_and_sums_up_the_rest() {
    let server = crate::server()
        .set("auth.server.request_burst", "5000")
        .set("auth.server.requests_per_second", "5000")
        .start();
    let host = |address: SocketAddr| format!("Host: {address}\r\n");
    let gateway = format!("GET /ws HTTP/1.1\r\n{}Upgrade: websocket\r\n\r\n", host(server.gateway()));
    let auth = format!("hunter2 /nothing HTTP/1.1\r\n{}\r\n", host(server.auth()));
    let admin = "GET /admin/snapshot HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned();
    for (address, request, line) in [
        (server.auth(), auth, "NOT_FOUND"),
        (server.admin(), admin, "dashboard request refused"),
        (server.gateway(), gateway, "handshake refused"),
    ] {
        flood(address, &request, 1_500);
        let written = lines(&server, line);
        assert!((50..=1_000).contains(&written), "{line}: {written}");
    }
    assert_eq!(lines(&server, "hunter2"), 0);
    for listener in ["auth", "admin", "gateway"] {
        let listener = format!("\"listener\":\"{listener}\"");
        server.log().line(&["more was refused than is logged", &listener, "\"hosts\":1"]);
    }
}
