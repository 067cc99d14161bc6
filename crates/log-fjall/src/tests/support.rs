//! A record to put to the test, and what is written to it.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use portcullis_event::{Epoch, MessageId, RunId, ThreadId};
use portcullis_log::{
    AppendError, Change, Limits, OpenRun, Owner, OwnerLog, Question, Record, Repeat, suite::block_on,
};
use tempfile::TempDir;

use super::Fault;
use crate::{Durability, Embedded, EventLog as _, Notice, Options, recover::Keeper};

/// A record in a folder, what it told, and the way to make it fail.
pub(super) struct Bench {
    pub(super) log: Option<Embedded>,
    pub(super) fault: Arc<Fault>,
    pub(super) notices: mpsc::Receiver<Notice>,
    pub(super) folder: TempDir,
}

pub(super) fn options(durability: Durability) -> (Options, mpsc::Receiver<Notice>) {
    let limits =
        Limits { events: 1_000, bytes: 1 << 20, threads: 50, owner_bytes: u64::MAX, all_bytes: u64::MAX };
    let (told, notices) = mpsc::channel();
    let told = Mutex::new(told);
    let options = Options {
        pauses: (Duration::from_millis(1), Duration::from_millis(20)),
        notice: Arc::new(move |notice| drop(told.lock().unwrap().send(notice))),
        ..Options::new(durability, limits)
    };
    (options, notices)
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (options, notices) = options(Durability::Device);
        let path = folder.path().join("events");
        let (keeper, writer) = Keeper::start(&path, options).unwrap();
        let fault = Arc::clone(&keeper.fault);
        let log = Embedded::serve(&path, keeper, writer).unwrap();
        Self { log: Some(log), fault, notices, folder }
    }

    pub(super) fn log(&self) -> &Embedded {
        self.log.as_ref().unwrap()
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("events")
    }

    pub(super) fn open(&self, name: &str) -> Arc<dyn OwnerLog> {
        block_on(self.log().open(owner(name))).unwrap()
    }

    /// Waits until it takes changes again.
    pub(super) fn recovered(&self) {
        while self.notices.recv_timeout(Duration::from_mins(1)).unwrap() != Notice::Recovered {}
    }
}

pub(super) fn owner(name: &str) -> Owner {
    Owner::new(Some("i"), name)
}

pub(super) fn thread(name: &str) -> ThreadId {
    ThreadId::new(name).unwrap()
}

pub(super) fn event(thread_id: &str, epoch: &str, seq: u64) -> Change {
    let text = Bytes::from(format!("{thread_id} {seq}"));
    let epoch = Epoch::new(epoch).unwrap();
    Change::Event { record: Record { thread_id: thread(thread_id), epoch, seq, at: seq, text }, ends: None }
}

pub(super) fn run(name: &str, thread_id: &str, question: Option<&str>) -> OpenRun {
    let question =
        question.map(|content| Question { content: content.to_owned(), context: None, fresh: false });
    OpenRun {
        run_id: RunId::new(name).unwrap(),
        thread_id: thread(thread_id),
        message_id: MessageId::new(&format!("m-{name}")).unwrap(),
        agent_id: "a".to_owned(),
        agent_type: "builtin".to_owned(),
        user_id: "ann".to_owned(),
        accepted_at: 5,
        repeat: question.map_or(Repeat::Never, Repeat::Once),
    }
}

pub(super) fn append(own: &Arc<dyn OwnerLog>, change: Change) -> Result<(), AppendError> {
    block_on(own.append(change))
}

/// The texts of a thread from its first event on, and its epoch.
pub(super) fn texts(own: &Arc<dyn OwnerLog>, thread_id: &str) -> (String, u64, Vec<String>) {
    let page = block_on(own.read(&thread(thread_id), 0, usize::MAX)).unwrap();
    page.map_or_else(Default::default, |page| {
        let texts = page.events.iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect();
        (page.stream.epoch.to_string(), page.from, texts)
    })
}
