//! A record in memory, on a disk that a test drives.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt, mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use parking_lot::{Mutex, MutexGuard};
use portcullis_event::{MessageId, RunId, ThreadId};
use portcullis_log::{Change, Done, Error, EventLog, OpenRun, Owner, Record, Retention, Stored, Summary};

/// What survives a crash.
#[derive(Default)]
pub struct MemoryDisk {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    streams: HashMap<(Owner, ThreadId), Stream>,
    open: Vec<OpenRun>,
    messages: HashMap<(Owner, MessageId), (RunId, ThreadId, u64)>,
}

/// The events of a thread by their number.
type Stream = BTreeMap<u64, Record>;

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDisk").finish_non_exhaustive()
    }
}

/// One life of a record on a [`MemoryDisk`]. What is handed over waits until the test writes it, and what was written
/// until the test acknowledges it: the two are apart so that a test can do them in the wrong order.
pub struct MemoryLog {
    disk: Arc<MemoryDisk>,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    unwritten: VecDeque<Change>,
    unacknowledged: VecDeque<Done>,
    /// The device takes nothing any more.
    failed: bool,
    /// The process is gone: nothing that it still hands over arrives.
    crashed: bool,
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").finish_non_exhaustive()
    }
}

impl MemoryLog {
    /// Opens the record on a disk.
    pub fn open(disk: &Arc<MemoryDisk>) -> Self {
        Self { disk: Arc::clone(disk), pending: Mutex::default() }
    }

    /// Changes that are not written.
    pub fn unwritten(&self) -> usize {
        self.pending.lock().unwritten.len()
    }

    /// Writes the first `most` of the changes that wait, unless the device has failed.
    pub fn write(&self, most: usize) {
        let mut pending = self.pending.lock();
        if !pending.failed {
            self.write_to_disk(&mut pending, most);
        }
    }

    fn write_to_disk(&self, pending: &mut Pending, most: usize) {
        let count = most.min(pending.unwritten.len());
        let mut tables = self.disk.tables.lock();
        for change in pending.unwritten.drain(..count) {
            tables.apply(change);
        }
    }

    /// Changes what waits, or throws it away where `keep` says no, as a disk that lies does.
    pub fn tamper(&self, keep: impl FnMut(&mut Change) -> bool) {
        self.pending.lock().unwritten.retain_mut(keep);
    }

    /// Says what became of everything that was handed over: that it is written, or that it never will be.
    pub fn acknowledge(&self) {
        Self::tell(self.pending.lock());
    }

    fn tell(mut pending: MutexGuard<'_, Pending>) {
        let told = mem::take(&mut pending.unacknowledged);
        let failed = pending.failed;
        // Whoever is told may hand over the next change at once.
        drop(pending);
        let error = Error::Failed("the device failed".to_owned());
        for done in told {
            done(if failed { Err(&error) } else { Ok(()) });
        }
    }

    /// Has the device fail from now on.
    pub fn fail(&self) {
        self.pending.lock().failed = true;
    }

    /// Ends this life: of what waits the first `written` changes reach the disk, and nothing is acknowledged any more.
    pub fn crash(&self, written: usize) {
        let mut pending = self.pending.lock();
        self.write_to_disk(&mut pending, written);
        pending.crashed = true;
        pending.unwritten.clear();
        let told = mem::take(&mut pending.unacknowledged);
        // What hangs on them may have a last word, which finds the log free.
        drop(pending);
        drop(told);
    }

    /// Writes and acknowledges from a thread of its own while `work` goes on.
    pub fn serving<R>(&self, work: impl FnOnce() -> R) -> R {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    // Under one lock: what is handed over between the two would be acknowledged unwritten.
                    let mut pending = self.pending.lock();
                    if !pending.failed {
                        self.write_to_disk(&mut pending, usize::MAX);
                    }
                    Self::tell(pending);
                    thread::yield_now();
                }
            });
            let _over = Over(&over);
            work()
        })
    }
}

/// Says that the work is over, also where it panicked.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Tables {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Accept(run) => {
                let message = (run.owner, run.message_id.clone());
                self.messages.insert(message, (run.run_id.clone(), run.thread_id.clone(), run.accepted_at));
                self.open.retain(|other| other.run_id != run.run_id);
                self.open.push(run);
            }
            Change::Event { record, trim, ends } => {
                let stream = self.streams.entry((record.owner, record.thread_id.clone())).or_default();
                stream.retain(|seq, event| !trim.contains(seq) && event.epoch == record.epoch);
                stream.insert(record.seq, record);
                self.open.retain(|run| Some(&run.run_id) != ends.as_ref());
            }
            Change::Forget { owner, thread_id } => {
                self.open.retain(|run| (run.owner, &run.thread_id) != (owner, &thread_id));
                self.messages.retain(|(of, _), (_, thread, _)| (*of, &*thread) != (owner, &thread_id));
                self.streams.remove(&(owner, thread_id));
            }
        }
    }
}

impl EventLog for MemoryLog {
    fn append(&self, change: Change, done: Done) {
        let mut pending = self.pending.lock();
        if !pending.crashed {
            pending.unwritten.push_back(change);
            pending.unacknowledged.push_back(done);
        }
    }

    fn thread(&self, owner: &Owner, thread_id: &ThreadId) -> Result<Option<Stored>, Error> {
        let tables = self.disk.tables.lock();
        let stream = tables.streams.get(&(*owner, thread_id.clone()));
        Ok(stream.and_then(|stream| {
            let (&first, event) = stream.first_key_value()?;
            let texts = stream.values().map(|event| event.text.clone()).collect();
            Some(Stored { epoch: event.epoch.clone(), first, texts })
        }))
    }

    fn threads(&self, owner: &Owner) -> Result<Vec<Summary>, Error> {
        let tables = self.disk.tables.lock();
        let own = tables.streams.iter().filter(|((of, _), _)| of == owner);
        let last = own.filter_map(|(_, stream)| stream.last_key_value());
        Ok(last
            .map(|(&tail, event)| Summary {
                thread_id: event.thread_id.clone(),
                epoch: event.epoch.clone(),
                tail,
                at: event.at,
                last: event.text.clone(),
            })
            .collect())
    }

    fn message(&self, owner: &Owner, id: &MessageId) -> Result<Option<(RunId, ThreadId)>, Error> {
        let tables = self.disk.tables.lock();
        let found = tables.messages.get(&(*owner, id.clone()));
        Ok(found.map(|(run, thread, _)| (run.clone(), thread.clone())))
    }

    fn open_runs(&self) -> Result<Vec<OpenRun>, Error> {
        Ok(self.disk.tables.lock().open.clone())
    }

    fn sweep(&self, retention: Retention) -> Result<usize, Error> {
        let Tables { streams, open, messages } = &mut *self.disk.tables.lock();
        messages.retain(|_, (_, _, at)| *at >= retention.before);
        let last = |stream: &Stream| stream.last_key_value().map_or(0, |(_, event)| event.at);
        let mut by_age: Vec<_> =
            streams.iter().map(|((owner, id), stream)| (last(stream), *owner, id.clone())).collect();
        by_age.sort_unstable_by_key(|(at, ..)| *at);
        let mut left: HashMap<Owner, usize> = HashMap::new();
        for (_, owner, _) in &by_age {
            *left.entry(*owner).or_default() += 1;
        }
        let before = streams.len();
        for (at, owner, id) in by_age {
            let left = left.entry(owner).or_default();
            let goes = at < retention.before || *left > retention.threads;
            *left -= 1;
            if goes && !open.iter().any(|run| (run.owner, &run.thread_id) == (owner, &id)) {
                streams.remove(&(owner, id));
            }
        }
        Ok(before - streams.len())
    }
}
