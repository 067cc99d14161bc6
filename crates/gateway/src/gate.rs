//! What all connections of a server share.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use portcullis_event::Mode;
use portcullis_frame::Limits;
use portcullis_handshake::{Head, HeadLimits, InvalidPolicy, Policy, SameOrigin};
use portcullis_peer::{Lines, Proxies};
use portcullis_reason::{Reason, Rejection, Severity};
use portcullis_router::{Outbox, Router, Seat};
use portcullis_session as session;
use portcullis_token::{Identity, Revocations, Verifier, inspect};
use portcullis_units::Rate;
use slab::Slab;

use crate::{
    Options,
    admission::Admission,
    clock::{since_epoch, timestamp, unix_ms, unix_seconds},
    figures::{
        history::{Gauges, History},
        metrics::Metrics,
        probes::ProbeLog,
        refusals::{Entry, Evidence, Ledger, OwnRefusal, OwnRefusals},
    },
    mark::Mark,
    stale,
};

/// Where an upgrade leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Mode(Mode),
    /// `/ws/echo`, for protocol test suites.
    Echo,
}

/// A live connection, to be reached from outside.
pub(crate) struct Live {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) identity: Identity,
}

/// The parts that every connection reads, and the few that it changes.
pub(crate) struct Gate {
    pub(crate) options: Options,
    pub(crate) policy: Policy<Route>,
    pub(crate) proxies: Proxies,
    pub(crate) head_limits: HeadLimits,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) revocations: Revocations,
    pub(crate) admission: Arc<Admission>,
    pub(crate) router: Router,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) refusals: Lines,
    /// Preflights have a bound of their own, so that a flood of them hides no handshake.
    pub(crate) preflights: Lines,
    /// Of requests to the dashboard.
    pub(crate) dashboard: Lines,
    pub(crate) ledger: Ledger,
    pub(crate) own_refusals: OwnRefusals,
    pub(crate) history: History,
    /// What marks the requests of our own probe.
    pub(crate) mark: Mark,
    pub(crate) probes: ProbeLog,
    pub(crate) session: session::Options,
    pub(crate) echo: session::Options,
    /// All live connections, to end them when the server stops or their login does.
    pub(crate) live: Mutex<Slab<Live>>,
    pub(crate) node: Arc<str>,
    pub(crate) auth_url: Option<String>,
    pub(crate) started: Instant,
    draining: AtomicBool,
    requests: AtomicU64,
}

impl Gate {
    #[expect(clippy::too_many_arguments, reason = "called once, where the parts are made")]
    pub(crate) fn new(
        options: Options,
        listen: SocketAddr,
        verifier: Arc<Verifier>,
        router: Router,
        metrics: Arc<Metrics>,
        node: Arc<str>,
        auth_url: Option<String>,
        own_refusals: OwnRefusals,
    ) -> Result<Self, InvalidPolicy> {
        let now = Instant::now();
        Ok(Self {
            policy: policy(&options, listen)?,
            proxies: Proxies::new(&options.gateway.trusted_proxies),
            head_limits: HeadLimits {
                bytes: options.handshake.max_head_bytes.as_usize(),
                fields: options.handshake.max_fields,
                ..HeadLimits::default()
            },
            admission: Admission::new(&options.limits),
            session: session_options(&options),
            echo: echo_options(&options),
            live: Mutex::default(),
            started: now,
            draining: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            options,
            verifier,
            revocations: Revocations::default(),
            router,
            metrics,
            refusals: Lines::new("gateway", now),
            preflights: Lines::new("preflight", now),
            dashboard: Lines::new("admin", now),
            ledger: Ledger::default(),
            own_refusals,
            history: History::new(unix_ms()),
            mark: Mark::generate(),
            probes: ProbeLog::default(),
            node,
            auth_url,
        })
    }

    /// A name for one request: in the answer, in the log and nowhere else.
    pub(crate) fn request_id(&self) -> String {
        format!("{}-{:x}", self.node, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Steps 6 and 7 for a claimed token: who is it, and may they have one more connection?
    pub(crate) fn authorize(&self, token: &str) -> Result<Seat, Rejection> {
        let started = Instant::now();
        let identity = self.identify(token);
        self.metrics.verified(started.elapsed());
        self.router.admit(identity?, self.options.limits.connections_per_user)
    }

    /// Whose token it is, of a login that goes on.
    pub(crate) fn identify(&self, token: &str) -> Result<Identity, Rejection> {
        let identity = self.verifier.verify(token, unix_seconds())?;
        self.revocations.check(&identity)?;
        Ok(identity)
    }

    /// Refuses the tokens of ended logins from now on, and ends the connections that live by one. Each login comes with
    /// the second from which none of its tokens is good any more.
    pub(crate) fn revoke(&self, logins: impl IntoIterator<Item = (String, u64)>) {
        self.revocations.add(logins, unix_seconds());
        let revoked = |live: &Live| self.revocations.check(&live.identity).is_err();
        let ended: Vec<_> = self
            .live
            .lock()
            .iter()
            .filter(|(_, live)| revoked(live))
            .map(|(_, live)| Arc::clone(&live.outbox))
            .collect();
        for outbox in ended {
            outbox.end(Reason::TokenRevoked);
        }
    }

    /// Registers a connection that was accepted, so that it can be reached from outside, and gives its place. What changed
    /// between the decision and here ends it.
    pub(crate) fn enter(
        &self,
        outbox: &Arc<Outbox>,
        identity: &Identity,
        mode: Option<Mode>,
        probe: bool,
    ) -> usize {
        let live = self.live.lock().insert(Live { outbox: Arc::clone(outbox), identity: identity.clone() });
        if self.revocations.check(identity).is_err() {
            // Its login ended between the check and here.
            outbox.end(Reason::TokenRevoked);
        }
        if self.ready().is_err() {
            // The server began to stop between the check and here, and may have told everyone else already.
            outbox.end(Reason::Draining);
        }
        if probe { self.metrics.live_probes() } else { self.metrics.live(mode) }.inc();
        live
    }

    /// The connection at that place has ended.
    pub(crate) fn leave(&self, live: usize, mode: Option<Mode>, probe: bool) {
        if probe { self.metrics.live_probes() } else { self.metrics.live(mode) }.dec();
        self.live.lock().remove(live);
    }

    /// Refuses new connections from now on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether new connections are taken.
    pub(crate) fn ready(&self) -> Result<(), Rejection> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Rejection::new(Reason::Draining, "a request came while draining").with_retry_after(2));
        }
        self.router.ready()
    }

    /// When a token's holder is to be warned, and when the connection ends; none for a token without an end.
    pub(crate) fn token_times(
        &self,
        expires_at: Option<u64>,
        now: Instant,
    ) -> (Option<Instant>, Option<Instant>) {
        let Some(expires_at) = expires_at else { return (None, None) };
        let left = Duration::from_secs(expires_at).saturating_sub(since_epoch());
        let ends = now + left + Duration::from_secs(self.verifier.policy().leeway);
        (now.checked_add(left.saturating_sub(WARNING)).filter(|_| left > Duration::ZERO), Some(ends))
    }

    /// Whose a refused token is, if it was validly signed for somebody: one that has run out, or one user too many times.
    pub(crate) fn owner(&self, rejection: &Rejection, token: &str) -> Option<Identity> {
        // The agent knows a user by the subject alone, which names one person only within one issuer.
        if self.verifier.policy().issuers.len() != 1 {
            return None;
        }
        let at = match rejection.reason {
            Reason::TokenExpired => inspect(token, 0).claims?.get("exp")?.as_u64()?.checked_sub(1)?,
            Reason::TooManyConnections => unix_seconds(),
            _ => return None,
        };
        self.verifier.verify(token, at).ok()
    }

    /// Keeps a refusal for its owner's questions.
    pub(crate) fn remember(
        &self,
        rejection: &Rejection,
        request_id: &str,
        form: Option<&'static str>,
        owner: Option<&Identity>,
    ) {
        if let Some(owner) = owner {
            let (reason, request_id) = (rejection.reason, request_id.to_owned());
            self.own_refusals
                .add(owner.subject(), OwnRefusal { at: unix_seconds(), reason, request_id, form });
        }
    }

    /// Counts a refusal, keeps it for the operator, and logs it. A probe's is kept alone: it is no user's.
    pub(crate) fn refused(
        &self,
        rejection: &Rejection,
        request_id: &str,
        peer: SocketAddr,
        form: Option<&'static str>,
        head: Option<&Head<'_>>,
    ) {
        let reason = rejection.reason;
        let probe = head.is_some_and(|head| self.mark.is_on(head));
        if !probe {
            self.metrics.rejected(reason);
        }
        if !self.refusals.may_write(reason.id(), peer.ip(), Instant::now()) {
            return;
        }
        let evidence = head.map(|head| Evidence::of(head, &self.policy));
        self.ledger.add(Entry::new(rejection, request_id, timestamp(), peer, form, probe, evidence));
        let (detail, form) = (rejection.detail.as_ref(), form.unwrap_or(""));
        match reason.severity() {
            Severity::Info => tracing::info!(request_id, %peer, %reason, detail, form, "handshake refused"),
            Severity::Warning => {
                tracing::warn!(request_id, %peer, %reason, detail, form, "handshake refused");
            }
            Severity::Error => tracing::error!(request_id, %peer, %reason, detail, form, "handshake refused"),
        }
    }
}

/// What is so now, for the dashboard and `/metrics`.
impl Gate {
    pub(crate) fn gauges(&self) -> Gauges {
        let (mut queue_bytes, mut queue_bytes_largest) = (0, 0);
        for (_, live) in self.live.lock().iter() {
            let bytes = live.outbox.queued_bytes();
            queue_bytes += bytes;
            queue_bytes_largest = queue_bytes_largest.max(bytes);
        }
        let beside = [("echo", self.metrics.live(None).get()), ("probe", self.metrics.live_probes().get())];
        let runs_going = self.metrics.read().runs_going();
        let runs = u64::try_from(self.router.runs().saturating_sub(self.probes.runs())).unwrap_or(u64::MAX);
        Gauges {
            connections: self.metrics.live_by_mode().chain(beside).collect(),
            open: self.admission.open(),
            queue_bytes,
            queue_bytes_largest,
            runs_going,
            runs_waiting: runs.saturating_sub(runs_going),
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

/// How long before its token ends a client is told.
const WARNING: Duration = Duration::from_mins(1);

/// How long a peer has to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

fn policy(options: &Options, listen: SocketAddr) -> Result<Policy<Route>, InvalidPolicy> {
    let mut builder = Policy::builder()
        .max_token_bytes(options.handshake.max_token_bytes.as_usize())
        .accept_two_element_form(options.handshake.accept_two_element_form)
        // A page of an attacker whose name resolves to this machine (DNS rebinding) has a Host of its own choice, so
        // on loopback only loopback's names make an origin "the same". Behind a proxy the origin has to be listed.
        .same_origin(if listen.ip().is_loopback() { SameOrigin::Loopback } else { SameOrigin::Any })
        .mode_path("/")
        .mode_path("/ws");
    for &mode in Mode::ALL {
        builder = builder.mode(mode.as_str(), Route::Mode(mode));
        for path in mode.paths() {
            builder = builder.route(path, Route::Mode(mode));
        }
    }
    if options.dev.echo {
        builder = builder.route("/ws/echo", Route::Echo);
    }
    for origin in &options.gateway.allowed_origins {
        builder = builder.allow_origin(origin);
    }
    for prefix in &options.handshake.credential_prefixes {
        builder = builder.credential_prefix(prefix);
    }
    builder.build()
}

fn session_options(options: &Options) -> session::Options {
    let message = options.limits.message_bytes.as_usize();
    session::Options {
        heartbeat_interval: options.heartbeat.interval.get(),
        heartbeat_timeout: options.heartbeat.timeout.get(),
        limits: Limits { frame: message, message, fragments: options.limits.message_fragments },
        rate: Some(Rate::per_second(options.limits.messages_per_second, options.limits.message_burst)),
        binary: false,
        close_timeout: CLOSE_TIMEOUT,
        close_profile: options.handshake.close_codes,
    }
}

/// Test suites send more and larger messages than people do.
fn echo_options(options: &Options) -> session::Options {
    session::Options {
        limits: Limits { frame: 16 << 20, message: 16 << 20, fragments: 1 << 17 },
        rate: None,
        binary: true,
        ..session_options(options)
    }
}
