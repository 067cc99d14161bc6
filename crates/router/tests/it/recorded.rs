//! With a log nothing is seen before it is recorded, whatever the log takes its time for, and nothing after it has failed.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc},
    time::Duration,
};

use parking_lot::Mutex;
use portcullis_event::{MessageId, MessageType, Mode, Resume, RunId, ServerMessage, ThreadId, Timestamp};
use portcullis_log::{
    Change, Done, Durability, Embedded, Error, EventLog, OpenRun, Owner, Retention, Stored, Summary,
};
use portcullis_reason::Reason;
use portcullis_router::{Router, recover};
use proptest::prelude::*;

use crate::world::{Device, End, assert_order, recording, roomy, settle};

/// A real log whose acknowledgements are held back until the test lets them go, one by one.
struct Held {
    log: Embedded,
    waiting: Mutex<VecDeque<(Change, Done)>>,
    failed: Mutex<bool>,
    _folder: tempfile::TempDir,
}

impl Held {
    fn new() -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let log = Embedded::open(&folder.path().join("events"), Durability::Os).unwrap();
        Arc::new(Self { log, waiting: Mutex::default(), failed: Mutex::new(false), _folder: folder })
    }

    /// Records the next change, and acknowledges it; false if none waits.
    fn next(&self) -> bool {
        let Some((change, done)) = self.waiting.lock().pop_front() else { return false };
        if *self.failed.lock() {
            done(Err(&Error::Failed("as the test says".to_owned())));
            return true;
        }
        let (told, outcome) = mpsc::channel();
        self.log.append(change, Box::new(move |outcome| told.send(outcome.is_ok()).unwrap()));
        assert!(outcome.recv().unwrap());
        done(Ok(()));
        true
    }

    fn fail(&self) {
        *self.failed.lock() = true;
    }
}

impl EventLog for Held {
    fn append(&self, change: Change, done: Done) {
        self.waiting.lock().push_back((change, done));
    }

    fn thread(&self, owner: &Owner, thread_id: &ThreadId) -> Result<Option<Stored>, Error> {
        self.log.thread(owner, thread_id)
    }

    fn threads(&self, owner: &Owner) -> Result<Vec<Summary>, Error> {
        self.log.threads(owner)
    }

    fn message(&self, owner: &Owner, id: &MessageId) -> Result<Option<(RunId, ThreadId)>, Error> {
        self.log.message(owner, id)
    }

    fn open_runs(&self) -> Result<Vec<OpenRun>, Error> {
        self.log.open_runs()
    }

    fn sweep(&self, retention: Retention) -> Result<usize, Error> {
        self.log.sweep(retention)
    }
}

fn router(log: &Arc<Held>) -> Router {
    recording(roomy(), Some(Arc::clone(log) as Arc<dyn EventLog>))
}

/// Lets tasks go as far as they come without the log.
async fn pause() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Lets everything come to its end.
async fn finish(router: &Router, log: &Held) {
    while log.next() || router.runs() > 0 {
        pause().await;
    }
}

fn kinds(device: &Device) -> Vec<&'static str> {
    device.seen.iter().map(|envelope| envelope.message.kind().as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn each_thing_is_seen_once_it_is_recorded_and_no_sooner() {
    let log = Held::new();
    let router = router(&log);
    let mut ann = Device::connect(&router, "ann", Mode::Main);
    ann.say(Some("m"), "t", "think tool delta");
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
        ann.read();
        assert_eq!(kinds(&ann), told, "before {kind} is recorded");
        assert!(log.next(), "{kind} waits");
        told.push(kind);
    }
    pause().await;
    ann.read();
    assert_eq!(kinds(&ann), told);
    assert_eq!(router.runs(), 0);
    assert_eq!(log.open_runs().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_end_was_seen_cannot_be_cancelled_any_more() {
    let log = Held::new();
    let router = router(&log);
    let mut ann = Device::connect(&router, "ann", Mode::Main);
    ann.say(Some("m"), "t", "think");
    while !kinds(&ann).contains(&"agent_completed") {
        pause().await;
        assert!(log.next());
        ann.read();
    }
    // The run's own task has not heard of the last acknowledgement yet.
    assert_eq!(router.runs(), 1);
    let run = ann.accepted().next().unwrap().1.clone();
    ann.cancel(&run);
    ann.read();
    assert_eq!(ann.errors(), [Reason::UnknownRun]);
    finish(&router, &log).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_sent_again_is_not_told_as_accepted_before_it_is() {
    let log = Held::new();
    let router = router(&log);
    let mut ann = Device::connect(&router, "ann", Mode::Main);
    ann.say(Some("m"), "t", "think");
    ann.say(Some("m"), "t", "think");
    pause().await;
    ann.read();
    assert_eq!(ann.accepted().count(), 0);
    finish(&router, &log).await;
    ann.read();
    assert_eq!(ann.accepted().map(|(_, _, duplicate)| duplicate).collect::<Vec<_>>(), [false, true]);
    assert_eq!(assert_order(ann.events()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_resumes_in_between_gets_what_is_recorded_and_then_the_rest() {
    let log = Held::new();
    let router = router(&log);
    let ann = Device::connect(&router, "ann", Mode::Main);
    ann.say(Some("m"), "t", "think think think delta delta");
    pause().await;
    for _ in 0..4 {
        assert!(log.next());
        pause().await;
    }
    let point =
        portcullis_event::ResumePoint { thread_id: ThreadId::new("t").unwrap(), epoch: None, after_seq: 0 };
    let mut late = Device::resume(&router, "ann", Mode::Main, &Resume { threads: vec![point] });
    late.read();
    assert_eq!(late.events().count(), 3, "what is on its way is not there yet");
    finish(&router, &log).await;
    late.read();
    assert_eq!(assert_order(late.events()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_nothing_is_seen_and_nothing_is_taken() {
    let log = Held::new();
    let router = router(&log);
    let mut ann = Device::connect(&router, "ann", Mode::Main);
    ann.say(Some("m"), "t", "think wait:100 think");
    for _ in 0..2 {
        pause().await;
        assert!(log.next());
    }
    pause().await;
    log.fail();
    finish(&router, &log).await;
    ann.read();
    assert_eq!(kinds(&ann), ["connection_established", "message_accepted", "agent_started"]);
    assert_eq!(ann.ended, Some(Reason::NotReady), "whoever listens comes back to what was recorded");
    assert_eq!(router.ready().unwrap_err().reason, Reason::NotReady);
    assert_eq!(router.runs(), 0, "the run ended");

    let mut bob = Device::connect(&router, "bob", Mode::Main);
    bob.say(Some("m"), "t", "think");
    pause().await;
    bob.read();
    assert_eq!(bob.errors(), [Reason::NotReady]);

    // The next start ends what was accepted.
    assert_eq!(log.open_runs().unwrap().len(), 1);
    assert_eq!(recover(&log.log, || Timestamp::from_unix_ms(9)).unwrap(), 1);
    assert_eq!(log.open_runs().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn isolated_connections_leave_nothing_behind() {
    let log = Held::new();
    let router = router(&log);
    let mut ann = Device::connect(&router, "ann", Mode::Isolated);
    ann.say(Some("m"), "t", "think delta");
    assert_eq!(settle(&router).await, 0);
    ann.read();
    assert_eq!(assert_order(ann.events()).len(), 1);
    assert!(log.waiting.lock().is_empty());
}

/// What a crash leaves, at any moment: the next start ends each accepted run once, and the stream has no gap.
fn crash_after(changes: usize, messages: usize) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let log = Held::new();
        let before = router(&log);
        let mut ann = Device::connect(&before, "ann", Mode::Main);
        for number in 0..messages {
            ann.say(Some(&format!("m{number}")), "t", "think tool:5 delta broken delta");
        }
        for _ in 0..changes {
            pause().await;
            log.next();
        }
        pause().await;
        ann.read();
        // The process is gone: what waited was never recorded.
        log.waiting.lock().clear();
        drop(before);
        recover(&log.log, || Timestamp::from_unix_ms(9)).unwrap();

        let after = router(&log);
        let point =
            portcullis_event::ResumePoint { thread_id: ThreadId::new("t").unwrap(), epoch: None, after_seq: 0 };
        let mut again = Device::resume(&after, "ann", Mode::Main, &Resume { threads: vec![point] });
        again.read();
        let ended = assert_order(again.events());
        for (message, run, _) in ann.accepted() {
            let end = ended.get(run).unwrap_or_else(|| panic!("{message:?} was accepted and has no end"));
            let good = matches!(end, End::Answer(_) | End::Failure(Reason::Internal));
            assert!(good, "{message:?}: {end:?}");
        }
        let seen: Vec<_> = ann.events().cloned().collect();
        let there: Vec<_> = again.events().take(seen.len()).cloned().collect();
        assert_eq!(there, seen, "what was seen is there");
        // And the thread goes on.
        again.say(Some("next"), "t", "think");
        finish(&after, &log).await;
        again.read();
        let last = again.events().last().map(|event| event.message.kind());
        assert_eq!(last, Some(MessageType::AgentCompleted));
        let failures = |message: &ServerMessage| matches!(message, ServerMessage::AgentFailed(it) if !it.error.retryable);
        assert!(!again.events().any(|event| failures(&event.message)), "what a crash ended may be asked again");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_crash_at_any_moment_ends_what_was_accepted(changes in 0usize..40, messages in 1usize..4) {
        crash_after(changes, messages);
    }
}
