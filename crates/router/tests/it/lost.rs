//! A record that is another's for a while, or cannot be had: what it has stays true, and what was accepted comes to its end.

use std::time::{Duration, Instant};

use portcullis_event::{Mode, Resume, ResumePoint, ServerMessage, ThreadId};
use portcullis_log::Owner;
use portcullis_reason::Reason;
use portcullis_router::{Options, Router};
use portcullis_test::runtime_clock;
use portcullis_units::{Clock, Time};

use crate::{
    held::{Held, finish, pause},
    world::{Device, End, assert_order, roomy},
};

fn from_the_start() -> Resume {
    let thread_id = ThreadId::new("t").unwrap();
    Resume { threads: vec![ResumePoint { thread_id, epoch: None, after_seq: 0 }] }
}

fn owner() -> Owner {
    Owner::new(None, "ann")
}

async fn settle(router: &Router, log: &Held) {
    for _ in 0..20 {
        finish(router, log).await;
        pause().await;
    }
}

/// A run that is going on when something happens to its record, as its user saw it before, and all that there is of it later.
async fn disturbed(script: &str, disturb: impl AsyncFnOnce(&Router, &Held)) -> (Device, Device) {
    let log = Held::new();
    let router = log.router();
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    ann.say(Some("m"), "t", script).await;
    for _ in 0..3 {
        pause().await;
        assert!(log.next());
    }
    pause().await;
    disturb(&router, &log).await;
    log.next();
    ann.read().await;
    assert_eq!(ann.ended, Some(Reason::NotReady), "whoever listens comes back to what was recorded");
    settle(&router, &log).await;
    let mut again = Device::resume(&router, "ann", Mode::Main, &from_the_start()).await;
    again.read().await;
    assert_eq!(log.disk().open_runs(), []);
    let seen: Vec<_> = ann.events().cloned().collect();
    assert!(seen.len() >= 2);
    assert_eq!(again.events().take(seen.len()).cloned().collect::<Vec<_>>(), seen, "what was seen is there");
    (ann, again)
}

#[tokio::test(start_paused = true)]
async fn a_run_comes_to_its_end_where_its_record_was_another_s_for_a_while() {
    for (script, repeated) in [("think think wait:5 think", true), ("private think think think", false)] {
        let (_, again) = disturbed(script, async |_, log| log.log().fence(owner())).await;
        let ends: Vec<_> = assert_order(again.events()).into_values().collect();
        assert_eq!(matches!(ends[..], [End::Answer(_)]), repeated, "{ends:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_had_is_told_and_had_again_without_a_restart() {
    let (_, again) = disturbed("think think wait:5 think", async |router, log| {
        log.log().interrupt();
        log.next();
        pause().await;
        assert_eq!(router.ready().unwrap_err().reason, Reason::NotReady);
        let mut bob = Device::connect(router, "bob", Mode::Main).await;
        bob.say(None, "t", "think").await;
        bob.read().await;
        assert_eq!(bob.errors(), [Reason::NotReady]);
        log.log().restore();
        assert!(router.ready().is_ok());
    })
    .await;
    assert!(matches!(assert_order(again.events()).into_values().collect::<Vec<_>>()[..], [End::Answer(_)]));
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_that_is_lost_was_not_told_and_may_be_sent_again() {
    let log = Held::new();
    let router = log.router();
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    ann.say(Some("m"), "t", "think").await;
    log.log().fence(owner());
    log.next();
    ann.read().await;
    assert_eq!((ann.accepted().count(), ann.ended), (0, Some(Reason::NotReady)));
    assert_eq!(router.runs(), 0);
    let mut again = Device::connect(&router, "ann", Mode::Main).await;
    again.say(Some("m"), "t", "think").await;
    settle(&router, &log).await;
    again.read().await;
    assert_eq!(again.accepted().map(|(_, _, twice)| twice).collect::<Vec<_>>(), [false]);
    assert_eq!(assert_order(again.events()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_user_s_lost_record_is_nobody_else_s() {
    let log = Held::new();
    let router = log.router();
    let mut devices = Device::each(&router, ["ann", "bob"]).await;
    for device in &devices {
        device.say(None, "t", "think wait:10 think").await;
    }
    log.log().fence(owner());
    settle(&router, &log).await;
    let [ann, bob] = &mut devices;
    ann.read().await;
    bob.read().await;
    assert_eq!((ann.ended, bob.ended), (Some(Reason::NotReady), None));
    assert_eq!(assert_order(bob.events()).len(), 1);
    tokio::time::timeout(Duration::from_mins(1), router.shutdown(Duration::from_secs(5))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_user_said_is_shown_everywhere_as_it_is_kept() {
    let log = Held::new();
    let router = log.router();
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    let mut other = Device::connect(&router, "ann", Mode::Factory).await;
    let mut older = Device::connect(&router, "ann", Mode::Legacy).await;
    ann.say(Some("m"), "t", "think secret").await;
    finish(&router, &log).await;
    let said = |device: &Device| {
        let messages = device.events().map(|event| &event.message);
        let said = messages.filter_map(|message| match message {
            ServerMessage::UserMessage(said) => Some((said.message_id.to_string(), said.content.clone())),
            _ => None,
        });
        said.collect::<Vec<_>>()
    };
    let expected = [("m".to_owned(), Some("think [redacted]".to_owned()))];
    for device in [&mut ann, &mut other] {
        device.read().await;
        assert_eq!(said(device), expected);
    }
    older.read().await;
    assert!(older.flat.iter().all(|message| message["type"] != "user_message"), "{:?}", older.flat);
    let log = log.restart();
    let mut again = Device::resume(&log.router(), "ann", Mode::Main, &from_the_start()).await;
    again.read().await;
    assert_eq!(said(&again), expected);
}

/// A time of day that is set back all the time, beside monotonic time that passes.
struct SetBack(Clock);

impl Time for SetBack {
    fn instant(&self) -> Instant {
        self.0.instant()
    }

    fn since_epoch(&self) -> Duration {
        Duration::ZERO
    }
}

/// The time of day stands still here, so what memory lets go of first is told by names, and not by use: a record that is lost.
#[tokio::test(start_paused = true)]
async fn an_isolated_connection_that_loses_its_record_leaves_the_user_s_own_alone() {
    let log = Held::new();
    let clock = Clock::of(SetBack(runtime_clock(0)));
    let router = log.router_at(Options { threads_per_user: 2, ..roomy() }, clock);
    let mut main = Device::connect(&router, "ann", Mode::Main).await;
    main.say(None, "t", "think").await;
    finish(&router, &log).await;
    let mut isolated = Device::connect(&router, "ann", Mode::Isolated).await;
    for thread in ["b", "a", "c", "a"] {
        isolated.say(None, thread, "think").await;
        pause().await;
    }
    isolated.read().await;
    assert_eq!(isolated.ended, Some(Reason::NotReady), "its record was lost");
    isolated.say(None, "d", "think").await;
    settle(&router, &log).await;
    main.say(None, "t", "think").await;
    finish(&router, &log).await;
    main.read().await;
    assert_eq!(main.ended, None, "nobody else opened the user's record");
    assert_eq!(assert_order(main.events()).len(), 2);
    for thread in ["a", "b", "c", "d"] {
        assert_eq!(log.disk().events(owner(), &ThreadId::new(thread).unwrap()), None);
    }
}
