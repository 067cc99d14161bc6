//! A disk that survives, and lives of a process on it that end whenever the test says.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use parking_lot::Mutex;
use portcullis_event::{MessageId, RunId, ThreadId};
use portcullis_log::{
    Change, Done, Durability, Embedded, Error, EventLog, OpenRun, Owner, Retention, Stored, Summary,
};
use portcullis_router::{Agents, Options, Recovered, Router};

use crate::{
    script::scripted,
    world::{recording_with, roomy},
};

/// A real log whose acknowledgements are held back until the test lets them go, one by one.
pub(crate) struct Held {
    disk: Arc<Disk>,
    /// What the process has handed over; when it ends, this is what was never recorded.
    waiting: Mutex<VecDeque<(Change, Done)>>,
    /// Nothing is held back.
    flowing: AtomicBool,
    failed: AtomicBool,
}

struct Disk {
    log: Embedded,
    _folder: tempfile::TempDir,
}

impl Held {
    pub(crate) fn new() -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let log = Embedded::open(&folder.path().join("events"), Durability::Os).unwrap();
        Self::on(Arc::new(Disk { log, _folder: folder }))
    }

    fn on(disk: Arc<Disk>) -> Arc<Self> {
        let (flowing, failed) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { disk, waiting: Mutex::default(), flowing, failed })
    }

    /// The same disk for the next process. What the one before has not recorded, and whatever its tasks say from now on,
    /// goes nowhere.
    pub(crate) fn restart(&self) -> Arc<Self> {
        Self::on(Arc::clone(&self.disk))
    }

    pub(crate) fn router(self: &Arc<Self>) -> Router {
        self.router_with(roomy(), scripted())
    }

    pub(crate) fn router_with(self: &Arc<Self>, options: Options, agents: Agents) -> Router {
        recording_with(options, agents, Some(Arc::clone(self) as Arc<dyn EventLog>))
    }

    /// Takes up what the process before left open. What that has to say is recorded at once, and nothing after it.
    pub(crate) fn recover(&self, router: &Router) -> Recovered {
        self.flowing.store(true, Ordering::Relaxed);
        let recovered = router.recover().unwrap();
        self.flowing.store(false, Ordering::Relaxed);
        recovered
    }

    /// Records the next change, and acknowledges it; false if none waits.
    pub(crate) fn next(&self) -> bool {
        let Some((change, done)) = self.waiting.lock().pop_front() else { return false };
        if self.failed.load(Ordering::Relaxed) {
            done(Err(&Error::Failed("as the test says".to_owned())));
            return true;
        }
        let (told, outcome) = mpsc::channel();
        self.disk.log.append(change, Box::new(move |outcome| told.send(outcome.is_ok()).unwrap()));
        assert!(outcome.recv().unwrap());
        done(Ok(()));
        true
    }

    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether nothing waits to be recorded.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.lock().is_empty()
    }
}

impl EventLog for Held {
    fn append(&self, change: Change, done: Done) {
        if self.flowing.load(Ordering::Relaxed) {
            self.disk.log.append(change, done);
        } else {
            self.waiting.lock().push_back((change, done));
        }
    }

    fn thread(&self, owner: &Owner, thread_id: &ThreadId) -> Result<Option<Stored>, Error> {
        self.disk.log.thread(owner, thread_id)
    }

    fn threads(&self, owner: &Owner) -> Result<Vec<Summary>, Error> {
        self.disk.log.threads(owner)
    }

    fn message(&self, owner: &Owner, id: &MessageId) -> Result<Option<(RunId, ThreadId)>, Error> {
        self.disk.log.message(owner, id)
    }

    fn open_runs(&self) -> Result<Vec<OpenRun>, Error> {
        self.disk.log.open_runs()
    }

    fn sweep(&self, retention: Retention) -> Result<usize, Error> {
        self.disk.log.sweep(retention)
    }
}

/// Lets tasks go as far as they come without the log.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Lets everything come to its end.
pub(crate) async fn finish(router: &Router, log: &Held) {
    while log.next() || router.runs() > 0 {
        pause().await;
    }
}
