//! What is written to a record that is put to the test, and what is heard of it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use bytes::Bytes;
use portcullis_event::{
    AgentId, AgentThinking, Envelope, Epoch, EventId, MessageId, Position, RunId, ThreadId, Timestamp, Wire,
};
use portcullis_log::{
    Change, Durability, EventLog, Limits, OpenRun, Owner, OwnerLog, Question, Record, Repeat, suite::block_on,
};
use portcullis_log_fjall::{Embedded, Notice, Options};
use portcullis_units::Clock;

pub(crate) const LIMITS: Limits =
    Limits { events: 100_000, bytes: 1 << 30, threads: 50, owner_bytes: u64::MAX, all_bytes: u64::MAX };

/// What was heard of a record.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<(Mutex<Vec<Notice>>, Condvar)>);

impl Heard {
    pub(crate) fn all(&self) -> Vec<Notice> {
        self.0.0.lock().unwrap().clone()
    }

    /// Waits until something was heard.
    pub(crate) fn until(&self, wanted: impl Fn(&Notice) -> bool) {
        self.wait(|notices| notices.iter().any(&wanted));
    }

    /// Waits until the record takes everything.
    pub(crate) fn ready(&self, log: &Embedded) {
        self.wait(|_| log.ready().is_ok());
    }

    /// Waits until the record takes everything but acceptances.
    pub(crate) fn serves(&self, log: &Embedded) {
        self.wait(|_| log.serves().is_ok());
    }

    /// Waits until the record says that it does not take everything.
    pub(crate) fn not_ready(&self, log: &Embedded) {
        self.wait(|_| log.ready().is_err());
    }

    fn wait(&self, wanted: impl Fn(&[Notice]) -> bool) {
        let end = Clock::system().instant() + Duration::from_mins(2);
        let mut notices = self.0.0.lock().unwrap();
        while !wanted(&notices) {
            assert!(Clock::system().instant() < end, "it was waited for in vain: {notices:?}");
            // The room on a device is measured from time to time, and nobody is told of it.
            (notices, _) = self.0.1.wait_timeout(notices, Duration::from_millis(50)).unwrap();
        }
    }
}

/// The usual options, with short pauses.
pub(crate) fn options(durability: Durability, heard: &Heard) -> Options {
    let heard = heard.clone();
    Options {
        pauses: (Duration::from_millis(1), Duration::from_millis(100)),
        boot_id: Some("one".to_owned()),
        // Folders are copied often.
        floor: 1 << 20,
        reserve: 1 << 12,
        notice: Arc::new(move |notice| {
            heard.0.0.lock().unwrap().push(notice);
            heard.0.1.notify_all();
        }),
        ..Options::new(durability, LIMITS)
    }
}

pub(crate) fn open(path: &Path) -> Embedded {
    Embedded::open(path, options(Durability::Device, &Heard::default())).unwrap()
}

pub(crate) fn owner(name: &str) -> Owner {
    Owner::new(Some("i"), name)
}

pub(crate) fn opened(log: &Embedded, who: &str) -> Arc<dyn OwnerLog> {
    block_on(EventLog::open(log, owner(who))).unwrap()
}

pub(crate) fn thread(name: &str) -> ThreadId {
    ThreadId::new(name).unwrap()
}

/// The text of an event.
pub(crate) fn text(thread_id: &str, epoch: &str, seq: u64, said: &str) -> Bytes {
    let position = Position { epoch: Epoch::new(epoch).unwrap(), seq };
    let id = EventId::numbered(epoch, seq).unwrap();
    let said = AgentThinking {
        agent_id: AgentId::new("a").unwrap(),
        thinking_content: said.to_owned(),
        step_number: 1,
    };
    let now = Timestamp::from_unix_ms(0);
    let event = Envelope::event(id, position, thread(thread_id), RunId::new("r").unwrap(), now, said);
    let mut out = Vec::new();
    event.write(Wire::V1, &mut out);
    out.into()
}

/// An event at a time that is its number.
pub(crate) fn event(thread_id: &str, epoch: &str, seq: u64, said: &str) -> Change {
    let text = text(thread_id, epoch, seq, said);
    let (thread_id, epoch) = (thread(thread_id), Epoch::new(epoch).unwrap());
    Change::Event { record: Record { thread_id, epoch, seq, at: seq, text }, ends: None }
}

/// The same, with the end of a run.
pub(crate) fn ends(change: Change, run: &str) -> Change {
    let Change::Event { record, .. } = change else { panic!("{change:?}") };
    Change::Event { record, ends: Some(RunId::new(run).unwrap()) }
}

pub(crate) fn run(name: &str, thread_id: &str, question: Option<&str>) -> OpenRun {
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

pub(crate) fn commit(own: &Arc<dyn OwnerLog>, change: Change) {
    block_on(own.append(change)).unwrap();
}

/// The first and the last number of a thread; that nothing is missing between them is seen to.
pub(crate) fn seqs(own: &Arc<dyn OwnerLog>, thread_id: &str) -> Option<(u64, u64)> {
    let page = block_on(own.read(&thread(thread_id), 0, usize::MAX)).unwrap()?;
    assert_eq!(page.from + page.events.len() as u64, page.stream.tail + 1);
    for (text, seq) in page.events.iter().zip(page.from..) {
        let event = Envelope::parse(str::from_utf8(text).unwrap()).unwrap();
        let position = event.position.unwrap();
        assert_eq!((position.epoch, position.seq), (page.stream.epoch.clone(), seq));
    }
    Some((page.stream.first, page.stream.tail))
}

/// The journal that was written last.
pub(crate) fn journal(path: &Path) -> PathBuf {
    let entries = std::fs::read_dir(path.join("tables")).unwrap().map(|entry| entry.unwrap().path());
    let journals = entries.filter(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    journals.max().expect("there is a journal")
}

/// How far a journal is written.
pub(crate) fn used(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let bytes = written(&bytes);
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// What is written in a file: journals are longer than that, with zeros behind.
pub(crate) fn written(bytes: &[u8]) -> &[u8] {
    const BLOCK: usize = 1 << 12;
    let written = bytes.chunks(BLOCK).rposition(|block| block != &[0; BLOCK][..block.len()]);
    &bytes[..written.map_or(0, |last| bytes.len().min((last + 1) * BLOCK))]
}

/// Cuts a file off.
pub(crate) fn cut(path: &Path, length: u64) {
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

/// The epoch of a thread.
pub(crate) fn epoch(own: &Arc<dyn OwnerLog>, thread_id: &str) -> String {
    block_on(own.stream(&thread(thread_id))).unwrap().unwrap().epoch.to_string()
}

/// Copies a folder as it is: what `kill -9` at this moment would leave.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
