//! The JSON Schema (draft 2020-12) of both directions, assembled from the payload types.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use crate::{
    Ack, Approve, CancelRun, Class, Command, Epoch, EventId, MessageId, MessageType, Ping, Reauthenticate,
    Resume, RunId, Steer, ThreadId, Timestamp, UserMessage,
};

/// What the server sends: one definition for each message, its envelope included.
///
/// A later version adds messages and members, so a client ignores what it does not know instead of refusing it.
pub fn server() -> Schema {
    let mut generator = generator();
    let messages: Vec<_> =
        MessageType::ALL.iter().map(|&kind| (kind.as_str(), server_message(kind, &mut generator))).collect();
    assemble("server", "Portcullis wire protocol v1: server to client", messages, generator)
}

/// What a client sends: one definition for each message, and one for the flat form of older front ends.
pub fn client() -> Schema {
    let mut generator = generator();
    let mut messages: Vec<_> = Command::NAMES
        .iter()
        .map(|&name| {
            let payload = match name {
                "user_message" => generator.subschema_for::<UserMessage>(),
                "cancel_run" => generator.subschema_for::<CancelRun>(),
                "steer" => generator.subschema_for::<Steer>(),
                "approve" => generator.subschema_for::<Approve>(),
                "resume" => generator.subschema_for::<Resume>(),
                "ack" => generator.subschema_for::<Ack>(),
                "reauthenticate" => generator.subschema_for::<Reauthenticate>(),
                _ => generator.subschema_for::<Ping>(),
            };
            (name, client_message(name, &payload, &mut generator))
        })
        .collect();
    messages.push(("flat_user_message", flat_user_message(&mut generator)));
    assemble("client", "Portcullis wire protocol v1: client to server", messages, generator)
}

fn generator() -> SchemaGenerator {
    // What a peer may rely on is what is written, so that a member that is always written is required.
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

fn server_message(kind: MessageType, generator: &mut SchemaGenerator) -> Value {
    let mut required = vec!["type", "id", "timestamp", "payload"];
    let mut properties = Map::new();
    properties.insert("type".into(), json!({ "const": kind.as_str() }));
    properties.insert("id".into(), generator.subschema_for::<EventId>().into());
    if kind.class() == Class::Event {
        properties.insert("epoch".into(), generator.subschema_for::<Epoch>().into());
        properties.insert("seq".into(), json!({ "type": "integer", "minimum": 1 }));
        required.extend(["epoch", "seq", "thread_id", "run_id"]);
    }
    properties.insert("thread_id".into(), generator.subschema_for::<ThreadId>().into());
    properties.insert("run_id".into(), generator.subschema_for::<RunId>().into());
    properties.insert("timestamp".into(), generator.subschema_for::<Timestamp>().into());
    properties.insert("payload".into(), kind.payload_schema(generator).into());
    json!({
        "description": kind.summary(),
        "type": "object",
        "properties": properties,
        "required": required,
    })
}

fn client_message(name: &str, payload: &Schema, generator: &mut SchemaGenerator) -> Value {
    let types = if name == "user_message" {
        json!({ "enum": Command::USER_MESSAGE_NAMES })
    } else {
        json!({ "const": name })
    };
    let required: &[&str] = if name == "ping" { &["type"] } else { &["type", "payload"] };
    json!({
        "type": "object",
        "properties": {
            "type": types,
            "id": generator.subschema_for::<MessageId>(),
            "thread_id": generator.subschema_for::<ThreadId>(),
            "payload": payload,
        },
        "required": required,
    })
}

fn flat_user_message(generator: &mut SchemaGenerator) -> Value {
    let words = json!({ "type": "string", "minLength": 1, "pattern": r"\S" });
    json!({
        "description": "The form of older front ends: the payload's members beside `type`. Of `content`, `message` and \
                        `text` the first that is present counts.",
        "type": "object",
        "properties": {
            "type": { "enum": Command::USER_MESSAGE_NAMES },
            "id": generator.subschema_for::<MessageId>(),
            "thread_id": generator.subschema_for::<ThreadId>(),
            "content": words,
            "message": words,
            "text": words,
            "agent": generator.subschema_for::<crate::AgentId>(),
            "context": true,
        },
        "required": ["type"],
        "anyOf": [{ "required": ["content"] }, { "required": ["message"] }, { "required": ["text"] }],
    })
}

/// Joins the messages and the definitions that they refer to into one document.
fn assemble(
    direction: &str,
    title: &str,
    messages: Vec<(&str, Value)>,
    mut generator: SchemaGenerator,
) -> Schema {
    let choices: Vec<_> =
        messages.iter().map(|(name, _)| json!({ "$ref": format!("#/$defs/{name}") })).collect();
    let mut definitions: Map<String, Value> = generator.take_definitions(true);
    definitions.values_mut().for_each(drop_rust_formats);
    definitions.extend(messages.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:portcullis:protocol:v1:{direction}"),
        "title": title,
        "anyOf": choices,
        "$defs": definitions,
    })
}

/// Removes `"format": "uint64"` and the like: the format registry has no such names, and strict validators refuse them.
fn drop_rust_formats(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint"))
            {
                members.remove("format");
            }
            members.values_mut().for_each(drop_rust_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_rust_formats),
        _ => {}
    }
}
