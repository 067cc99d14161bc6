//! Logins that end before their tokens do: the tokens are refused, and the connections that live by them end.

use portcullis_reason::Reason;
use portcullis_test::{Peer, Request, Response, Server, Shared, wrap};
use serde_json::{Value, json};

use crate::{
    account::{add, connect, granted, login, post},
    support::assert_problem,
};

static SERVER: Shared = Shared::new(|| crate::server().without_secret().start());

const PASSWORD: &str = "correct horse battery";

/// A user with two logins, each with a live connection; and a user who has nothing to do with it.
struct Cast {
    server: std::sync::Arc<Server>,
    logins: [(Value, Peer); 2],
    stranger: (Value, Peer),
}

impl Cast {
    fn of(name: &str) -> Self {
        let server = SERVER.get();
        let stranger = format!("{name}-not");
        add(&server, name);
        add(&server, &stranger);
        let enter = |name: &str| {
            let grant = granted(&login(&server, name, PASSWORD));
            let peer = connect(&server, &grant);
            (grant, peer)
        };
        let logins = [enter(name), enter(name)];
        let stranger = enter(&stranger);
        Self { server, logins, stranger }
    }

    /// What the gate says to the token of `grant`: in the handshake, and in the preflight.
    fn asked(&self, grant: &Value) -> [Response; 2] {
        let token = grant["access_token"].as_str().unwrap();
        let protocols = json!(["jwt-auth", format!("jwt.{}", wrap(token))]);
        [
            self.server.ask(&Request::upgrade("/ws").bearer(token)),
            self.server.ask(&Request::post("/ws/preflight", &json!({ "protocols": protocols }))),
        ]
    }

    fn assert_ended(&mut self, which: usize) {
        // Until it closes by itself: the test's own deadline is the bound.
        assert_closed(&mut self.logins[which].1);
        let [handshake, preflight] = self.asked(&self.logins[which].0);
        assert_eq!(handshake.status, 401, "{}", handshake.raw);
        assert_problem("an ended login's token", &handshake, Reason::TokenRevoked);
        assert_eq!(preflight.json()["reason"], "TOKEN_REVOKED", "{}", preflight.raw);
    }

    fn assert_goes_on(&mut self, which: usize) {
        let [handshake, _] = self.asked(&self.logins[which].0);
        assert_eq!(handshake.status, 101, "{}", handshake.raw);
        echo(&mut self.logins[which].1);
    }

    fn assert_stranger_goes_on(&mut self) {
        let [handshake, _] = self.asked(&self.stranger.0);
        assert_eq!(handshake.status, 101, "{}", handshake.raw);
        echo(&mut self.stranger.1);
    }
}

fn assert_closed(peer: &mut Peer) {
    let close = peer.closed();
    assert_eq!(close.code, Some(1008), "{close:?}");
    assert!(close.reason.starts_with("TOKEN_REVOKED: "), "{close:?}");
}

fn echo(peer: &mut Peer) {
    peer.say(&json!({ "type": "ping", "payload": "there" }));
    assert_eq!(peer.json()["payload"]["echo"], "there");
}

#[test]
fn a_logout_ends_its_login_alone() {
    let mut cast = Cast::of("edsger");
    let body = json!({ "refresh_token": cast.logins[0].0["refresh_token"] });
    assert_eq!(post(&cast.server, "/auth/logout", &body).status, 204);
    cast.assert_ended(0);
    cast.assert_goes_on(1);
    cast.assert_stranger_goes_on();
}

#[test]
fn an_access_token_ends_its_login_or_all_of_its_owners() {
    let mut cast = Cast::of("barbara");
    let body = json!({ "token": cast.logins[0].0["access_token"] });
    assert_eq!(post(&cast.server, "/auth/revoke", &body).status, 204);
    cast.assert_ended(0);
    cast.assert_goes_on(1);
    // A token of an ended login ends no other.
    let body = json!({ "token": cast.logins[0].0["access_token"], "all": true });
    assert_eq!(post(&cast.server, "/auth/revoke", &body).status, 204);
    cast.assert_goes_on(1);
    let body = json!({ "token": cast.logins[1].0["access_token"], "all": true });
    assert_eq!(post(&cast.server, "/auth/revoke", &body).status, 204);
    cast.assert_ended(1);
    cast.assert_stranger_goes_on();
}

#[test]
fn a_token_that_is_none_ends_nothing_and_is_answered_alike() {
    let mut cast = Cast::of("tony");
    let good = cast.logins[0].0["access_token"].as_str().unwrap().to_owned();
    let (code, foreign) = cast.server.command(&["token", "mint", "--sub", "tony"], "");
    assert_eq!(code, 0, "{foreign}");
    for token in ["", "refresh", "a.b.c", foreign.trim(), &good[..good.len() - 4]] {
        let answer = post(&cast.server, "/auth/revoke", &json!({ "token": token, "all": true }));
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{token}: {}", answer.raw);
    }
    cast.assert_goes_on(0);
    cast.assert_goes_on(1);
}

/// Another process writes the accounts; the server hears of it.
#[test]
fn what_an_operator_ends_ends_in_the_running_server() {
    for (command, name) in [("logout", "donald"), ("disable", "alonzo")] {
        let mut cast = Cast::of(name);
        let (code, text) = cast.server.command(&["users", command, name], "");
        assert_eq!(code, 0, "{text}");
        cast.assert_ended(0);
        cast.assert_ended(1);
        cast.assert_stranger_goes_on();
        // After a logout one may come back at once.
        let again = login(&cast.server, name, PASSWORD);
        assert_eq!(again.status, if command == "logout" { 200 } else { 401 }, "{}", again.raw);
    }
}

#[test]
fn a_stolen_refresh_token_ends_the_access_tokens_too() {
    let mut cast = Cast::of("kurt");
    let body = json!({ "refresh_token": cast.logins[0].0["refresh_token"] });
    granted(&post(&cast.server, "/auth/refresh", &body));
    assert_eq!(post(&cast.server, "/auth/refresh", &body).reason(), "TOKEN_REVOKED");
    cast.assert_ended(0);
    cast.assert_goes_on(1);
}

/// `reauthenticate` is no way around: neither with the ended login's token, nor for a connection that changed logins.
#[test]
fn a_connection_lives_by_the_login_that_it_named_last() {
    let mut cast = Cast::of("grete");
    let fresh = cast.logins[1].0["access_token"].clone();
    let peer = &mut cast.logins[0].1;
    peer.say(&json!({ "type": "reauthenticate", "payload": { "token": fresh } }));
    echo(peer);
    let body = json!({ "refresh_token": cast.logins[0].0["refresh_token"] });
    assert_eq!(post(&cast.server, "/auth/logout", &body).status, 204);
    let ended = cast.logins[0].0["access_token"].clone();
    let peer = &mut cast.logins[0].1;
    peer.say(&json!({ "type": "reauthenticate", "id": "old", "payload": { "token": ended } }));
    let refused = peer.json();
    assert_eq!(refused["payload"]["reason"], "TOKEN_REVOKED", "{refused}");
    echo(peer);
    let body = json!({ "refresh_token": cast.logins[1].0["refresh_token"] });
    assert_eq!(post(&cast.server, "/auth/logout", &body).status, 204);
    assert_closed(peer);
}

#[test]
fn an_ended_login_stays_ended_through_a_restart() {
    let server = crate::server().without_secret().start();
    add(&server, "emmy");
    let grant = granted(&login(&server, "emmy", PASSWORD));
    let body = json!({ "refresh_token": grant["refresh_token"] });
    assert_eq!(post(&server, "/auth/logout", &body).status, 204);
    let server = server.restart();
    let token = grant["access_token"].as_str().unwrap();
    assert_eq!(server.ask(&Request::upgrade("/ws").bearer(token)).reason(), "TOKEN_REVOKED");
}
