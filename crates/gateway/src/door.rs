//! Who comes in: what a request meets between its head and a seat, upgrade or not.

use std::{
    future::ready,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use portcullis_event::Mode;
use portcullis_handshake::{
    Caller, Head, HeadLimits, InvalidPolicy, Policy, Preflight, PreflightOffer, SameOrigin,
};
use portcullis_peer::Proxies;
use portcullis_reason::{Reason, Rejection};
use portcullis_router::{Answer, Router, Seat};
use portcullis_token::{Identity, Verdict};
use portcullis_units::Clock;
use tokio::time::timeout_at;
use tokio_util::either::Either;

use crate::{
    Options,
    admission::{Admission, Permit},
    figures::metrics::Metrics,
    tokens::{Tokens, in_time},
};

/// Where an upgrade leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Mode(Mode),
    /// `/ws/echo`, for protocol test suites.
    Echo,
}

/// What is asked of everyone who wants in.
pub(crate) struct Door {
    pub(crate) policy: Policy<Route>,
    proxies: Proxies,
    pub(crate) head_limits: HeadLimits,
    pub(crate) tokens: Tokens,
    admission: Arc<Admission>,
    router: Router,
    connections_per_user: u32,
    draining: AtomicBool,
    /// How long a handshake may take, and a token that is verified elsewhere.
    pub(crate) patience: Duration,
    clock: Clock,
}

impl Door {
    /// A door of the gateway that listens at `listen`, to the worlds of `router`.
    pub(crate) fn new(
        options: &Options,
        listen: SocketAddr,
        tokens: Tokens,
        router: Router,
        clock: Clock,
    ) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            policy: policy(options, listen)?,
            proxies: Proxies::new(&options.gateway.trusted_proxies),
            head_limits: HeadLimits {
                bytes: options.handshake.max_head_bytes.as_usize(),
                fields: options.handshake.max_fields,
                ..HeadLimits::default()
            },
            tokens,
            admission: Admission::new(&options.limits, clock.clone()),
            router,
            connections_per_user: options.limits.connections_per_user,
            draining: AtomicBool::new(false),
            patience: options.handshake.timeout.get(),
            clock,
        })
    }

    /// Permits a connection that was just accepted; none where there is no room to refuse it with words.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Permit> {
        self.admission.enter(address)
    }

    /// The address of the client whose connection comes from `peer`: its own, or what a trusted proxy says.
    pub(crate) fn client(&self, peer: IpAddr, head: &Head<'_>) -> IpAddr {
        let forwarded =
            head.fields().iter().filter(|field| field.name.eq_ignore_ascii_case("x-forwarded-for"));
        self.proxies.client(peer, forwarded.map(|field| field.value))
    }

    /// Connections that are open, those in their handshake included.
    pub(crate) fn open(&self) -> usize {
        self.admission.open()
    }

    /// Refuses new connections from now on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether new connections are taken.
    pub(crate) fn ready(&self) -> Result<(), Rejection> {
        self.is_open()?;
        self.router.ready()
    }

    fn is_open(&self) -> Result<(), Rejection> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Rejection::new(Reason::Draining, "a request came while draining").with_retry_after(2));
        }
        Ok(())
    }

    /// Whether this connection may ask now: the server takes some, and its address has not asked too often.
    pub(crate) fn admit(&self, permit: &Permit) -> Result<(), Rejection> {
        self.ready()?;
        permit.admit(self.clock.instant())
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        self.clock.instant()
    }

    /// For a claimed token: who is it, and may they have one more connection? An upgrade asks the same in two steps.
    pub(crate) async fn seat(&self, token: &str, metrics: &Metrics) -> Result<Seat, Rejection> {
        let asked = self.now();
        let deadline = asked + self.patience;
        let verified = match self.tokens.verify(token) {
            Verdict::Now(verified) => verified,
            Verdict::Wait(waiting) => in_time(waiting, deadline).await,
        };
        self.seat_verified(verified, asked, deadline, metrics).await
    }

    /// For a token that was verified, which began at `asked`: may its user have one more connection?
    pub(crate) fn seat_verified(
        &self,
        verified: Result<Identity, Rejection>,
        asked: Instant,
        deadline: Instant,
        metrics: &Metrics,
    ) -> Answer<Seat> {
        let identity = self.tokens.current(verified);
        metrics.verified(self.clock.since(asked));
        let identity = match identity {
            Ok(identity) => identity,
            Err(rejection) => return Either::Left(ready(Err(rejection))),
        };
        match self.router.admit(identity, self.connections_per_user) {
            Either::Left(known) => Either::Left(known),
            Either::Right(waiting) => Either::Right(Box::pin(async move {
                timeout_at(deadline.into(), waiting).await.unwrap_or_else(|_| {
                    Err(Rejection::new(Reason::NotReady, "where the user's world is was not told in time")
                        .with_retry_after(1))
                })
            })),
        }
    }

    /// Whether a request that is no upgrade may ask now: from its page, and this connection. That is known before its body is
    /// read.
    pub(crate) fn greet<'b>(&self, head: &'b Head<'b>, permit: &Permit) -> Result<Caller<'b>, Rejection> {
        let caller = Caller::check(head, &self.policy)?;
        self.admit(permit)?;
        Ok(caller)
    }

    /// The same for a request about what is recorded, which may be read and deleted where there is no room for more.
    pub(crate) fn greet_keeper<'b>(
        &self,
        head: &'b Head<'b>,
        permit: &Permit,
    ) -> Result<Caller<'b>, Rejection> {
        let caller = Caller::check(head, &self.policy)?;
        self.is_open()?;
        self.router.serves()?;
        permit.admit(self.clock.instant())?;
        Ok(caller)
    }

    /// What such a request claims, up to its token.
    pub(crate) fn claim<'b>(
        &self,
        caller: Caller<'b>,
        mode: &str,
        protocols: &'b [&'b str],
    ) -> Result<PreflightOffer<'b, Route>, Rejection> {
        Preflight::of(caller, mode, protocols, &self.policy)?.credentials(&self.policy)
    }
}

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

#[cfg(test)]
mod tests;
