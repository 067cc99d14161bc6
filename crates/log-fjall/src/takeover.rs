//! Taking over a record of format 1: everything was in clear there, and in tables of its own.

use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, UserValue};
use portcullis_event::{Epoch, RunId, ThreadId};
use portcullis_log::{Accepted, OpenRun, Owner};
use serde::Deserialize;

use crate::{
    failure::{Failure, Refused},
    folder::Folder,
    keys::{self, Of},
    values::{EventHead, Place},
    writer::Writer,
};

/// What a message's id led to.
#[derive(Deserialize)]
struct Remembered {
    run_id: RunId,
    thread_id: ThreadId,
    at: u64,
}

/// An event: its number, when it happened, in which life of its stream, and what was told.
struct Event {
    seq: u64,
    at: u64,
    epoch: String,
    value: UserValue,
    text: usize,
}

impl Event {
    fn read(key: &[u8], value: UserValue) -> Option<Self> {
        let seq = u64::from_be_bytes(*key.last_chunk()?);
        let (at, rest) = value.split_first_chunk()?;
        let (&length, rest) = rest.split_first()?;
        let epoch = str::from_utf8(rest.get(..usize::from(length))?).ok()?.to_owned();
        Epoch::new(&epoch).ok()?;
        let (at, text) = (u64::from_be_bytes(*at), 9 + epoch.len());
        Some(Self { seq, at, epoch, value, text })
    }

    fn text(&self) -> &[u8] {
        &self.value[self.text..]
    }
}

/// Copies everything from the database of format 1. What was written before it was cut off the last time is not there.
/// Calls `tell` with how many events there are so far.
pub(crate) fn copy(folder: &Folder, writer: &mut Writer, tell: &dyn Fn(u64)) -> Result<(), Failure> {
    let path = folder.first();
    if path.symlink_metadata().is_err() {
        // Its first start was cut off before there was a database.
        return Ok(());
    }
    let database = Database::builder(path).worker_threads(1).open()?;
    let table = |name| database.keyspace(name, KeyspaceCreateOptions::default);
    copy_streams(&table("events")?, writer, tell)?;
    copy_runs(&table("open")?, writer)?;
    copy_messages(&table("messages")?, writer)?;
    writer.commit()
}

fn copy_streams(events: &Keyspace, writer: &mut Writer, tell: &dyn Fn(u64)) -> Result<(), Failure> {
    let (mut from, mut copied) = (Vec::new(), 0);
    tell(copied);
    // From stream to stream.
    while let Some(entry) = events.range(from..).next() {
        let key = entry.key()?;
        let stream = key.len().checked_sub(8).map(|end| &key[..end]).filter(|it| it.len() > 17);
        let stream = stream.ok_or_else(form)?;
        let (owner, name) = (stream.first_chunk().copied(), str::from_utf8(&stream[16..stream.len() - 1]));
        let owner = Owner::from_bytes(owner.ok_or_else(form)?);
        let thread = name.ok().and_then(|name| ThreadId::new(name).ok()).ok_or_else(form)?;
        let before = copied;
        copied += copy_stream(events, stream, &owner, &thread, writer)?;
        if copied / TOLD > before / TOLD {
            tell(copied);
        }
        // The zero that ends a name is followed by nothing else.
        from = stream.to_vec();
        if let Some(end) = from.last_mut() {
            *end = 1;
        }
    }
    Ok(())
}

fn copy_stream(
    events: &Keyspace,
    stream: &[u8],
    owner: &Owner,
    thread: &ThreadId,
    writer: &mut Writer,
) -> Result<u64, Failure> {
    let read = |entry: fjall::Guard| {
        let (key, value) = entry.into_inner()?;
        Event::read(&key, value).ok_or_else(form)
    };
    // What stands before a hole or in an older life of the stream could not be resumed from.
    let (mut first, mut last) = (0, None::<(u64, String)>);
    for entry in events.prefix(stream) {
        let event = read(entry)?;
        let goes_on = last.as_ref().is_some_and(|(seq, epoch)| event.seq == seq + 1 && event.epoch == *epoch);
        if !goes_on {
            first = event.seq;
        }
        last = Some((event.seq, event.epoch));
    }
    let name = keys::name(owner, Of::Thread, thread.as_str());
    for entry in events.prefix(stream) {
        let event = read(entry)?;
        if event.seq < first {
            continue;
        }
        let live = writer.begin(owner, thread, name, event.at).map_err(whole)?;
        let meta = &mut live.meta;
        if meta.tail == 0 {
            // Whether its last end was clean is not known, so this is its first renewal.
            (meta.first, meta.born) = (event.seq, 0);
            meta.epoch.clone_from(&event.epoch);
        }
        (meta.tail, meta.at) = (event.seq, event.at);
        meta.bytes += event.text().len() as u64;
        let place = Place { owner, thread: &name, serial: meta.serial, seq: event.seq };
        let head = EventHead { at: event.at, renewals: 0 };
        let secret = Arc::clone(&live.secret);
        let value = place.seal(&secret, &mut writer.nonces, &head, event.text());
        writer.insert(keys::event(place.serial, event.seq), value);
        writer.touch((*owner, name));
        writer.relieve()?;
    }
    Ok(last.map_or(0, |(last, _)| last + 1 - first))
}

fn copy_runs(open: &Keyspace, writer: &mut Writer) -> Result<(), Failure> {
    for entry in open.iter() {
        let (key, value) = entry.into_inner()?;
        let owner = Owner::from_bytes(*key.first_chunk().ok_or_else(form)?);
        let run: OpenRun = serde_json::from_slice(&value).map_err(|_| form())?;
        writer.put_run(&owner, &run).map_err(whole)?;
        writer.relieve()?;
    }
    Ok(())
}

fn copy_messages(messages: &Keyspace, writer: &mut Writer) -> Result<(), Failure> {
    for entry in messages.iter() {
        let (key, value) = entry.into_inner()?;
        let (owner, id) = key.split_first_chunk().ok_or_else(form)?;
        let (owner, id) = (Owner::from_bytes(*owner), str::from_utf8(id).map_err(|_| form())?);
        let Remembered { run_id, thread_id, at } = serde_json::from_slice(&value).map_err(|_| form())?;
        let message = keys::name(&owner, Of::Message, id);
        writer.put_message(&owner, &message, at, Accepted { run_id, thread_id }).map_err(whole)?;
        writer.relieve()?;
    }
    Ok(())
}

fn form() -> Failure {
    Failure::Damaged("something in the record of format 1 is not of the known form".to_owned())
}

/// Nothing is left out.
fn whole(refused: Refused) -> Failure {
    match refused {
        Refused::Store(failure) => failure,
        Refused::Change(error) => Failure::Damaged(error.to_string()),
    }
}

/// It is told how far this is each time that so many events more are there.
const TOLD: u64 = 100_000;
