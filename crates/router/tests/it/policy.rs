//! A message on a thread whose run is still going.

use std::time::Duration;

use portcullis_event::{MessageType, Mode, RunId, ServerMessage};
use portcullis_reason::Reason;
use portcullis_router::{Options, Router, ThreadPolicy};

use crate::world::{Device, End, assert_order, roomy, router, settle};

const LONG: &str = "think wait:1000 delta";

fn with(thread_policy: ThreadPolicy) -> Router {
    router(Options { thread_policy, ..roomy() })
}

/// Asks `count` times on one thread, the first run well under way, and reads what came of it.
async fn ask(router: &Router, count: usize) -> Device {
    let mut ann = Device::connect(router, "ann", Mode::Main).await;
    for number in 0..count {
        ann.say(Some(&format!("m{number}")), "t", LONG).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(settle(router).await, 0);
    ann.read().await;
    ann
}

/// What became of the runs, in the order of asking.
fn ends(device: &Device) -> Vec<End> {
    let ended = assert_order(device.events());
    device.accepted().map(|(_, run, _)| ended[run].clone()).collect()
}

fn is_answer(end: &End) -> bool {
    matches!(end, End::Answer(_))
}

#[tokio::test(start_paused = true)]
async fn queued_runs_come_one_after_the_other() {
    let ann = ask(&with(ThreadPolicy::Queue), 3).await;
    assert!(ends(&ann).iter().all(is_answer), "{:?}", ends(&ann));
    assert_eq!(ends(&ann).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_second_run_is_refused_and_taken_once_the_first_has_ended() {
    let router = with(ThreadPolicy::Reject);
    let mut ann = ask(&router, 3).await;
    assert_eq!(ends(&ann).len(), 1);
    assert_eq!(ann.errors(), [Reason::TooManyRuns, Reason::TooManyRuns]);
    // Another thread is free, and so is this one now.
    ann.say(Some("other"), "t2", LONG).await;
    ann.say(Some("again"), "t", LONG).await;
    assert_eq!(settle(&router).await, 0);
    ann.read().await;
    assert_eq!(ends(&ann).len(), 3);
    assert_eq!(ann.errors().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_run_replaces_those_before_it() {
    let ann = ask(&with(ThreadPolicy::Replace), 3).await;
    let ends = ends(&ann);
    let cancelled = End::Failure(Reason::RunCancelled);
    assert_eq!(ends[..2], [cancelled.clone(), cancelled]);
    assert!(is_answer(&ends[2]), "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn parallel_runs_share_the_stream_and_each_is_whole() {
    let router = with(ThreadPolicy::Parallel);
    let ann = ask(&router, 3).await;
    let seqs: Vec<_> = ann.events().map(|event| event.position.as_ref().unwrap().seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let runs: Vec<RunId> = ann.accepted().map(|(_, run, _)| run.clone()).collect();
    assert_eq!(runs.len(), 3);
    for run in &runs {
        let of_run = |event: &&portcullis_event::Envelope| event.run_id.as_ref() == Some(run);
        let kinds: Vec<_> = ann.events().filter(of_run).map(|event| event.message.kind()).collect();
        let whole = [
            MessageType::UserMessage,
            MessageType::AgentStarted,
            MessageType::AgentThinking,
            MessageType::PartialResult,
            MessageType::AgentCompleted,
        ];
        assert_eq!(kinds, whole);
    }
    let started =
        |event: &&portcullis_event::Envelope| matches!(event.message, ServerMessage::AgentStarted(_));
    let first_end =
        ann.events().position(|event| event.message.kind() == MessageType::AgentCompleted).unwrap();
    assert_eq!(ann.events().take(first_end).filter(started).count(), 3, "all went on at the same time");
}

#[tokio::test(start_paused = true)]
async fn any_of_parallel_runs_can_be_cancelled() {
    let router = with(ThreadPolicy::Parallel);
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    ann.say(Some("m0"), "t", LONG).await;
    ann.say(Some("m1"), "t", LONG).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    ann.read().await;
    let runs: Vec<RunId> = ann.accepted().map(|(_, run, _)| run.clone()).collect();
    ann.cancel(&runs[1]);
    assert_eq!(settle(&router).await, 0);
    ann.read().await;
    let end = |run: &RunId| {
        let last = ann.events().filter(|event| event.run_id.as_ref() == Some(run)).last();
        last.map(|event| event.message.kind())
    };
    assert_eq!(end(&runs[0]), Some(MessageType::AgentCompleted));
    assert_eq!(end(&runs[1]), Some(MessageType::AgentFailed));
}
