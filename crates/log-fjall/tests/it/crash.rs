//! What a crash leaves, and a loss of power.

use std::{fs, path::Path};

use portcullis_log::{Change, Durability, suite::block_on};
use portcullis_log_fjall::{Embedded, Notice, Options};

use portcullis_test::setting;

use crate::support::{
    Heard, commit, copy, cut, ends, epoch, event, journal, open, opened, options, run, seqs, used,
};

#[test]
fn everything_is_there_after_a_restart_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = open(&path);
    let own = opened(&log, "ann");
    for seq in 1..=50 {
        commit(&own, event("t", "e", seq, "x"));
    }
    commit(&own, Change::Accept { run: run("r", "t", Some("why?")), told: None });
    drop(log);
    let heard = Heard::default();
    let log = Embedded::open(&path, options(Durability::Device, &heard)).unwrap();
    let own = opened(&log, "ann");
    assert_eq!((seqs(&own, "t"), epoch(&own, "t")), (Some((1, 50)), "e".to_owned()));
    let open = block_on(own.open_runs()).unwrap();
    assert_eq!(open, [run("r", "t", Some("why?"))]);
    commit(&own, ends(event("t", "e", 51, "x"), "r"));
    assert_eq!(seqs(&own, "t"), Some((1, 51)));
    assert_eq!(heard.all(), []);
}

/// A crash may leave any part of the last write: what was committed before it stays, and it is there whole or not at all.
#[test]
fn a_torn_write_is_undone_wherever_it_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = open(&path);
    let own = opened(&log, "ann");
    for seq in 1..=3 {
        commit(&own, event("t", "e", seq, "x"));
    }
    let before = used(&journal(&path));
    // It is noted beside the database only later how far the record has come.
    let state = fs::read(path.join("state")).unwrap();
    commit(&own, event("t", "e", 4, "x"));
    let after = used(&journal(&path));
    assert!(after > before, "the write is in the journal");
    let whole = folder.path().join("whole");
    copy(&path, &whole);
    fs::write(whole.join("state"), state).unwrap();
    // As `kill -9` leaves it: nothing is closed.
    // Some of them, spread over the write by a seed, and the ends; `scripts/crash.sh` takes all.
    let step = ((after - before) / setting("RECORD_CUTS", 8)).max(1);
    let some = (before + setting("CRASH_SEED", 1) % step..after).step_by(usize::try_from(step).unwrap());
    for end in some.chain([before, after - 1, after]) {
        let torn = folder.path().join(format!("torn-{end}"));
        copy(&whole, &torn);
        cut(&journal(&torn), end);
        let heard = Heard::default();
        let log = Embedded::open(&torn, options(Durability::Device, &heard)).unwrap();
        let own = opened(&log, "ann");
        let kept = seqs(&own, "t");
        let is_whole = kept == Some((1, 4));
        assert!(is_whole || kept == Some((1, 3)), "cut at {end} of {before}..{after}: {kept:?}");
        assert!(is_whole || end < after, "nothing is missing in a whole journal");
        assert_eq!(heard.all(), [], "what was torn was seen by nobody");
        // And it goes on from there.
        let next = if is_whole { 5 } else { 4 };
        commit(&own, event("t", "e", next, "x"));
        assert_eq!(seqs(&own, "t"), Some((1, next)));
        drop(log);
        fs::remove_dir_all(&torn).unwrap();
    }
}

/// Where the system took a write, and the power went before the device had it, a client may have seen what is gone.
#[test]
fn no_client_gets_other_events_under_an_epoch_and_number_that_it_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = Embedded::open(&path, options(Durability::Os, &Heard::default())).unwrap();
    let own = opened(&log, "ann");
    for seq in 1..=3 {
        commit(&own, event("t", "e", seq, "x"));
    }
    let before = used(&journal(&path));
    for seq in 4..=6 {
        commit(&own, event("t", "e", seq, "seen"));
    }
    // The journal is as it was on the device: its end is lost.
    let lying = folder.path().join("lying");
    copy(&path, &lying);
    cut(&journal(&lying), before);
    let (mut at, mut life) = (3, "e".to_owned());
    for loss in 1..=3 {
        let heard = Heard::default();
        let boot_id = Some(format!("boot {loss}"));
        let log = Embedded::open(&lying, Options { boot_id, ..options(Durability::Os, &heard) }).unwrap();
        assert!(heard.all().iter().any(|it| matches!(it, Notice::Renewed { .. })), "{:?}", heard.all());
        let own = opened(&log, "ann");
        let now = epoch(&own, "t");
        assert_ne!(now, life, "the end may have been lost");
        life = now;
        assert_eq!(seqs(&own, "t"), Some((1, at)), "what is there is told under the new epoch");
        let last = block_on(own.threads(None, 10)).unwrap();
        assert_eq!(last[0].stream.epoch.as_str(), life);
        assert!(String::from_utf8(last[0].last.to_vec()).unwrap().contains(&life));
        // Numbers go on, under another epoch.
        for _ in 0..4 {
            at += 1;
            commit(&own, event("t", &life, at, "other"));
        }
        assert_eq!(seqs(&own, "t"), Some((1, at)));
        // It is not closed this time either.
        let next = folder.path().join("next");
        copy(&lying, &next);
        drop(log);
        fs::remove_dir_all(&lying).unwrap();
        fs::rename(&next, &lying).unwrap();
    }
    assert_eq!(life, "e_3");
}

/// The system is the same and the process is not: nothing can have been lost.
#[test]
fn a_process_that_was_killed_leaves_epochs_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let log = Embedded::open(&path, options(Durability::Os, &Heard::default())).unwrap();
    commit(&opened(&log, "ann"), event("t", "e", 1, "x"));
    let open = |path: &Path, boot_id: Option<&str>| {
        let heard = Heard::default();
        let boot_id = boot_id.map(str::to_owned);
        let log = Embedded::open(path, Options { boot_id, ..options(Durability::Os, &heard) }).unwrap();
        epoch(&opened(&log, "ann"), "t")
    };
    for (boot_id, expected) in [(Some("one"), "e"), (Some("two"), "e_1"), (None, "e_1")] {
        let killed = folder.path().join("killed");
        copy(&path, &killed);
        assert_eq!(open(&killed, boot_id), expected, "{boot_id:?}");
        // It was closed after that, so there is nothing to prove.
        assert_eq!(open(&killed, Some("three")), expected, "{boot_id:?}");
        fs::remove_dir_all(&killed).unwrap();
    }
}

/// What was begun in a folder and cut off is begun again.
#[test]
fn a_first_start_that_was_cut_off_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    drop(open(&path));
    let cuts: [&[&str]; 5] = [
        &["tables", "keys", "state", "reserve"],
        &["tables", "keys"],
        &["tables"],
        &["tables/version"],
        &["tables/keyspaces/1/current"],
    ];
    for gone in cuts {
        let cut_off = folder.path().join("cut-off");
        copy(&path, &cut_off);
        for name in gone {
            let path = cut_off.join(name);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        for seq in 1..=2 {
            let log = open(&cut_off);
            let own = opened(&log, "ann");
            commit(&own, event("t", "e", seq, "x"));
            assert_eq!(seqs(&own, "t"), Some((1, seq)), "{gone:?}");
        }
        fs::remove_dir_all(&cut_off).unwrap();
    }
}
