//! With a log nothing is seen before it is recorded, whatever the log takes its time for, and nothing after it has failed.

use portcullis_event::{MessageType, Mode, Resume, ThreadId};
use portcullis_reason::Reason;
use portcullis_router::Recovered;
use proptest::prelude::*;

use crate::{
    held::{Held, finish, pause},
    homes::admitted,
    world::{Device, End, assert_order, settle},
};

#[tokio::test(start_paused = true)]
async fn each_thing_is_seen_once_it_is_recorded_and_no_sooner() {
    let log = Held::new();
    let router = log.router();
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    ann.say(Some("m"), "t", "think tool delta").await;
    let mut told = vec!["connection_established"];
    let expected = [
        "message_accepted",
        "agent_started",
        "agent_thinking",
        "tool_executing",
        "tool_completed",
        "partial_result",
        "agent_completed",
    ];
    for kind in expected {
        pause().await;
        ann.read().await;
        assert_eq!(ann.kinds(), told, "before {kind} is recorded");
        assert!(log.next(), "{kind} waits");
        told.push(kind);
        if kind == "message_accepted" {
            // Recorded with it.
            told.push("user_message");
        }
    }
    pause().await;
    ann.read().await;
    assert_eq!(ann.kinds(), told);
    assert_eq!(router.runs(), 0);
    assert_eq!(log.disk().open_runs(), []);
}

#[tokio::test(start_paused = true)]
async fn a_message_sent_again_is_not_told_as_accepted_before_it_is() {
    let log = Held::new();
    let router = log.router();
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    ann.say(Some("m"), "t", "think").await;
    ann.say(Some("m"), "t", "think").await;
    pause().await;
    ann.read().await;
    assert_eq!(ann.accepted().count(), 0);
    finish(&router, &log).await;
    ann.read().await;
    assert_eq!(ann.accepted().map(|(_, _, duplicate)| duplicate).collect::<Vec<_>>(), [false, true]);
    assert_eq!(assert_order(ann.events()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thread_takes_nothing_until_its_deletion_is_recorded() {
    let log = Held::new();
    let router = log.router();
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    ann.say(Some("m"), "t", "think").await;
    finish(&router, &log).await;
    let (thread, seat) = (ThreadId::new("t").unwrap(), admitted(&router, "ann", u32::MAX).await.unwrap());
    let before = seat.events(&thread, 0, 1).await.unwrap().stream;
    let (first, second) =
        (seat.forget(thread.clone()).await.unwrap(), seat.forget(thread.clone()).await.unwrap());
    ann.say(Some("n"), "t", "think").await;
    ann.read().await;
    assert_eq!(ann.errors(), [Reason::TooManyRuns], "its old events are still in the record");
    assert!(log.next());
    assert!(!log.next(), "it is deleted once: the second would take what comes after the first");
    assert!(first.await && second.await);
    ann.say(Some("n"), "t", "think").await;
    finish(&router, &log).await;
    let after = seat.events(&thread, 0, 1).await.unwrap().stream;
    assert_eq!((after.first, after.epoch == before.epoch), (1, false));
}

#[tokio::test(start_paused = true)]
async fn who_resumes_in_between_gets_what_is_recorded_and_then_the_rest() {
    let log = Held::new();
    let router = log.router();
    let ann = Device::connect(&router, "ann", Mode::Main).await;
    ann.say(Some("m"), "t", "think think think delta delta").await;
    pause().await;
    for _ in 0..4 {
        assert!(log.next());
        pause().await;
    }
    let mut late = Device::resume(&router, "ann", Mode::Main, &from_the_start()).await;
    late.read().await;
    assert_eq!(late.events().count(), 4, "what is on its way is not there yet");
    finish(&router, &log).await;
    late.read().await;
    assert_eq!(assert_order(late.events()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_nothing_is_seen_and_nothing_is_taken() {
    let log = Held::new();
    let router = log.router();
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    ann.say(Some("m"), "t", "think wait:100 think").await;
    for _ in 0..2 {
        pause().await;
        assert!(log.next());
    }
    pause().await;
    log.fail();
    finish(&router, &log).await;
    ann.read().await;
    assert_eq!(ann.kinds(), ["connection_established", "message_accepted", "user_message", "agent_started"]);
    assert_eq!(ann.ended, Some(Reason::NotReady), "whoever listens comes back to what was recorded");
    assert_eq!(router.ready().unwrap_err().reason, Reason::NotReady);
    assert_eq!(router.runs(), 0, "the run ended");

    let mut bob = Device::connect(&router, "bob", Mode::Main).await;
    bob.say(Some("m"), "t", "think").await;
    pause().await;
    bob.read().await;
    assert_eq!(bob.errors(), [Reason::NotReady]);

    // The next start takes up what was accepted.
    assert_eq!(log.disk().open_runs().len(), 1);
    let log = log.restart();
    let router = log.router();
    assert_eq!(log.recover(&router).await, Recovered { repeated: 1, ended: 0 });
    finish(&router, &log).await;
    assert_eq!(log.disk().open_runs(), []);
}

#[tokio::test(start_paused = true)]
async fn isolated_connections_leave_nothing_behind() {
    let log = Held::new();
    let router = log.router();
    let mut ann = Device::connect(&router, "ann", Mode::Isolated).await;
    ann.say(Some("m"), "t", "think delta").await;
    assert_eq!(settle(&router).await, 0);
    ann.read().await;
    assert_eq!(assert_order(ann.events()).len(), 1);
    assert!(log.is_idle());
}

/// What crashes leave, at any moments: the next start takes each accepted run up, and the stream has no gap. One that may
/// be repeated comes to its answer, unless it is cut off once more.
fn crash_after(changes: &[usize], messages: &[bool]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut log = Held::new();
        let mut router = log.router();
        let mut ann = Device::connect(&router, "ann", Mode::Main).await;
        for (number, plain) in messages.iter().enumerate() {
            let script =
                if *plain { "think tool:5 delta broken delta" } else { "private think tool:5 delta" };
            ann.say(Some(&format!("m{number}")), "t", script).await;
        }
        for changes in changes {
            for _ in 0..*changes {
                pause().await;
                log.next();
            }
            pause().await;
            ann.read().await;
            // The process is gone: what waited was never recorded.
            log = log.restart();
            router = log.router();
            log.recover(&router).await;
            let mut again = Device::resume(&router, "ann", Mode::Main, &from_the_start()).await;
            again.read().await;
            let seen: Vec<_> = ann.events().cloned().collect();
            let there: Vec<_> = again.events().take(seen.len()).cloned().collect();
            assert_eq!(there, seen, "what was seen is there");
            again.seen.splice(0..0, ann.seen.into_iter().filter(|message| message.position.is_none()));
            ann = again;
        }
        // And the thread goes on.
        ann.say(Some("next"), "t", "think").await;
        finish(&router, &log).await;
        ann.read().await;
        let last = ann.events().last().map(|event| event.message.kind());
        assert_eq!(last, Some(MessageType::AgentCompleted));
        let ended = assert_order(ann.events());
        for (message, run, _) in ann.accepted() {
            let end = ended.get(run).unwrap_or_else(|| panic!("{message:?} was accepted and has no end"));
            let number: Option<usize> = message.as_str()[1..].parse().ok();
            let plain = number.is_none_or(|number| messages[number]);
            let cut_off = *end == End::Failure(Reason::Internal) && (!plain || changes.len() > 1);
            assert!(matches!(end, End::Answer(_)) || cut_off, "{message:?}: {end:?}");
        }
        assert_eq!(log.disk().open_runs(), []);
    });
}

fn from_the_start() -> Resume {
    let thread_id = ThreadId::new("t").unwrap();
    Resume { threads: vec![portcullis_event::ResumePoint { thread_id, epoch: None, after_seq: 0 }] }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_crash_at_any_moment_leaves_nothing_without_its_end(
        changes in prop::collection::vec(0usize..40, 1..3),
        messages in prop::collection::vec(any::<bool>(), 1..4),
    ) {
        crash_after(&changes, &messages);
    }
}
