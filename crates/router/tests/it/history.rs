//! What a user sees of what was said, and what is left of it when they have it forgotten: with a record and without one.

use std::{sync::Arc, time::Duration};

use portcullis_event::{GapReason, Mode, Resume, ResumePoint, ServerMessage, ThreadId};
use portcullis_log::{Durability, Embedded, EventLog};
use portcullis_reason::Reason;
use portcullis_router::{Router, Seat};

use crate::world::{Device, assert_order, identity, recording, roomy};

fn seat(router: &Router, user: &str) -> Seat {
    router.admit(identity(user), u32::MAX).unwrap()
}

fn id(thread: &str) -> ThreadId {
    ThreadId::new(thread).unwrap()
}

fn names(seat: &Seat) -> Vec<String> {
    let mut names: Vec<_> = seat.threads().unwrap().iter().map(|it| it.thread_id.to_string()).collect();
    names.sort();
    names
}

async fn until(mut met: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if met() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not come to that");
}

/// Runs a promise with a record on the disk and with one in memory.
async fn each(promise: impl AsyncFn(Router, Option<Arc<dyn EventLog>>)) {
    promise(recording(roomy(), None), None).await;
    let folder = tempfile::tempdir().unwrap();
    let log: Arc<dyn EventLog> =
        Arc::new(Embedded::open(&folder.path().join("events"), Durability::Os).unwrap());
    promise(recording(roomy(), Some(Arc::clone(&log))), Some(log)).await;
}

#[tokio::test]
async fn a_user_s_own_threads_are_there_and_nobody_else_s() {
    each(async |router, _| {
        let (ann, bob) =
            (Device::connect(&router, "ann", Mode::Main), Device::connect(&router, "bob", Mode::Main));
        ann.say(None, "one", "think tool");
        ann.say(None, "two", "think");
        bob.say(None, "three", "think");
        until(|| router.runs() == 0).await;
        let seat = seat(&router, "ann");
        assert_eq!(names(&seat), ["one", "two"]);
        let one = seat.thread(&id("one")).unwrap();
        assert_eq!((one.first, one.tail()), (1, 5));
        let listed = seat.threads().unwrap().into_iter().find(|it| it.thread_id == id("one")).unwrap();
        assert_eq!((listed.tail, &listed.epoch, &listed.last), (5, &one.epoch, one.texts.last().unwrap()));
        for other in ["three", "none"] {
            assert_eq!(seat.thread(&id(other)).unwrap_err().reason, Reason::NotFound);
            assert_eq!(seat.forget(&id(other)).err().unwrap().reason, Reason::NotFound);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_forgotten_is_gone_everywhere_and_begins_anew() {
    each(async |router, log| {
        let ann = Device::connect(&router, "ann", Mode::Main);
        ann.say(Some("m"), "t", "think");
        ann.say(Some("n"), "u", "think");
        until(|| router.runs() == 0).await;
        let seat = seat(&router, "ann");
        let before = seat.thread(&id("t")).unwrap().epoch;
        assert!(seat.forget(&id("t")).unwrap().await);
        assert_eq!(names(&seat), ["u"]);
        assert_eq!(seat.thread(&id("t")).unwrap_err().reason, Reason::NotFound);
        let point = ResumePoint { thread_id: id("t"), epoch: Some(before.clone()), after_seq: 1 };
        let mut late = Device::resume(&router, "ann", Mode::Main, &Resume { threads: vec![point] });
        late.read();
        let gap = late.seen.iter().find_map(|envelope| match &envelope.message {
            ServerMessage::ResumeGap(gap) => Some(gap.reason),
            _ => None,
        });
        assert_eq!(gap, Some(GapReason::UnknownThread));
        // The message's name leads nowhere any more, so it is asked anew.
        late.say(Some("m"), "t", "think");
        until(|| router.runs() == 0).await;
        late.read();
        assert_eq!(late.accepted().map(|(_, _, duplicate)| duplicate).collect::<Vec<_>>(), [false]);
        assert_order(late.events());
        let stored = seat.thread(&id("t")).unwrap();
        assert_eq!((stored.first, stored.epoch == before), (1, false), "another life, from the start");
        assert_eq!(log.map_or(0, |log| log.open_runs().unwrap().len()), 0);
    })
    .await;
}

#[tokio::test]
async fn what_goes_on_in_a_thread_ends_before_it_goes() {
    each(async |router, log| {
        let mut ann = Device::connect(&router, "ann", Mode::Main);
        ann.say(None, "t", "think wait:60000");
        ann.say(None, "t", "think");
        ann.say(None, "u", "think");
        until(|| {
            ann.read();
            ann.accepted().count() == 3 && router.runs() == 2
        })
        .await;
        let seat = seat(&router, "ann");
        let (first, second) = (seat.forget(&id("t")).unwrap(), seat.forget(&id("t")).unwrap());
        // Nothing new begins in it meanwhile.
        ann.say(None, "t", "think");
        ann.read();
        assert_eq!(ann.errors(), [Reason::TooManyRuns]);
        assert!(first.await && second.await);
        until(|| router.runs() == 0).await;
        ann.read();
        assert_eq!(assert_order(ann.events()).len(), 3, "each run had its end");
        assert_eq!(names(&seat), ["u"]);
        assert_eq!(log.map_or(0, |log| log.open_runs().unwrap().len()), 0);
    })
    .await;
}
