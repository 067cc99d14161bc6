//! The one table's keys. The first byte says what a key is of, and numbers are big-endian, so that keys stand in the order
//! of what they name.
//!
//! Names that a client chose are there as hashes alone: keys outlive what they lead to.

use portcullis_log::Owner;
use sha2::{Digest as _, Sha256};

/// A name as it stands in keys.
pub(crate) type Name = [u8; 16];

/// What a name is of.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Thread = 1,
    Run = 2,
    Message = 3,
}

pub(crate) fn name(owner: &Owner, of: Of, name: &str) -> Name {
    let mut hash = Sha256::new();
    hash.update(owner.bytes());
    hash.update([of as u8]);
    hash.update(name);
    *hash.finalize().first_chunk().expect("a hash is longer than that")
}

const CHAIN: u8 = 1;
const EVENT: u8 = 2;
const STREAM: u8 = 3;
const RUN: u8 = 4;
const MESSAGE: u8 = 5;
const MESSAGE_BY_TIME: u8 = 6;
const MESSAGE_BY_STREAM: u8 = 7;
const LEFTOVER: u8 = 8;

/// Joins parts of known lengths.
fn join<const N: usize>(kind: u8, parts: &[&[u8]]) -> [u8; N] {
    let mut key = [0; N];
    key[0] = kind;
    let mut at = 1;
    for part in parts {
        key[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    debug_assert_eq!(at, N, "the parts fill the key");
    key
}

/// A batch: that it was written.
pub(crate) fn chain(number: u64) -> [u8; 9] {
    join(CHAIN, &[&number.to_be_bytes()])
}

/// Every batch.
pub(crate) const CHAINS: [u8; 1] = [CHAIN];

/// An event of a stream.
pub(crate) fn event(serial: u64, seq: u64) -> [u8; 17] {
    join(EVENT, &[&serial.to_be_bytes(), &seq.to_be_bytes()])
}

/// The events of a stream.
pub(crate) fn events_of(serial: u64) -> [u8; 9] {
    join(EVENT, &[&serial.to_be_bytes()])
}

/// Every event.
pub(crate) const EVENTS: [u8; 1] = [EVENT];

/// What is known of a stream.
pub(crate) fn stream(owner: &Owner, thread: &Name) -> [u8; 33] {
    join(STREAM, &[owner.bytes(), thread])
}

/// The streams of an owner.
pub(crate) fn streams_of(owner: &Owner) -> [u8; 17] {
    join(STREAM, &[owner.bytes()])
}

/// Every stream.
pub(crate) const STREAMS: [u8; 1] = [STREAM];

/// A run that is open.
pub(crate) fn run(owner: &Owner, run: &Name) -> [u8; 33] {
    join(RUN, &[owner.bytes(), run])
}

/// The open runs of an owner.
pub(crate) fn runs_of(owner: &Owner) -> [u8; 17] {
    join(RUN, &[owner.bytes()])
}

/// Every open run.
pub(crate) const RUNS: [u8; 1] = [RUN];

/// A message that was accepted.
pub(crate) fn message(owner: &Owner, message: &Name) -> [u8; 33] {
    join(MESSAGE, &[owner.bytes(), message])
}

/// A message in the order of acceptances.
pub(crate) fn message_by_time(owner: &Owner, at: u64, message: &Name) -> [u8; 41] {
    join(MESSAGE_BY_TIME, &[owner.bytes(), &at.to_be_bytes(), message])
}

/// The messages of an owner in the order of their acceptances.
pub(crate) fn messages_by_time_of(owner: &Owner) -> [u8; 17] {
    join(MESSAGE_BY_TIME, &[owner.bytes()])
}

/// Every owner's messages in the order of their acceptances.
pub(crate) const MESSAGES_BY_TIME: [u8; 1] = [MESSAGE_BY_TIME];

/// A message that led to a stream.
pub(crate) fn message_by_stream(serial: u64, message: &Name) -> [u8; 25] {
    join(MESSAGE_BY_STREAM, &[&serial.to_be_bytes(), message])
}

/// The messages that led to a stream.
pub(crate) fn messages_by_stream_of(serial: u64) -> [u8; 9] {
    join(MESSAGE_BY_STREAM, &[&serial.to_be_bytes()])
}

/// The events of a stream that is gone, as far as they are still to be deleted.
pub(crate) fn leftover(serial: u64) -> [u8; 9] {
    join(LEFTOVER, &[&serial.to_be_bytes()])
}

/// Everything that is still to be deleted.
pub(crate) const LEFTOVERS: [u8; 1] = [LEFTOVER];

/// The eight bytes behind a key's first one.
pub(crate) fn number(key: &[u8]) -> Option<u64> {
    key.get(1..9)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The number of an event.
pub(crate) fn seq(key: &[u8]) -> Option<u64> {
    key.get(9..17)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The owner that a key names, and the key of whatever comes behind all of them.
pub(crate) fn owner(key: &[u8]) -> Option<Owner> {
    key.get(1..17)?.first_chunk().map(|bytes| Owner::from_bytes(*bytes))
}

/// The name at the end of a key.
pub(crate) fn name_of(key: &[u8]) -> Option<Name> {
    key.last_chunk().copied()
}

/// The time in the key of a message.
pub(crate) fn time(key: &[u8]) -> Option<u64> {
    key.get(17..25)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Where the keys behind those that begin like this one begin.
pub(crate) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.pop() {
        if last < u8::MAX {
            key.push(last + 1);
            break;
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_the_order_of_what_they_name() {
        let (one, two) = (Owner::new(None, "a"), Owner::new(None, "b"));
        let mut keys = [event(1, 1), event(1, 255), event(1, 256), event(2, 1), event(256, 0)];
        assert!(keys.is_sorted());
        assert!(
            keys[..3].iter().all(|key| key.starts_with(&events_of(1)) && key[..] < behind(&events_of(1))[..])
        );
        assert!(!keys[3].starts_with(&events_of(1)) && keys[3][..] >= behind(&events_of(1))[..]);
        assert_eq!((number(&keys[2]), seq(&keys[2])), (Some(1), Some(256)));
        keys.reverse();
        assert!(!keys.is_sorted());

        let (thread, message) = (name(&one, Of::Thread, "t"), name(&one, Of::Message, "t"));
        assert_ne!(thread, message, "a thread is no message of the same name");
        assert_ne!(thread, name(&two, Of::Thread, "t"), "nor another owner's");
        let key = message_by_time(&one, 7, &message);
        assert!(key.starts_with(&messages_by_time_of(&one)) && key < message_by_time(&one, 8, &[0; 16]));
        assert_eq!((owner(&key), time(&key), name_of(&key)), (Some(one), Some(7), Some(message)));
        assert!(stream(&one, &thread).starts_with(&streams_of(&one)));
        assert_eq!(behind(&[1, 255, 255]), [2]);
    }
}
