//! Reconnect storms.

use std::sync::Arc;

use portcullis_load::Scenario;
use tokio_util::sync::CancellationToken;

use crate::{
    only, plan, run_until,
    server::{Habits, Server},
};

#[test]
fn everybody_is_found_back() {
    let server = Arc::new(Server::start(Habits::default()));
    let plan = plan(&server.url(), &[Scenario::Storm]);
    let (losing, before) = (Arc::clone(&server), server.handshakes());
    let report = run_until(&plan, CancellationToken::new(), move |connections| {
        assert_eq!(connections, 64);
        let losing = Arc::clone(&losing);
        // Down until each has tried in vain at least once, more or less.
        std::thread::spawn(move || {
            losing.drop_all(true);
            for _ in 0..64 {
                let _ = std::net::TcpStream::connect(losing.address);
            }
            losing.come_up();
        });
    })
    .unwrap();
    let measured = only(&report);
    let storm = measured.storm.as_ref().unwrap();
    assert_eq!((storm.connections, storm.lost, storm.back), (64, 64, 64));
    assert_eq!(storm.losses.iter().map(|counted| counted.count).sum::<u64>(), 64);
    let vain: u64 = measured.errors.iter().map(|counted| counted.count).sum();
    assert_eq!(storm.attempts, 64 + vain);
    assert_eq!((measured.failed, measured.error_share), (0, 0.0));
    assert_eq!(storm.returned.last(), Some(&64));
    assert!(storm.returned.is_sorted());
    let all_back = storm.all_back_ms.unwrap();
    assert_eq!((measured.latencies[0].step, measured.latencies[0].count), ("outage", 64));
    assert!(measured.latencies[0].max_ms <= all_back * 1.01, "{all_back}");
    assert_eq!(server.handshakes(), before + 1 + 64 + 64);
}

#[test]
fn a_command_restarts_and_one_that_fails_is_told() {
    let server = Arc::new(Server::start(Habits::default()));
    let mut plan = plan(&server.url(), &[Scenario::Storm]);
    plan.connections = 8;
    plan.storm.restart = Some("exit 7".into());
    let report = run_until(&plan, CancellationToken::new(), |_| {}).unwrap();
    assert!(report.measured.is_empty());
    assert!(
        report.problems[0].message.contains("--restart-command failed: exit status: 7"),
        "{:?}",
        report.problems
    );

    // The command touches a file, and that is when connections are lost.
    let folder = std::env::temp_dir().join(format!("portcullis-load-{}", std::process::id()));
    plan.storm.restart = Some(format!("touch {}", folder.display()));
    let (losing, sign) = (Arc::clone(&server), folder.clone());
    let watch = std::thread::spawn(move || {
        while !sign.exists() {
            std::thread::yield_now();
        }
        losing.drop_all(false);
    });
    let report = run_until(&plan, CancellationToken::new(), |_| {}).unwrap();
    watch.join().unwrap();
    std::fs::remove_file(folder).unwrap();
    let storm = only(&report).storm.as_ref().unwrap();
    assert_eq!((storm.lost, storm.back, storm.restart_exit_code), (8, 8, Some(0)));
    assert!(storm.first_loss_ms.is_some());
}

#[test]
fn who_stays_away_is_told_and_so_is_a_storm_that_never_comes() {
    let server = Arc::new(Server::start(Habits::default()));
    let mut plan = plan(&server.url(), &[Scenario::Storm]);
    plan.connections = 8;
    plan.storm.patience = std::time::Duration::from_millis(300);
    let report = run_until(&plan, CancellationToken::new(), |_| {}).unwrap();
    assert!(report.problems[0].message.contains("no connection was lost within"), "{:?}", report.problems);

    let losing = Arc::clone(&server);
    let report = run_until(&plan, CancellationToken::new(), move |_| {
        losing.drop_all(true);
    })
    .unwrap();
    let measured = only(&report);
    let storm = measured.storm.as_ref().unwrap();
    assert_eq!((storm.lost, storm.back, storm.all_back_ms), (8, 0, None));
    assert_eq!(measured.failed, 8);
    assert!((measured.error_share - 1.0).abs() < 1e-9);
    let vain: u64 = measured.errors.iter().map(|counted| counted.count).sum();
    assert_eq!(vain, storm.attempts);
    assert!(vain >= 8, "each has tried in vain: {:?}", measured.errors);
}
