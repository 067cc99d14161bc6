//! A record of format 1 is taken over. `fixtures/format-1` was made by the program that wrote that format: see [`expect`] for
//! what is in it.

use std::{fs, path::Path};

use portcullis_event::MessageId;
use portcullis_log::{Accepted, Durability, EventLog as _, OpenRun, Question, Repeat, suite::block_on};
use portcullis_log_fjall::{Embedded, Notice};
use tempfile::TempDir;

use crate::support::{Heard, commit, copy, ends, epoch, event, opened, options, run, seqs, thread};

fn format_1() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    put(&path);
    (folder, path)
}

fn put(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1"), path);
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}

fn take_over(path: &Path) -> Embedded {
    Embedded::open(path, options(Durability::Device, &Heard::default())).unwrap()
}

/// Ann's thread `t` of twelve events without the first four, which were trimmed; her thread `two`, whose first three events
/// belong to another life; a run with a question, one without, and one that has ended; Bob's thread `t` of two.
fn expect(log: &Embedded) {
    let (ann, bob) = (opened(log, "ann"), opened(log, "bob"));
    assert_eq!(seqs(&ann, "t"), Some((5, 12)));
    assert_eq!(seqs(&ann, "two"), Some((4, 6)));
    assert_eq!((seqs(&ann, "gone"), seqs(&ann, "asked")), (None, None));
    assert_eq!(seqs(&bob, "t"), Some((1, 2)));
    // Whether its last end lost something is not known.
    let epochs = [epoch(&ann, "t"), epoch(&ann, "two"), epoch(&bob, "t")];
    assert_eq!(epochs, ["e_1", "b_1", "e_1"]);
    let listed = block_on(ann.threads(None, 10)).unwrap();
    let listed: Vec<_> = listed.iter().map(|it| (it.place.thread_id.as_str(), it.place.at)).collect();
    assert_eq!(listed, [("t", 120), ("two", 60)]);
    let question =
        Question { content: "why?".to_owned(), context: Some(serde_json::json!({ "page": 1 })), fresh: true };
    let one = OpenRun { accepted_at: 125, repeat: Repeat::Once(question), ..run("r1", "t", None) };
    let two = OpenRun { accepted_at: 126, ..run("r2", "asked", None) };
    assert_eq!(block_on(ann.open_runs()).unwrap(), [one, two]);
    assert_eq!(block_on(log.unfinished()).unwrap().len(), 1);
    for (name, thread_id) in [("r0", "t"), ("r1", "t"), ("r2", "asked")] {
        let accepted = Accepted { run_id: run(name, "t", None).run_id, thread_id: thread(thread_id) };
        let found = block_on(ann.message(&MessageId::new(&format!("m-{name}")).unwrap())).unwrap();
        assert_eq!(found, Some(accepted), "{name}");
    }
}

#[test]
fn a_record_of_format_1_is_there_in_whole_and_goes_on() {
    let (_folder, path) = format_1();
    let heard = Heard::default();
    let log = Embedded::open(&path, options(Durability::Device, &heard)).unwrap();
    let told = heard.all();
    assert!(matches!(&told[..], [Notice::TakingOver { events: 0 }, Notice::Renewed { .. }]), "{told:?}");
    expect(&log);
    drop(log);
    assert!(!path.join("store").exists(), "it is not kept twice");
    assert_eq!(fs::read_to_string(path.join("portcullis-events")).unwrap(), "2\n");
    let heard = Heard::default();
    let log = Embedded::open(&path, options(Durability::Device, &heard)).unwrap();
    expect(&log);
    assert_eq!(heard.all(), []);
    let own = opened(&log, "ann");
    commit(&own, ends(event("t", "e_1", 13, "x"), "r1"));
    commit(&own, event("asked", "f", 1, "x"));
    assert_eq!((seqs(&own, "t"), seqs(&own, "asked")), (Some((5, 13)), Some((1, 1))));
}

#[test]
fn a_takeover_that_was_cut_off_is_begun_again_or_finished() {
    let (folder, path) = format_1();
    drop(take_over(&path));
    // Up to the mark nothing of the old is gone, and what there is of the new is not looked at.
    let cuts: [&[&str]; 5] = [&[], &["keys"], &["tables/0.jnl"], &["tables/keyspaces"], &["state"]];
    for gone in cuts {
        let cut_off = folder.path().join("cut-off");
        copy(&path, &cut_off);
        put(&cut_off);
        for name in gone {
            let path = cut_off.join(name);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        let log = take_over(&cut_off);
        expect(&log);
        drop(log);
        fs::remove_dir_all(&cut_off).unwrap();
    }
    // Behind the mark the old is of no use any more, even where a part of it is gone.
    let marked = folder.path().join("marked");
    copy(&path, &marked);
    put(&marked);
    fs::write(marked.join("portcullis-events"), "2\n").unwrap();
    fs::remove_file(marked.join("store/version")).unwrap();
    let heard = Heard::default();
    let log = Embedded::open(&marked, options(Durability::Device, &heard)).unwrap();
    expect(&log);
    assert!(!marked.join("store").exists() && heard.all().is_empty());
}

#[test]
fn a_folder_of_format_1_without_a_database_is_an_empty_record() {
    let (_folder, path) = format_1();
    fs::remove_dir_all(path.join("store")).unwrap();
    let heard = Heard::default();
    let log = Embedded::open(&path, options(Durability::Device, &heard)).unwrap();
    commit(&opened(&log, "ann"), event("t", "e", 1, "x"));
    assert!(!heard.all().iter().any(|notice| matches!(notice, Notice::Lost { .. })));
}
