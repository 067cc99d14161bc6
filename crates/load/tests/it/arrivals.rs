//! The pace: what an open one shows that a closed one hides, and what both count.

use std::time::Duration;

use portcullis_load::{Content, Profile, Report, Scenario};
use tokio_util::sync::CancellationToken;

use crate::{
    only, plan, run, run_until,
    server::{Habits, Server},
};

/// Answers at or above this are slow. The stalls are twice as long, and nothing else here takes that long by design.
const SLOW: Duration = Duration::from_millis(100);

/// Messages with a latency of at least [`SLOW`], from the curve of quantiles.
fn slow(report: &Report) -> f64 {
    let main = only(report).main().unwrap();
    let fast = main.curve.iter().filter(|(_, ms)| *ms < SLOW.as_secs_f64() * 1e3).map(|point| point.0);
    (1.0 - fast.fold(0.0, f64::max)) * main.count as f64
}

#[test]
fn a_stall_meets_all_who_come_while_it_lasts() {
    let habits = Habits { stall: Some((400, 2 * SLOW)), ..Habits::default() };
    // One connection that waits for each answer sees each stall once.
    let server = Server::start(habits.clone());
    let closed = run(&crate::Plan {
        concurrency: 1,
        duration: Duration::from_secs(2),
        ..plan(&server.url(), &[Scenario::Messages])
    });
    let closed_stalls = server.stalls();
    assert!(closed_stalls > 0 && only(&closed).failed == 0);
    let each_closed = slow(&closed) / closed_stalls as f64;

    // At 500 a second, a hundred messages are due during each stall, and half of them wait for its half or longer.
    let server = Server::start(habits);
    let open = run(&crate::Plan {
        rate: Some(500.0),
        concurrency: 100,
        duration: Duration::from_secs(3),
        ..plan(&server.url(), &[Scenario::Messages])
    });
    let open_stalls = server.stalls();
    assert!(open_stalls > 0 && only(&open).failed == 0);
    let each_open = slow(&open) / open_stalls as f64;
    assert!(each_open > 10.0 * each_closed, "{each_open} of an open pace, {each_closed} of a closed one");

    // So it stands in the 99th percentile of the one and not of the other.
    assert!(only(&open).main().unwrap().p99_ms >= SLOW.as_secs_f64() * 1e3, "{:?}", only(&open).main());
    assert!(slow(&closed) < 0.01 * only(&closed).succeeded as f64, "{}", slow(&closed));
}

#[test]
fn an_open_pace_begins_as_many_as_are_due() {
    let server = Server::start(Habits::default());
    let report = run(&crate::Plan {
        rate: Some(200.0),
        duration: Duration::from_secs(1),
        warm_up: Duration::from_millis(500),
        concurrency: 10,
        ..plan(&server.url(), &[Scenario::Messages])
    });
    let measured = only(&report);
    assert_eq!((measured.succeeded, measured.failed, measured.unstarted), (200, 0, 0));
    // The warm-up was sent and not counted.
    assert_eq!(server.messages(), 300);
    assert_eq!(measured.timeline.succeeded.iter().sum::<u64>(), 200);
    assert_eq!(measured.generator.lag_of, "arrivals");
    assert!(
        measured.measured_s >= 1.0 && measured.rate <= 200.0,
        "{} in {}",
        measured.rate,
        measured.measured_s
    );
    assert!(measured.generator.lag_max_ms > 0.0);
}

#[test]
fn what_waits_for_a_place_is_counted_and_late() {
    // Two connections that answer 20 messages a second each, and 200 are due.
    let server = Server::start(Habits { delay: Duration::from_millis(50), ..Habits::default() });
    let report = run(&crate::Plan {
        rate: Some(200.0),
        duration: Duration::from_millis(500),
        ..plan(&server.url(), &[Scenario::Messages])
    });
    let measured = only(&report);
    assert_eq!(measured.succeeded, 100, "all are answered in the end");
    assert!(measured.queued >= 80, "{}", measured.queued);
    // The last one was answered when 50 rounds of 50 ms had passed, 2 s after it was due.
    assert!(measured.main().unwrap().max_ms > 1_500.0, "{:?}", measured.main());
    assert!(
        measured.measured_s > 2.0 && measured.rate < 60.0,
        "{} in {}",
        measured.rate,
        measured.measured_s
    );
}

#[test]
fn what_could_not_begin_in_time_is_no_success() {
    let server = Server::start(Habits { delay: Duration::from_millis(300), ..Habits::default() });
    let report = run(&crate::Plan {
        rate: Some(100.0),
        duration: Duration::from_millis(500),
        timeout: Duration::from_millis(700),
        concurrency: 1,
        ..plan(&server.url(), &[Scenario::Messages])
    });
    let measured = only(&report);
    assert!(measured.unstarted > 0);
    assert_eq!(measured.succeeded + measured.failed + measured.unstarted, 50, "every one is accounted for");
    assert!(measured.error_share > 0.5, "{}", measured.error_share);
    assert!(measured.generator.limited.as_deref().unwrap().contains("never began"));
}

#[test]
fn stopping_early_keeps_what_was_measured() {
    let server = Server::start(Habits::default());
    let stop = CancellationToken::new();
    let plan =
        crate::Plan { duration: Duration::from_hours(1), ..plan(&server.url(), &[Scenario::Messages]) };
    let watched = stop.clone();
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            while server.messages() < 100 {
                std::thread::yield_now();
            }
            watched.cancel();
        });
        run_until(&plan, stop.clone(), |_| {}).unwrap()
    });
    assert!(report.interrupted);
    assert!(only(&report).succeeded >= 50, "{}", only(&report).succeeded);
    assert!(only(&report).measured_s < 60.0);
}

#[test]
fn answers_are_told_from_what_else_a_server_says() {
    let server = Server::start(Habits { chatty: true, ..Habits::default() });
    let echo = run(&plan(&server.url(), &[Scenario::Messages]));
    assert_eq!(only(&echo).failed, 0);
    assert!(only(&echo).succeeded > 0 && server.pongs() > 0, "pings are answered");
    // Whatever comes first is the answer of the profile `reply`, so there are fewer messages than answers.
    let reply = run(&crate::Plan {
        profile: Profile::Reply,
        content: Content::Text("number {n}".into()),
        ..plan(&server.url(), &[Scenario::Messages])
    });
    assert!(only(&reply).succeeded > 0 && only(&reply).failed == 0);
}

#[test]
fn a_greeting_is_no_answer() {
    let delay = Duration::from_millis(40);
    // A close after each fifth message, so that greetings come again and again.
    let habits = Habits { greets: true, delay, closes_each: Some(5), ..Habits::default() };
    let server = Server::start(habits);
    let report = run(&crate::Plan {
        profile: Profile::Reply,
        duration: Duration::from_secs(1),
        ..plan(&server.url(), &[Scenario::Messages])
    });
    let measured = only(&report);
    assert!(measured.succeeded > 0 && measured.failed > 0);
    // A greeting taken for an answer would be there at once.
    assert!(measured.main().unwrap().min_ms >= 40.0, "{:?}", measured.main());
}
