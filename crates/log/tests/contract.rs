//! What every event log promises, and what the embedded one does about crashes and strange folders.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};

use bytes::Bytes;
use portcullis_event::{Epoch, MessageId, RunId, ThreadId};
use portcullis_log::{
    Change, Durability, Embedded, Error, EventLog, OpenRun, Owner, Question, Record, Repeat, Retention,
};
use portcullis_test::MemoryLog;

fn owner(name: &str) -> Owner {
    Owner::new(Some("i"), name)
}

fn thread(name: &str) -> ThreadId {
    ThreadId::new(name).unwrap()
}

fn run_id(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

fn record(owner: Owner, thread_id: &str, epoch: &str, seq: u64, at: u64) -> Record {
    let text = Bytes::from(format!("{thread_id} {epoch} {seq}"));
    Record { owner, thread_id: thread(thread_id), epoch: Epoch::new(epoch).unwrap(), seq, at, text }
}

fn event(thread_id: &str, seq: u64) -> Change {
    Change::Event { record: record(owner("ann"), thread_id, "e", seq, seq), trim: 0..0, ends: None }
}

fn open_run(name: &str, owner: Owner, thread_id: &str) -> OpenRun {
    OpenRun {
        owner,
        run_id: run_id(name),
        thread_id: thread(thread_id),
        message_id: MessageId::new(&format!("m-{name}")).unwrap(),
        agent_id: "a".to_owned(),
        agent_type: "builtin".to_owned(),
        user_id: "ann".to_owned(),
        accepted_at: 5,
        repeat: Repeat::Never,
    }
}

/// Hands changes over, and waits for what becomes of each, in the order in which they are told.
fn append(log: &dyn EventLog, changes: impl IntoIterator<Item = Change>) -> Vec<(usize, bool)> {
    let (told, outcomes) = mpsc::channel();
    for (index, change) in changes.into_iter().enumerate() {
        let told = told.clone();
        log.append(change, Box::new(move |outcome| told.send((index, outcome.is_ok())).unwrap()));
    }
    drop(told);
    outcomes.iter().collect()
}

fn texts(log: &dyn EventLog, who: &str, thread_id: &str) -> Option<(u64, Vec<String>)> {
    let stored = log.thread(&owner(who), &thread(thread_id)).unwrap()?;
    Some((stored.first, stored.texts.iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()))
}

fn expected(thread_id: &str, range: Range<u64>) -> (u64, Vec<String>) {
    (range.start, range.map(|seq| format!("{thread_id} e {seq}")).collect())
}

fn open(path: &Path) -> Embedded {
    Embedded::open(path, Durability::Device).unwrap()
}

/// Runs a promise against each implementation.
fn each(promise: impl Fn(&dyn EventLog)) {
    for durability in [Durability::Device, Durability::Os] {
        let folder = tempfile::tempdir().unwrap();
        promise(&Embedded::open(&folder.path().join("events"), durability).unwrap());
    }
    let memory = MemoryLog::open(&Arc::default());
    memory.serving(|| promise(&memory));
}

#[test]
fn what_was_acknowledged_can_be_read_and_acknowledgements_come_in_order() {
    each(|log| {
        let told = append(log, (1..=600).map(|seq| event("t", seq)));
        assert_eq!(told, (0..600).map(|index| (index, true)).collect::<Vec<_>>());
        assert_eq!(texts(log, "ann", "t"), Some(expected("t", 1..601)));
        assert_eq!(texts(log, "ann", "other"), None);
    });
}

#[test]
fn owners_and_threads_are_apart() {
    each(|log| {
        let of = |who: &str, thread_id: &str| Change::Event {
            record: record(owner(who), thread_id, "e", 1, 1),
            trim: 0..0,
            ends: None,
        };
        append(log, [of("ann", "t"), of("ann", "t2"), of("bob", "t3")]);
        assert_eq!(texts(log, "ann", "t"), Some(expected("t", 1..2)));
        assert_eq!(texts(log, "bob", "t"), None, "another's looks like one that is not there");
        assert_eq!(texts(log, "bob", "t3"), Some(expected("t3", 1..2)));
        append(log, [Change::Accept(open_run("r", owner("ann"), "t"))]);
        let id = MessageId::new("m-r").unwrap();
        assert_eq!(log.message(&owner("ann"), &id).unwrap(), Some((run_id("r"), thread("t"))));
        assert_eq!(log.message(&owner("bob"), &id).unwrap(), None);
    });
}

#[test]
fn what_is_trimmed_is_gone_and_an_older_life_is_not_mixed_with_the_new() {
    each(|log| {
        append(log, (1..=10).map(|seq| event("t", seq)));
        append(
            log,
            [Change::Event { record: record(owner("ann"), "t", "e", 11, 11), trim: 1..8, ends: None }],
        );
        assert_eq!(texts(log, "ann", "t"), Some(expected("t", 8..12)));
        append(
            log,
            [Change::Event { record: record(owner("ann"), "t", "f", 12, 12), trim: 0..0, ends: None }],
        );
        assert_eq!(texts(log, "ann", "t"), Some((12, vec!["t f 12".to_owned()])));
    });
}

#[test]
fn an_owner_s_threads_are_listed_each_with_its_last_event() {
    each(|log| {
        assert_eq!(log.threads(&owner("ann")).unwrap(), []);
        let of = |who: &str, thread_id: &str, seq: u64| Change::Event {
            record: record(owner(who), thread_id, "e", seq, 10 * seq),
            trim: 0..0,
            ends: None,
        };
        append(log, [of("ann", "t", 1), of("ann", "t2", 1), of("bob", "t", 1), of("ann", "t", 2)]);
        let mut threads = log.threads(&owner("ann")).unwrap();
        threads.sort_by_key(|thread| thread.at);
        let told: Vec<_> = threads
            .iter()
            .map(|it| {
                (it.thread_id.as_str(), it.epoch.as_str(), it.tail, it.at, str::from_utf8(&it.last).unwrap())
            })
            .collect();
        assert_eq!(told, [("t2", "e", 1, 10, "t2 e 1"), ("t", "e", 2, 20, "t e 2")]);
        assert_eq!(log.threads(&owner("cem")).unwrap(), []);
    });
}

#[test]
fn a_thread_that_is_forgotten_leaves_nothing_and_takes_nothing_else_away() {
    each(|log| {
        let id = |name: &str| MessageId::new(name).unwrap();
        let of_bob = Change::Event { record: record(owner("bob"), "t", "e", 1, 1), trim: 0..0, ends: None };
        let accept = |name: &str, thread_id: &str| Change::Accept(open_run(name, owner("ann"), thread_id));
        // Handed over together, so that they may be written together.
        let outcomes = append(
            log,
            [
                of_bob,
                accept("r", "t"),
                event("t", 1),
                accept("r2", "t2"),
                event("t2", 1),
                Change::Forget { owner: owner("ann"), thread_id: thread("t") },
                event("t2", 2),
            ],
        );
        assert!(outcomes.iter().all(|(_, done)| *done));
        assert_eq!(texts(log, "ann", "t"), None);
        assert_eq!(log.message(&owner("ann"), &id("m-r")).unwrap(), None);
        assert_eq!(texts(log, "ann", "t2"), Some(expected("t2", 1..3)));
        assert_eq!(log.open_runs().unwrap(), [open_run("r2", owner("ann"), "t2")]);
        assert!(log.message(&owner("ann"), &id("m-r2")).unwrap().is_some());
        assert_eq!(texts(log, "bob", "t"), Some(expected("t", 1..2)));
        // What comes after it is a stream of its own.
        append(log, [event("t", 1)]);
        assert_eq!(texts(log, "ann", "t"), Some(expected("t", 1..2)));
        assert_eq!(
            append(log, [Change::Forget { owner: owner("cem"), thread_id: thread("t") }]),
            [(0, true)]
        );
    });
}

#[test]
fn a_run_is_open_until_its_last_event() {
    each(|log| {
        let run = open_run("r", owner("ann"), "t");
        append(log, [Change::Accept(run.clone()), event("t", 1)]);
        assert_eq!(log.open_runs().unwrap(), [run]);
        let end = record(owner("ann"), "t", "e", 2, 2);
        append(log, [Change::Event { record: end, trim: 0..0, ends: Some(run_id("r")) }]);
        assert_eq!(log.open_runs().unwrap(), []);
    });
}

#[test]
fn a_question_is_kept_with_its_open_run_until_it_is_asked_again_or_the_run_ends() {
    each(|log| {
        let question = |content: &str| Question {
            content: content.to_owned(),
            context: Some(serde_json::json!({ "page": ["/login", null] })),
            fresh: true,
        };
        let kept = |name: &str, repeat: Repeat| OpenRun { repeat, ..open_run(name, owner("ann"), "t") };
        let (one, two) =
            (kept("r1", Repeat::Once(question("one"))), kept("r2", Repeat::Once(question("two"))));
        append(log, [one, two.clone()].map(Change::Accept));
        // The first is run again: its question is gone, and it is still open, and its message is still known.
        let again = kept("r1", Repeat::Done);
        append(log, [Change::Accept(again.clone())]);
        let mut open = log.open_runs().unwrap();
        open.sort_by_key(|run| run.run_id.to_string());
        assert_eq!(open, [again.clone(), two]);
        let message = log.message(&owner("ann"), &MessageId::new("m-r1").unwrap()).unwrap();
        assert_eq!(message, Some((run_id("r1"), thread("t"))));
        // The second comes to its end.
        let end = record(owner("ann"), "t", "e", 1, 1);
        append(log, [Change::Event { record: end, trim: 0..0, ends: Some(run_id("r2")) }]);
        assert_eq!(log.open_runs().unwrap(), [again]);
    });
}

#[test]
fn old_streams_go_and_those_beyond_the_number_but_none_with_an_open_run() {
    each(|log| {
        append(
            log,
            (1..=6).map(|number| {
                let record = record(owner("ann"), &format!("t{number}"), "e", 1, number * 10);
                Change::Event { record, trim: 0..0, ends: None }
            }),
        );
        append(log, [event("busy", 1), Change::Accept(open_run("r", owner("ann"), "busy"))]);
        let left = |log: &dyn EventLog| {
            let names = ["t1", "t2", "t3", "t4", "t5", "t6", "busy"];
            names.into_iter().filter(|name| texts(log, "ann", name).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(log.sweep(Retention { before: 25, threads: 100 }).unwrap(), 2);
        assert_eq!(left(log), ["t3", "t4", "t5", "t6", "busy"]);
        assert!(
            log.message(&owner("ann"), &MessageId::new("m-r").unwrap()).unwrap().is_none(),
            "as old as that"
        );
        // The oldest beyond the number is the one that is busy, and stays.
        assert_eq!(log.sweep(Retention { before: 0, threads: 3 }).unwrap(), 1);
        assert_eq!(left(log), ["t4", "t5", "t6", "busy"]);
    });
}

#[test]
fn everything_is_there_after_a_restart_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = open(&path);
    append(&log, (1..=50).map(|seq| event("t", seq)));
    append(&log, [Change::Accept(open_run("r", owner("ann"), "t"))]);
    drop(log);
    let log = open(&path);
    assert_eq!(texts(&log, "ann", "t"), Some(expected("t", 1..51)));
    assert_eq!(log.open_runs().unwrap().len(), 1);
    append(&log, [event("t", 51)]);
    assert_eq!(texts(&log, "ann", "t"), Some(expected("t", 1..52)));
}

#[test]
fn the_last_acknowledgement_may_let_go_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = Arc::new(open(&path));
    let (told, outcome) = mpsc::channel();
    let (released, release) = mpsc::channel::<()>();
    let last = Arc::clone(&log);
    log.append(
        event("t", 1),
        Box::new(move |_| {
            release.recv().unwrap();
            drop(last);
            told.send(()).unwrap();
        }),
    );
    drop(log);
    released.send(()).unwrap();
    outcome.recv().unwrap();
}

/// The journal that was written last.
fn journal(path: &Path) -> PathBuf {
    let mut found: Vec<_> = fs::read_dir(path.join("store"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jnl"))
        .collect();
    found.sort();
    found.pop().expect("there is a journal")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            let _ = fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A crash may leave any part of the last write: what was acknowledged before it stays, and it is there whole or not at all.
#[test]
fn a_torn_write_is_undone_wherever_it_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = open(&path);
    append(&log, (1..=3).map(|seq| event("t", seq)));
    let before = used(&journal(&path));
    append(&log, [event("t", 4)]);
    let after = used(&journal(&path));
    assert!(after > before, "the write is in the journal");
    // As `kill -9` leaves it: nothing is closed.
    for cut in before..=after {
        let torn = folder.path().join(format!("torn-{cut}"));
        copy(&path, &torn);
        let file = fs::OpenOptions::new().write(true).open(journal(&torn)).unwrap();
        file.set_len(cut).unwrap();
        let log = open(&torn);
        let kept = texts(&log, "ann", "t");
        let whole = kept == Some(expected("t", 1..5));
        assert!(whole || kept == Some(expected("t", 1..4)), "cut at {cut} of {before}..{after}: {kept:?}");
        assert!(whole || cut < after, "nothing is missing in a whole journal");
        // And it goes on from there.
        let next = if whole { 5 } else { 4 };
        append(&log, [event("t", next)]);
        assert_eq!(texts(&log, "ann", "t"), Some(expected("t", 1..next + 1)));
        drop(log);
        fs::remove_dir_all(&torn).unwrap();
    }
    drop(log);
}

/// How far a journal is written: it may be longer, with zeros behind.
fn used(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

#[test]
fn a_strange_folder_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let fails = |path: &Path| Embedded::open(path, Durability::Device).unwrap_err();

    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("holiday.jpg"), "x").unwrap();
    assert!(matches!(fails(&foreign), Error::Foreign { .. }));
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1, "nothing was added");

    let later = folder.path().join("later");
    drop(open(&later));
    fs::write(later.join("portcullis-events"), "99\n").unwrap();
    let error = fails(&later);
    assert!(matches!(error, Error::TooNew { found: 99, known: 1, .. }), "{error}");
    fs::write(later.join("portcullis-events"), "?\n").unwrap();
    assert!(matches!(fails(&later), Error::Damaged { .. }));

    // A first start that was cut off before the mark was whole.
    let cut_off = folder.path().join("cut-off");
    fs::create_dir(&cut_off).unwrap();
    fs::write(cut_off.join("portcullis-events"), "").unwrap();
    drop(open(&cut_off));
    drop(open(&cut_off));
    // With something beside it, it is no such start.
    fs::write(cut_off.join("portcullis-events"), "").unwrap();
    assert!(matches!(fails(&cut_off), Error::Damaged { .. }));

    let used = folder.path().join("used");
    let _first = open(&used);
    let error = fails(&used);
    assert!(matches!(error, Error::InUse { .. }) && error.to_string().contains("another process"), "{error}");

    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(fails(&file), Error::Unusable { .. }));
}
