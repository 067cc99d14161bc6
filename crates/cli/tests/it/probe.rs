//! The golden-path probe, and strangers who would like it to fail.

use crate::{account::login, support::eventually};

/// How often the probe ended so.
fn probes(server: &portcullis_test::Server, outcome: &str) -> u64 {
    let metrics = server.metrics();
    let name = format!("portcullis_probe_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

#[test]
fn wrong_passwords_for_its_account_do_not_turn_it_red() {
    let server = crate::server().set("probe.interval", "\"500ms\"").start();
    eventually("a first probe", || probes(&server, "succeeded") > 0);
    for _ in 0..80 {
        assert!([401, 429].contains(&login(&server, "portcullis-probe", "a wrong password").status));
    }
    assert_eq!(login(&server, "portcullis-probe", "a wrong password").status, 429);
    let before = probes(&server, "succeeded");
    eventually("three more probes", || probes(&server, "succeeded") >= before + 3);
    assert_eq!(probes(&server, "failed"), 0);
}
