//! The vectors against the schema, by a checker that knows the keywords which the schema uses and no other.

use portcullis_event::{Wire, schema};
use serde_json::{Map, Value, json};

use crate::{
    samples::{envelope, messages},
    vectors,
};

/// Checks `value` against `schema`; the error is the path to the first keyword that does not hold.
fn check(root: &Value, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let keywords = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Object(keywords) => keywords,
        other => panic!("{path}: not a schema: {other}"),
    };
    for (keyword, argument) in keywords {
        let holds = match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" | "default" => true,
            "$ref" => {
                let name = argument.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                check(root, &root["$defs"][name], value, &format!("{path}/{name}"))?;
                true
            }
            "anyOf" | "oneOf" => {
                let fits = |choice: &&Value| check(root, choice, value, path).is_ok();
                let count = argument.as_array().unwrap().iter().filter(fits).count();
                if keyword == "oneOf" { count == 1 } else { count > 0 }
            }
            "const" => argument == value,
            "enum" => argument.as_array().unwrap().contains(value),
            "type" => match argument {
                Value::Array(names) => names.iter().any(|name| has_type(value, name)),
                name => has_type(value, name),
            },
            "required" => value.as_object().is_none_or(|members| has_all(members, argument)),
            "properties" => {
                for (name, schema) in argument.as_object().unwrap() {
                    if let Some(member) = value.get(name) {
                        check(root, schema, member, &format!("{path}/{name}"))?;
                    }
                }
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, argument, item, &format!("{path}/{index}"))?;
                }
                true
            }
            "maxItems" => {
                value.as_array().is_none_or(|items| items.len() as u64 <= argument.as_u64().unwrap())
            }
            "minLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 >= argument.as_u64().unwrap())
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= argument.as_f64().unwrap()),
            "maximum" => value.as_u64().is_none_or(|number| number <= argument.as_u64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| matches(argument.as_str().unwrap(), text)),
            "format" => {
                assert_eq!(argument, "date-time");
                value.as_str().is_none_or(|text| text.parse::<portcullis_event::Timestamp>().is_ok())
            }
            unknown => panic!("{path}: the checker does not know {unknown}"),
        };
        if !holds {
            return Err(format!("{path}: {keyword} {argument}"));
        }
    }
    Ok(())
}

fn has_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the checker does not know the type {other}"),
    }
}

fn has_all(members: &Map<String, Value>, names: &Value) -> bool {
    names.as_array().unwrap().iter().all(|name| members.contains_key(name.as_str().unwrap()))
}

/// The patterns of the schema, by hand.
fn matches(pattern: &str, text: &str) -> bool {
    let all =
        |allowed: fn(&u8) -> bool| (1..=128).contains(&text.len()) && text.bytes().all(|byte| allowed(&byte));
    match pattern {
        "^[!-~]{1,128}$" => all(u8::is_ascii_graphic),
        "^[0-9A-Za-z_-]{1,128}$" => all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)),
        "^[A-Z][A-Z0-9_]*$" => {
            text.starts_with(|first: char| first.is_ascii_uppercase())
                && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        }
        r"\S" => !text.trim().is_empty(),
        other => panic!("the checker does not know the pattern {other}"),
    }
}

fn against(schema: &Value, value: &Value) -> Result<(), String> {
    check(schema, schema, value, "")
}

/// Against the definition of the message's own type, so that the error says more than "none of them".
fn against_own_type(schema: &Value, value: &Value) -> Result<(), String> {
    check(schema, &schema["$defs"][value["type"].as_str().unwrap()], value, "")
}

#[test]
fn every_server_vector_fits() {
    let schema = Value::from(schema::server());
    for vector in vectors::server() {
        let value: Value = serde_json::from_str(&vector.v1).unwrap();
        assert_eq!(against_own_type(&schema, &value), Ok(()), "{}", vector.name);
        assert_eq!(against(&schema, &value), Ok(()), "{}", vector.name);
    }
}

#[test]
fn every_sample_fits_and_lacks_nothing() {
    let schema = Value::from(schema::server());
    for (message, seq) in messages().into_iter().zip(1..) {
        let value: Value = serde_json::from_slice(&envelope(message, seq).encode(Wire::V1)).unwrap();
        assert_eq!(against_own_type(&schema, &value), Ok(()));
        for name in schema["$defs"][value["type"].as_str().unwrap()]["required"].as_array().unwrap() {
            let mut less = value.clone();
            less.as_object_mut().unwrap().remove(name.as_str().unwrap());
            assert!(against(&schema, &less).is_err(), "{value} without {name}");
        }
    }
}

#[test]
fn every_client_vector_of_v1_fits() {
    let schema = Value::from(schema::client());
    for vector in vectors::client().iter().filter(|vector| vector.form.as_deref() == Some("v1")) {
        let value = serde_json::from_str(&vector.text).unwrap();
        assert_eq!(against(&schema, &value), Ok(()), "{}", vector.name);
    }
}

#[test]
fn every_canonical_form_fits() {
    let schema = Value::from(schema::client());
    for vector in vectors::client() {
        if let Some(accepted) = &vector.accepted {
            assert_eq!(against_own_type(&schema, accepted), Ok(()), "{}", vector.name);
        }
    }
}

#[test]
fn the_flat_message_of_existing_front_ends_fits() {
    let schema = Value::from(schema::client());
    let flat = json!({ "type": "agent_request", "message": "hi", "agent": "doctor", "thread_id": "t-1" });
    assert_eq!(against(&schema, &flat), Ok(()));
    assert!(against(&schema, &json!({ "type": "agent_request", "agent": "doctor" })).is_err());
}

/// What JSON Schema cannot say: rules between members, within the text, about its depth, or its length in bytes.
const BEYOND_SCHEMA: &[&str] = &[
    "a member twice",
    "a member twice in the payload",
    "half a surrogate pair in the content",
    "two different threads",
    "a context nested too deep",
    "resume of a thread twice",
    "resume from the middle without an epoch",
    "a ping nested too deep",
    "ping with more than 1024 bytes",
];

#[test]
fn refused_texts_do_not_fit() {
    let schema = Value::from(schema::client());
    let (mut beyond, mut refused) = (Vec::new(), 0);
    for vector in vectors::client().into_iter().filter(|vector| vector.reason.is_some()) {
        match serde_json::from_str(&vector.text) {
            Ok(value) if against(&schema, &value).is_err() => refused += 1,
            Err(_) if vector.names.as_deref() == Some("not JSON") => {}
            _ => beyond.push(vector.name),
        }
    }
    assert_eq!(beyond, BEYOND_SCHEMA);
    assert!(refused > 40, "{refused}");
}

#[test]
fn every_reference_leads_somewhere() {
    for schema in [schema::client(), schema::server()] {
        let schema = Value::from(schema);
        let text = schema.to_string();
        for reference in text.split("\"#/$defs/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schema["$defs"].get(name).is_some(), "{name}");
        }
    }
}
