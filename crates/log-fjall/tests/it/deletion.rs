//! What is deleted is deleted: neither words nor the keys that would lead to them are in the folder.

use std::{fs, path::Path};

use portcullis_log::{Change, Durability, EventLog as _, suite::block_on};
use portcullis_log_fjall::Embedded;
use portcullis_test::setting;

use crate::support::{Heard, commit, ends, event, open, opened, options, run, seqs, thread, written};

/// Words that are told, asked, and made into names.
const WORDS: [&str; 5] = ["Zebracorn", "Quagmire", "t-Wombat", "r-Axolotl", "Numbat"];

/// What is found of something in all files of a folder.
fn found(folder: &Path, needles: &[&[u8]]) -> Vec<String> {
    let mut hits = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            hits.extend(found(&entry.path(), needles));
            continue;
        }
        // The database lets go of files while it is at work.
        let Ok(bytes) = fs::read(entry.path()) else { continue };
        let bytes = written(&bytes);
        for (index, needle) in needles.iter().enumerate() {
            if memchr::memmem::find(bytes, needle).is_some() {
                hits.push(format!("{index} in {}", entry.path().display()));
            }
        }
    }
    hits
}

fn words() -> Vec<&'static [u8]> {
    WORDS.iter().map(|word| word.as_bytes()).collect()
}

/// The keys in the file of keys, as it is now: of questions, and of streams.
fn keys(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path.join("keys")).unwrap();
    let slots = bytes[4_096..].chunks_exact(64).filter(|slot| slot[0] == 1);
    slots.map(|slot| slot[16..48].to_vec()).collect()
}

fn has(path: &Path, key: &[u8]) -> bool {
    !found(path, &[key]).is_empty()
}

#[test]
fn of_a_thread_that_is_forgotten_neither_words_nor_keys_are_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = Embedded::open(&path, options(Durability::Os, &Heard::default())).unwrap();
    let own = opened(&log, "ann");
    let other = opened(&log, "bob");
    commit(&other, event("kept", "e", 1, "x"));
    let kept = keys(&path);
    assert_eq!(kept.len(), 1);
    let mut asked = run("r-Axolotl", "t-Wombat", Some("why does Zebracorn say 1006?"));
    asked.user_id = "Numbat".to_owned();
    commit(&own, Change::Accept { run: asked.clone(), told: None });
    commit(&own, event("t-Wombat", "e", 1, "your Quagmire is expired"));
    let made: Vec<_> = keys(&path).into_iter().filter(|key| !kept.contains(key)).collect();
    assert_eq!(made.len(), 2, "of the stream, and of questions");
    assert!(made.iter().all(|key| has(&path, key)), "the search finds what is there");
    assert_eq!(found(&path, &words()), [""; 0], "nothing stands there in clear");
    assert_eq!(block_on(own.open_runs()).unwrap(), [asked]);

    commit(&own, Change::Forget(thread("t-Wombat")));
    let left = |what: &str| {
        // A question is sealed under both keys, so it is gone with either.
        let stream: Vec<_> = keys(&path).into_iter().filter(|key| made[1] == *key).collect();
        assert_eq!(stream, [[0; 0]; 0], "{what}");
        let gone: Vec<_> = words().into_iter().chain([&made[1][..]]).collect();
        assert_eq!(found(&path, &gone), [""; 0], "{what}");
    };
    left("at once");
    assert_eq!(seqs(&own, "t-Wombat"), None);
    drop((own, other));
    drop(log);
    left("after it was closed");
    assert!(!has(&path, &made[0]), "the questions' key is gone by then");
    let log = Embedded::open(&path, options(Durability::Os, &Heard::default())).unwrap();
    left("after a restart");
    // What others write comes into its place.
    let own = opened(&log, "bob");
    // Enough for the database to write a file; `scripts/crash.sh` has it let go of journals as well.
    let much = setting("RECORD_OTHERS", 160);
    for seq in 1..=much {
        commit(&own, event("much", "e", seq, &"y".repeat(64 << 10)));
    }
    left("after much of others");
    assert_eq!((seqs(&own, "kept"), seqs(&own, "much")), (Some((1, 1)), Some((1, much))));
    drop(log);
    left("at the end");
    assert!(has(&path, &kept[0]), "another's key stays");
}

#[test]
fn of_what_is_swept_and_of_what_makes_room_no_keys_are_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = Embedded::open(&path, options(Durability::Os, &Heard::default())).unwrap();
    let own = opened(&log, "ann");
    for number in 1..=50 {
        commit(&own, event(&format!("t{number}"), "e", 1, "x"));
    }
    let before = keys(&path);
    assert_eq!(before.len(), 50);
    assert_eq!(block_on(log.sweep(1)), Ok(0));
    commit(&own, event("t50", "e", 2, "x"));
    commit(&own, event("t51", "e", 1, "x"));
    let after = keys(&path);
    let gone: Vec<_> = before.iter().filter(|key| !after.contains(key)).collect();
    assert_eq!((after.len(), gone.len()), (50, 1), "one went for the one that came");
    assert_eq!(block_on(log.sweep(2)), Ok(49));
    assert_eq!(keys(&path).len(), 1);
    drop(log);
    let before: Vec<_> = before.iter().map(Vec::as_slice).collect();
    assert!(found(&path, &before).len() <= 1, "of the one that is left alone");
}

/// A run that has ended leaves its question for a while at most: until the record is closed, if not before.
#[test]
fn the_question_of_a_run_that_has_ended_is_gone_and_that_of_another_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = open(&path);
    let own = opened(&log, "ann");
    let still = run("r2", "t", Some("Quagmire"));
    commit(&own, Change::Accept { run: run("r", "t", Some("Zebracorn")), told: None });
    commit(&own, Change::Accept { run: still.clone(), told: None });
    commit(&own, ends(event("t", "e", 1, "x"), "r"));
    let before = keys(&path);
    drop((own, log));
    let after = keys(&path);
    assert_eq!((before.len(), after.len()), (2, 2));
    let gone: Vec<_> = before.iter().filter(|key| !after.contains(key)).collect();
    assert_eq!(gone, [&before[0]], "the key of questions, and not the stream's");
    assert!(!has(&path, gone[0]));
    let log = open(&path);
    assert_eq!(block_on(opened(&log, "ann").open_runs()).unwrap(), [still]);
}
