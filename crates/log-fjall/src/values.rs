//! How values look on the disk. What a client or an agent said, names among it, is sealed; what the store itself has to know
//! stands in front of it.

use bytes::Bytes;
use portcullis_event::{Epoch, MAX_ID, RunId, ThreadId};
use portcullis_log::{Accepted, EVENT_COST, OpenRun, Owner, Question, Repeat, renewed};
use sha2::{Digest as _, Sha256};

use crate::{
    keys::{self, Name, Of},
    secrets::{Nonces, Secret},
};

/// What is known of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Its number in the store.
    pub(crate) serial: u64,
    /// Where its key is.
    pub(crate) slot: u32,
    /// How often ends had been lost when it began.
    pub(crate) born: u32,
    /// The number of its first event that is kept.
    pub(crate) first: u64,
    /// The number of its last event; 0 before there is one.
    pub(crate) tail: u64,
    /// Bytes of the texts from the first to the last.
    pub(crate) bytes: u64,
    /// When its last event happened, or the message came that began it.
    pub(crate) at: u64,
    /// The epoch that it began with; empty before there is an event.
    pub(crate) epoch: String,
    /// The thread's name, sealed.
    pub(crate) name: Vec<u8>,
}

impl Meta {
    /// Events that are kept.
    pub(crate) const fn count(&self) -> u64 {
        self.tail + 1 - self.first
    }

    /// What it counts for among what is kept of its owner.
    pub(crate) const fn cost(&self) -> u64 {
        self.bytes + self.count() * EVENT_COST
    }

    /// Whether there is a stream to be seen: one without an event only holds the key of a run's question.
    pub(crate) const fn is_visible(&self) -> bool {
        self.tail > 0
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(49 + self.epoch.len() + self.name.len());
        value.extend_from_slice(&self.serial.to_be_bytes());
        value.extend_from_slice(&self.slot.to_be_bytes());
        value.extend_from_slice(&self.born.to_be_bytes());
        for number in [self.first, self.tail, self.bytes, self.at] {
            value.extend_from_slice(&number.to_be_bytes());
        }
        value.push(u8::try_from(self.epoch.len()).expect("an epoch is an identifier"));
        value.extend_from_slice(self.epoch.as_bytes());
        value.extend_from_slice(&self.name);
        value
    }

    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let mut rest = Reader(value);
        let (serial, slot, born) = (rest.number()?, rest.short()?, rest.short()?);
        let (first, tail, bytes, at) = (rest.number()?, rest.number()?, rest.number()?, rest.number()?);
        let length = rest.take::<1>()?[0];
        let (epoch, name) = rest.0.split_at_checked(usize::from(length))?;
        let epoch = str::from_utf8(epoch).ok()?.to_owned();
        let sane = first >= 1 && first <= tail + 1;
        sane.then(|| Self { serial, slot, born, first, tail, bytes, at, epoch, name: name.to_vec() })
    }

    /// Seals the name of a thread.
    pub(crate) fn seal_name(
        &mut self,
        secret: &Secret,
        nonces: &mut Nonces,
        owner: &Owner,
        thread: &ThreadId,
    ) {
        let name = keys::name(owner, Of::Thread, thread.as_str());
        self.name.clear();
        secret.seal(nonces, &self.bound(owner, &name), thread.as_str().as_bytes(), &mut self.name);
    }

    /// The name of the thread; none where this is no stream of that owner and that name.
    pub(crate) fn thread(&self, secret: &Secret, owner: &Owner, name: &Name) -> Option<ThreadId> {
        let text = secret.open(&self.bound(owner, name), &self.name)?;
        ThreadId::new(str::from_utf8(&text).ok()?).ok()
    }

    fn bound(&self, owner: &Owner, name: &Name) -> [u8; 40] {
        let mut bound = [0; 40];
        bound[..8].copy_from_slice(&self.serial.to_be_bytes());
        bound[8..24].copy_from_slice(owner.bytes());
        bound[24..].copy_from_slice(name);
        bound
    }

    /// The epoch after so many renewals.
    pub(crate) fn epoch(&self, renewals: u32) -> Option<Epoch> {
        if renewals == self.born {
            return Epoch::new(&self.epoch).ok();
        }
        // An event is named by its epoch and its number, and the whole has to be an identifier.
        let room = MAX_ID - "_4294967295-18446744073709551615".len();
        if self.epoch.len() <= room {
            return Epoch::new(&format!("{}_{renewals}", self.epoch)).ok();
        }
        let short = Sha256::digest(&self.epoch).first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
        Epoch::new(&format!("{short:032x}_{renewals}")).ok()
    }
}

/// What is known of an event without opening it.
pub(crate) struct EventHead {
    pub(crate) at: u64,
    /// How often ends had been lost when it was written.
    pub(crate) renewals: u32,
}

const EVENT_HEAD: usize = 12;

/// Whose an event is: it opens nowhere else.
pub(crate) struct Place<'a> {
    pub(crate) owner: &'a Owner,
    pub(crate) thread: &'a Name,
    pub(crate) serial: u64,
    pub(crate) seq: u64,
}

impl EventHead {
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let mut rest = Reader(value);
        Some(Self { at: rest.number()?, renewals: rest.short()? })
    }
}

impl Place<'_> {
    fn bound(&self, head: &[u8]) -> [u8; 60] {
        let mut bound = [0; 60];
        bound[..EVENT_HEAD].copy_from_slice(head);
        bound[12..28].copy_from_slice(self.owner.bytes());
        bound[28..44].copy_from_slice(self.thread);
        bound[44..52].copy_from_slice(&self.serial.to_be_bytes());
        bound[52..].copy_from_slice(&self.seq.to_be_bytes());
        bound
    }

    /// An event's value.
    pub(crate) fn seal(
        &self,
        secret: &Secret,
        nonces: &mut Nonces,
        head: &EventHead,
        text: &[u8],
    ) -> Vec<u8> {
        let mut value = Vec::with_capacity(EVENT_HEAD + 28 + text.len());
        value.extend_from_slice(&head.at.to_be_bytes());
        value.extend_from_slice(&head.renewals.to_be_bytes());
        let bound = self.bound(&value);
        secret.seal(nonces, &bound, text, &mut value);
        value
    }

    /// The text of an event as it stands in its stream after so many renewals; none where the value is damaged.
    pub(crate) fn open(&self, secret: &Secret, value: &[u8], renewals: u32, epoch: &Epoch) -> Option<Bytes> {
        let head = EventHead::read(value)?;
        let (clear, sealed) = value.split_at(EVENT_HEAD);
        let text = Bytes::from(secret.open(&self.bound(clear), sealed)?);
        if head.renewals == renewals {
            return Some(text);
        }
        // What is no event tells no epoch.
        Some(renewed(&text, epoch).unwrap_or(text))
    }
}

/// How many bytes of text an event's value of this size has.
pub(crate) const fn text_size(value: usize) -> u64 {
    value.saturating_sub(EVENT_HEAD + 28) as u64
}

/// A run that is open, as far as the store itself knows it.
pub(crate) struct RunHead {
    /// The stream that it stands in.
    pub(crate) serial: u64,
    /// The generation of its question's key; 0 where there is none.
    pub(crate) generation: u32,
    /// The name of that stream.
    pub(crate) thread: Name,
}

const RUN_HEAD: usize = 28;

impl RunHead {
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let mut rest = Reader(value);
        Some(Self { serial: rest.number()?, generation: rest.short()?, thread: rest.take()? })
    }
}

/// An open run's value: what it is sealed under its stream's key, and its question under that and the generation's.
pub(crate) fn seal_run(
    (serial, thread): (u64, &Name),
    secret: &Secret,
    generation: Option<(u32, &Secret)>,
    nonces: &mut Nonces,
    owner: &Owner,
    run: &OpenRun,
) -> Vec<u8> {
    let question = match &run.repeat {
        Repeat::Once(question) => Some(question),
        Repeat::Never | Repeat::Done => None,
    };
    let bound = run_bound(owner, run.run_id.as_str());
    let mut value = serial.to_be_bytes().to_vec();
    let number = if question.is_some() { generation.map_or(0, |(number, _)| number) } else { 0 };
    value.extend_from_slice(&number.to_be_bytes());
    value.extend_from_slice(thread);
    let rest = match question {
        Some(_) => &OpenRun { repeat: Repeat::Never, ..run.clone() },
        None => run,
    };
    let mut sealed = Vec::new();
    secret.seal(nonces, &bound, &json(rest), &mut sealed);
    value.extend_from_slice(&(sealed.len() as u32).to_be_bytes());
    value.append(&mut sealed);
    if let (Some(question), Some((_, outer))) = (question, generation) {
        let mut inner = Vec::new();
        secret.seal(nonces, &bound, &json(question), &mut inner);
        outer.seal(nonces, &bound, &inner, &mut value);
    }
    value
}

/// The parts of an open run's value: the run, and its question.
fn run_parts(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = Reader(value.get(RUN_HEAD..)?);
    let length = usize::try_from(rest.short()?).ok()?;
    rest.0.split_at_checked(length)
}

/// An open run. A question whose key is gone is not known any more.
pub(crate) fn open_run(
    value: &[u8],
    secret: &Secret,
    generation: Option<&Secret>,
    owner: &Owner,
    name: &Name,
) -> Option<OpenRun> {
    let bound = name_bound(owner, name);
    let (run, question) = run_parts(value)?;
    let mut run: OpenRun = serde_json::from_slice(&secret.open(&bound, run)?).ok()?;
    let question = generation
        .and_then(|outer| outer.open(&bound, question))
        .and_then(|inner| secret.open(&bound, &inner))
        .and_then(|text| serde_json::from_slice::<Question>(&text).ok());
    if let Some(question) = question {
        run.repeat = Repeat::Once(question);
    }
    Some(run)
}

/// The same open run with its question under the key of another generation; none where it has no question to be read.
pub(crate) fn reseal_run(
    value: &[u8],
    from: &Secret,
    (generation, to): (u32, &Secret),
    nonces: &mut Nonces,
    owner: &Owner,
    name: &Name,
) -> Option<Vec<u8>> {
    let bound = name_bound(owner, name);
    let (_, question) = run_parts(value)?;
    let inner = from.open(&bound, question)?;
    let mut out = value[..value.len() - question.len()].to_vec();
    out[8..12].copy_from_slice(&generation.to_be_bytes());
    to.seal(nonces, &bound, &inner, &mut out);
    Some(out)
}

fn run_bound(owner: &Owner, run: &str) -> [u8; 33] {
    name_bound(owner, &keys::name(owner, Of::Run, run))
}

fn name_bound(owner: &Owner, name: &Name) -> [u8; 33] {
    keys::run(owner, name)
}

/// What the store itself knows of a message.
pub(crate) struct MessageHead {
    /// The stream that it led to.
    pub(crate) serial: u64,
    /// When it was accepted.
    pub(crate) at: u64,
    /// The name of that stream.
    pub(crate) thread: Name,
}

const MESSAGE_HEAD: usize = 32;

impl MessageHead {
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let mut rest = Reader(value);
        Some(Self { serial: rest.number()?, at: rest.number()?, thread: rest.take()? })
    }
}

/// A message's value.
pub(crate) fn seal_message(
    head: &MessageHead,
    secret: &Secret,
    nonces: &mut Nonces,
    key: &[u8],
    accepted: &Accepted,
) -> Vec<u8> {
    let mut value = head.serial.to_be_bytes().to_vec();
    value.extend_from_slice(&head.at.to_be_bytes());
    value.extend_from_slice(&head.thread);
    let names = format!("{} {}", accepted.run_id, accepted.thread_id);
    secret.seal(nonces, key, names.as_bytes(), &mut value);
    value
}

/// What a message leads to.
pub(crate) fn open_message(value: &[u8], secret: &Secret, key: &[u8]) -> Option<Accepted> {
    let names = secret.open(key, value.get(MESSAGE_HEAD..)?)?;
    // Identifiers are visible, so a space ends one.
    let (run, thread) = str::from_utf8(&names).ok()?.split_once(' ')?;
    Some(Accepted { run_id: RunId::new(run).ok()?, thread_id: ThreadId::new(thread).ok()? })
}

/// That a batch was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Which record this is.
    pub(crate) id: u64,
    /// The number of the first batch that is told of.
    pub(crate) low: u64,
    /// The bytes of all batches up to this one, about.
    pub(crate) written: u64,
    /// The number of the next stream.
    pub(crate) serial: u64,
}

impl Link {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(32);
        for number in [self.id, self.low, self.written, self.serial] {
            value.extend_from_slice(&number.to_be_bytes());
        }
        value
    }

    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let mut rest = Reader(value);
        let (id, low, written, serial) = (rest.number()?, rest.number()?, rest.number()?, rest.number()?);
        Some(Self { id, low, written, serial })
    }
}

/// The numbers of events from one up to and without another.
pub(crate) fn leftover(from: u64, to: u64) -> Vec<u8> {
    [from.to_be_bytes(), to.to_be_bytes()].concat()
}

pub(crate) fn read_leftover(value: &[u8]) -> Option<(u64, u64)> {
    let mut rest = Reader(value);
    Some((rest.number()?, rest.number()?))
}

/// Takes a value apart from its front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn short(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data with string keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        Meta {
            serial: 1,
            slot: 2,
            born: 3,
            first: 4,
            tail: 5,
            bytes: 6,
            at: 7,
            epoch: "e".to_owned(),
            name: vec![8; 30],
        }
    }

    #[test]
    fn what_is_known_of_a_stream_is_read_as_written_and_nothing_shorter_is() {
        let value = meta().write();
        assert_eq!(Meta::read(&value), Some(meta()));
        for end in 0..value.len() - 30 {
            assert_eq!(Meta::read(&value[..end]), None, "{end}");
        }
        assert_eq!(Meta::read(&Meta { first: 7, ..meta() }.write()), None, "no stream begins behind its end");
        let link = Link { id: 1, low: 2, written: 3, serial: 4 };
        assert_eq!(Link::read(&link.write()), Some(link));
        assert_eq!(read_leftover(&leftover(3, 9)), Some((3, 9)));
    }

    #[test]
    fn an_epoch_changes_with_each_renewal_since_the_stream_began_and_stays_an_identifier() {
        assert_eq!(meta().epoch(3).unwrap().as_str(), "e");
        assert_eq!(meta().epoch(4).unwrap().as_str(), "e_4");
        assert_eq!(meta().epoch(5).unwrap().as_str(), "e_5");
        let long = Meta { epoch: "e".repeat(MAX_ID), ..meta() };
        assert_eq!(long.epoch(3).unwrap().as_str(), "e".repeat(MAX_ID));
        let renewed = long.epoch(u32::MAX).unwrap();
        assert!(portcullis_event::EventId::numbered(renewed.as_str(), u64::MAX).is_ok(), "{renewed}");
        let other = Meta { epoch: "f".repeat(MAX_ID), ..meta() };
        assert_ne!(other.epoch(4), long.epoch(4));
    }
}
