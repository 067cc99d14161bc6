//! What a crash cut off is run again where its agent allows it: once, in the old order, and under the old name.

use std::sync::Arc;

use portcullis_agent::{Agent, Answer, RunContext, RunFuture, Task};
use portcullis_event::{Envelope, MessageType, Mode, Resume, ResumePoint, RunId, ServerMessage, ThreadId};
use portcullis_log::Repeat;
use portcullis_reason::Reason;
use portcullis_router::{Agents, Options, Recovered, Router, ThreadPolicy};

use crate::{
    held::{Held, finish, pause},
    script::scripted,
    world::{Device, End, assert_order, roomy, settle},
};

/// A process on whose disk something is going on.
struct Life {
    log: Held,
    router: Router,
}

impl Life {
    fn begin() -> Self {
        let log = Held::new();
        Self { router: log.router(), log }
    }

    /// Records so many changes.
    async fn go(&self, changes: usize) {
        for _ in 0..changes {
            pause().await;
            assert!(self.log.next());
        }
        pause().await;
    }

    /// The process is gone; the next one takes up what is there.
    async fn crash(&self) -> (Self, Recovered) {
        self.crash_into(roomy(), scripted()).await
    }

    async fn crash_into(&self, options: Options, agents: Agents) -> (Self, Recovered) {
        let log = self.log.restart();
        let router = log.router_with(options, agents);
        let recovered = log.recover(&router).await;
        (Self { log, router }, recovered)
    }

    async fn finish(&self) {
        finish(&self.router, &self.log).await;
    }

    /// Everything that there is of a user's threads, and what happens from now on.
    async fn whole(&self, user: &str, threads: &[&str]) -> Device {
        let point =
            |name: &&str| ResumePoint { thread_id: ThreadId::new(name).unwrap(), epoch: None, after_seq: 0 };
        let mut device = Device::resume(
            &self.router,
            user,
            Mode::Main,
            &Resume { threads: threads.iter().map(point).collect() },
        )
        .await;
        device.read().await;
        device
    }
}

const fn recovered(repeated: usize, ended: usize) -> Recovered {
    Recovered { repeated, ended }
}

fn run_of(device: &Device, message: &str) -> RunId {
    device.accepted().find(|(id, ..)| id.as_str() == message).expect("it was accepted").1.clone()
}

/// The runs in the order in which they began, each with its attempt.
fn beginnings(device: &Device) -> Vec<(RunId, Option<u32>)> {
    let started = |event: &Envelope| match &event.message {
        ServerMessage::AgentStarted(started) => Some((event.run_id.clone().unwrap(), started.attempt)),
        _ => None,
    };
    device.events().filter_map(started).collect()
}

/// How a run ended, and whether it may be asked again.
fn failure(device: &Device, run: &RunId) -> Option<(Reason, bool)> {
    device.events().filter(|event| event.run_id.as_ref() == Some(run)).find_map(|event| {
        match &event.message {
            ServerMessage::AgentFailed(end) => Some((end.error.reason, end.error.retryable)),
            _ => None,
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_run_begins_anew_after_its_open_tool_has_ended() {
    let before = Life::begin();
    let mut ann = Device::connect(&before.router, "ann", Mode::Main).await;
    ann.say(Some("m"), "t", "think delta tool:5 think").await;
    before.go(5).await;
    ann.read().await;
    assert_eq!(ann.kinds().last(), Some(&"tool_executing"));
    let run = run_of(&ann, "m");

    let (after, taken_up) = before.crash().await;
    assert_eq!(taken_up, recovered(1, 0));
    let mut again = after.whole("ann", &["t"]).await;
    after.finish().await;
    again.read().await;
    let expected = [
        "user_message",
        "agent_started",
        "agent_thinking",
        "partial_result",
        "tool_executing",
        "tool_completed",
        "agent_started",
        "agent_thinking",
        "partial_result",
        "tool_executing",
        "tool_completed",
        "agent_thinking",
        "agent_completed",
    ];
    assert_eq!(again.events().map(|event| event.message.kind().as_str()).collect::<Vec<_>>(), expected);
    assert_eq!(beginnings(&again), [(run.clone(), None), (run.clone(), Some(2))]);
    assert_eq!(assert_order(again.events()).len(), 1);
    let tools = |ok: bool| {
        let completed = |event: &Envelope| match &event.message {
            ServerMessage::ToolCompleted(tool) if tool.ok == ok => Some(tool.execution_id.clone()),
            _ => None,
        };
        again.events().find_map(completed).unwrap()
    };
    assert_ne!(tools(false), tools(true), "another tool than the one that was cut off");
    // The message is known, and nothing is left open.
    again.say(Some("m"), "t", "think").await;
    again.read().await;
    let known: Vec<_> = again.accepted().map(|(id, run, twice)| (id.as_str(), run, twice)).collect();
    assert_eq!(known, [("m", &run, true)]);
    assert_eq!(after.log.disk().open_runs(), []);
}

#[tokio::test(start_paused = true)]
async fn runs_come_back_in_their_old_order_and_only_what_may_be_kept_does() {
    let before = Life::begin();
    let mut ann = Device::connect(&before.router, "ann", Mode::Main).await;
    let bob = Device::connect(&before.router, "bob", Mode::Main).await;
    for number in 0..12 {
        ann.say(Some(&format!("m{number}")), "t", if number % 4 == 3 { "private think" } else { "think" })
            .await;
    }
    bob.say(Some("b"), "t", "think").await;
    // All are accepted, and the first has begun.
    before.go(14).await;
    ann.read().await;
    let (after, taken_up) = before.crash().await;
    assert_eq!(taken_up, recovered(10, 3));
    let (mut again, mut bobs) = (after.whole("ann", &["t"]).await, after.whole("bob", &["t"]).await);
    after.finish().await;
    again.read().await;
    bobs.read().await;
    let runs: Vec<_> = (0..12).map(|number| run_of(&ann, &format!("m{number}"))).collect();
    let private = [3, 7, 11].map(|number| (runs[number].clone(), None));
    let plain = [0, 1, 2, 4, 5, 6, 8, 9, 10].map(|number| (runs[number].clone(), (number == 0).then_some(2)));
    let expected: Vec<_> = [(runs[0].clone(), None)].into_iter().chain(private).chain(plain).collect();
    assert_eq!(beginnings(&again), expected);
    let ended = assert_order(again.events());
    for (number, run) in runs.iter().enumerate() {
        assert_eq!(matches!(ended[run], End::Answer(_)), number % 4 != 3, "m{number}");
        assert_eq!(failure(&again, run), (number % 4 == 3).then_some((Reason::Internal, true)));
    }
    assert_eq!(assert_order(bobs.events()).len(), 1, "and nobody else's");
}

#[tokio::test(start_paused = true)]
async fn a_question_is_gone_before_it_is_asked_again_and_is_asked_twice_at_most() {
    let before = Life::begin();
    let mut ann = Device::connect(&before.router, "ann", Mode::Main).await;
    ann.say(Some("m1"), "t", "think wait:5 think").await;
    ann.say(Some("m2"), "t", "think").await;
    before.go(4).await;
    ann.read().await;
    let runs = ["m1", "m2"].map(|message| run_of(&ann, message));
    let kept = |life: &Life| {
        let open = life.log.disk().open_runs();
        runs.each_ref().map(|run| {
            let open = open.iter().find(|open| open.run_id == *run).expect("it is open");
            matches!(&open.repeat, Repeat::Once(_))
        })
    };
    let (second, taken_up) = before.crash().await;
    assert_eq!((taken_up, kept(&second)), (recovered(2, 0), [true, true]));
    pause().await;
    assert_eq!(
        second.whole("ann", &["t"]).await.events().count(),
        4,
        "nothing begins before that is recorded"
    );
    second.go(1).await;
    assert_eq!(kept(&second), [false, true]);
    second.go(2).await;
    // The one that was asked again is not asked a third time; the one that waited has not been asked yet.
    let (third, taken_up) = second.crash().await;
    assert_eq!(taken_up, recovered(1, 1));
    let mut again = third.whole("ann", &["t"]).await;
    third.finish().await;
    again.read().await;
    assert_order(again.events());
    let [one, two] = runs;
    assert_eq!(beginnings(&again), [(one.clone(), None), (one.clone(), Some(2)), (two.clone(), None)]);
    assert_eq!(failure(&again, &one), Some((Reason::Internal, false)));
    assert_eq!(failure(&again, &two), None);
}

#[tokio::test(start_paused = true)]
async fn one_that_has_not_begun_is_as_well_begun_once_after_a_crash() {
    let before = Life::begin();
    let ann = Device::connect(&before.router, "ann", Mode::Main).await;
    ann.say(Some("m"), "t", "think").await;
    before.go(1).await;
    let (second, taken_up) = before.crash().await;
    assert_eq!(taken_up, recovered(1, 0));
    // It brings the server down before anything of it is recorded but that it begins.
    second.go(1).await;
    let (third, taken_up) = second.crash().await;
    assert_eq!(taken_up, recovered(0, 1));
    assert_eq!(assert_order(third.whole("ann", &["t"]).await.events()).len(), 1);
}

/// An agent that allows nothing.
struct Stranger(&'static str);

impl Agent for Stranger {
    fn id(&self) -> &str {
        self.0
    }

    fn kind(&self) -> &'static str {
        "test"
    }

    fn run(&self, _: Task, _: RunContext) -> RunFuture<'_> {
        Box::pin(async { Ok(Answer { final_response: "stranger".to_owned(), usage: None }) })
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_repeated_any_more_ends_and_says_why() {
    let stranger = |name| Agents::new(move || Arc::new(Stranger(name)));
    let unwanted = Options { repeat_runs: false, ..roomy() };
    for (options, agents, expected) in [
        (roomy(), stranger("stranger"), (Reason::UnknownAgent, false)),
        (roomy(), stranger("scripted"), (Reason::Internal, true)),
        (unwanted.clone(), scripted(), (Reason::Internal, true)),
    ] {
        let before = Life::begin();
        let mut ann = Device::connect(&before.router, "ann", Mode::Main).await;
        ann.say(Some("m"), "t", "think tool:5").await;
        before.go(4).await;
        ann.read().await;
        let run = run_of(&ann, "m");
        let (after, taken_up) = before.crash_into(options, agents).await;
        assert_eq!(taken_up, recovered(0, 1));
        let again = after.whole("ann", &["t"]).await;
        assert_eq!(failure(&again, &run), Some(expected));
        assert_order(again.events());
        assert_eq!(after.log.disk().open_runs(), []);
    }
    // And where it is unwanted nothing is kept in the first place.
    let log = Held::new();
    let router = log.router_with(unwanted, scripted());
    let ann = Device::connect(&router, "ann", Mode::Main).await;
    ann.say(Some("m"), "t", "think").await;
    assert!(log.next());
    assert_eq!(log.disk().open_runs()[0].repeat, Repeat::Never);
    finish(&router, &log).await;
}

#[tokio::test(start_paused = true)]
async fn the_policy_of_threads_holds_for_what_comes_back() {
    for (policy, ends) in [
        (ThreadPolicy::Queue, [None, None]),
        (ThreadPolicy::Parallel, [None, None]),
        (ThreadPolicy::Replace, [Some((Reason::RunCancelled, false)), None]),
    ] {
        let options = Options { thread_policy: policy, ..roomy() };
        let log = Held::new();
        let before = Life { router: log.router_with(options.clone(), scripted()), log };
        let mut ann = Device::connect(&before.router, "ann", Mode::Main).await;
        // The acceptances are recorded, and no more: not that one took the place of the other.
        ann.say(Some("m1"), "t", "think deaf:5000 delta").await;
        ann.say(Some("m2"), "t", "think wait:5000 delta").await;
        assert!(before.log.next() && before.log.next());
        ann.read().await;
        let runs = ["m1", "m2"].map(|message| run_of(&ann, message));
        let (after, taken_up) = before.crash_into(options, scripted()).await;
        assert_eq!(taken_up, recovered(2, 0));
        let mut again = after.whole("ann", &["t"]).await;
        after.finish().await;
        again.read().await;
        assert_eq!(runs.each_ref().map(|run| failure(&again, run)), ends, "{policy:?}");
        let of_runs = again.events().filter(|event| event.message.kind() != MessageType::UserMessage);
        let order: Vec<_> = of_runs.map(|event| event.run_id.clone().unwrap()).collect();
        let apart = order.is_sorted_by_key(|run| *run == runs[1]);
        assert_eq!(apart, policy != ThreadPolicy::Parallel, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_counts_and_can_be_cancelled_and_deleted() {
    let before = Life::begin();
    let ann = Device::connect(&before.router, "ann", Mode::Main).await;
    for thread in ["t", "t", "u", "v"] {
        ann.say(None, thread, "wait:100000 think").await;
    }
    for _ in 0..4 {
        assert!(before.log.next());
    }
    let (after, taken_up) = before.crash_into(Options { runs_per_user: 4, ..roomy() }, scripted()).await;
    assert_eq!((taken_up, after.router.runs()), (recovered(4, 0), 4));
    let mut again = after.whole("ann", &["t", "u", "v"]).await;
    again.say(None, "w", "think").await;
    again.read().await;
    assert_eq!(again.errors(), [Reason::TooManyRuns]);
    assert!(
        after.router.is_busy(&crate::world::identity("ann")),
        "while the server stops they are waited for"
    );
    // The one that waits, one that goes on, and a whole thread.
    let open = after.log.disk().open_runs();
    let of = |thread: &'static str| open.iter().filter(move |run| run.thread_id.as_str() == thread);
    let last = of("t").max_by_key(|run| run.accepted_at).unwrap();
    again.cancel(&last.run_id);
    again.cancel(&of("u").next().unwrap().run_id);
    let seat = crate::homes::admitted(&after.router, "ann", u32::MAX).await.unwrap();
    let first = of("t").min_by_key(|run| run.accepted_at).unwrap();
    after.go(8).await;
    let gone = seat.forget(ThreadId::new("v").unwrap()).await;
    assert!(gone.is_ok());
    again.cancel(&first.run_id);
    after.finish().await;
    again.read().await;
    let ended = assert_order(again.events());
    assert_eq!(ended.len(), 4);
    assert!(ended.values().all(|end| *end == End::Failure(Reason::RunCancelled)), "{ended:?}");
    assert_eq!(after.log.disk().open_runs(), []);
    assert_eq!(seat.threads(None, 10).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_what_comes_back_and_then_ends_it() {
    let before = Life::begin();
    let ann = Device::connect(&before.router, "ann", Mode::Main).await;
    ann.say(None, "t", "think deaf:100000").await;
    before.go(2).await;
    let (after, _) = before.crash().await;
    let mut again = after.whole("ann", &["t"]).await;
    let recording = async {
        loop {
            pause().await;
            after.log.next();
        }
    };
    tokio::select! {
        () = after.router.shutdown(std::time::Duration::from_secs(20)) => {}
        () = recording => {}
    }
    again.read().await;
    let ends: Vec<_> = assert_order(again.events()).into_values().collect();
    assert_eq!(ends, [End::Failure(Reason::Draining)]);
    assert_eq!(after.log.disk().open_runs(), []);
}

#[tokio::test(start_paused = true)]
async fn an_agent_knows_after_a_restart_what_was_answered_in_the_thread() {
    let before = Life::begin();
    let mut ann = Device::connect(&before.router, "ann", Mode::Main).await;
    for (thread, script) in [("t", "think"), ("t", "fail"), ("u", "think"), ("t", "think delta")] {
        ann.say(None, thread, script).await;
    }
    before.finish().await;
    ann.say(Some("m"), "t", "think wait:5").await;
    before.go(2).await;
    ann.read().await;
    let run = run_of(&ann, "m");
    let (after, _) = before.crash().await;
    let mut again = after.whole("ann", &["t", "u"]).await;
    again.say(Some("next"), "u", "think").await;
    after.finish().await;
    again.read().await;
    let ended = assert_order(again.events());
    assert_eq!(ended[&run], End::Answer("ann|0|2".to_owned()), "two answers, and nothing of what failed");
    assert_eq!(ended[&run_of(&again, "next")], End::Answer("ann|0|1".to_owned()), "its own thread alone");
}

#[tokio::test(start_paused = true)]
async fn a_run_of_its_own_world_has_one_again() {
    let before = Life::begin();
    let mut factory = Device::connect(&before.router, "ann", Mode::Factory).await;
    factory.say(Some("m"), "t", "think wait:5").await;
    before.go(2).await;
    factory.read().await;
    let run = run_of(&factory, "m");
    let (after, _) = before.crash().await;
    let mut again = after.whole("ann", &["t"]).await;
    after.finish().await;
    again.read().await;
    // Instance 0 is the one that others share.
    assert_eq!(assert_order(again.events())[&run], End::Answer("ann|1|0".to_owned()));
    assert_eq!(settle(&after.router).await, 0);
}
