//! What holds for all inputs.

use portcullis_event::{Command, Envelope, Wire, decode, message_id_of, resume_from_query};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::samples::{any_message, envelope, id, json};

proptest! {
    #[test]
    fn an_encoded_message_is_read_as_it_was(message in any_message(), seq in 1..u64::MAX / 4) {
        let envelope = envelope(message, seq);
        let text = envelope.encode(Wire::V1);
        let text = std::str::from_utf8(&text).unwrap();
        prop_assert_eq!(Envelope::parse(text).unwrap(), envelope);
    }

    #[test]
    fn both_formats_say_the_same(message in any_message(), seq in 1..u64::MAX / 4) {
        let envelope = envelope(message, seq);
        let v1: Value = serde_json::from_slice(&envelope.encode(Wire::V1)).unwrap();
        let legacy: Value = serde_json::from_slice(&envelope.encode(Wire::Legacy)).unwrap();
        prop_assert_eq!(&legacy["data"], &v1["payload"]);
        for member in ["type", "thread_id", "run_id", "timestamp"] {
            prop_assert_eq!(legacy.get(member), v1.get(member));
        }
        prop_assert!(["id", "epoch", "seq", "payload"].iter().all(|member| legacy.get(member).is_none()));
    }

    #[test]
    fn no_text_makes_the_decoder_panic(text in any::<String>()) {
        let _ = (decode(&text), message_id_of(&text), resume_from_query(&text), Envelope::parse(&text));
    }

    #[test]
    fn no_json_makes_the_decoder_panic(
        kind in "user_message|chat|cancel_run|steer|approve|resume|ack|reauthenticate|ping",
        payload in json(),
        member in "content|thread_id|threads|run_id|seq|token|decision|approval_id|after_seq|epoch|id|agent",
        value in json(),
    ) {
        for text in [
            json!({ "type": kind, "payload": payload }),
            json!({ "type": kind, member.as_str(): value }),
            json!({ "type": kind, "payload": { member.as_str(): value, "threads": [{ member.as_str(): value }] } }),
        ] {
            let _ = (decode(&text.to_string()), Envelope::parse(&text.to_string()));
        }
    }

    #[test]
    fn a_number_comes_back_as_it_was_sent(digits in "-?[1-9][0-9]{0,18}(\\.[0-9]{1,9})?e-?[0-9]{1,2}") {
        let ping = |number: &str| decode(&format!(r#"{{"type":"ping","payload":[{number}]}}"#)).unwrap();
        let sent = ping(&digits);
        let Command::Ping(ping) = &sent.command else { unreachable!() };
        prop_assert_eq!(ping.echo[0].as_f64(), digits.parse().ok());
        prop_assert_eq!(decode(&sent.encode()).unwrap(), sent);
    }

    #[test]
    fn a_refusal_repeats_nothing_of_the_text(secret in "[a-z]{24}") {
        for text in [
            format!("{{\"type\":\"{secret}\"}}"),
            format!("{{\"{secret}\":1,"),
            secret.clone(),
            format!("{{\"type\":\"reauthenticate\",\"payload\":{{\"token\":[\"{secret}\"]}}}}"),
            format!("{{\"type\":\"steer\",\"payload\":{{\"run_id\":\"{secret} {secret}\",\"content\":\"{secret}\"}}}}"),
            format!("{{\"type\":\"cancel_run\",\"payload\":{{\"run_id\":\"{secret} {secret}\"}}}}"),
            format!("{{\"type\":\"user_message\",\"id\":\"{secret} \",\"payload\":{{\"content\":\"x\"}}}}"),
        ] {
            let rejection = decode(&text).unwrap_err();
            let debug = format!("{rejection:?}");
            prop_assert!(!debug.contains(&secret), "{}: {}", text, debug);
        }
    }

    #[test]
    fn a_token_is_hidden_in_debug(token in "[A-Za-z0-9_-]{20,40}") {
        let text = json!({ "type": "reauthenticate", "payload": { "token": token } }).to_string();
        let message = decode(&text).unwrap();
        let debug = format!("{message:?}");
        prop_assert!(!debug.contains(&token));
        let Command::Reauthenticate(payload) = message.command else { panic!("another command") };
        prop_assert_eq!(payload.token.expose(), token);
    }

    #[test]
    fn aliases_and_flat_forms_equal_the_canonical_one(
        content in "\\PC*[a-z]\\PC*",
        id in proptest::option::of(id()),
        thread_id in proptest::option::of(id()),
        agent in proptest::option::of(id()),
        context in proptest::option::of(json()),
    ) {
        let canonical = json!({
            "type": "user_message", "id": id, "thread_id": thread_id,
            "payload": { "content": content, "agent": agent, "context": context },
        });
        let expected = decode(&canonical.to_string()).unwrap();
        prop_assert_eq!(&decode(&expected.encode()).unwrap(), &expected);
        for name in Command::USER_MESSAGE_NAMES {
            let mut alias = canonical.clone();
            alias["type"] = json!(name);
            prop_assert_eq!(&decode(&alias.to_string()).unwrap(), &expected);
            for words in ["content", "message", "text"] {
                let flat = json!({
                    "type": name, "id": id, "thread_id": thread_id,
                    words: content, "agent": agent, "context": context,
                });
                prop_assert_eq!(&decode(&flat.to_string()).unwrap(), &expected);
            }
        }
    }

    #[test]
    fn resume_parameters_are_read_whatever_the_thread_is_called(
        thread in id(),
        epoch in "[0-9A-Za-z_-]{1,128}",
        seq in 0..=portcullis_event::MAX_SEQ,
    ) {
        let encoded = thread.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        let points = resume_from_query(&format!("mode=main&resume={encoded}:{epoch}:{seq}")).unwrap();
        prop_assert_eq!(points.len(), 1);
        prop_assert_eq!(points[0].thread_id.as_str(), thread);
        prop_assert_eq!(points[0].epoch.as_ref().unwrap().as_str(), epoch);
        prop_assert_eq!(points[0].after_seq, seq);
    }
}
