//! Any text as a client's message and as an upgrade's query: no panic, one reason for every refusal, and what was read is
//! written and read again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_event::{
    Command, MAX_PING_BYTES, MAX_RESUME_THREADS, decode, message_id_of, resume_from_query,
};
use portcullis_reason::{Reason, Rejection};

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    match decode(text) {
        Ok(message) => {
            assert_eq!(message_id_of(text), message.id);
            if let Command::Reauthenticate(command) = &message.command {
                let token = command.token.expose();
                // Shorter ones are in any text.
                assert!(token.len() < 16 || !format!("{message:?}").contains(token), "the token is shown");
            }
            let written = message.encode();
            // Numbers may become longer, and the length of a ping is limited as it came.
            let too_long = matches!(message.command, Command::Ping(_)) && written.len() > MAX_PING_BYTES;
            assert!(too_long || decode(&written).as_ref() == Ok(&message), "{written}");
        }
        Err(rejection) => refused(&rejection),
    }
    match resume_from_query(text) {
        Ok(points) => {
            assert!(points.len() <= MAX_RESUME_THREADS);
            for (index, point) in points.iter().enumerate() {
                assert!(points[..index].iter().all(|other| other.thread_id != point.thread_id));
            }
        }
        Err(rejection) => refused(&rejection),
    }
});

fn refused(rejection: &Rejection) {
    assert_eq!(rejection.reason, Reason::MessageMalformed);
    assert!(rejection.hint.is_some(), "nobody learns what to change");
}
