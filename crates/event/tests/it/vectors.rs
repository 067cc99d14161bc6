//! `docs/protocol/vectors/`: what every implementation must read and write alike.

use portcullis_event::{ClientMessage, Envelope, MessageType, Wire, decode};
use serde::Deserialize;
use serde_json::Value;

/// A text that a client may send, or must not.
#[derive(Deserialize)]
pub(crate) struct ClientVector {
    pub(crate) name: String,
    pub(crate) text: String,
    /// `v1` where the text is one of the schema; `flat` for the other forms that are understood.
    pub(crate) form: Option<String>,
    /// The canonical form of what was read.
    pub(crate) accepted: Option<Value>,
    /// The reason that the misuse earns.
    pub(crate) reason: Option<String>,
    /// What the hint must name.
    pub(crate) names: Option<String>,
}

/// What the server sends, byte for byte.
#[derive(Deserialize)]
pub(crate) struct ServerVector {
    pub(crate) name: String,
    pub(crate) v1: String,
    legacy: String,
}

pub(crate) fn client() -> Vec<ClientVector> {
    serde_json::from_str(include_str!("../../../../docs/protocol/vectors/client.json")).unwrap()
}

pub(crate) fn server() -> Vec<ServerVector> {
    serde_json::from_str(include_str!("../../../../docs/protocol/vectors/server.json")).unwrap()
}

fn canonical(message: &ClientMessage) -> Value {
    serde_json::from_str(&message.encode()).unwrap()
}

#[test]
fn client_texts_are_read_as_stated() {
    for vector in client() {
        let name = &vector.name;
        match (decode(&vector.text), &vector.accepted) {
            (Ok(message), Some(accepted)) => {
                assert_eq!(canonical(&message), *accepted, "{name}");
                assert_eq!(
                    decode(&message.encode()),
                    Ok(message),
                    "{name}: the canonical form reads the same"
                );
            }
            (Err(rejection), None) => {
                assert_eq!(rejection.reason.id(), vector.reason.as_deref().unwrap(), "{name}");
                let hint = rejection.hint.as_deref().unwrap();
                assert!(hint.contains(vector.names.as_deref().unwrap()), "{name}: {hint}");
                assert!(hint.len() <= 160, "{name}: {hint}");
            }
            (outcome, _) => panic!("{name}: {outcome:?}"),
        }
    }
}

#[test]
fn every_command_is_accepted_and_refused_somewhere() {
    for command in portcullis_event::Command::NAMES {
        let about = |vector: &&ClientVector| vector.text.contains(&format!("\"{command}\""));
        assert!(client().iter().filter(about).any(|vector| vector.accepted.is_some()), "{command} accepted");
        assert!(client().iter().filter(about).any(|vector| vector.reason.is_some()), "{command} refused");
    }
}

#[test]
fn server_texts_are_written_byte_for_byte() {
    for vector in server() {
        let envelope =
            Envelope::parse(&vector.v1).unwrap_or_else(|error| panic!("{}: {error:?}", vector.name));
        assert_eq!(envelope.encode(Wire::V1), vector.v1, "{}", vector.name);
        assert_eq!(envelope.encode(Wire::Legacy), vector.legacy, "{}", vector.name);
    }
}

#[test]
fn every_server_message_has_a_vector() {
    let seen: Vec<_> =
        server().iter().map(|vector| Envelope::parse(&vector.v1).unwrap().message.kind()).collect();
    for kind in MessageType::ALL {
        assert!(seen.contains(kind), "{}", kind.as_str());
    }
}
