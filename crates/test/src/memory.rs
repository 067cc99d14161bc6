//! A record on a disk that a test drives: slow, and sometimes unavailable or another's.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{self, BoxFuture},
};
use parking_lot::Mutex;
use portcullis_event::{Epoch, MessageId, ThreadId};
use portcullis_log::{
    Accepted, AppendError, Change, Commit, Committer, EventLog, Limits, Memory, OpenError, OpenRun, Owner,
    OwnerLog, Page, Place, Quota, ReadError, Stream, Summary,
};
use tokio::sync::oneshot;

/// What survives a crash.
pub struct MemoryDisk {
    record: Memory,
    owners: Mutex<HashMap<Owner, Arc<dyn OwnerLog>>>,
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDisk").finish_non_exhaustive()
    }
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::new(Limits {
            events: 1 << 20,
            bytes: 1 << 30,
            threads: 1 << 20,
            owner_bytes: u64::MAX,
            all_bytes: u64::MAX,
        })
    }
}

/// What a future gives that is ready at once, as the ones of a record in memory are.
fn at_once<T>(future: BoxFuture<'static, T>) -> T {
    future.now_or_never().expect("memory answers at once")
}

impl MemoryDisk {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self { record: Memory::new(limits), owners: Mutex::default() }
    }

    /// The events of a thread as they are on the disk, as v1 texts.
    pub fn events(&self, owner: Owner, thread_id: &ThreadId) -> Option<(Stream, Vec<bytes::Bytes>)> {
        let page = at_once(self.of(owner).read(thread_id, 0, usize::MAX)).expect("memory can be read")?;
        Some((page.stream, page.events))
    }

    /// The epoch of a thread.
    pub fn epoch(&self, owner: Owner, thread_id: &ThreadId) -> Option<Epoch> {
        self.events(owner, thread_id).map(|(stream, _)| stream.epoch)
    }

    /// The threads of an owner in which nothing is going on and nothing was said since `before`, in milliseconds since 1970.
    pub fn silent(&self, owner: Owner, before: u64) -> Vec<ThreadId> {
        let own = self.of(owner);
        let busy = at_once(own.open_runs()).expect("memory can be read");
        let threads = at_once(own.threads(None, usize::MAX)).expect("memory can be read");
        let places = threads.into_iter().map(|summary| summary.place);
        let silent = places.filter(|place| place.at < before).map(|place| place.thread_id);
        silent.filter(|id| busy.iter().all(|run| run.thread_id != *id)).collect()
    }

    /// The runs of all owners that have not ended.
    pub fn open_runs(&self) -> Vec<OpenRun> {
        let owners: Vec<_> = self.owners.lock().values().map(Arc::clone).collect();
        owners.iter().flat_map(|own| at_once(own.open_runs()).expect("memory can be read")).collect()
    }

    /// What a message's id leads to.
    pub fn message(&self, owner: Owner, id: &MessageId) -> Option<Accepted> {
        at_once(self.of(owner).message(id)).expect("memory can be read")
    }

    fn of(&self, owner: Owner) -> Arc<dyn OwnerLog> {
        let open = || at_once(self.record.open(owner)).expect("memory can be opened");
        Arc::clone(self.owners.lock().entry(owner).or_insert_with(open))
    }

    fn write(&self, owner: Owner, change: Change) -> Result<(), AppendError> {
        let outcome = self.of(owner).append(change).try_known().expect("memory answers at once");
        if outcome.is_err() {
            // A handle is at its end with a refusal, and the disk is not.
            let again = at_once(self.record.open(owner)).expect("memory can be opened");
            self.owners.lock().insert(owner, again);
        }
        outcome
    }
}

/// One life of a record on a [`MemoryDisk`]. What is handed over waits until the test writes it, and what was written
/// until the test acknowledges it: the two are apart so that a test can do them in the wrong order.
#[derive(Clone)]
pub struct MemoryLog(Arc<Life>);

struct Life {
    disk: Arc<MemoryDisk>,
    /// Whether reads and openings are answered by [`MemoryLog::acknowledge`] alone.
    slow: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    terms: HashMap<Owner, u64>,
    handed: VecDeque<Handed>,
    /// Who waits for an answer.
    reading: Vec<oneshot::Sender<()>>,
    /// The device takes nothing any more.
    failed: bool,
    /// Nothing can be read or opened for now.
    unavailable: bool,
    /// The process is gone: nothing that it still hands over arrives, and nothing is answered.
    crashed: bool,
    /// What a process that is gone waits for.
    forsaken: Vec<Committer>,
}

struct Handed {
    owner: Owner,
    /// None once it is written.
    change: Option<Change>,
    outcome: Result<(), AppendError>,
    /// None once it is acknowledged.
    committer: Option<Committer>,
}

/// What one owner has, opened.
struct Handle {
    life: Arc<Life>,
    owner: Owner,
    term: u64,
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").finish_non_exhaustive()
    }
}

/// How long whoever finds the record unavailable is told to wait.
const AGAIN: Duration = Duration::from_millis(500);

impl MemoryLog {
    /// Opens the record on a disk. Reads are answered at once.
    pub fn open(disk: &Arc<MemoryDisk>) -> Self {
        Self::with(disk, false)
    }

    /// Opens the record on a disk. Reads are answered when [`acknowledge`](Self::acknowledge) is called.
    pub fn slow(disk: &Arc<MemoryDisk>) -> Self {
        Self::with(disk, true)
    }

    fn with(disk: &Arc<MemoryDisk>, slow: bool) -> Self {
        Self(Arc::new(Life { disk: Arc::clone(disk), slow, state: Mutex::default() }))
    }

    /// The disk.
    pub fn disk(&self) -> &Arc<MemoryDisk> {
        &self.0.disk
    }

    /// Changes that are not written.
    pub fn unwritten(&self) -> usize {
        self.0.state.lock().handed.iter().filter(|handed| handed.change.is_some()).count()
    }

    /// Whether nothing waits to be written or acknowledged.
    pub fn is_idle(&self) -> bool {
        self.0.state.lock().handed.is_empty()
    }

    /// Writes the first `most` of the changes that wait, unless the device has failed.
    pub fn write(&self, most: usize) {
        let mut state = self.0.state.lock();
        if !state.failed {
            state.write(&self.0.disk, most);
        }
    }

    /// Changes what waits, or throws it away where `keep` says no, as a disk that lies does.
    pub fn tamper(&self, mut keep: impl FnMut(&mut Change) -> bool) {
        for handed in &mut self.0.state.lock().handed {
            if handed.change.as_mut().is_some_and(|change| !keep(change)) {
                handed.change = None;
            }
        }
    }

    /// Says of everything that was handed over that it is recorded, or that it never will be, and answers reads.
    pub fn acknowledge(&self) {
        let mut state = self.0.state.lock();
        if state.crashed {
            return;
        }
        let failed = state.failed;
        let tell = |handed: &mut Handed| {
            let outcome = match &handed.outcome {
                Ok(()) if failed => Err(AppendError::Failed("the device failed".into())),
                outcome => outcome.clone(),
            };
            handed.committer.take().map(|committer| (committer, outcome))
        };
        let told: Vec<_> = state.handed.iter_mut().filter_map(tell).collect();
        state.handed.retain(|handed| handed.change.is_some() && !failed);
        let answered = std::mem::take(&mut state.reading);
        // Whoever is told may hand over the next change at once.
        drop(state);
        for (committer, outcome) in told {
            committer.tell(outcome);
        }
        for reading in answered {
            let _ = reading.send(());
        }
    }

    /// Has the device fail from now on.
    pub fn fail(&self) {
        self.0.state.lock().failed = true;
    }

    /// Somebody else opens the record of `owner`, and lets go of it again: what is not written is refused.
    pub fn fence(&self, owner: Owner) {
        self.0.state.lock().refuse(|other| other == owner, &AppendError::Fenced);
    }

    /// Nothing can be recorded, read or opened until [`restore`](Self::restore): what is not written is refused.
    pub fn interrupt(&self) {
        let mut state = self.0.state.lock();
        state.unavailable = true;
        state.refuse(|_| true, &AppendError::Unavailable { cause: "no leader".into(), after: AGAIN });
    }

    /// Ends an interruption.
    pub fn restore(&self) {
        self.0.state.lock().unavailable = false;
    }

    /// Ends this life: of what waits the first `written` changes reach the disk, and nothing is acknowledged any more.
    pub fn crash(&self, written: usize) {
        let mut state = self.0.state.lock();
        state.write(&self.0.disk, written);
        state.crashed = true;
        let left: Vec<_> = state.handed.drain(..).filter_map(|handed| handed.committer).collect();
        state.forsaken.extend(left);
    }

    /// Writes and acknowledges from a thread of its own, until what is given back is dropped.
    pub fn serve(&self) -> Serving {
        let over = Arc::new(AtomicBool::new(false));
        let (log, until) = (self.clone(), Arc::clone(&over));
        let served = thread::spawn(move || {
            while !until.load(Ordering::Acquire) {
                log.write(usize::MAX);
                log.acknowledge_written();
                thread::yield_now();
            }
        });
        Serving { over, served: Some(served) }
    }

    /// Writes the next change and acknowledges it; false if none waits.
    pub fn step(&self) -> bool {
        if self.is_idle() {
            return false;
        }
        if self.0.state.lock().failed {
            self.acknowledge();
        } else {
            self.write(1);
            self.acknowledge_written();
        }
        true
    }

    /// Acknowledges what is written, and nothing that was handed over since.
    fn acknowledge_written(&self) {
        let mut state = self.0.state.lock();
        let told: Vec<_> = {
            let written = state.handed.iter().take_while(|handed| handed.change.is_none()).count();
            state.handed.drain(..written).filter_map(|it| Some((it.committer?, it.outcome))).collect()
        };
        let answered = std::mem::take(&mut state.reading);
        drop(state);
        for (committer, outcome) in told {
            committer.tell(outcome);
        }
        for reading in answered {
            let _ = reading.send(());
        }
    }
}

/// A record that is served. It is not any more once this is dropped.
#[derive(Debug)]
pub struct Serving {
    over: Arc<AtomicBool>,
    served: Option<JoinHandle<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(served) = self.served.take() {
            let _ = served.join();
        }
    }
}

impl State {
    fn write(&mut self, disk: &MemoryDisk, most: usize) {
        let mut refused: Vec<Owner> = Vec::new();
        for handed in self.handed.iter_mut().filter(|handed| handed.change.is_some()).take(most) {
            let Some(change) = handed.change.take() else { continue };
            handed.outcome = if refused.contains(&handed.owner) {
                Err(AppendError::Fenced)
            } else {
                disk.write(handed.owner, change)
            };
            if handed.outcome.is_err() {
                refused.push(handed.owner);
            }
        }
        for owner in refused {
            self.refuse(|other| other == owner, &AppendError::Fenced);
        }
    }

    /// Refuses what is not written of some owners, the first with `error`, and takes nothing more by their handles.
    fn refuse(&mut self, of: impl Fn(Owner) -> bool, error: &AppendError) {
        self.terms.iter_mut().filter(|(owner, _)| of(**owner)).for_each(|(_, term)| *term += 1);
        for handed in self.handed.iter_mut().filter(|handed| of(handed.owner)) {
            if handed.change.take().is_some() {
                handed.outcome = Err(error.clone());
            }
        }
    }
}

impl Life {
    /// Answers when the test says so, where it is slow, and not while nothing is to be had.
    fn answer<T: Send + 'static, E: Send + 'static>(
        self: &Arc<Self>,
        answer: impl FnOnce(&mut State) -> Result<T, E> + Send + 'static,
        unavailable: impl FnOnce() -> E + Send + 'static,
    ) -> BoxFuture<'static, Result<T, E>> {
        let life = Arc::clone(self);
        let (told, turn) = oneshot::channel();
        if self.slow {
            self.state.lock().reading.push(told);
        } else {
            let _ = told.send(());
        }
        async move {
            let _ = turn.await;
            if life.state.lock().crashed {
                future::pending::<()>().await;
            }
            let mut state = life.state.lock();
            if state.unavailable { Err(unavailable()) } else { answer(&mut state) }
        }
        .boxed()
    }

    /// Reads from the disk.
    fn read<T: Send + 'static>(
        self: &Arc<Self>,
        owner: Owner,
        read: impl FnOnce(&dyn OwnerLog) -> BoxFuture<'static, Result<T, ReadError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ReadError>> {
        let disk = Arc::clone(&self.disk);
        let unavailable = || ReadError::Unavailable("no leader".into());
        self.answer(move |_| at_once(read(&*disk.of(owner))), unavailable)
    }
}

impl EventLog for MemoryLog {
    fn open(&self, owner: Owner) -> BoxFuture<'static, Result<Arc<dyn OwnerLog>, OpenError>> {
        let life = Arc::clone(&self.0);
        let opened = move |state: &mut State| {
            state.refuse(|other| other == owner, &AppendError::Fenced);
            let term = *state.terms.entry(owner).or_default();
            Ok(Arc::new(Handle { life, owner, term }) as Arc<dyn OwnerLog>)
        };
        self.0.answer(opened, || OpenError::Unavailable { cause: "no leader".into(), after: AGAIN })
    }

    fn unfinished(&self) -> BoxFuture<'static, Result<Vec<Owner>, ReadError>> {
        let disk = Arc::clone(&self.0.disk);
        self.0
            .answer(move |_| at_once(disk.record.unfinished()), || ReadError::Unavailable("no leader".into()))
    }

    fn sweep(&self, before: u64) -> BoxFuture<'static, Result<usize, ReadError>> {
        let disk = Arc::clone(&self.0.disk);
        self.0.answer(
            move |_| at_once(disk.record.sweep(before)),
            || ReadError::Unavailable("no leader".into()),
        )
    }

    fn ready(&self) -> Result<(), Arc<str>> {
        let state = self.0.state.lock();
        if state.failed {
            Err("the device failed".into())
        } else if state.unavailable {
            Err("no leader".into())
        } else {
            Ok(())
        }
    }
}

impl OwnerLog for Handle {
    fn append(&self, change: Change) -> Commit {
        let mut state = self.life.state.lock();
        let (committer, commit) = Commit::awaited();
        if state.crashed {
            state.forsaken.push(committer);
        } else if state.terms.get(&self.owner) == Some(&self.term) {
            let (owner, change, committer) = (self.owner, Some(change), Some(committer));
            state.handed.push_back(Handed { owner, change, outcome: Ok(()), committer });
        } else {
            committer.tell(Err(AppendError::Fenced));
        }
        commit
    }

    fn stream(&self, thread_id: &ThreadId) -> BoxFuture<'static, Result<Option<Stream>, ReadError>> {
        let id = thread_id.clone();
        self.life.read(self.owner, move |own| own.stream(&id))
    }

    fn read(
        &self,
        thread_id: &ThreadId,
        after: u64,
        most: usize,
    ) -> BoxFuture<'static, Result<Option<Page>, ReadError>> {
        let id = thread_id.clone();
        self.life.read(self.owner, move |own| own.read(&id, after, most))
    }

    fn threads(
        &self,
        after: Option<Place>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<Summary>, ReadError>> {
        self.life.read(self.owner, move |own| own.threads(after, most))
    }

    fn message(&self, id: &MessageId) -> BoxFuture<'static, Result<Option<Accepted>, ReadError>> {
        let id = id.clone();
        self.life.read(self.owner, move |own| own.message(&id))
    }

    fn full(&self) -> Option<Quota> {
        self.life.disk.of(self.owner).full()
    }

    fn open_runs(&self) -> BoxFuture<'static, Result<Vec<OpenRun>, ReadError>> {
        self.life.read(self.owner, |own| own.open_runs())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_log::suite::LIMITS;

    use super::*;

    fn served(open: fn(&Arc<MemoryDisk>) -> MemoryLog) -> (Arc<dyn EventLog>, Serving) {
        let log = open(&Arc::new(MemoryDisk::new(LIMITS)));
        let serving = log.serve();
        (Arc::new(log), serving)
    }

    mod prompt {
        portcullis_log::contract! { super::served(super::MemoryLog::open) }
    }

    mod slow {
        portcullis_log::contract! { super::served(super::MemoryLog::slow) }
    }
}
