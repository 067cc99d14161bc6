//! Devices that are full and processes without descriptors: the record says so, and goes on when there is room again.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use crate::support::{Heard, LIMITS, commit, ends, event, opened, options, run, seqs, thread};
use portcullis_log::{AppendError, Change, Durability, EventLog as _, OwnerLog, suite::block_on};
use portcullis_log_fjall::{Embedded, Notice, Options};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A small device in memory; none where it may not be had, which needs root.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(folder))
    }

    fn resize(&self, megabytes: u32) {
        let size = format!("remount,size={megabytes}m");
        assert!(Command::new("mount").args(["-o", &size]).arg(self.0.path()).status().unwrap().success());
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("events")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Writes events of a thread behind one of them until one is refused: the number of the last that was committed, and why.
fn fill(own: &Arc<dyn OwnerLog>, thread_id: &str, mut seq: u64, most: u64) -> (u64, Option<AppendError>) {
    while seq < most {
        match block_on(own.append(event(thread_id, "e", seq + 1, &"x".repeat(16 << 10)))) {
            Ok(()) => seq += 1,
            Err(error) => return (seq, Some(error)),
        }
    }
    (seq, None)
}

#[test]
fn a_full_device_is_told_and_the_record_goes_on_once_there_is_room() {
    let Some(disk) = Disk::new(40) else { return };
    let heard = Heard::default();
    let options = Options { floor: 4 << 20, reserve: 1 << 20, ..options(Durability::Device, &heard) };
    let log = Embedded::open(&disk.path(), options).unwrap();
    let own = opened(&log, "ann");
    commit(&own, Change::Accept { run: run("r", "t", Some("a question")), told: None });
    // No room is left at once, and nobody could measure it before.
    let hog = disk.0.path().join("hog");
    let (tail, _) = fill(&own, "t", 0, 100);
    std::io::copy(&mut std::io::repeat(1), &mut File::create(&hog).unwrap()).unwrap_err();
    let (tail, refused) = fill(&own, "t", tail, u64::MAX);
    let Some(AppendError::Unavailable { cause, .. }) = refused else { panic!("{refused:?}") };
    assert!(cause.contains("no space left"), "{cause}");
    heard.until(|notice| matches!(notice, Notice::Recovered | Notice::Full { .. }));
    heard.serves(&log);
    // What was kept for it lets the run end, and the thread go.
    let own = opened(&log, "ann");
    assert_eq!(seqs(&own, "t"), Some((1, tail)), "all that was committed, and nothing else");
    let cause = log.ready().unwrap_err();
    assert!(cause.contains("no space left") && cause.contains("make room"), "{cause}");
    let accepted = block_on(own.append(Change::Accept { run: run("r2", "t", None), told: None }));
    assert!(matches!(accepted, Err(AppendError::Unavailable { .. })), "{accepted:?}");
    let own = opened(&log, "ann");
    assert_eq!(block_on(own.open_runs()).unwrap(), [run("r", "t", Some("a question"))]);
    commit(&own, ends(event("t", "e", tail + 1, "the end"), "r"));
    assert_eq!(block_on(own.open_runs()).unwrap(), []);
    commit(&own, Change::Forget(thread("t")));
    assert_eq!(seqs(&own, "t"), None);
    // And with room again all is as before.
    std::fs::remove_file(&hog).unwrap();
    heard.ready(&log);
    let own = opened(&log, "ann");
    commit(&own, Change::Accept { run: run("r2", "t", None), told: None });
    assert_eq!(fill(&own, "t", 0, 10), (10, None));
    drop(log);
    let log =
        Embedded::open(&disk.path(), crate::support::options(Durability::Device, &Heard::default())).unwrap();
    assert_eq!(seqs(&opened(&log, "ann"), "t"), Some((1, 10)));
}

#[test]
fn acceptances_are_refused_before_the_device_is_full_and_what_is_under_way_goes_on() {
    let Some(disk) = Disk::new(100) else { return };
    let heard = Heard::default();
    let options = Options { floor: 8 << 20, reserve: 1 << 20, ..options(Durability::Device, &heard) };
    let log = Embedded::open(&disk.path(), options).unwrap();
    let own = opened(&log, "ann");
    commit(&own, Change::Accept { run: run("r", "t", None), told: None });
    commit(&own, event("t", "e", 1, "x"));
    let free = |disk: &Disk| rustix::fs::statvfs(disk.0.path()).map(|it| it.f_bavail * it.f_frsize).unwrap();
    let size = free(&disk) - (6 << 20);
    let hog = disk.0.path().join("hog");
    std::io::copy(&mut std::io::Read::take(std::io::repeat(1), size), &mut File::create(&hog).unwrap())
        .unwrap();
    heard.not_ready(&log);
    commit(&own, event("t", "e", 2, "x"));
    let accepted = block_on(own.append(Change::Accept { run: run("r2", "t", None), told: None }));
    let Err(AppendError::Unavailable { cause, .. }) = accepted else { panic!("{accepted:?}") };
    assert!(cause.contains("MiB are free"), "{cause}");
    disk.resize(200);
    heard.ready(&log);
    let own = opened(&log, "ann");
    commit(&own, Change::Accept { run: run("r2", "t", None), told: None });
    assert_eq!(seqs(&own, "t"), Some((1, 2)));
}

/// In a process of its own, since all threads of one share their descriptors.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test calls itself")]
fn without_descriptors_the_record_says_so_and_goes_on_once_there_are_some() {
    const NAME: &str = "disk::without_descriptors_the_record_says_so_and_goes_on_once_there_are_some";
    if let Ok(folder) = std::env::var("PORTCULLIS_TEST_DESCRIPTORS") {
        return without_descriptors(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut own = Command::new(std::env::current_exe().unwrap());
    own.args(["--exact", NAME, "--nocapture"]).env("PORTCULLIS_TEST_DESCRIPTORS", folder.path());
    let output = own.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn without_descriptors(folder: &Path) {
    let heard = Heard::default();
    let limits = portcullis_log::Limits { events: 1 << 20, bytes: 1 << 30, ..LIMITS };
    let options = Options { limits, ..options(Durability::Os, &heard) };
    let log = Embedded::open(&folder.join("events"), options).unwrap();
    let own = opened(&log, "ann");
    commit(&own, Change::Accept { run: run("r", "t", None), told: None });
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(128), ..before }).unwrap();
    let mut strangers = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        strangers.push(file);
    }
    // The database needs a new file sooner or later.
    let (tail, refused) = fill(&own, "t", 0, 1 << 20);
    let Some(AppendError::Unavailable { cause, .. }) = refused else { panic!("{refused:?}") };
    assert!(cause.contains("too many open files"), "{cause}");
    assert!(log.ready().unwrap_err().contains("too many open files"));
    drop(strangers);
    heard.until(|notice| *notice == Notice::Recovered);
    assert_eq!(log.ready(), Ok(()));
    let own = opened(&log, "ann");
    assert_eq!(seqs(&own, "t"), Some((1, tail)), "all that was committed, and nothing else");
    assert_eq!(block_on(own.open_runs()).unwrap(), [run("r", "t", None)]);
    commit(&own, ends(event("t", "e", tail + 1, "the end"), "r"));
    assert_eq!(seqs(&own, "t"), Some((1, tail + 1)));
}
