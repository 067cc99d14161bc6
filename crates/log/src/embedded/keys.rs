//! How keys and values look on the disk.

use portcullis_event::MAX_ID;

use crate::Owner;

/// An owner's stream: what the keys of its events begin with. Identifiers are visible ASCII, so a zero ends them.
pub(super) fn stream(owner: &Owner, thread: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(16 + MAX_ID + 1 + 8);
    key.extend_from_slice(owner.bytes());
    key.extend_from_slice(thread.as_bytes());
    key.push(0);
    key
}

/// An event of a stream. Big-endian, so that keys stand in the order of numbers.
pub(super) fn event(owner: &Owner, thread: &str, seq: u64) -> Vec<u8> {
    let mut key = stream(owner, thread);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// Something else of an owner's that has a name.
pub(super) fn named(owner: &Owner, name: &str) -> Vec<u8> {
    [owner.bytes(), name.as_bytes()].concat()
}

/// The stream of an event's key.
pub(super) fn stream_of(key: &[u8]) -> Option<&[u8]> {
    key.len().checked_sub(8).map(|end| &key[..end])
}

/// The name of a stream's thread.
pub(super) fn thread_of(stream: &[u8]) -> Option<&str> {
    str::from_utf8(stream.get(16..stream.len() - 1)?).ok()
}

/// The number of an event's key.
pub(super) fn seq(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Where the keys behind a stream begin.
pub(super) fn behind(stream: &[u8]) -> Vec<u8> {
    let mut key = stream.to_vec();
    if let Some(end) = key.last_mut() {
        *end = 1;
    }
    key
}

/// An event's value.
pub(super) struct Event<'a> {
    pub(super) at: u64,
    pub(super) epoch: &'a str,
    pub(super) text: &'a [u8],
}

impl<'a> Event<'a> {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(9 + self.epoch.len() + self.text.len());
        value.extend_from_slice(&self.at.to_be_bytes());
        value.push(u8::try_from(self.epoch.len()).expect("an epoch is an identifier"));
        value.extend_from_slice(self.epoch.as_bytes());
        value.extend_from_slice(self.text);
        value
    }

    pub(super) fn read(value: &'a [u8]) -> Option<Self> {
        let (at, rest) = value.split_first_chunk()?;
        let (&length, rest) = rest.split_first()?;
        let (epoch, text) = rest.split_at_checked(usize::from(length))?;
        Some(Self { at: u64::from_be_bytes(*at), epoch: str::from_utf8(epoch).ok()?, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_the_order_of_owner_thread_and_number() {
        let (one, two) = (Owner::new(None, "a"), Owner::new(None, "b"));
        let mut keys =
            [event(&one, "t", 1), event(&one, "t", 255), event(&one, "t", 256), event(&one, "t2", 1)];
        let streams = [stream(&one, "t"), stream(&one, "t2")];
        assert!(keys[..3].iter().all(|key| key.starts_with(&streams[0]) && *key < behind(&streams[0])));
        assert!(!keys[3].starts_with(&streams[0]) && keys[3] > behind(&streams[0]));
        assert_eq!(thread_of(&streams[1]), Some("t2"));
        assert!(!event(&two, "t", 1).starts_with(&streams[0]));
        assert_eq!((seq(&keys[2]), stream_of(&keys[2])), (Some(256), Some(&streams[0][..])));
        let own = keys.clone();
        keys.sort();
        assert_eq!(keys, own);
    }

    #[test]
    fn a_value_is_read_as_written_and_nothing_shorter_is() {
        let value = Event { at: 7, epoch: "e", text: b"{}" }.write();
        let read = Event::read(&value).unwrap();
        assert_eq!((read.at, read.epoch, read.text), (7, "e", &b"{}"[..]));
        for end in 0..10 {
            assert!(Event::read(&value[..end]).is_none(), "{end}");
        }
    }
}
