//! The database while it is open, and what is read from it.

use std::{
    cmp::Reverse,
    io,
    path::Path,
    sync::{Arc, PoisonError},
};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, Readable as _, Slice, Snapshot};
use portcullis_event::{Epoch, MessageId, ThreadId};
use portcullis_log::{Accepted, OpenRun, Owner, Page, Place, ReadError, Stream, Summary};

use crate::{
    keys::{self, Name, Of},
    secrets::Secret,
    slots::{Missing, Slots},
    values::{self, MessageHead, Meta, RunHead},
};

/// The database and the keys of what is in it. Everything is in one table, so that what a crash leaves is always the
/// record as it was after some batch.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) database: Database,
    pub(crate) table: Keyspace,
    pub(crate) slots: Arc<Slots>,
    /// How often the end of the streams may have been lost.
    pub(crate) renewals: u32,
}

/// A stream that may be swept: its owner, its name, and whether it can be seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Old {
    pub(crate) owner: Owner,
    pub(crate) name: Name,
}

/// Some of what is old, and where to go on looking.
pub(crate) struct Olds<T> {
    pub(crate) found: Vec<T>,
    pub(crate) next: Option<Vec<u8>>,
}

type Read<T> = Result<T, ReadError>;

impl Store {
    /// Opens the database in a folder, or makes it there.
    pub(crate) fn open(path: &Path, slots: Arc<Slots>) -> fjall::Result<Self> {
        let database = Database::builder(path)
            .cache_size(CACHE)
            .max_journaling_size(JOURNALS)
            .max_cached_files(Some(FILES))
            .worker_threads(1)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE);
        let table = database.keyspace(TABLE, options)?;
        Ok(Self { database, table, slots, renewals: 0 })
    }

    /// The record as it is at one moment.
    pub(crate) fn view(&self) -> View {
        View { store: self.clone(), snapshot: self.database.snapshot() }
    }
}

/// The record as it was at one moment.
pub(crate) struct View {
    store: Store,
    snapshot: Snapshot,
}

impl View {
    fn get(&self, key: &[u8]) -> Read<Option<Slice>> {
        self.snapshot.get(&self.store.table, key).map_err(read_error)
    }

    fn prefix(&self, prefix: &[u8]) -> impl Iterator<Item = Read<(Slice, Slice)>> + use<> {
        let entries = self.snapshot.prefix(&self.store.table, prefix);
        entries.map(|entry| entry.into_inner().map_err(read_error))
    }

    fn range(&self, from: Vec<u8>, to: Vec<u8>) -> impl Iterator<Item = Read<(Slice, Slice)>> + use<> {
        let entries = self.snapshot.range(&self.store.table, from..to);
        entries.map(|entry| entry.into_inner().map_err(read_error))
    }

    fn meta(&self, owner: &Owner, name: &Name) -> Read<Option<Meta>> {
        self.get(&keys::stream(owner, name))?.map(|value| meta(&value)).transpose()
    }

    /// The key of a stream; none where the stream has gone since.
    fn secret(&self, meta: &Meta) -> Read<Option<Secret>> {
        match self.store.slots.key(meta.slot, meta.serial) {
            Ok(secret) => Ok(Some(secret)),
            Err(Missing::Destroyed) => Ok(None),
            Err(Missing::Damaged) => Err(damaged("the key of a thread is missing")),
            Err(Missing::Unreadable(error)) => Err(ReadError::Unavailable(error.to_string().into())),
        }
    }

    fn epoch(&self, meta: &Meta) -> Read<Epoch> {
        meta.epoch(self.store.renewals).ok_or_else(|| damaged("an epoch is not of the known form"))
    }

    fn extent(&self, meta: &Meta) -> Read<Stream> {
        Ok(Stream { epoch: self.epoch(meta)?, first: meta.first, tail: meta.tail })
    }

    pub(crate) fn stream(&self, owner: &Owner, thread: &ThreadId) -> Read<Option<Stream>> {
        let meta = self.meta(owner, &keys::name(owner, Of::Thread, thread.as_str()))?;
        meta.filter(Meta::is_visible).map(|meta| self.extent(&meta)).transpose()
    }

    pub(crate) fn page(
        &self,
        owner: &Owner,
        thread: &ThreadId,
        after: u64,
        most: usize,
    ) -> Read<Option<Page>> {
        let name = keys::name(owner, Of::Thread, thread.as_str());
        let Some(meta) = self.meta(owner, &name)?.filter(Meta::is_visible) else { return Ok(None) };
        let Some(secret) = self.secret(&meta)? else { return Ok(None) };
        let stream = self.extent(&meta)?;
        let from = meta.first.max(after.saturating_add(1)).min(meta.tail + 1);
        let (mut events, mut bytes, mut seq) = (Vec::new(), 0, from);
        let behind = keys::event(meta.serial, meta.tail + 1);
        for entry in self.range(keys::event(meta.serial, from).to_vec(), behind.to_vec()) {
            let (key, value) = entry?;
            if keys::seq(&key) != Some(seq) {
                return Err(damaged("an event is missing"));
            }
            let place = values::Place { owner, thread: &name, serial: meta.serial, seq };
            let text = place.open(&secret, &value, self.store.renewals, &stream.epoch);
            let text = text.ok_or_else(|| damaged("an event is not of the known form"))?;
            bytes += text.len().max(1);
            if seq > from && bytes > most {
                return Ok(Some(Page { stream, from, events }));
            }
            events.push(text);
            seq += 1;
        }
        if seq <= meta.tail {
            return Err(damaged("an event is missing"));
        }
        Ok(Some(Page { stream, from, events }))
    }

    /// The text of one event.
    fn event(&self, owner: &Owner, name: &Name, meta: &Meta, secret: &Secret, seq: u64) -> Read<Bytes> {
        let value = self.get(&keys::event(meta.serial, seq))?;
        let value = value.ok_or_else(|| damaged("an event is missing"))?;
        let place = values::Place { owner, thread: name, serial: meta.serial, seq };
        let text = place.open(secret, &value, self.store.renewals, &self.epoch(meta)?);
        text.ok_or_else(|| damaged("an event is not of the known form"))
    }

    /// The streams of an owner, with their names in keys.
    pub(crate) fn metas(&self, owner: &Owner) -> Read<Vec<(Name, Meta)>> {
        let entries = self.prefix(&keys::streams_of(owner)).map(|entry| {
            let (key, value) = entry?;
            let name = keys::name_of(&key).ok_or_else(|| damaged("a key is not of the known form"))?;
            Ok((name, meta(&value)?))
        });
        entries.collect()
    }

    pub(crate) fn threads(&self, owner: &Owner, after: Option<&Place>, most: usize) -> Read<Vec<Summary>> {
        let mut metas = self.metas(owner)?;
        metas.retain(|(_, meta)| meta.is_visible() && after.is_none_or(|after| meta.at <= after.at));
        metas.sort_unstable_by_key(|(_, meta)| Reverse(meta.at));
        let mut summaries = Vec::new();
        // Names are needed to sort what happened at the same time, and of what is on the page.
        for same in metas.chunk_by(|(_, a), (_, b)| a.at == b.at) {
            let mut named = Vec::new();
            for (name, meta) in same {
                let Some(secret) = self.secret(meta)? else { continue };
                let thread_id = meta.thread(&secret, owner, name);
                let thread_id =
                    thread_id.ok_or_else(|| damaged("a thread's name is not of the known form"))?;
                let place = Place { at: meta.at, thread_id };
                if after.is_none_or(|after| place < *after) {
                    named.push((place, name, meta, secret));
                }
            }
            named.sort_unstable_by(|a, b| b.0.cmp(&a.0));
            for (place, name, meta, secret) in named {
                if summaries.len() == most {
                    return Ok(summaries);
                }
                let last = self.event(owner, name, meta, &secret, meta.tail)?;
                summaries.push(Summary { place, stream: self.extent(meta)?, last });
            }
        }
        Ok(summaries)
    }

    pub(crate) fn message(&self, owner: &Owner, id: &MessageId) -> Read<Option<Accepted>> {
        let key = keys::message(owner, &keys::name(owner, Of::Message, id.as_str()));
        let Some(value) = self.get(&key)? else { return Ok(None) };
        let form = || damaged("a message is not of the known form");
        let head = MessageHead::read(&value).ok_or_else(form)?;
        let Some(meta) = self.life(owner, &head.thread, head.serial)? else { return Ok(None) };
        let Some(secret) = self.secret(&meta)? else { return Ok(None) };
        values::open_message(&value, &secret, &key).map(Some).ok_or_else(form)
    }

    /// A stream, if it is still the one of this number.
    fn life(&self, owner: &Owner, name: &Name, serial: u64) -> Read<Option<Meta>> {
        Ok(self.meta(owner, name)?.filter(|meta| meta.serial == serial))
    }

    pub(crate) fn open_runs(&self, owner: &Owner) -> Read<Vec<OpenRun>> {
        let mut runs = Vec::new();
        for entry in self.prefix(&keys::runs_of(owner)) {
            let (key, value) = entry?;
            let form = || damaged("an open run is not of the known form");
            let (head, name) = RunHead::read(&value).zip(keys::name_of(&key)).ok_or_else(form)?;
            let Some(meta) = self.life(owner, &head.thread, head.serial)? else { continue };
            let Some(secret) = self.secret(&meta)? else { continue };
            let generation = (head.generation > 0).then(|| self.store.slots.generation(head.generation).ok());
            let run = values::open_run(&value, &secret, generation.flatten().as_ref(), owner, &name);
            runs.push(run.ok_or_else(form)?);
        }
        runs.sort_by_key(|run| run.accepted_at);
        Ok(runs)
    }

    /// The owners with open runs.
    pub(crate) fn unfinished(&self) -> Read<Vec<Owner>> {
        let mut owners = Vec::new();
        let mut from = keys::RUNS.to_vec();
        loop {
            let Some(entry) = self.range(from, keys::behind(&keys::RUNS)).next() else { return Ok(owners) };
            let owner = keys::owner(&entry?.0).ok_or_else(|| damaged("a key is not of the known form"))?;
            owners.push(owner);
            from = keys::behind(&keys::runs_of(&owner));
        }
    }

    /// Streams whose last event is older than `before`, from a place on.
    pub(crate) fn old_streams(&self, from: Vec<u8>, before: u64) -> Read<Olds<Old>> {
        let mut found = Vec::new();
        for (looked, entry) in self.range(from, keys::behind(&keys::STREAMS)).enumerate() {
            let (key, value) = entry?;
            if looked == LOOKED || found.len() == REMOVED {
                return Ok(Olds { found, next: Some(key.to_vec()) });
            }
            if meta(&value)?.at < before {
                let names = keys::owner(&key).zip(keys::name_of(&key));
                let (owner, name) = names.ok_or_else(|| damaged("a key is not of the known form"))?;
                found.push(Old { owner, name });
            }
        }
        Ok(Olds { found, next: None })
    }

    /// Messages that were accepted before, from a place on: their keys in the order of acceptances.
    pub(crate) fn old_messages(&self, mut from: Vec<u8>, before: u64) -> Read<Olds<Vec<u8>>> {
        let mut found = Vec::new();
        for _ in 0..LOOKED {
            // From owner to owner, and of each the oldest alone.
            let next = self.range(from, keys::behind(&keys::MESSAGES_BY_TIME)).next();
            let Some(entry) = next else { return Ok(Olds { found, next: None }) };
            let key = entry?.0;
            let owner = keys::owner(&key).ok_or_else(|| damaged("a key is not of the known form"))?;
            let to = keys::message_by_time(&owner, before, &[0; 16]);
            if key[..] < to[..] {
                for entry in self.range(key.to_vec(), to.to_vec()) {
                    let key = entry?.0;
                    if found.len() == REMOVED {
                        return Ok(Olds { found, next: Some(key.to_vec()) });
                    }
                    found.push(key.to_vec());
                }
            }
            from = keys::behind(&keys::messages_by_time_of(&owner));
        }
        Ok(Olds { found, next: Some(from) })
    }
}

pub(crate) fn meta(value: &[u8]) -> Read<Meta> {
    Meta::read(value).ok_or_else(|| damaged("what is known of a thread is not of the known form"))
}

pub(crate) fn damaged(detail: &str) -> ReadError {
    ReadError::Damaged(detail.into())
}

pub(crate) fn read_error(error: fjall::Error) -> ReadError {
    match system_error(error) {
        Ok(error) => ReadError::Unavailable(error.to_string().into()),
        Err(fjall::Error::Poisoned) => ReadError::Unavailable("a write failed".into()),
        Err(error) => ReadError::Damaged(format!("{error:?}").into()),
    }
}

/// The system's own word, where that is what the database says.
pub(crate) fn system_error(error: fjall::Error) -> Result<io::Error, fjall::Error> {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => Ok(error),
        other => Err(other),
    }
}

/// Takes a lock whose data is whole whenever it is let go of.
pub(crate) fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const TABLE: &str = "record";

/// Entries that are looked at for what is old before others' reads are let in, and removed by one change.
const LOOKED: usize = 4_096;
const REMOVED: usize = 64;

/// Blocks of tables kept in memory.
const CACHE: u64 = 8 << 20;
/// Memory of changes before they become a file.
const MEMTABLE: u64 = 8 << 20;
/// Journals on the disk; opening reads them through. The least that fjall takes.
const JOURNALS: u64 = 64 << 20;
/// Files of tables that are kept open.
const FILES: usize = 64;
