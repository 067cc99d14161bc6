//! A thousand handshakes at the same time, good and bad ones mixed: each client gets exactly its own outcome.

use portcullis_reason::Reason;
use portcullis_test::{Peer, Request, raise_file_limit, wrap};
use serde_json::json;

use crate::{credentials, live::assert_blameless, upgrade};

const CLIENTS: usize = 1_000;

/// What a client asks, and what it has to hear.
struct Client {
    peer: Peer,
    name: String,
    bytes: Vec<u8>,
    expected: Expected,
}

enum Expected {
    /// A live connection of this user.
    User(Request, String),
    Refusal(Reason),
    /// A refusal without a body.
    Status(u16),
}

#[test]
fn each_of_a_thousand_clients_gets_its_own_outcome() {
    raise_file_limit();
    // The heads are sent in two halves, all first ones before all second ones.
    let server = crate::strict().set("handshake.timeout", "\"60s\"").set("log.level", "\"info\"").start();
    let tokens = server.tokens();
    let good = credentials::token(tokens, &json!({}));
    let bad: Vec<_> = upgrade::rows(&good)
        .into_iter()
        .map(|row| {
            let status = Expected::Status(row.reason.status().unwrap());
            (row.name, row.bytes, if row.head { status } else { Expected::Refusal(row.reason) })
        })
        .chain(
            credentials::rows(tokens)
                .into_iter()
                .map(|row| (row.name, row.request.bytes(), Expected::Refusal(row.reason))),
        )
        .collect();
    assert!(bad.len() > 100, "every bad kind");

    let mut bad = bad.iter().cycle();
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|number| {
            let peer = server.connect();
            if number % 2 == 0 {
                let user = format!("user-{number}");
                let token = credentials::token(tokens, &json!({ "sub": user }));
                let request = match number % 3 {
                    0 => Request::upgrade("/ws").bearer(&token),
                    1 => Request::upgrade("/ws/factory")
                        .protocols(&["jwt-auth", &format!("jwt.{}", wrap(&token))]),
                    _ => Request::upgrade("/ws/isolated").protocols(&["bearer", &format!("bearer.{token}")]),
                };
                let bytes = request.bytes();
                return Client { peer, name: user.clone(), bytes, expected: Expected::User(request, user) };
            }
            let (name, bytes, expected) = bad.next().unwrap();
            let expected = match expected {
                Expected::Refusal(reason) => Expected::Refusal(*reason),
                Expected::Status(status) => Expected::Status(*status),
                Expected::User(..) => unreachable!("only bad ones are listed"),
            };
            Client { peer, name: format!("{name} ({number})"), bytes: bytes.clone(), expected }
        })
        .collect();

    let mut dice = 0x2545_F491_4F6C_DD1D;
    shuffle(&mut clients, &mut dice);
    for client in &mut clients {
        client.peer.try_send(&client.bytes[..client.bytes.len() / 2]);
    }
    shuffle(&mut clients, &mut dice);
    for client in &mut clients {
        // Who was refused for the first half may be gone.
        client.peer.try_send(&client.bytes[client.bytes.len() / 2..]);
    }
    shuffle(&mut clients, &mut dice);
    for Client { peer, name, expected, .. } in &mut clients {
        match expected {
            Expected::User(request, user) => {
                peer.opened(request);
                let first = peer.json();
                assert_eq!(first["payload"]["user_id"], user.as_str(), "{first}");
            }
            Expected::Refusal(reason) => {
                let response = peer.response();
                assert_eq!(response.reason(), reason.shown_as().id(), "{name}: {}", response.raw);
                assert_eq!(Some(response.status), reason.status(), "{name}");
            }
            Expected::Status(status) => assert_eq!(peer.response_to_head().status, *status, "{name}"),
        }
    }
    let half = (CLIENTS / 2) as u64;
    assert_eq!(server.figure("portcullis_handshakes_total{outcome=\"accepted\"}"), half);
    assert_eq!(server.figure("portcullis_handshakes_total{outcome=\"refused\"}"), half);
    assert_eq!(server.figure("portcullis_connections_dropped_total"), 0);
    assert_blameless(&server);
}

/// Fisher and Yates, with dice that fall the same way each time (xorshift64).
fn shuffle<T>(items: &mut [T], dice: &mut u64) {
    for index in (1..items.len()).rev() {
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        items.swap(index, (*dice % (index as u64 + 1)) as usize);
    }
}
