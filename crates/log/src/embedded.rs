//! The record of one process, in a directory of its own.

mod keys;
mod writer;

use std::{
    fmt,
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use portcullis_event::{Epoch, MessageId, RunId, ThreadId};
use serde::{Deserialize, Serialize};

use crate::{Change, Done, Error, EventLog, OpenRun, Owner, Retention, Stored, Summary};

/// How durable an acknowledged change is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// It is on the device: it survives the loss of power.
    #[default]
    Device,
    /// The operating system has it: it survives the process, also `kill -9`, and not the machine.
    Os,
}

/// The record, kept by fjall: a log-structured store whose journal is synced once for all changes that wait.
pub struct Embedded {
    store: Arc<Store>,
    changes: Option<std::sync::mpsc::Sender<(Change, Done)>>,
    writer: Option<JoinHandle<()>>,
}

/// The tables. Keys begin with the owner, so that nobody's range reaches into another's.
struct Store {
    path: PathBuf,
    database: Database,
    /// owner, thread, seq → time, epoch, text.
    events: Keyspace,
    /// owner, run → [`OpenRun`].
    open: Keyspace,
    /// owner, message → [`Remembered`].
    messages: Keyspace,
}

/// What a message's id leads to.
#[derive(Serialize, Deserialize)]
struct Remembered {
    run_id: RunId,
    thread_id: ThreadId,
    at: u64,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("path", &self.store.path).finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the record at `path`, or makes it. A write that a crash tore is undone; anything else that is wrong is an
    /// error, and nothing is deleted.
    ///
    /// # Errors
    /// [`Error::Foreign`], [`Error::TooNew`], [`Error::InUse`], [`Error::Unusable`] and [`Error::Damaged`].
    pub fn open(path: &Path, durability: Durability) -> Result<Self, Error> {
        claim(path)?;
        let store = Arc::new(Store::open(path)?);
        let (changes, queue) = std::sync::mpsc::channel();
        let writer = std::thread::Builder::new()
            .name("event-log".to_owned())
            .spawn({
                let store = Arc::clone(&store);
                move || writer::run(&store, &queue, durability)
            })
            .map_err(|source| Error::Unusable { path: path.to_owned(), source })?;
        Ok(Self { store, changes: Some(changes), writer: Some(writer) })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // What was handed over is written before the process goes on.
        drop(self.changes.take());
        // The last acknowledgement may hold the last handle: then this is the writer's own thread, and at its end anyway.
        if let Some(writer) = self.writer.take()
            && writer.thread().id() != std::thread::current().id()
        {
            let _ = writer.join();
        }
    }
}

impl EventLog for Embedded {
    fn append(&self, change: Change, done: Done) {
        let changes = self.changes.as_ref().expect("the queue is there until the drop");
        if let Err(refused) = changes.send((change, done)) {
            // The writer's thread panicked: our own failure, and nothing is recorded any more.
            let (_, done) = refused.0;
            done(Err(&Error::Failed("its thread has ended".to_owned())));
        }
    }

    fn thread(&self, owner: &Owner, thread_id: &ThreadId) -> Result<Option<Stored>, Error> {
        self.store.thread(owner, thread_id)
    }

    fn threads(&self, owner: &Owner) -> Result<Vec<Summary>, Error> {
        self.store.threads(owner)
    }

    fn message(&self, owner: &Owner, id: &MessageId) -> Result<Option<(RunId, ThreadId)>, Error> {
        let found = self
            .store
            .messages
            .get(keys::named(owner, id.as_str()))
            .map_err(|error| self.store.fault(error))?;
        let Some(found) = found else { return Ok(None) };
        let Remembered { run_id, thread_id, .. } = self.store.read(&found)?;
        Ok(Some((run_id, thread_id)))
    }

    fn open_runs(&self) -> Result<Vec<OpenRun>, Error> {
        let mut runs = Vec::new();
        for entry in self.store.open.iter() {
            runs.push(self.store.read(&entry.value().map_err(|error| self.store.fault(error))?)?);
        }
        Ok(runs)
    }

    fn sweep(&self, retention: Retention) -> Result<usize, Error> {
        self.store.sweep(retention)
    }
}

impl Store {
    fn open(path: &Path) -> Result<Self, Error> {
        let fault = |error| fault(path, error);
        let database = Database::builder(path.join("store"))
            .cache_size(CACHE)
            .max_journaling_size(JOURNALS)
            .worker_threads(1)
            .open()
            .map_err(fault)?;
        let table = |name| {
            database
                .keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE))
                .map_err(fault)
        };
        Ok(Self {
            path: path.to_owned(),
            events: table("events")?,
            open: table("open")?,
            messages: table("messages")?,
            database,
        })
    }

    fn thread(&self, owner: &Owner, thread_id: &ThreadId) -> Result<Option<Stored>, Error> {
        let prefix = keys::stream(owner, thread_id.as_str());
        let (mut epoch, mut first, mut next) = (None, 0, 0);
        let mut texts = Vec::new();
        for entry in self.events.prefix(&prefix) {
            let (key, value) = entry.into_inner().map_err(|error| self.fault(error))?;
            let (seq, event) = (keys::seq(&key), keys::Event::read(&value));
            let (Some(seq), Some(event)) = (seq, event) else {
                return Err(self.damaged("an event is not of the known form"));
            };
            // What stands before a hole or an older life of the stream cannot be resumed from.
            if epoch.as_deref() != Some(event.epoch) || seq != next {
                (epoch, first) = (Some(event.epoch.to_owned()), seq);
                texts.clear();
            }
            next = seq + 1;
            texts.push(Bytes::copy_from_slice(event.text));
        }
        let Some(epoch) = epoch else { return Ok(None) };
        let epoch = Epoch::new(&epoch).map_err(|_| self.damaged("an epoch is not of the known form"))?;
        Ok(Some(Stored { epoch, first, texts }))
    }

    fn threads(&self, owner: &Owner) -> Result<Vec<Summary>, Error> {
        let mut threads = Vec::new();
        let mut place = owner.bytes().to_vec();
        loop {
            // From stream to stream, and of each its last event alone.
            let Some(entry) = self.events.range(place..).next() else { return Ok(threads) };
            let key = entry.key().map_err(|error| self.fault(error))?;
            let Some(stream) = keys::stream_of(&key).filter(|stream| stream.starts_with(owner.bytes()))
            else {
                return Ok(threads);
            };
            if let Some(entry) = self.events.prefix(stream).next_back() {
                let (last_key, value) = entry.into_inner().map_err(|error| self.fault(error))?;
                let summary = || {
                    let event = keys::Event::read(&value)?;
                    Some(Summary {
                        thread_id: ThreadId::new(keys::thread_of(stream)?).ok()?,
                        epoch: Epoch::new(event.epoch).ok()?,
                        tail: keys::seq(&last_key)?,
                        at: event.at,
                        last: Bytes::copy_from_slice(event.text),
                    })
                };
                threads.push(summary().ok_or_else(|| self.damaged("an event is not of the known form"))?);
            }
            place = keys::behind(stream);
        }
    }

    fn sweep(&self, retention: Retention) -> Result<usize, Error> {
        self.forget_messages(retention.before)?;
        let mut busy: Vec<Vec<u8>> = Vec::new();
        for entry in self.open.iter() {
            let run: OpenRun = self.read(&entry.value().map_err(|error| self.fault(error))?)?;
            busy.push(keys::stream(&run.owner, run.thread_id.as_str()));
        }
        let mut gone = 0;
        // The streams of one owner, each with the time of its last event.
        let mut own: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut place: Vec<u8> = Vec::new();
        loop {
            let next = self.events.range(place.clone()..).next();
            let key = match next {
                None => None,
                Some(entry) => Some(entry.key().map_err(|error| self.fault(error))?),
            };
            let stream = key.as_deref().and_then(keys::stream_of).map(<[u8]>::to_vec);
            let same = |(_, other): &(u64, Vec<u8>)| {
                stream.as_ref().is_some_and(|stream| stream[..16] == other[..16])
            };
            if own.first().is_some_and(|first| !same(first)) {
                own.sort_unstable();
                let over = own.len().saturating_sub(retention.threads);
                for (index, (last, stream)) in own.drain(..).enumerate() {
                    if (last < retention.before || index < over) && !busy.contains(&stream) {
                        self.forget(&stream)?;
                        gone += 1;
                    }
                }
            }
            let Some(stream) = stream else { return Ok(gone) };
            let last = self.events.prefix(&stream).next_back();
            let last = last.map(|entry| entry.value().map_err(|error| self.fault(error))).transpose()?;
            let at = last.as_deref().and_then(keys::Event::read).map_or(0, |event| event.at);
            place = keys::behind(&stream);
            own.push((at, stream));
        }
    }

    fn forget(&self, stream: &[u8]) -> Result<(), Error> {
        let mut batch = self.database.batch();
        for entry in self.events.prefix(stream) {
            batch.remove(&self.events, entry.key().map_err(|error| self.fault(error))?);
        }
        batch.commit().map_err(|error| self.fault(error))
    }

    /// Forgets the ids of messages that came before.
    fn forget_messages(&self, before: u64) -> Result<(), Error> {
        for entry in self.messages.iter() {
            let (key, value) = entry.into_inner().map_err(|error| self.fault(error))?;
            if self.read::<Remembered>(&value)?.at < before {
                self.messages.remove(key).map_err(|error| self.fault(error))?;
            }
        }
        Ok(())
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, value: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(value).map_err(|_| self.damaged("a value is not of the known form"))
    }

    fn damaged(&self, detail: &str) -> Error {
        Error::Damaged { path: self.path.clone(), detail: detail.to_owned() }
    }

    fn fault(&self, error: fjall::Error) -> Error {
        fault(&self.path, error)
    }
}

/// Makes sure that the folder is ours: made by this program, of a format that it knows, or empty.
fn claim(path: &Path) -> Result<(), Error> {
    let unusable = |source| Error::Unusable { path: path.to_owned(), source };
    let marker = path.join(MARKER);
    match fs::read_to_string(&marker) {
        // A first start that was cut off here: nothing was recorded yet.
        Ok(text) if text.is_empty() && entries(path).map_err(unusable)? == 1 => mark(path).map_err(unusable),
        Ok(text) => match text.trim().parse() {
            Ok(found) if found <= FORMAT => Ok(()),
            Ok(found) => Err(Error::TooNew { path: path.to_owned(), found, known: FORMAT }),
            Err(_) => Err(Error::Damaged {
                path: path.to_owned(),
                detail: format!("{MARKER} does not hold a number"),
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Readable by its owner alone, wherever it stands.
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
            if entries(path).map_err(unusable)? > 0 {
                return Err(Error::Foreign { path: path.to_owned() });
            }
            mark(path).map_err(unusable)
        }
        Err(error) => Err(unusable(error)),
    }
}

fn entries(path: &Path) -> io::Result<usize> {
    Ok(fs::read_dir(path)?.count())
}

/// Says that the folder is ours, and sees to it that a loss of power leaves that: what is recorded later is of no use in a
/// folder that nobody knows any more.
fn mark(path: &Path) -> io::Result<()> {
    let mut marker = File::create(path.join(MARKER))?;
    writeln!(marker, "{FORMAT}")?;
    marker.sync_all()?;
    File::open(path)?.sync_all()?;
    // The folders on the way to it may be new as well. Not every one of them can be synced, or has to be.
    for folder in path.canonicalize()?.ancestors().skip(1) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

fn fault(path: &Path, error: fjall::Error) -> Error {
    let path = path.to_owned();
    match error {
        fjall::Error::Locked => Error::InUse { path },
        fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source)) => {
            Error::Unusable { path, source }
        }
        fjall::Error::Poisoned => Error::Failed("the device failed before".to_owned()),
        other => Error::Damaged { path, detail: format!("{other:?}") },
    }
}

/// The file that says whose the folder is, and of which format.
const MARKER: &str = "portcullis-events";
const FORMAT: u32 = 1;

/// Blocks of tables kept in memory.
const CACHE: u64 = 8 << 20;
/// Memory of changes of one table before they become a file.
const MEMTABLE: u64 = 8 << 20;
/// Journals on the disk; opening reads them through. The least that fjall takes.
const JOURNALS: u64 = 64 << 20;
