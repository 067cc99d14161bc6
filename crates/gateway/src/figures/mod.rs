//! What is counted and kept of what happened, for operators: metrics, their last day, refusals and probes.

pub(crate) mod history;
pub(crate) mod metrics;
pub(crate) mod probes;
pub(crate) mod refusals;

use std::{net::SocketAddr, sync::Arc};

use portcullis_event::Timestamp;
use portcullis_handshake::{Head, Policy};
use portcullis_peer::Lines;
use portcullis_reason::{Rejection, Severity};
use portcullis_token::Identity;
use portcullis_units::Clock;

use self::{
    history::History,
    metrics::Metrics,
    probes::ProbeLog,
    refusals::{Entry, Evidence, Ledger, OwnRefusal, OwnRefusals},
};
use crate::{mark::Mark, stale};

/// What every connection adds to, and the dashboard reads.
pub(crate) struct Figures {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) history: History,
    pub(crate) probes: ProbeLog,
    pub(crate) ledger: Ledger,
    /// What keeps our own probe's requests apart.
    pub(crate) mark: Mark,
    /// Lines of the log about requests to the dashboard.
    pub(crate) dashboard: Lines,
    refusals: Lines,
    /// Preflights have a bound of their own, so that a flood of them hides no handshake.
    preflights: Lines,
    own_refusals: OwnRefusals,
    clock: Clock,
}

/// A refused handshake, as far as it went.
pub(crate) struct Refused {
    pub(crate) rejection: Rejection,
    /// How the credential had come.
    pub(crate) form: Option<&'static str>,
    /// Whose it is, where the token was validly signed.
    pub(crate) owner: Option<Identity>,
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, form: None, owner: None }
    }
}

impl Figures {
    /// Figures of a server that starts now.
    pub(crate) fn new(metrics: Arc<Metrics>, own_refusals: OwnRefusals, clock: Clock) -> Self {
        let now = clock.instant();
        Self {
            metrics,
            history: History::new(clock.unix_ms()),
            probes: ProbeLog::default(),
            ledger: Ledger::default(),
            mark: Mark::generate(),
            dashboard: Lines::new("admin", now),
            refusals: Lines::new("gateway", now),
            preflights: Lines::new("preflight", now),
            own_refusals,
            clock,
        }
    }

    /// Counts a refused handshake, keeps it for the operator and for its owner, and logs it. A probe's is not counted: it is
    /// no user's. Without a head it could not be read.
    pub(crate) fn refused<R: Copy + PartialEq>(
        &self,
        refused: &Refused,
        request_id: &str,
        peer: SocketAddr,
        head: Option<&Head<'_>>,
        policy: &Policy<R>,
    ) {
        let Refused { rejection, form, owner } = refused;
        let (reason, form) = (rejection.reason, *form);
        if let Some(owner) = owner {
            let request_id = request_id.to_owned();
            self.own_refusals
                .add(owner.subject(), OwnRefusal { at: self.clock.unix_seconds(), reason, request_id, form });
        }
        let probe = head.is_some_and(|head| self.mark.is_on(head));
        if !probe {
            self.metrics.rejected(reason);
        }
        if !self.refusals.may_write(reason.id(), peer.ip(), self.clock.instant()) {
            return;
        }
        let evidence = head.map(|head| Evidence::of(head, policy));
        self.ledger.add(Entry::new(
            rejection,
            request_id,
            Timestamp::now(&self.clock),
            peer,
            form,
            probe,
            evidence,
        ));
        let (detail, form) = (rejection.detail.as_ref(), form.unwrap_or(""));
        match reason.severity() {
            Severity::Info => tracing::info!(request_id, %peer, %reason, detail, form, "handshake refused"),
            Severity::Warning => {
                tracing::warn!(request_id, %peer, %reason, detail, form, "handshake refused");
            }
            Severity::Error => tracing::error!(request_id, %peer, %reason, detail, form, "handshake refused"),
        }
    }

    /// Logs a refused preflight. It is counted nowhere: the handshake that it explains was.
    pub(crate) fn preflight_refused(&self, rejection: &Rejection, request_id: &str, peer: SocketAddr) {
        let (reason, detail) = (rejection.reason, rejection.detail.as_ref());
        if self.preflights.may_write(reason.id(), peer.ip(), self.clock.instant()) {
            tracing::info!(%request_id, %peer, %reason, detail, "preflight refused");
        }
    }

    /// Tells the log now and then what was left out of it.
    pub(crate) fn sum_up(&self) {
        let now = self.clock.instant();
        for lines in [&self.refusals, &self.preflights, &self.dashboard] {
            lines.sum_up(now);
        }
    }

    /// Whether the page that asks for an upgrade is of another build; each that is gets counted.
    pub(crate) fn count_stale_page(&self, query: &str) -> bool {
        let is_stale = stale::of_query(query) == Some(true);
        if is_stale {
            self.metrics.stale_pages.inc();
        }
        is_stale
    }
}
