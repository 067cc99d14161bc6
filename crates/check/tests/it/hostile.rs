//! Servers that mean no good: a run ends in its time, whatever comes.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portcullis_check::{CouldNotRun, Report, Selection};
use portcullis_frame::Frame;
use portcullis_units::Clock;

use crate::{Bed, options};

/// Runs everything against a server whose every connection is handed to `serve`.
fn against(serve: fn(TcpStream, &AtomicBool)) -> (Result<Report, CouldNotRun>, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let bed = Bed::start("");
    let mut options = options(&bed, Selection::new(&[], &[], &[], Vec::new()).unwrap());
    options.target.port = listener.local_addr().unwrap().port();
    options.login = None;
    options.max_time = Duration::from_secs(6);
    options.timeout = Duration::from_millis(500);
    options.settle = Duration::from_millis(300);
    let flag = Arc::clone(&over);
    let thread = std::thread::spawn(move || {
        let mut served = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            if flag.load(Ordering::Relaxed) {
                break;
            }
            let flag = Arc::clone(&flag);
            served.push(std::thread::spawn(move || serve(stream, &flag)));
        }
        for one in served {
            one.join().unwrap();
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (began, port) = (Clock::system().instant(), options.target.port);
    let result = runtime.block_on(portcullis_check::run(options, &()));
    let took = Clock::system().since(began);
    over.store(true, Ordering::Relaxed);
    let _ = TcpStream::connect(("127.0.0.1", port));
    thread.join().unwrap();
    (result, took)
}

/// Reads what has come so far.
fn head(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 16 * 1024];
    let read = stream.read(&mut buffer).unwrap_or_default();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

/// Sends until the other side has had enough.
fn flood(stream: &mut TcpStream, bytes: &[u8], over: &AtomicBool) {
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let block = bytes.repeat(64 * 1024 / bytes.len().max(1));
    while !over.load(Ordering::Relaxed) && stream.write_all(&block).is_ok() {}
}

fn switch(stream: &mut TcpStream) {
    let request = head(stream);
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
    let accept = String::from_utf8(portcullis_handshake::accept_value(key).to_vec()).unwrap();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    let _ = stream.write_all(answer.as_bytes());
}

/// With room for a machine that is busy with something else.
const ENOUGH: Duration = Duration::from_secs(30);

#[test]
fn messages_without_end() {
    let (result, took) = against(|mut stream, over| {
        switch(&mut stream);
        flood(&mut stream, &Frame::text("{\"type\":\"pong\"}").to_vec(), over);
    });
    assert!(took < ENOUGH, "{took:?}");
    if let Ok(report) = result {
        assert_ne!(report.grade.map(portcullis_check::Grade::name), Some("A+"));
    }
}

#[test]
fn pings_without_end() {
    let (_, took) = against(|mut stream, over| {
        switch(&mut stream);
        flood(&mut stream, &Frame::ping(b"again").to_vec(), over);
    });
    assert!(took < ENOUGH, "{took:?}");
}

#[test]
fn a_head_without_end() {
    let (_, took) = against(|mut stream, over| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 401 Unauthorized\r\n");
        flood(&mut stream, b"X-More: 1\r\n", over);
    });
    assert!(took < ENOUGH, "{took:?}");
}

#[test]
fn a_body_without_end() {
    let (result, took) = against(|mut stream, over| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 401 Unauthorized\r\n\r\n");
        flood(&mut stream, b"and more ", over);
    });
    assert!(took < ENOUGH, "{took:?}");
    if let Ok(report) = result {
        // What is kept of it is bounded.
        assert!(serde_json::to_string(&report).unwrap().len() < 16 << 20);
    }
}

#[test]
fn something_that_is_no_http() {
    let (result, _) = against(|mut stream, _| {
        head(&mut stream);
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n");
    });
    let error = result.unwrap_err().to_string();
    assert!(error.contains("HTTP/1.1"), "{error}");
}

#[test]
fn silence() {
    let (result, took) = against(|stream, over| {
        while !over.load(Ordering::Relaxed) {
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            if matches!((&stream).read(&mut [0; 4096]), Ok(0)) {
                return;
            }
        }
    });
    assert!(took < ENOUGH, "{took:?}");
    if let Ok(report) = result {
        assert_eq!(report.server.form, None);
    }
}
