//! Files that are damaged or gone: it is told what is missing, and what is there is not taken for more than it is.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use portcullis_event::ThreadId;
use portcullis_log::{AppendError, Durability, EventLog as _, ReadError, suite::block_on};
use portcullis_log_fjall::{Embedded, Error, Lost, Notice};
use tempfile::TempDir;

use crate::support::{
    Heard, commit, copy, cut, epoch, event, journal, open, opened, options, owner, seqs, thread, used,
};

/// A record of three threads with twenty events each, closed: its folder, and where its journal was after ten of each.
fn record() -> (TempDir, PathBuf, u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = Embedded::open(&path, options(Durability::Os, &Heard::default())).unwrap();
    let (ann, bob) = (opened(&log, "ann"), opened(&log, "bob"));
    let mut place = 0;
    for seq in 1..=20 {
        commit(&ann, event("t", "e", seq, &"x".repeat(300)));
        commit(&ann, event("t2", "e", seq, &"x".repeat(300)));
        commit(&bob, event("t", "e", seq, &"x".repeat(300)));
        if seq == 10 {
            place = used(&journal(&path));
        }
    }
    drop(log);
    (folder, path, place)
}

/// What is told when a record is opened, with the record.
fn told(path: &Path) -> (Embedded, u64, Vec<Lost>) {
    let heard = Heard::default();
    let log = Embedded::open(path, options(Durability::Device, &heard)).unwrap();
    let all = heard.all();
    assert!(all.iter().any(|it| matches!(it, Notice::Renewed { .. })), "{all:?}");
    let lost = all.iter().find_map(|it| match it {
        Notice::Lost { batches, threads } => Some((*batches, threads.clone())),
        _ => None,
    });
    let (batches, threads) = lost.expect("it is told");
    (log, batches, threads)
}

#[test]
fn a_whole_record_says_nothing() {
    let (_folder, path, _) = record();
    let heard = Heard::default();
    let log = Embedded::open(&path, options(Durability::Device, &heard)).unwrap();
    assert_eq!(heard.all(), []);
    assert_eq!(
        (seqs(&opened(&log, "ann"), "t"), epoch(&opened(&log, "ann"), "t")),
        (Some((1, 20)), "e".to_owned())
    );
}

/// After each damage: what is told, what is left, and that it goes on under a new epoch.
#[test]
fn a_journal_that_lost_something_is_told_with_what_is_missing_of_which_thread() {
    type Damage = fn(&Path, u64);
    let zeroed: Damage = |journal, place| {
        let file = fs::OpenOptions::new().write(true).open(journal).unwrap();
        file.write_all_at(&[0; 4_096], place).unwrap();
    };
    let cases: [(&str, Damage, u64); 4] = [
        ("zeroed", zeroed, 10),
        ("truncated", |journal, place| cut(journal, place), 10),
        ("emptied", |journal, _| cut(journal, 0), 0),
        ("removed", |journal, _| fs::remove_file(journal).unwrap(), 0),
    ];
    let (folder, path, place) = record();
    for (name, damage, left) in cases {
        let damaged = folder.path().join(name);
        copy(&path, &damaged);
        damage(&journal(&damaged), place);
        let (log, batches, mut threads) = told(&damaged);
        assert!(batches >= (20 - left) * 3, "{name}: {batches}");
        threads.sort_by_key(|lost| lost.thread.clone());
        let names: Vec<_> = threads.iter().map(|lost| lost.thread.as_ref().map(ThreadId::as_str)).collect();
        let expected: [Option<&str>; 3] = if left == 0 { [None; 3] } else { ["t", "t", "t2"].map(Some) };
        assert_eq!(names, expected, "{name}");
        assert!(threads.iter().all(|lost| lost.events == 20 - left), "{name}: {threads:?}");
        let own = opened(&log, "ann");
        let (next, life) = if left == 0 {
            assert_eq!(seqs(&own, "t"), None, "{name}");
            (1, "f")
        } else {
            assert_eq!((seqs(&own, "t"), epoch(&own, "t")), (Some((1, left)), "e_1".to_owned()), "{name}");
            (left + 1, "e_1")
        };
        commit(&own, event("t", life, next, "x"));
        drop(log);
        // It is told once.
        let heard = Heard::default();
        let log = Embedded::open(&damaged, options(Durability::Device, &heard)).unwrap();
        assert_eq!((heard.all(), epoch(&opened(&log, "ann"), "t")), (vec![], life.to_owned()), "{name}");
        assert_eq!(seqs(&opened(&log, "ann"), "t"), Some((1, next)), "{name}");
    }
}

/// A write that is missing between others: what stands before the hole cannot be resumed from.
#[test]
fn a_write_that_is_missing_between_others_is_told() {
    let (_folder, path, _) = record();
    {
        let database = fjall::Database::builder(path.join("tables")).open().unwrap();
        let table = database.keyspace("record", fjall::KeyspaceCreateOptions::default).unwrap();
        // The thread that began first, and its seventh event; and the record of some batch.
        let mut events = table.prefix([2, 0, 0, 0, 0, 0, 0, 0, 1]).map(|entry| entry.key().unwrap());
        let seventh = events.nth(6).unwrap();
        let batch = table.prefix([1]).nth(20).unwrap().key().unwrap();
        table.remove(seventh).unwrap();
        table.remove(batch).unwrap();
    }
    let (log, batches, threads) = told(&path);
    assert_eq!(batches, 1);
    assert_eq!(threads, [Lost { thread: Some(thread("t")), events: 7 }]);
    let own = opened(&log, "ann");
    assert_eq!((seqs(&own, "t"), seqs(&own, "t2")), (Some((8, 20)), Some((1, 20))));
    assert_eq!(epoch(&own, "t2"), "e_1", "all streams are under suspicion");
    commit(&own, event("t", "e_1", 21, "x"));
    assert_eq!(seqs(&own, "t"), Some((8, 21)));
}

/// Where the rest cannot be used safely, the record is not opened, says what is missing, and changes nothing.
#[test]
fn without_a_part_of_the_database_the_record_is_refused() {
    let (folder, path, _) = record();
    for (name, said) in [
        ("tables", "tables"),
        ("tables/version", "tables/version"),
        ("tables/keyspaces", "keyspaces"),
        ("tables/keyspaces/1", "keyspaces/1"),
        ("tables/keyspaces/0/current", "keyspaces/0/current"),
        ("tables/keyspaces/1/current", "keyspaces/1/current"),
        ("keys", "keys"),
        ("state", "state"),
    ] {
        let damaged = folder.path().join("damaged");
        copy(&path, &damaged);
        let gone = damaged.join(name);
        if gone.is_dir() { fs::remove_dir_all(&gone) } else { fs::remove_file(&gone) }.unwrap();
        for _ in 0..2 {
            let error = Embedded::open(&damaged, options(Durability::Device, &Heard::default())).unwrap_err();
            let Error::Damaged { detail, .. } = &error else { panic!("{name}: {error}") };
            assert!(detail.contains(said), "{name}: {error}");
            if name != "keys" && name != "state" {
                assert!(detail.contains("60 events of 3 threads"), "{name}: {error}");
            }
        }
        // Nothing was made in its place: put back, all is there.
        if name != "state" {
            let put_back = if path.join(name).is_dir() {
                copy
            } else {
                |from: &Path, to: &Path| assert!(fs::copy(from, to).is_ok())
            };
            put_back(&path.join(name), &gone);
            let log = open(&damaged);
            assert_eq!(seqs(&opened(&log, "ann"), "t"), Some((1, 20)), "{name}");
        }
        fs::remove_dir_all(&damaged).unwrap();
    }
}

#[test]
fn without_one_of_its_table_files_the_record_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = Embedded::open(&path, options(Durability::Os, &Heard::default())).unwrap();
    let own = opened(&log, "ann");
    let tables = path.join("tables/keyspaces/1/tables");
    let mut seq = 0;
    // Written until the database has made a file of it.
    while fs::read_dir(&tables).unwrap().next().is_none() {
        seq += 1;
        assert!(seq < 2_000, "there should be a file by now");
        commit(&own, event("t", "e", seq, &"x".repeat(60_000)));
    }
    drop(log);
    for entry in fs::read_dir(&tables).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let error = Embedded::open(&path, options(Durability::Device, &Heard::default())).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}

/// The keys of streams are damaged: these cannot be read, and others can.
#[test]
fn a_damaged_key_is_told_to_who_asks_and_nobody_else_suffers() {
    let (_folder, path, _) = record();
    let keys = fs::OpenOptions::new().write(true).open(path.join("keys")).unwrap();
    // The first slot stands behind three blocks.
    keys.write_all_at(&[7; 16], 3 * 4_096 + 20).unwrap();
    let heard = Heard::default();
    let log = Embedded::open(&path, options(Durability::Device, &heard)).unwrap();
    let (ann, bob) = (opened(&log, "ann"), opened(&log, "bob"));
    let damaged = block_on(ann.read(&thread("t"), 0, 1));
    assert!(matches!(damaged, Err(ReadError::Damaged(_))), "{damaged:?}");
    assert_eq!((seqs(&ann, "t2"), seqs(&bob, "t")), (Some((1, 20)), Some((1, 20))));
    let refused = block_on(ann.append(event("t", "e", 21, "x")));
    assert!(matches!(refused, Err(AppendError::Failed(_))), "{refused:?}");
    commit(&bob, event("t", "e", 21, "x"));
    assert_eq!(log.ready(), Ok(()));
    let ann = block_on(log.open(owner("ann"))).unwrap();
    commit(&ann, event("t2", "e", 21, "x"));
}

/// A page of the list costs what is on it: the events of other threads are not read.
#[test]
fn a_page_of_threads_reads_no_event_of_others() {
    let (_folder, path, _) = record();
    {
        let database = fjall::Database::builder(path.join("tables")).open().unwrap();
        let table = database.keyspace("record", fjall::KeyspaceCreateOptions::default).unwrap();
        // The last event of Ann's thread `t`, which began first; her `t2` comes before it in the list.
        let last = table.prefix([2, 0, 0, 0, 0, 0, 0, 0, 1]).next_back().unwrap().key().unwrap();
        table.remove(last).unwrap();
    }
    let log = open(&path);
    let ann = opened(&log, "ann");
    let first = block_on(ann.threads(None, 1)).unwrap();
    assert_eq!(first[0].place.thread_id, thread("t2"));
    let all = block_on(ann.threads(None, 2));
    assert!(matches!(all, Err(ReadError::Damaged(_))), "{all:?}");
}
