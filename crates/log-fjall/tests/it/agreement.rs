//! Whatever is done to it, and wherever a crash comes, the record has what the plain one in memory has of what was committed.

use std::{fs, path::PathBuf, sync::Arc};

use portcullis_event::{Epoch, MessageId, RunId};
use portcullis_log::{
    Change, Durability, EventLog, Limits, Memory, OpenRun, OwnerLog, Record, Repeat, suite::block_on,
};
use portcullis_log_fjall::{Embedded, Options};
use portcullis_test::setting;
use proptest::prelude::*;

use crate::support::{Heard, copy, cut, journal, options, owner, run, text, thread, used};

const LIMITS: Limits =
    Limits { events: 16, bytes: 1 << 20, threads: 3, owner_bytes: u64::MAX, all_bytes: u64::MAX };
const OWNERS: [&str; 2] = ["ann", "bob"];

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Something is said in one of an owner's threads.
    Say {
        who: usize,
        thread: usize,
    },
    /// A message is accepted, with or without its words, and told or not.
    Ask {
        who: usize,
        thread: usize,
        kept: bool,
        told: bool,
    },
    /// The oldest open run ends.
    End {
        who: usize,
    },
    /// The oldest open run begins again.
    Again {
        who: usize,
    },
    Forget {
        who: usize,
        thread: usize,
    },
    /// What is older than so many steps goes.
    Sweep {
        age: u64,
    },
    Close,
    /// The process is killed.
    Kill,
    /// It is killed while the next event is written: a part of it is there.
    Tear {
        who: usize,
        thread: usize,
        part: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (who, threads) = (0..OWNERS.len(), 0..5_usize);
    prop_oneof![
        12 => (who.clone(), threads.clone()).prop_map(|(who, thread)| Step::Say { who, thread }),
        4 => (who.clone(), threads.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(who, thread, kept, told)| Step::Ask { who, thread, kept, told }),
        3 => who.clone().prop_map(|who| Step::End { who }),
        1 => who.clone().prop_map(|who| Step::Again { who }),
        1 => (who.clone(), threads.clone()).prop_map(|(who, thread)| Step::Forget { who, thread }),
        1 => (0..40_u64).prop_map(|age| Step::Sweep { age }),
        1 => Just(Step::Close),
        2 => Just(Step::Kill),
        2 => (who, threads, 0..1_000_u64).prop_map(|(who, thread, part)| Step::Tear { who, thread, part }),
    ]
}

/// The record and the one in memory beside it.
struct Pair {
    folder: tempfile::TempDir,
    lives: u32,
    log: Option<Embedded>,
    own: Vec<Arc<dyn OwnerLog>>,
    memory: Memory,
    plain: Vec<Arc<dyn OwnerLog>>,
    heard: Heard,
    now: u64,
}

impl Pair {
    fn new() -> Self {
        let memory = Memory::new(LIMITS);
        let plain = OWNERS.iter().map(|who| block_on(memory.open(owner(who))).unwrap()).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut pair = Self {
            folder,
            lives: 0,
            log: None,
            own: Vec::new(),
            memory,
            plain,
            heard: Heard::default(),
            now: 10,
        };
        pair.open();
        pair
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("life-{}", self.lives))
    }

    fn open(&mut self) {
        let options = Options { limits: LIMITS, ..options(Durability::Os, &self.heard) };
        let log = Embedded::open(&self.path(), options).unwrap();
        self.own = OWNERS.iter().map(|who| block_on(log.open(owner(who))).unwrap()).collect();
        self.log = Some(log);
    }

    /// Goes on with a copy of the folder as it is now.
    fn kill(&mut self, damage: impl FnOnce(&std::path::Path)) {
        let before = self.path();
        self.lives += 1;
        copy(&before, &self.path());
        damage(&self.path());
        self.own.clear();
        self.log = None;
        fs::remove_dir_all(before).unwrap();
        self.open();
    }

    fn record(&self, who: usize, at: usize) -> Record {
        let name = format!("t{at}");
        let stream = block_on(self.plain[who].stream(&thread(&name))).unwrap();
        let seq = stream.as_ref().map_or(1, |stream| stream.tail + 1);
        // A thread that was let go of begins another life.
        let epoch = stream.map_or_else(|| format!("e{}", self.now), |stream| stream.epoch.to_string());
        let text = text(&name, &epoch, seq, &format!("said at {}", self.now));
        Record { thread_id: thread(&name), epoch: Epoch::new(&epoch).unwrap(), seq, at: self.now, text }
    }

    fn both(&self, who: usize, change: Change) {
        assert_eq!(block_on(self.own[who].append(change.clone())), Ok(()));
        assert_eq!(block_on(self.plain[who].append(change)), Ok(()));
    }

    fn oldest(&self, who: usize) -> Option<OpenRun> {
        block_on(self.plain[who].open_runs()).unwrap().into_iter().next()
    }

    fn take(&mut self, step: Step) {
        self.now += 1;
        match step {
            Step::Say { who, thread } => {
                self.both(who, Change::Event { record: self.record(who, thread), ends: None });
            }
            Step::Ask { who, thread, kept, told } => {
                let name = format!("r{}", self.now);
                let question = kept.then(|| format!("question {}", self.now));
                let run = run(&name, &format!("t{thread}"), question.as_deref());
                let run = OpenRun { accepted_at: self.now, ..run };
                let told = told.then(|| self.record(who, thread));
                self.both(who, Change::Accept { run, told });
            }
            Step::End { who } => {
                if let Some(run) = self.oldest(who) {
                    let thread: usize = run.thread_id.as_str()[1..].parse().unwrap();
                    let record = self.record(who, thread);
                    self.both(who, Change::Event { record, ends: Some(run.run_id) });
                }
            }
            Step::Again { who } => {
                if let Some(run) = self.oldest(who) {
                    self.both(who, Change::Reopen(OpenRun { repeat: Repeat::Done, ..run }));
                }
            }
            Step::Forget { who, thread: at } => {
                self.both(who, Change::Forget(thread(&format!("t{at}"))));
            }
            Step::Sweep { age } => {
                let before = self.now.saturating_sub(age);
                let gone = block_on(self.log.as_ref().unwrap().sweep(before)).unwrap();
                assert_eq!(gone, block_on(self.memory.sweep(before)).unwrap());
            }
            Step::Close => {
                self.own.clear();
                self.log = None;
                self.open();
            }
            Step::Kill => self.kill(|_| {}),
            Step::Tear { who, thread, part } => {
                let path = self.path();
                let beside = ["state", "keys"].map(|name| (name, fs::read(path.join(name)).unwrap()));
                let before = used(&journal(&path));
                let change = Change::Event { record: self.record(who, thread), ends: None };
                assert_eq!(block_on(self.own[who].append(change.clone())), Ok(()));
                let after = used(&journal(&path));
                let end = before + part * (after - before) / 1_000;
                self.kill(|path| {
                    cut(&journal(path), end);
                    // It is noted later how far the record has come, and no key is destroyed before a write is whole.
                    let early = if end < after { 2 } else { 1 };
                    for (name, bytes) in &beside[..early] {
                        fs::write(path.join(name), bytes).unwrap();
                    }
                });
                let Change::Event { record, .. } = &change else { unreachable!() };
                let stream = block_on(self.own[who].stream(&record.thread_id)).unwrap();
                if stream.is_some_and(|stream| stream.epoch == record.epoch && stream.tail == record.seq) {
                    assert_eq!(block_on(self.plain[who].append(change)), Ok(()));
                }
            }
        }
    }

    fn agree(&self) {
        for (own, plain) in self.own.iter().zip(&self.plain) {
            for at in 0..5 {
                let id = thread(&format!("t{at}"));
                let (stream, other) =
                    (block_on(own.stream(&id)).unwrap(), block_on(plain.stream(&id)).unwrap());
                let (stream, other) = match (stream, other) {
                    (None, None) => continue,
                    (Some(stream), Some(other)) => (stream, other),
                    (stream, other) => panic!("{id}: {stream:?} and {other:?}"),
                };
                assert_eq!((&stream.epoch, stream.tail), (&other.epoch, other.tail), "{id}");
                // The beginning is let go of in strides here, and one by one there.
                let count = stream.tail + 1 - stream.first;
                assert!(count <= LIMITS.events as u64 && stream.first >= other.first, "{stream:?} {other:?}");
                assert!(stream.first == 1 || count > LIMITS.events as u64 / 2, "{stream:?}");
                let after = stream.first - 1;
                let page = block_on(own.read(&id, after, usize::MAX)).unwrap().unwrap();
                let expected = block_on(plain.read(&id, after, usize::MAX)).unwrap().unwrap();
                assert_eq!((page.from, page.events), (expected.from, expected.events), "{id}");
            }
            let list = |own: &Arc<dyn OwnerLog>| {
                let threads = block_on(own.threads(None, 10)).unwrap();
                threads.into_iter().map(|it| (it.place, it.stream.tail, it.last)).collect::<Vec<_>>()
            };
            assert_eq!(list(own), list(plain));
            assert_eq!(block_on(own.open_runs()), block_on(plain.open_runs()));
            for at in self.now.saturating_sub(60)..=self.now {
                let id = MessageId::new(&format!("m-r{at}")).unwrap();
                assert_eq!(block_on(own.message(&id)), block_on(plain.message(&id)), "{id}");
                assert!(RunId::new(&format!("r{at}")).is_ok());
            }
        }
        let sorted = |mut owners: Vec<_>| {
            owners.sort_unstable();
            owners
        };
        let unfinished = block_on(self.log.as_ref().unwrap().unfinished()).unwrap();
        assert_eq!(sorted(unfinished), sorted(block_on(self.memory.unfinished()).unwrap()));
        assert_eq!(self.heard.all(), [], "nothing is amiss");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: u32::try_from(setting("RECORD_CASES", 2)).unwrap(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_agrees_with_the_plain_one_over_changes_crashes_and_restarts(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut pair = Pair::new();
        for step in steps {
            pair.take(step);
            pair.agree();
        }
    }
}
