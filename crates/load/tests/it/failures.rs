//! Failures are counted by what they are.

use std::{collections::BTreeMap, net::TcpListener, time::Duration};

use portcullis_load::{Measured, Scenario, Thresholds};
use tokio_util::sync::CancellationToken;

use crate::{
    TOKEN, only, plan, run, run_until,
    server::{Habits, Server, refusal},
};

fn kinds(measured: &Measured) -> BTreeMap<String, u64> {
    measured.errors.iter().map(|counted| (counted.kind.to_string(), counted.count)).collect()
}

#[test]
fn refusals_are_what_bad_credentials_should_earn() {
    let server = Server::start(Habits::default());
    let report = run(&plan(&server.url(), &[Scenario::Refusal]));
    let measured = only(&report);
    assert!(measured.succeeded > 0);
    assert_eq!((measured.failed, measured.latencies[0].step), (0, "refusal"));

    let report = run(&plan(&server.url(), &[Scenario::Mixed]));
    let measured = only(&report);
    let steps: Vec<_> = measured.latencies.iter().map(|step| (step.step, step.count)).collect();
    let half = measured.succeeded / 2;
    assert_eq!(measured.failed, 0, "{:?}", kinds(measured));
    assert_eq!(steps[0].0, "handshake");
    assert_eq!(steps[1].0, "refusal");
    assert!(steps[0].1.abs_diff(half) <= 4 && steps[1].1.abs_diff(half) <= 4, "{steps:?}");
}

#[test]
fn a_server_that_accepts_first_is_found_out() {
    let habits = Habits { accepts_then_closes: Some((1008, "bad token".into())), ..Habits::default() };
    let server = Server::start(habits);
    let report = run(&plan(&server.url(), &[Scenario::Refusal]));
    let measured = only(&report);
    assert_eq!(measured.succeeded, 0);
    assert_eq!(kinds(measured).keys().collect::<Vec<_>>(), ["accepted then closed 1008"]);
    assert!((measured.error_share - 1.0).abs() < 1e-9);
}

#[test]
fn closes_have_their_code_and_reason_and_the_connection_is_made_anew() {
    let server = Server::start(Habits { closes_each: Some(10), ..Habits::default() });
    let report = run(&plan(&server.url(), &[Scenario::Messages]));
    let measured = only(&report);
    let closed = kinds(measured)["closed 1013: SLOW_CONSUMER: later"];
    assert_eq!(closed, measured.failed, "{:?}", kinds(measured));
    // Each tenth message, by the server's own count.
    assert!(closed.abs_diff(server.messages() / 10) <= 1, "{closed} of {}", server.messages());
    assert!(measured.succeeded >= 5 * closed);
    // One to look, one for each connection, one after each close; but for those that no message followed.
    let handshakes = 1 + 2 + closed;
    assert!(
        (handshakes - 2..=handshakes).contains(&server.handshakes()),
        "{closed}, {}",
        server.handshakes()
    );
}

#[test]
fn a_message_without_an_answer_times_out() {
    let server = Server::start(Habits { delay: Duration::from_secs(1), ..Habits::default() });
    let report = run(&crate::Plan {
        timeout: Duration::from_millis(100),
        ..plan(&server.url(), &[Scenario::Messages])
    });
    let measured = only(&report);
    assert_eq!(measured.succeeded, 0);
    assert!(measured.latencies.is_empty(), "there is nothing to tell a latency of");
    assert_eq!(kinds(measured).keys().collect::<Vec<_>>(), ["timeout: the answer to a message"]);
}

#[test]
fn what_cannot_work_at_all_is_told_at_once() {
    let told =
        |plan: &crate::Plan| run_until(plan, CancellationToken::new(), |_| {}).unwrap_err().to_string();
    let refused = Server::start(Habits { refuses: Some(refusal(401, "NO_TOKEN")), ..Habits::default() });
    let message = told(&plan(&refused.url(), &[Scenario::Handshake]));
    assert!(message.contains("refused 401: NO_TOKEN") && message.contains("--secret"), "{message}");
    // Refusals can be measured all the same.
    assert!(only(&run(&plan(&refused.url(), &[Scenario::Refusal]))).succeeded > 0);

    // A token that comes back in what the server says is not repeated.
    let echoing =
        Server::start(Habits { refuses: Some(refusal(403, &format!("bad {TOKEN}"))), ..Habits::default() });
    let message = told(&plan(&echoing.url(), &[Scenario::Handshake]));
    assert!(message.contains("bad [token]") && !message.contains(TOKEN), "{message}");

    // Nor does anything of it reach a terminal that a terminal would obey.
    let nasty =
        Server::start(Habits { refuses: Some(refusal(401, "\\u001b[2Jno\\u202e")), ..Habits::default() });
    let message = told(&plan(&nasty.url(), &[Scenario::Handshake]));
    assert!(message.contains("refused 401:  [2Jno ") && !message.contains('\u{1b}'), "{message}");

    let plain = Server::start(Habits { refuses: Some("SSH-2.0-x\r\n".into()), ..Habits::default() });
    let message = told(&plan(&plain.url(), &[Scenario::Handshake]));
    assert!(
        message.contains("not an HTTP/1.1 response") && message.contains("Is it a WebSocket"),
        "{message}"
    );

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let message = told(&plan(&format!("ws://{closed}/"), &[Scenario::Handshake]));
    assert!(message.contains("connection refused") && message.contains("Is it running"), "{message}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", silent.local_addr().unwrap());
    let hurried = crate::Plan { timeout: Duration::from_millis(50), ..plan(&url, &[Scenario::Handshake]) };
    assert!(told(&hurried).contains("timeout: the answer to the handshake"));
}

#[test]
fn thresholds_are_held_against_each_scenario() {
    let server = Server::start(Habits { closes_each: Some(2), ..Habits::default() });
    let limits = |p99: Duration, errors: f64| Thresholds { p99: Some(p99), errors: Some(errors) };
    let exceeded = |limits: Thresholds| -> Vec<&'static str> {
        let report = run(&crate::Plan { limits, ..plan(&server.url(), &[Scenario::Messages]) });
        report.exceeded.iter().map(|exceeded| exceeded.figure).collect()
    };
    assert_eq!(exceeded(limits(Duration::from_hours(1), 1.0)), [] as [&str; 0]);
    assert_eq!(exceeded(limits(Duration::from_nanos(1), 0.01)), ["p99_ms", "errors"]);
}
