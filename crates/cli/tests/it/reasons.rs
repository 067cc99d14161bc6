//! Every reason of the catalogue is earned by a test of this binary, or stands here with why it cannot be yet.

use std::collections::HashSet;

use portcullis_reason::Reason;

use crate::{account, admission, live, refusals, shutdown};

/// What nothing that a client does can bring about in this version.
const OUT_OF_REACH: &[(Reason, &str)] = &[
    (
        Reason::AuthUnavailable,
        "keys and revocations are asked of others only with remote key sets and introspection",
    ),
    (
        Reason::NotReady,
        "the listeners accept once everything behind them is ready, and the disk fails at nobody's request: the router's tests fail it",
    ),
    (Reason::AgentError, "the built-in agent does not fail; agents over the network can"),
    (Reason::Internal, "our own failure: whatever brings it about is a bug"),
];

#[test]
fn every_reason_is_earned_or_explained() {
    let scenarios = [live::EARNED, admission::EARNED, shutdown::EARNED, account::EARNED];
    let mut earned: HashSet<Reason> = refusals::earned();
    earned.extend(scenarios.into_iter().flatten().map(|&(reason, _)| reason));
    for &reason in Reason::ALL {
        let explained = OUT_OF_REACH.iter().any(|&(other, why)| other == reason && !why.is_empty());
        assert!(earned.contains(&reason) != explained, "{reason}: earned {}", earned.contains(&reason));
    }
}
