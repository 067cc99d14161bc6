//! What a user sees of what was said, and what is left of it when they have it forgotten: with a record and without one.

use std::{sync::Arc, time::Duration};

use portcullis_event::{GapReason, Mode, Resume, ResumePoint, ServerMessage, ThreadId};
use portcullis_log::{Memory, Page};
use portcullis_reason::{Reason, Rejection};
use portcullis_router::{Router, Seat};

use portcullis_test::{MemoryDisk, MemoryLog};

use tokio_util::task::TaskTracker;

use crate::{
    homes::admitted,
    world::{Device, LIMITS, assert_order, recording, roomy},
};

async fn seat(router: &Router, user: &str) -> Seat {
    admitted(router, user, u32::MAX).await.unwrap()
}

fn id(thread: &str) -> ThreadId {
    ThreadId::new(thread).unwrap()
}

async fn names(seat: &Seat) -> Vec<String> {
    let threads = seat.threads(None, 100).await.unwrap();
    let mut names: Vec<_> = threads.iter().map(|it| it.place.thread_id.to_string()).collect();
    names.sort();
    names
}

/// Lets what was said be done.
async fn done(router: &Router) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(router.runs(), 0);
}

/// Runs a promise with a record in memory, and with one that is slow to record and to answer.
async fn each(promise: impl AsyncFn(Router, Option<MemoryLog>)) {
    promise(recording(roomy(), Arc::new(Memory::new(LIMITS))), None).await;
    let log = MemoryLog::slow(&Arc::new(MemoryDisk::default()));
    let serving = TaskTracker::new().spawn(served(log.clone()));
    promise(recording(roomy(), Arc::new(log.clone())), Some(log)).await;
    serving.abort();
}

/// Records and answers every millisecond.
async fn served(log: MemoryLog) {
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        log.write(usize::MAX);
        log.acknowledge();
    }
}

async fn whole(seat: &Seat, thread: &str) -> Result<Page, Rejection> {
    seat.events(&id(thread), 0, usize::MAX).await
}

#[tokio::test(start_paused = true)]
async fn a_user_s_own_threads_are_there_and_nobody_else_s() {
    each(async |router, _| {
        let (ann, bob) = (
            Device::connect(&router, "ann", Mode::Main).await,
            Device::connect(&router, "bob", Mode::Main).await,
        );
        ann.say(None, "one", "think tool").await;
        ann.say(None, "two", "think").await;
        bob.say(None, "three", "think").await;
        done(&router).await;
        let seat = seat(&router, "ann").await;
        assert_eq!(names(&seat).await, ["one", "two"]);
        let one = whole(&seat, "one").await.unwrap();
        assert_eq!((one.stream.first, one.stream.tail), (1, 6));
        let threads = seat.threads(None, 100).await.unwrap();
        let listed = threads.into_iter().find(|it| it.place.thread_id == id("one")).unwrap();
        assert_eq!((&listed.stream, &listed.last), (&one.stream, one.events.last().unwrap()));
        for other in ["three", "none"] {
            assert_eq!(whole(&seat, other).await.unwrap_err().reason, Reason::NotFound);
            assert_eq!(seat.forget(id(other)).await.err().unwrap().reason, Reason::NotFound);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_gone_everywhere_and_begins_anew() {
    each(async |router, log| {
        let ann = Device::connect(&router, "ann", Mode::Main).await;
        ann.say(Some("m"), "t", "think").await;
        ann.say(Some("n"), "u", "think").await;
        done(&router).await;
        let seat = seat(&router, "ann").await;
        let before = whole(&seat, "t").await.unwrap().stream.epoch;
        assert!(seat.forget(id("t")).await.unwrap().await);
        assert_eq!(names(&seat).await, ["u"]);
        assert_eq!(whole(&seat, "t").await.unwrap_err().reason, Reason::NotFound);
        let point = ResumePoint { thread_id: id("t"), epoch: Some(before.clone()), after_seq: 1 };
        let mut late = Device::resume(&router, "ann", Mode::Main, &Resume { threads: vec![point] }).await;
        done(&router).await;
        late.read().await;
        let gap = late.seen.iter().find_map(|envelope| match &envelope.message {
            ServerMessage::ResumeGap(gap) => Some(gap.reason),
            _ => None,
        });
        assert_eq!(gap, Some(GapReason::UnknownThread));
        // The message's name leads nowhere any more, so it is asked anew.
        late.say(Some("m"), "t", "think").await;
        done(&router).await;
        late.read().await;
        assert_eq!(late.accepted().map(|(_, _, duplicate)| duplicate).collect::<Vec<_>>(), [false]);
        assert_order(late.events());
        let stream = whole(&seat, "t").await.unwrap().stream;
        assert_eq!((stream.first, stream.epoch == before), (1, false), "another life, from the start");
        assert_eq!(log.map_or(0, |log| log.disk().open_runs().len()), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_in_a_thread_ends_before_it_goes() {
    each(async |router, log| {
        let mut ann = Device::connect(&router, "ann", Mode::Main).await;
        ann.say(None, "t", "think deaf:60000").await;
        ann.say(None, "t", "think").await;
        ann.say(None, "u", "think").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        ann.read().await;
        assert_eq!((ann.accepted().count(), router.runs()), (3, 2));
        let seat = seat(&router, "ann").await;
        let (first, second) = (seat.forget(id("t")).await.unwrap(), seat.forget(id("t")).await.unwrap());
        // Nothing new begins in it meanwhile.
        ann.say(None, "t", "think").await;
        ann.read().await;
        assert_eq!(ann.errors(), [Reason::TooManyRuns]);
        assert!(first.await && second.await);
        done(&router).await;
        ann.read().await;
        assert_eq!(assert_order(ann.events()).len(), 3, "each run had its end");
        assert_eq!(names(&seat).await, ["u"]);
        assert_eq!(log.map_or(0, |log| log.disk().open_runs().len()), 0);
    })
    .await;
}
