//! Two servers in turns.

use std::time::Duration;

use portcullis_load::{Ratio, Report, Scenario, Subject};

use crate::{
    plan, run,
    server::{Habits, Server},
};

fn compare(a: &Server, b: &Server) -> Report {
    let mut plan = plan(&a.url(), &[Scenario::Messages]);
    plan.versus = Some(Subject { target: b.url().parse().unwrap(), ..plan.subject.clone() });
    plan.slice = Duration::from_millis(100);
    // Ten slices for each.
    plan.duration = 10 * plan.slice;
    run(&plan)
}

fn find<'r>(report: &'r Report, figure: &str) -> &'r Ratio {
    report.comparison.iter().find(|ratio| ratio.figure == figure).unwrap()
}

#[test]
fn a_slower_server_is_told_from_a_faster_one() {
    let fast = Server::start(Habits { delay: Duration::from_millis(4), ..Habits::default() });
    let slow = Server::start(Habits { delay: Duration::from_millis(12), ..Habits::default() });
    let report = compare(&fast, &slow);
    assert_eq!(report.measured.iter().map(|measured| measured.server).collect::<Vec<_>>(), ["A", "B"]);
    let (p50, rate) = (find(&report, "p50"), find(&report, "rate"));
    // A machine that is busy with something else may leave a slice without a message.
    assert!((6..=10).contains(&p50.pairs), "{p50:?}");
    assert!(p50.low.unwrap() > 1.0 && p50.low <= Some(p50.ratio) && Some(p50.ratio) <= p50.high, "{p50:?}");
    assert!(p50.a >= 4.0 && p50.b >= 12.0);
    assert!(rate.high.unwrap() < 1.0, "{rate:?}");
    // And the other way round.
    let back = compare(&slow, &fast);
    assert!(find(&back, "p50").high.unwrap() < 1.0, "{:?}", find(&back, "p50"));
}

#[test]
fn slices_are_whole_runs_of_each() {
    let a = Server::start(Habits { delay: Duration::from_millis(1), ..Habits::default() });
    let b = Server::start(Habits { delay: Duration::from_millis(1), ..Habits::default() });
    let report = compare(&a, &b);
    for (measured, server) in report.measured.iter().zip([&a, &b]) {
        assert_eq!(measured.succeeded, server.messages(), "no message was lost between slices");
        assert_eq!(measured.timeline.succeeded.iter().sum::<u64>(), measured.succeeded);
        assert_eq!(measured.failed, 0);
    }
}
