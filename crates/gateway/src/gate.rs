//! What all connections of a server share, by what a step may touch.

use portcullis_reason::Reason;
use portcullis_router::Router;
use portcullis_units::Clock;

use crate::{
    Options,
    door::Door,
    figures::{Figures, history::Gauges, metrics::Kind},
    node::Node,
    registry::Registry,
    rules::Rules,
};

/// The parts of a gateway. A step takes the part that it needs.
pub(crate) struct Gate {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) node: Node,
    /// Where browsers reach the auth service, as an origin.
    pub(crate) auth_url: Option<String>,
    pub(crate) door: Door,
    pub(crate) rules: Rules,
    pub(crate) registry: Registry,
    pub(crate) router: Router,
    pub(crate) figures: Figures,
}

impl Gate {
    /// Refuses the tokens of ended logins from now on, and ends the connections that live by one. Each login comes with
    /// the second from which none of its tokens is good any more.
    pub(crate) fn revoke(&self, logins: impl IntoIterator<Item = (String, u64)>) {
        let tokens = &self.door.tokens;
        tokens.revoke(logins);
        self.registry.end(Reason::TokenRevoked, |identity| tokens.is_revoked(identity));
    }

    /// What is so now, for the dashboard and `/metrics`.
    pub(crate) fn gauges(&self) -> Gauges {
        let (queue_bytes, queue_bytes_largest) = self.registry.queued_bytes();
        let Figures { metrics, probes, .. } = &self.figures;
        let beside = [("echo", Kind::Echo), ("probe", Kind::Probe)]
            .map(|(name, kind)| (name, metrics.live(kind).get()));
        let runs_going = metrics.read().runs_going();
        let runs = u64::try_from(self.router.runs().saturating_sub(probes.runs())).unwrap_or(u64::MAX);
        Gauges {
            connections: metrics.live_by_mode().chain(beside).collect(),
            open: self.door.open(),
            queue_bytes,
            queue_bytes_largest,
            runs_going,
            runs_waiting: runs.saturating_sub(runs_going),
        }
    }
}
