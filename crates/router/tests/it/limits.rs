//! Agents that misbehave, and the limits of runs, under a clock that moves by itself when all wait.

use std::{num::NonZeroU32, time::Duration};

use portcullis_event::{Mode, Resume, ResumePoint, ServerMessage, ThreadId};
use portcullis_reason::Reason;
use portcullis_router::Options;
use portcullis_units::Rate;

use crate::{
    homes::admitted,
    world::{Device, End, assert_order, roomy, router, settle},
};

/// Runs scripts one after the other on one thread, and gives their ends in order.
async fn ends(options: Options, scripts: &[&str]) -> Vec<End> {
    let router = router(options);
    let mut device = Device::connect(&router, "ann", Mode::Main).await;
    for script in scripts {
        device.say(None, "t", script).await;
    }
    assert_eq!(settle(&router).await, 0);
    device.read().await;
    let ended = assert_order(device.events());
    device.accepted().map(|(_, run, _)| ended[run].clone()).collect()
}

fn answer(turns: usize) -> End {
    End::Answer(format!("ann|0|{turns}"))
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_run_alone() {
    let ends = ends(roomy(), &["think panic", "panicking", "think tool delta"]).await;
    assert_eq!(ends, [End::Failure(Reason::Internal), End::Failure(Reason::Internal), answer(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_as_the_agent_tells_it() {
    assert_eq!(
        ends(roomy(), &["broken fail", "broken"]).await,
        [End::Failure(Reason::AgentError), answer(1)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_has_an_end_in_time() {
    let options = Options { run_timeout: Duration::from_secs(5), ..roomy() };
    let began = tokio::time::Instant::now();
    let ends = ends(options, &["tool:60000", "wait:4000", "deaf:60000"]).await;
    let limit = End::Failure(Reason::RunLimit);
    assert_eq!(ends, [limit.clone(), answer(1), limit]);
    assert!(began.elapsed() < Duration::from_secs(16), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_run_says_only_so_much() {
    let options = Options { run_output_bytes: 4_000, ..roomy() };
    let router = router(options);
    let mut device = Device::connect(&router, "ann", Mode::Main).await;
    let endless = ["flood:1000"; 1_000].join(" ");
    device.say(None, "t", &endless).await;
    device.say(None, "t", "flood:1000 flood:1000").await;
    assert_eq!(settle(&router).await, 0);
    device.read().await;
    let ended = assert_order(device.events());
    let ends: Vec<_> = device.accepted().map(|(_, run, _)| &ended[run]).collect();
    assert_eq!(ends, [&End::Failure(Reason::RunLimit), &answer(1)]);
    let said =
        device.events().filter(|event| matches!(event.message, ServerMessage::PartialResult(_))).count();
    assert!(said <= 4 + 2, "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_run_takes_only_so_many_steps() {
    let limit = End::Failure(Reason::RunLimit);
    for steps in [1, 2, 3, 100] {
        let options = Options { run_steps: steps, ..roomy() };
        let router = router(options.clone());
        let mut device = Device::connect(&router, "ann", Mode::Main).await;
        device.say(None, "t", "circle").await;
        assert_eq!(settle(&router).await, 0);
        device.read().await;
        // Each tool has its end.
        assert_eq!(
            assert_order(device.events()).into_values().collect::<Vec<_>>(),
            std::slice::from_ref(&limit)
        );
        let taken = |event: &&portcullis_event::Envelope| {
            matches!(event.message, ServerMessage::AgentThinking(_) | ServerMessage::ToolExecuting(_))
        };
        assert_eq!(device.events().filter(taken).count(), steps);
        let Some(ServerMessage::AgentFailed(end)) = device.events().last().map(|event| &event.message) else {
            panic!("no end")
        };
        assert!(end.error.message.contains("steps") && !end.error.retryable, "{:?}", end.error);
        // As many as it may are no fault, one more is, also where it comes with the answer.
        let scripts = [format!("thoughts:{steps}"), format!("thoughts:{}", steps + 1)];
        assert_eq!(ends(options, &scripts.each_ref().map(|it| &**it)).await, [answer(0), limit.clone()]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_listen_is_stopped_all_the_same() {
    let router = router(roomy());
    let mut device = Device::connect(&router, "ann", Mode::Main).await;
    let mut other = Device::connect(&router, "ann", Mode::Factory).await;
    for script in ["think deaf:3600000", "tool:3600000", "wait:3600000"] {
        let began = tokio::time::Instant::now();
        device.say(None, "t", script).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        device.read().await;
        let run = device.accepted().last().unwrap().1.clone();
        // From another device of the same user.
        other.cancel(&run);
        assert_eq!(settle(&router).await, 0);
        assert!(began.elapsed() < Duration::from_secs(5), "{script}: {:?}", began.elapsed());
        device.read().await;
        assert_eq!(assert_order(device.events())[&run], End::Failure(Reason::RunCancelled), "{script}");
    }
    other.read().await;
    assert_eq!(other.errors(), []);
}

#[tokio::test(start_paused = true)]
async fn an_isolated_world_ends_with_its_connection() {
    let router = router(roomy());
    let mut others = [
        Device::connect(&router, "ann", Mode::Main).await,
        Device::connect(&router, "ann", Mode::Isolated).await,
    ];
    for script in ["tool:3600000", "deaf:3600000"] {
        let mut isolated = Device::connect(&router, "ann", Mode::Isolated).await;
        isolated.say(None, "t", script).await;
        isolated.say(None, "t", "think").await;
        others[0].say(None, "t", "wait:60000").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        isolated.disconnect().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(router.runs(), 1, "{script}: what another device began goes on");
        assert_eq!(settle(&router).await, 0);
    }
    let [main, isolated] = &mut others;
    main.read().await;
    isolated.read().await;
    assert_eq!(assert_order(main.events()).len(), 2);
    assert_eq!(isolated.events().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn messages_wait_for_each_other_and_run_in_order() {
    let router = router(roomy());
    let mut device = Device::connect(&router, "ann", Mode::Main).await;
    for number in 0..5 {
        device.say(Some(&format!("m-{number}")), "t", &format!("think wait:{}", 500 - 100 * number)).await;
    }
    device.say(Some("elsewhere"), "u", "think").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    device.read().await;
    let runs: Vec<_> = device.accepted().map(|(id, run, _)| (id.as_str().to_owned(), run.clone())).collect();
    assert_eq!(runs.len(), 6);
    // One that waits is cancelled before it began: it has its start and its end all the same.
    device.cancel(&runs[3].1);
    assert_eq!(settle(&router).await, 0);
    device.read().await;
    let ended: Vec<_> = device
        .events()
        .filter(|event| event.message.kind().is_terminal())
        .map(|event| event.run_id.clone().unwrap())
        .collect();
    let place = |place: usize| runs[place].1.clone();
    // Another thread does not wait, nor does the end of the cancelled one.
    assert_eq!(ended, [5, 3, 0, 1, 2, 4].map(place));
}

#[tokio::test(start_paused = true)]
async fn the_same_message_runs_once() {
    let router = router(roomy());
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    let mut again = Device::connect(&router, "ann", Mode::Factory).await;
    let mut bob = Device::connect(&router, "bob", Mode::Main).await;
    for device in [&ann, &again, &bob, &ann] {
        device.say(Some("m"), "t", "wait:100").await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!(settle(&router).await, 0);
    for device in [&mut ann, &mut again, &mut bob] {
        device.read().await;
    }
    let told =
        |device: &Device| device.accepted().map(|(_, run, twice)| (run.clone(), twice)).collect::<Vec<_>>();
    let run = told(&ann)[0].0.clone();
    assert_eq!(told(&ann), [(run.clone(), false), (run.clone(), true)]);
    assert_eq!(told(&again), [(run.clone(), true)]);
    assert_eq!(told(&bob).len(), 1);
    assert_ne!(told(&bob)[0], (run, false));
    assert_eq!(assert_order(ann.events()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn runs_are_counted_for_each_user_and_in_all() {
    let router = router(Options { runs_per_user: 2, runs: 3, ..roomy() });
    let mut devices = Device::each(&router, ["ann", "bob", "cem"]).await;
    for device in &devices {
        for thread in ["t", "t", "u"] {
            device.say(None, thread, "wait:1000").await;
        }
    }
    assert_eq!(router.runs(), 3);
    let many = Reason::TooManyRuns;
    for (device, (accepted, refused)) in devices.iter_mut().zip([(2, 1), (1, 2), (0, 3)]) {
        device.read().await;
        assert_eq!(
            (device.accepted().count(), device.errors()),
            (accepted, vec![many; refused]),
            "{}",
            device.user
        );
    }
    assert_eq!(settle(&router).await, 0);
    // The places are free again.
    devices[2].say(None, "t", "think").await;
    assert_eq!(settle(&router).await, 0);
    devices[2].read().await;
    assert_eq!(assert_order(devices[2].events()).len(), 1);
}

/// Who resumes without pause gets everything, and no more of it in a second than may be.
#[tokio::test(start_paused = true)]
async fn what_a_user_reads_is_paid_for_in_time() {
    let kib = |number| NonZeroU32::new(number).unwrap();
    let router = router(Options { reads: Rate::per_second(kib(10), kib(20)), ..roomy() });
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    ann.say(None, "t", "flood:4000 flood:4000 flood:4000 flood:4000").await;
    assert_eq!(settle(&router).await, 0);
    ann.read().await;
    let all: Vec<_> = ann.events().map(|event| event.id.clone()).collect();
    let thread_id = ThreadId::new("t").unwrap();
    let start = Resume { threads: vec![ResumePoint { thread_id, epoch: None, after_seq: 0 }] };
    let began = tokio::time::Instant::now();
    for round in 0..4 {
        let mut again = Device::resume(&router, "ann", Mode::Main, &start).await;
        while again.events().count() < all.len() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            again.read().await;
        }
        assert_eq!(again.events().map(|event| event.id.clone()).collect::<Vec<_>>(), all, "{round}");
    }
    // Four times 16 KiB, of which 20 are free, and one page may be read in advance.
    assert!((2..6).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let other = Device::connect(&router, "bob", Mode::Main).await;
    assert_eq!(other.ended, None);
}

#[tokio::test(start_paused = true)]
async fn isolated_connections_share_the_places_of_their_user() {
    let router = router(Options { runs_per_user: 2, runs: 10, ..roomy() });
    let mut main = Device::connect(&router, "ann", Mode::Main).await;
    let mut first = Device::connect(&router, "ann", Mode::Isolated).await;
    let mut second = Device::connect(&router, "ann", Mode::Isolated).await;
    for device in [&first, &second, &main, &first, &second] {
        device.say(None, "t", "wait:1000").await;
    }
    assert_eq!(router.runs(), 2);
    for (device, refused) in [(&mut first, 1), (&mut second, 1), (&mut main, 1)] {
        device.read().await;
        assert_eq!(device.errors(), vec![Reason::TooManyRuns; refused], "{:?}", device.events().count());
    }
    // Runs that end with their connection give their places back.
    drop(first);
    assert_eq!(settle(&router).await, 0);
    for _ in 0..2 {
        main.say(None, "u", "think").await;
    }
    assert_eq!(settle(&router).await, 0);
    main.read().await;
    assert_eq!(assert_order(main.events()).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_runs_and_then_ends_them() {
    for (script, expected) in [("wait:3000", answer(0)), ("deaf:60000", End::Failure(Reason::Draining))] {
        let router = router(roomy());
        let mut device = Device::connect(&router, "ann", Mode::Main).await;
        device.say(None, "t", script).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let stopping = tokio::time::Instant::now();
        router.shutdown(Duration::from_secs(5)).await;
        assert!(stopping.elapsed() < Duration::from_secs(8), "{:?}", stopping.elapsed());
        device.say(None, "t", "think").await;
        device.read().await;
        assert_eq!(device.errors(), [Reason::Draining], "nothing new is begun");
        assert_eq!(assert_order(device.events()).into_values().collect::<Vec<_>>(), [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn factory_makes_everything_new_for_each_run() {
    let router = router(roomy());
    let mut factory = Device::connect(&router, "ann", Mode::Factory).await;
    let main = Device::connect(&router, "ann", Mode::Main).await;
    for device in [&factory, &main, &factory, &main] {
        device.say(None, "t", "think").await;
    }
    assert_eq!(settle(&router).await, 0);
    factory.read().await;
    let answers: Vec<_> = factory
        .events()
        .filter_map(|event| match &event.message {
            ServerMessage::AgentCompleted(end) => Some(end.final_response.as_str()),
            _ => None,
        })
        .collect();
    // The instance, and the turns that it knew of: those of main alone.
    assert_eq!(answers, ["ann|1|0", "ann|0|0", "ann|2|0", "ann|0|1"]);
}

#[tokio::test]
async fn seats_are_counted() {
    let router = router(roomy());
    let first = admitted(&router, "ann", 2).await.unwrap();
    let _second = admitted(&router, "ann", 2).await.unwrap();
    let refused = admitted(&router, "ann", 2).await.unwrap_err();
    assert_eq!(refused.reason, Reason::TooManyConnections);
    assert!(admitted(&router, "bob", 2).await.is_ok());
    drop(first);
    assert!(admitted(&router, "ann", 2).await.is_ok());
}
