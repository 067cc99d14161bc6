//! Connections that are held.

use std::time::Duration;

use portcullis_load::{HeldMemory, Scenario};

use crate::{
    only, plan, run,
    server::{Habits, Server},
};

#[test]
fn held_connections_are_counted_and_their_memory_told() {
    let server = Server::start(Habits::default());
    let mut plan = plan(&server.url(), &[Scenario::Hold]);
    // The server is in this process.
    plan.subject.pid = Some(std::process::id());
    let report = run(&plan);
    let measured = only(&report);
    let held = measured.hold.as_ref().unwrap();
    assert_eq!((held.asked, held.opened, held.kept), (64, 64, 64));
    assert_eq!((measured.latencies[0].step, measured.latencies[0].count), ("handshake", 64));
    assert!(held.held_s >= 0.5);
    if cfg!(target_os = "linux") {
        let memory = held.memory.unwrap();
        assert!(memory.before_resident > 0 && memory.held_resident > 0);
        let each = (memory.held_resident as f64 - memory.before_resident as f64) / 64.0;
        assert!((memory.resident_per_connection - each).abs() < 1e-6);
        assert!(measured.server_cpu.is_some());
        // Pieces of an allocator are no connections.
        let grown = |bytes| HeldMemory { held_resident: memory.before_resident + bytes, ..memory };
        assert!(grown(1 << 20).tells() && !grown((1 << 20) - 1).tells());
        assert!(!HeldMemory { held_resident: 0, ..memory }.tells());
    }
    // One to look, as many as are held for a first time so that what is made once is there, and those that are held.
    assert_eq!(server.handshakes(), 1 + 64 + 64);
}

#[test]
fn connections_that_are_lost_meanwhile_are_counted() {
    let server = Server::start(Habits::default());
    let plan = crate::Plan {
        duration: Duration::from_secs(2),
        connections: 20,
        ..plan(&server.url(), &[Scenario::Hold])
    };
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            while server.handshakes() < 21 {
                std::thread::yield_now();
            }
            // The first of them was closed by the client; the client may not have read its last 101 yet.
            server.drop_all(false);
        });
        run(&plan)
    });
    let measured = only(&report);
    let held = measured.hold.as_ref().unwrap();
    assert_eq!(held.kept, 0);
    assert_eq!(measured.failed, 20, "{:?}", measured.errors);
}
