//! Failures while the record is at work.

use std::{io, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use portcullis_log::{AppendError, ReadError, suite::block_on};
use rustix::io::Errno;

use super::support::{Bench, append, event, owner, run, texts, thread};
use crate::{EventLog as _, Notice, failure::Failure};

fn system(errno: Errno) -> Failure {
    Failure::System(io::Error::from_raw_os_error(errno.raw_os_error()))
}

fn written(seqs: std::ops::RangeInclusive<u64>) -> Vec<String> {
    seqs.map(|seq| format!("t {seq}")).collect()
}

/// What waits is refused, nothing hangs, the cause is told, and the record goes on with what was committed.
#[test]
fn a_panic_of_the_writer_refuses_what_waits_and_the_record_goes_on() {
    let bench = Bench::new();
    let own = bench.open("ann");
    append(&own, event("t", "e", 1)).unwrap();
    let (entered, inside) = std::sync::mpsc::channel();
    let (go, release) = std::sync::mpsc::channel::<()>();
    bench.fault.set(move || {
        entered.send(()).unwrap();
        release.recv().unwrap();
        panic!("it was to be expected")
    });
    let first = own.append(event("t", "e", 2));
    inside.recv().unwrap();
    // These wait behind it.
    let waiting: Vec<_> = (3..=5).map(|seq| own.append(event("t", "e", seq))).collect();
    let opening = bench.log().open(owner("bob"));
    go.send(()).unwrap();
    let refused = |outcome| match outcome {
        Err(AppendError::Unavailable { cause, .. }) => {
            assert!(cause.contains("panicked") && cause.contains("it was to be expected"), "{cause}");
        }
        other => panic!("{other:?}"),
    };
    refused(block_on(first));
    for commit in waiting {
        refused(block_on(commit));
    }
    assert!(block_on(opening).is_err());
    let failed = bench.notices.recv_timeout(Duration::from_mins(1)).unwrap();
    assert!(matches!(&failed, Notice::Failed { cause } if cause.contains("panicked")), "{failed}");
    bench.recovered();
    assert_eq!(bench.log().ready(), Ok(()));
    assert_eq!(
        append(&own, event("t", "e", 2)),
        Err(AppendError::Fenced),
        "nothing is taken behind a refusal"
    );
    let own = bench.open("ann");
    assert_eq!(texts(&own, "t"), ("e".to_owned(), 1, written(1..=1)));
    append(&own, event("t", "e", 2)).unwrap();
    assert_eq!(texts(&own, "t"), ("e".to_owned(), 1, written(1..=2)));
}

/// While it cannot be opened again, changes are refused at once, and the cause is told.
#[test]
fn while_the_database_cannot_be_opened_everything_is_refused_at_once_and_says_why() {
    let bench = Bench::new();
    let own = bench.open("ann");
    append(&own, event("t", "e", 1)).unwrap();
    bench.fault.set(|| system(Errno::NOSPC));
    // Nothing can be opened where its folder is.
    let tables = bench.path().join("tables");
    let aside = bench.path().join("aside");
    std::fs::rename(&tables, &aside).unwrap();
    std::fs::write(&tables, "x").unwrap();
    let refused = append(&own, event("t", "e", 2));
    assert!(
        matches!(&refused, Err(AppendError::Unavailable { cause, .. }) if cause.contains("no space left")),
        "{refused:?}"
    );
    let commit = own.append(event("t", "e", 2));
    let outcome = commit.try_known().unwrap_or_else(|_| panic!("it waits"));
    assert!(matches!(outcome, Err(AppendError::Unavailable { .. })));
    assert!(bench.log().ready().is_err());
    assert!(block_on(bench.log().open(owner("ann"))).is_err());
    // A reader may be ahead of the writer that closes the database.
    while !matches!(block_on(own.stream(&thread("t"))), Err(ReadError::Unavailable(_))) {
        std::thread::yield_now();
    }
    std::fs::remove_file(&tables).unwrap();
    std::fs::rename(&aside, &tables).unwrap();
    bench.recovered();
    let own = bench.open("ann");
    assert_eq!(texts(&own, "t"), ("e".to_owned(), 1, written(1..=1)), "nothing was lost");
}

/// What failed says whether what the system took before may be lost with it.
#[test]
fn a_device_that_failed_leaves_new_epochs_and_a_full_one_does_not() {
    for (errno, epoch, said) in [
        (Errno::NOSPC, "e", "no space left"),
        (Errno::DQUOT, "e", "no space left"),
        (Errno::MFILE, "e", "too many open files"),
        (Errno::NFILE, "e", "too many open files"),
        (Errno::IO, "e_1", "failed"),
        (Errno::ROFS, "e_1", "failed"),
    ] {
        let bench = Bench::new();
        let own = bench.open("ann");
        append(&own, event("t", "e", 1)).unwrap();
        bench.fault.set(move || system(errno));
        let refused = append(&own, event("t", "e", 2));
        assert!(
            matches!(&refused, Err(AppendError::Unavailable { cause, .. }) if cause.contains(said)),
            "{errno:?}: {refused:?}"
        );
        bench.recovered();
        let own = bench.open("ann");
        assert_eq!(texts(&own, "t"), (epoch.to_owned(), 1, written(1..=1)), "{errno:?}");
        if epoch != "e" {
            assert_eq!(append(&own, event("t", "e", 2)), Err(AppendError::Fenced), "the old life is over");
        }
        let own = bench.open("ann");
        append(&own, event("t", epoch, 2)).unwrap();
        assert_eq!(texts(&own, "t"), (epoch.to_owned(), 1, written(1..=2)), "{errno:?}");
    }
}

#[test]
fn two_failures_of_the_device_leave_two_new_epochs() {
    let bench = Bench::new();
    for (count, epoch) in ["e", "e_1", "e_2", "e_3"].into_iter().enumerate() {
        let seq = count as u64 + 1;
        let own = bench.open("ann");
        append(&own, event("t", epoch, seq)).unwrap();
        assert_eq!(texts(&own, "t"), (epoch.to_owned(), 1, written(1..=seq)));
        // A stream that begins now has had no other life.
        append(&own, event(&format!("t{seq}"), "f", 1)).unwrap();
        assert_eq!(texts(&own, &format!("t{seq}")).0, "f");
        bench.fault.set(|| system(Errno::IO));
        append(&own, event("t", epoch, seq + 1)).unwrap_err();
        bench.recovered();
    }
    assert_eq!(texts(&bench.open("ann"), "t1").0, "f_4");
    assert_eq!(texts(&bench.open("ann"), "t4").0, "f_4");
}

/// A reader that panics is as good a sign as a writer's that something is wrong.
#[test]
fn a_panic_of_a_reader_is_told_to_who_asked_and_the_record_is_opened_anew() {
    let bench = Bench::new();
    let own = bench.open("ann");
    append(&own, event("t", "e", 1)).unwrap();
    let read = bench.log().shared.read::<()>(None, |_| panic!("it was to be expected"));
    assert!(matches!(block_on(read), Err(ReadError::Unavailable(cause)) if cause.contains("panicked")));
    bench.recovered();
    assert_eq!(append(&own, event("t", "e", 2)), Err(AppendError::Fenced));
    assert_eq!(texts(&bench.open("ann"), "t"), ("e".to_owned(), 1, written(1..=1)));
}

/// What cannot be opened for good is told as that.
#[test]
fn a_record_that_is_damaged_for_good_is_told_as_that() {
    let bench = Bench::new();
    let own = bench.open("ann");
    append(&own, event("t", "e", 1)).unwrap();
    let failed = bench.log().failed();
    let mut early = bench.log().failed();
    assert_eq!((&mut early).now_or_never(), None);
    // It is noted that there is something once it was closed for the failure.
    let tables = bench.path().join("tables");
    bench.fault.set(move || {
        std::fs::remove_file(tables.join("version")).unwrap();
        system(Errno::NOSPC)
    });
    append(&own, event("t", "e", 2)).unwrap_err();
    let cause = block_on(failed);
    assert!(cause.contains("damaged") && cause.contains("version"), "{cause}");
    assert_eq!(bench.log().ready(), Err(Arc::clone(&cause)));
    assert_eq!(append(&own, event("t", "e", 2)), Err(AppendError::Failed(cause)));
    assert_eq!(block_on(early), block_on(bench.log().failed()));
}

/// One owner's reads do not keep another's waiting, and are bounded.
#[test]
fn reads_take_turns_between_owners_and_are_bounded_for_each() {
    let bench = Bench::new();
    let (ann, bob) = (owner("ann"), owner("bob"));
    let (go, release) = std::sync::mpsc::channel::<()>();
    let release = Arc::new(std::sync::Mutex::new(release));
    let shared = &bench.log().shared;
    let (begins, begun) = std::sync::mpsc::channel();
    let read = |who, name: &'static str| {
        let (release, begins) = (Arc::clone(&release), begins.clone());
        shared.read(Some(who), move |_| {
            begins.send(name).unwrap();
            release.lock().unwrap().recv().unwrap();
            Ok(())
        })
    };
    let of_ann: Vec<_> = (0..300).map(|_| read(ann, "ann")).collect();
    let of_bob = read(bob, "bob");
    let refused = of_ann.into_iter().map(|mut read| match (&mut read).now_or_never() {
        Some(Err(ReadError::Unavailable(_))) => None,
        Some(other) => panic!("{other:?}"),
        None => Some(read),
    });
    let waiting: Vec<_> = refused.flatten().collect();
    assert!((256..=258).contains(&waiting.len()), "{}", waiting.len());
    // One ends and the next begins, so that the order is that of the queue and not of the readers.
    let mut order: Vec<_> = (0..crate::readers::READERS).map(|_| begun.recv().unwrap()).collect();
    for _ in order.len()..=waiting.len() {
        go.send(()).unwrap();
        order.push(begun.recv().unwrap());
    }
    for _ in 0..crate::readers::READERS {
        go.send(()).unwrap();
    }
    for read in waiting {
        block_on(read).unwrap();
    }
    block_on(of_bob).unwrap();
    let at = order.iter().position(|name| *name == "bob").unwrap();
    assert!(at <= 4, "it came after {at} others");
}

/// Whoever hears the last news may let go of the record.
#[test]
fn the_last_commit_may_let_go_of_the_log() {
    use std::task::{Context, Wake, Waker};
    struct Last(std::sync::Mutex<Option<crate::Embedded>>, std::sync::mpsc::Sender<()>);
    impl Wake for Last {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            self.1.send(()).unwrap();
        }
    }
    let mut bench = Bench::new();
    let own = bench.open("ann");
    let (go, release) = std::sync::mpsc::channel::<()>();
    bench.fault.set(move || {
        release.recv().unwrap();
        system(Errno::NOSPC)
    });
    let mut commit = Box::pin(own.append(event("t", "e", 1)));
    let (told, heard) = std::sync::mpsc::channel();
    let waker = Waker::from(Arc::new(Last(std::sync::Mutex::new(bench.log.take()), told)));
    assert!(commit.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    go.send(()).unwrap();
    heard.recv_timeout(Duration::from_mins(1)).unwrap();
    assert!(block_on(commit).is_err());
    assert!(block_on(own.append(event("t", "e", 1))).is_err(), "it is closed");
    assert!(block_on(own.open_runs()).is_err());
}

/// A question stays as it was over a failure, and its run with it.
#[test]
fn questions_of_open_runs_survive_a_failure_and_the_change_of_their_keys() {
    let bench = Bench::new();
    let own = bench.open("ann");
    let open = run("r", "t", Some("Zebracorn"));
    append(&own, portcullis_log::Change::Accept { run: open.clone(), told: None }).unwrap();
    assert_eq!(block_on(own.open_runs()).unwrap(), std::slice::from_ref(&open));
    bench.fault.set(|| system(Errno::NOSPC));
    append(&own, event("t", "e", 1)).unwrap_err();
    bench.recovered();
    assert_eq!(block_on(bench.open("ann").open_runs()).unwrap(), [open]);
}
