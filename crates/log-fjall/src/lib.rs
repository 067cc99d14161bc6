//! The record of events of one process, in a folder of its own.
//!
//! [`Embedded`] keeps the contract of `portcullis-log` with fjall, a log-structured store. One thread writes: it takes all
//! changes that wait, writes them as one batch, syncs once, and tells the commits in their order. Two others read. All three
//! know no runtime: who waits is woken by them.
//!
//! What is where in the folder:
//!
//! | file | what it is for |
//! |---|---|
//! | `portcullis-events` | says whose the folder is, and of which format |
//! | `state` | how the record stands: whether it was closed, how far it had come, how often ends were lost |
//! | `keys` | the keys under which streams are stored; destroying one deletes a stream |
//! | `reserve` | room that is given up where there is no other |
//! | `tables/` | the database |
//!
//! Where a file of it fails, nothing is taken until the database was closed and opened again, and what is on the disk was
//! proven to be what had been committed; where it is not, the streams begin new epochs, and what is missing is told.
//!
//! A folder of format 1 is taken over: its database is copied from `store/`, and goes once the folder is marked as one of the
//! current format.

mod chain;
mod clock;
mod error;
mod failure;
mod folder;
mod handle;
mod keys;
mod notice;
mod questions;
mod queue;
mod readers;
mod reconcile;
mod recover;
mod removal;
mod renewal;
mod room;
mod run;
mod secrets;
mod slots;
mod stage;
mod state;
mod store;
mod takeover;
mod tally;
mod usage;
mod values;
mod writer;

#[cfg(test)]
mod tests;

use std::{fmt, fs, path::Path, path::PathBuf, sync::Arc, thread::JoinHandle, time::Duration};

use futures_channel::oneshot;
use futures_util::{FutureExt as _, future::BoxFuture};
use portcullis_log::{Durability, EventLog, Limits, OpenError, Owner, OwnerLog, ReadError};

pub use error::Error;
pub use notice::{Lost, Notice};

use queue::{CLOSED, Job, Queue, Status};
use readers::{Gate, READERS, Readers};
use recover::Keeper;

/// How a record is kept.
#[derive(Clone)]
pub struct Options {
    /// How durable a committed change is.
    pub durability: Durability,
    /// How much is kept of each user.
    pub limits: Limits,
    /// What the system calls its present run: while it is the same, the system has what was written. None where that is not
    /// known; then every end that was not clean may have lost something.
    pub boot_id: Option<String>,
    /// The bytes that are left free on the device for what is under way: acceptances are refused below that. A tenth of the
    /// device at most.
    pub floor: u64,
    /// The size of a file whose room is given up where there is no other, for ends and deletions. A fortieth of the device
    /// at most.
    pub reserve: u64,
    /// How long to wait before the database is opened again after a failure: at first, and at most.
    pub pauses: (Duration, Duration),
    /// Told of what an operator should know. Called from the record's own threads, and soon to return.
    pub notice: Arc<dyn Fn(Notice) + Send + Sync>,
}

impl Options {
    /// The usual ones.
    pub fn new(durability: Durability, limits: Limits) -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Self {
            durability,
            limits,
            boot_id: boot_id.map(|id| id.trim().to_owned()),
            floor: 64 << 20,
            reserve: 16 << 20,
            pauses: (Duration::from_secs(1), Duration::from_secs(30)),
            notice: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("durability", &self.durability).finish_non_exhaustive()
    }
}

/// The record, kept by fjall.
pub struct Embedded {
    path: PathBuf,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the record's threads share with those who use it.
struct Shared {
    queue: Queue,
    readers: Readers,
    gate: Gate,
    limits: Limits,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the record at `path`, or makes it; one of an earlier format is taken over. A write that a crash tore is undone.
    /// What is missing of what was committed is told as a [`Notice`] where the rest can be used.
    ///
    /// # Errors
    /// If the folder is not to be trusted, or cannot be used. Nothing in it was deleted.
    pub fn open(path: &Path, options: Options) -> Result<Self, Error> {
        let (keeper, writer) = Keeper::start(path, options)?;
        Self::serve(path, keeper, writer)
    }

    fn serve(path: &Path, keeper: Keeper, writer: writer::Writer) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            readers: Readers::default(),
            gate: Gate::default(),
            limits: writer.limits,
        });
        shared.gate.open(writer.store.clone());
        let mut embedded = Self { path: path.to_owned(), shared: Arc::clone(&shared), threads: Vec::new() };
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
            thread.map_err(|source| Error::Unusable { path: path.to_owned(), source })
        };
        for _ in 0..READERS {
            let shared = Arc::clone(&shared);
            embedded.threads.push(spawn("event-log-read", Box::new(move || Readers::work(&shared)))?);
        }
        embedded.threads.push(spawn("event-log", Box::new(move || run::run(&shared, keeper, writer)))?);
        Ok(embedded)
    }

    /// Completes when the record has failed for good: nothing will be taken until another process opens it. Says why.
    pub fn failed(&self) -> BoxFuture<'static, Arc<str>> {
        let failed = self.shared.queue.watch();
        // A record that is closed does not fail any more.
        async { if let Ok(cause) = failed.await { cause } else { std::future::pending().await } }.boxed()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // What was handed over is written before the process goes on.
        self.shared.queue.close();
        self.shared.readers.close();
        for thread in self.threads.drain(..) {
            // Whoever heard the last news may have held the last handle: then this is one of those threads, and at its end.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl EventLog for Embedded {
    fn open(&self, owner: Owner) -> BoxFuture<'static, Result<Arc<dyn OwnerLog>, OpenError>> {
        let (told, opened) = oneshot::channel();
        if let Err(status) = self.shared.queue.push(Job::Open { owner, told }) {
            return std::future::ready(Err(status.refuses_opening())).boxed();
        }
        opened.map(|told| told.unwrap_or_else(|_| Err(Status::Closed.refuses_opening()))).boxed()
    }

    fn unfinished(&self) -> BoxFuture<'static, Result<Vec<Owner>, ReadError>> {
        self.shared.read(None, store::View::unfinished)
    }

    fn sweep(&self, before: u64) -> BoxFuture<'static, Result<usize, ReadError>> {
        let shared = Arc::clone(&self.shared);
        // What is old is looked for by a reader, a part at a time, and the writer lets go of what is old still.
        async move {
            let remove = async |streams, messages| {
                let (told, swept) = oneshot::channel();
                let job = Job::Sweep { streams, messages, before, told };
                shared.queue.push(job).map_err(|status| status.refuses_reading())?;
                swept.await.unwrap_or_else(|_| Err(ReadError::Unavailable(CLOSED.into())))
            };
            let (mut gone, mut next) = (0, Some(keys::STREAMS.to_vec()));
            while let Some(from) = next {
                let old = shared.read(None, move |view| view.old_streams(from, before)).await?;
                if !old.found.is_empty() {
                    gone += remove(old.found, Vec::new()).await?;
                }
                next = old.next;
            }
            let mut next = Some(keys::MESSAGES_BY_TIME.to_vec());
            while let Some(from) = next {
                let old = shared.read(None, move |view| view.old_messages(from, before)).await?;
                if !old.found.is_empty() {
                    remove(Vec::new(), old.found).await?;
                }
                next = old.next;
            }
            Ok(gone)
        }
        .boxed()
    }

    fn ready(&self) -> Result<(), Arc<str>> {
        self.shared.queue.ready()
    }

    fn serves(&self) -> Result<(), Arc<str>> {
        self.shared.queue.serves()
    }
}
