//! Who may come in at all, by number and by rate. Loopback has many addresses; to the server each is another client.

use std::{fs, os::unix::fs::PermissionsExt as _};

use portcullis_reason::Reason;
use portcullis_test::{Peer, Request, Server};

use crate::{
    Scenario,
    support::{assert_refused, eventually, question},
};

/// What is earned here, and how.
pub(crate) const EARNED: &[Scenario] =
    &[(Reason::RateLimited, rate_of_an_address), (Reason::TooManyConnections, connections_of_a_user)];

/// Asks for a connection of `user` from 127.0.0.`host`: the live connection, or the reason why not.
#[track_caller]
fn enter(server: &Server, host: u8, user: &str) -> Result<Peer, Reason> {
    let mut peer = server.connect_from(host);
    let response = peer.ask(&Request::upgrade("/ws").bearer(&server.token(user)));
    if response.status == 101 {
        return Ok(peer);
    }
    let reason = response.reason().parse().unwrap();
    assert_refused("admission", server, &response, reason);
    let wait: u32 = response.field("Retry-After").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{}", response.raw);
    Err(reason)
}

#[test]
fn rate_of_an_address() {
    let server =
        crate::server().set("limits.handshakes_per_second", "1").set("limits.handshake_burst", "3").start();
    for _ in 0..3 {
        assert!(enter(&server, 2, "ann").is_ok());
    }
    assert_eq!(enter(&server, 2, "ann").err(), Some(Reason::RateLimited));
    // A preflight is no way around it.
    let preflight = Request::plain("GET", "/ws/preflight").bearer(&server.token("ann"));
    let told = server.connect_from(2).ask(&preflight).json();
    assert_eq!((&told["accepted"], &told["reason"]), (&false.into(), &"RATE_LIMITED".into()), "{told}");
    assert!(told["retry_after"].as_u64().is_some_and(|seconds| seconds >= 1), "{told}");
    // Others are not concerned, and a bad handshake counts as a good one does.
    for _ in 0..3 {
        let response = server.connect_from(3).ask(&Request::upgrade("/ws"));
        assert_eq!(response.reason(), "NO_TOKEN");
    }
    assert_eq!(enter(&server, 3, "bob").err(), Some(Reason::RateLimited));
    assert!(enter(&server, 4, "ann").is_ok());
}

#[test]
fn connections_of_a_user() {
    let server = crate::server().set("limits.connections_per_user", "2").start();
    let (first, _second) = (enter(&server, 2, "ann").unwrap(), enter(&server, 3, "ann").unwrap());
    assert_eq!(enter(&server, 4, "ann").err(), Some(Reason::TooManyConnections));
    assert!(enter(&server, 4, "bob").is_ok(), "another user is not concerned");
    drop(first);
    eventually("the place is free again", || enter(&server, 4, "ann").is_ok());
}

#[test]
fn connections_of_an_address() {
    let server = crate::server().set("limits.connections_per_address", "2").start();
    let (first, _second) = (enter(&server, 2, "ann").unwrap(), enter(&server, 2, "bob").unwrap());
    assert_eq!(enter(&server, 2, "cem").err(), Some(Reason::TooManyConnections));
    assert!(enter(&server, 3, "cem").is_ok(), "another address is not concerned");
    drop(first);
    eventually("the place is free again", || enter(&server, 2, "cem").is_ok());
}

#[test]
fn who_does_not_finish_a_request_is_dropped() {
    let server = crate::server().set("handshake.timeout", "\"200ms\"").start();
    // HT-17: silence, and a byte now and then.
    let mut silent = server.connect();
    let mut slow = server.connect();
    let head = Request::upgrade("/ws").bearer(&server.token("ann")).bytes();
    let mut sent = head[..head.len() - 1].iter();
    while let Some(&byte) = sent.next()
        && slow.try_send(&[byte])
        && server.figure("portcullis_connections_dropped_total") < 2
    {}
    assert_eq!(silent.ended(), b"");
    assert_eq!(slow.ended(), b"");
    assert_eq!(server.figure("portcullis_connections_dropped_total"), 2);
}

#[test]
fn connections_in_all() {
    let server = crate::server().set("limits.connections", "3").start();
    let mut open: Vec<Peer> = (2..5).map(|host| enter(&server, host, "ann").unwrap()).collect();
    assert_eq!(enter(&server, 9, "bob").err(), Some(Reason::TooManyConnections));
    open.pop();
    eventually("the place is free again", || enter(&server, 9, "bob").is_ok());
}

/// Strangers who hold every descriptor that they can get leave the rest of the server what it needs.
#[test]
fn descriptors_are_kept_for_what_must_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let few = folder.path().join("portcullis-with-few");
    let script = format!("#!/bin/sh\nulimit -n 512\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_portcullis"));
    fs::write(&few, script).unwrap();
    fs::set_permissions(&few, fs::Permissions::from_mode(0o700)).unwrap();
    let server = Server::builder(few.to_str().unwrap())
        .set("handshake.timeout", "\"60s\"")
        .set("limits.connections_per_address", "1000")
        .start();
    server.log().line(&["of 512 open files the gateway's connections get 96"]);
    let mut bob = server.live("/ws", "bob");
    let mut strangers: Vec<Peer> = Vec::new();
    for number in 0..600_u16 {
        let mut stranger = server.connect_from(5 + (number % 8) as u8);
        stranger.send(b"GET /");
        strangers.push(stranger);
    }
    eventually("strangers are turned away", || server.figure("portcullis_connections_dropped_total") > 100);
    let open = || fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    assert!(open() < 512 - 64, "{} descriptors are open", open());
    // What is written goes to new files now and then.
    for number in 0..40 {
        bob.say(&question(&format!("m-{number}"), &format!("t-{number}"), "Why 1006?"));
        bob.until_ended(1);
    }
    assert!(server.metrics().contains("portcullis_runs_completed_total 40\n"));
    drop(strangers);
    // Until then whoever comes is dropped unread, as they were.
    eventually("the strangers' descriptors are back", || open() < 96);
    assert!(enter(&server, 4, "ann").is_ok());
}
