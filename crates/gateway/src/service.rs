//! The server: its listeners, the loop that accepts, and the way it stops.

use std::{fmt, io, net::SocketAddr, num::NonZero, sync::Arc, time::Duration};

use portcullis_event::AgentId;
use portcullis_log::EventLog;
use portcullis_reason::Rejection;
use portcullis_router::{self as router, Agents, Homes, Recovered};
use portcullis_token::{Authority, Secret};
use portcullis_units::{ByteSize, Clock, Rate, random};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    GatewayOptions, LimitOptions, Options, ProbeAccount, accept,
    admin::{self, Admin},
    admission::Permit,
    door::Door,
    drain, embedded,
    figures::{Figures, history, metrics::Metrics, refusals::OwnRefusals},
    gate::Gate,
    node::Node,
    probe,
    registry::Registry,
    routes::Plain,
    rules::Rules,
    tokens::Tokens,
};

/// What the gateway needs besides its options.
pub struct Setup {
    /// Verifies tokens.
    pub authority: Arc<dyn Authority>,
    /// Answers messages.
    pub agents: Agents,
    /// Where events and accepted messages are recorded.
    pub log: Arc<dyn EventLog>,
    /// Knows where users' worlds are.
    pub homes: Arc<dyn Homes>,
    /// Replaces what is a credential in users' words, before they are written down; without it none of them is.
    pub redact: Option<fn(&str) -> String>,
    /// Where browsers reach the auth service, as an origin (`http://127.0.0.1:8081`); none if there is no such service.
    pub auth_url: Option<String>,
    /// Where refusals are kept that are somebody's own, for an agent that is asked about them.
    pub own_refusals: OwnRefusals,
    /// The time.
    pub clock: Clock,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("auth_url", &self.auth_url).finish_non_exhaustive()
    }
}

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address could not be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// An option that no request could ever meet.
    #[error("the handshake's options cannot work")]
    Policy(#[from] portcullis_handshake::InvalidPolicy),
}

/// Listeners that are bound, before anything is accepted.
#[derive(Debug)]
pub struct Listeners {
    gateway: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    /// Binds the addresses of `options`. Where the default address of `/metrics` is taken, a free port is.
    ///
    /// # Errors
    /// [`Error::Listen`] for the first address that cannot be had.
    pub fn bind(options: &Options) -> Result<Self, Error> {
        let bind = |address| listen(address).map_err(|source| Error::Listen { address, source });
        let gateway = bind(options.gateway.listen)?;
        let admin = match bind(options.gateway.admin_listen) {
            // Nobody chose that port, so a second server on the machine may take another one.
            Err(Error::Listen { address, source })
                if source.kind() == io::ErrorKind::AddrInUse
                    && address == GatewayOptions::default().admin_listen =>
            {
                bind(SocketAddr::new(address.ip(), 0))?
            }
            bound => bound?,
        };
        Ok(Self { gateway, admin })
    }

    /// The address of WebSockets and page, with the real port.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway.local_addr().expect("a bound socket has an address")
    }

    /// The address of `/metrics` and the dashboard, with the real port.
    pub fn admin(&self) -> SocketAddr {
        self.admin.local_addr().expect("a bound socket has an address")
    }
}

/// The gateway, ready to run.
pub struct Service {
    gate: Arc<Gate>,
    listeners: Listeners,
    log: Arc<dyn EventLog>,
    dashboard: Option<Arc<Admin>>,
    probe: Option<(ProbeAccount, AgentId)>,
}

/// Reaches the gateway from outside, also while it runs. Cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<Gate>);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    /// Refuses the tokens of ended logins from now on (`TOKEN_REVOKED`), and ends the connections that live by one. Each
    /// login is named by the `sid` of its tokens and comes with the second from which none of them is good any more.
    pub fn revoke(&self, logins: impl IntoIterator<Item = (String, u64)>) {
        self.0.revoke(logins);
    }

    /// Takes up what the last process left open in the record; to be called once, before the gateway runs.
    ///
    /// # Errors
    /// If the record cannot be read or written.
    pub async fn recover(&self) -> Result<Recovered, Rejection> {
        self.0.router.recover().await
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl Service {
    /// Puts the parts together.
    ///
    /// # Errors
    /// [`Error::Policy`].
    pub fn new(options: Options, setup: Setup, listeners: Listeners) -> Result<Self, Error> {
        let log = Arc::clone(&setup.log);
        let gate = Arc::new(gate(options, setup, listeners.gateway())?);
        Ok(Self { gate, listeners, log, dashboard: None, probe: None })
    }

    /// A handle on it.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.gate))
    }

    /// Serves the dashboard, where `admin.dashboard` says so, to whoever knows `key`.
    ///
    /// # Errors
    /// [`Error::Policy`] for an entry of `admin.allowed_origins` that is no origin.
    pub fn with_operator(mut self, key: &Secret) -> Result<Self, Error> {
        if self.gate.options.admin.dashboard {
            let admin = Admin::new(Arc::clone(&self.gate), self.listeners.admin(), key)?;
            self.dashboard = Some(Arc::new(admin));
        }
        Ok(self)
    }

    /// Probes the golden path with `account`, as often as `probe.interval` says. It asks `agent`, which is to answer by tools.
    #[must_use]
    pub fn with_probe(mut self, account: ProbeAccount, agent: AgentId) -> Self {
        if !self.gate.options.probe.interval.is_zero() {
            self.gate.figures.probes.enable();
            self.probe = Some((account, agent));
        }
        self
    }

    /// Serves until `drain` fires, then lets everyone end in order and returns.
    pub async fn run(self, drain: CancellationToken) {
        let Self { gate, listeners: Listeners { gateway, admin }, log, dashboard, probe } = self;
        let connections = TaskTracker::new();
        let background = TaskTracker::new();
        let stop = CancellationToken::new();
        background.spawn(admin::serve(Arc::clone(&gate), dashboard, admin, stop.clone()));
        background.spawn(sweep(Arc::clone(&gate), stop.clone()));
        background.spawn(sweep_log(Arc::clone(&gate), log, stop.clone()));
        background.spawn(sample(Arc::clone(&gate), stop.clone()));
        if let Some((account, agent)) = probe {
            let address = gateway.local_addr().expect("a bound socket has an address");
            background.spawn(probe::run(Arc::clone(&gate), address, account, agent, stop.clone()));
        }
        tokio::select! {
            () = accept_all(&gate, &gateway, &connections) => {}
            () = drain.cancelled() => {}
        }
        // Nobody waits in the listener's queue for a server that will not answer: they are refused at once.
        drop(gateway);
        drain::end_all(&gate, &connections, random::below).await;
        stop.cancel();
        background.close();
        background.wait().await;
    }
}

/// What connections share, for a gateway that listens at `listen`.
pub(crate) fn gate(options: Options, setup: Setup, listen: SocketAddr) -> Result<Gate, Error> {
    let Setup { authority, agents, log, homes, redact, auth_url, own_refusals, clock } = setup;
    let node = Node::start(clock.clone());
    let metrics = Arc::new(Metrics::new(&node.name, embedded::build_id()));
    let runs = &options.runs;
    let router = router::Router::new(
        router::Options {
            runs_per_user: runs.per_user,
            runs: runs.total,
            thread_policy: runs.thread_policy.into(),
            run_timeout: runs.timeout.get(),
            run_steps: runs.steps,
            run_output_bytes: runs.output_bytes.as_usize(),
            threads_per_user: runs.threads_per_user,
            retention: runs.retention.get(),
            repeat_runs: runs.repeat,
            reads: reads(&options.limits),
            redact,
        },
        agents,
        Arc::clone(&metrics) as Arc<dyn router::Observer>,
        log,
        homes,
        Arc::clone(&node.name),
        clock.clone(),
    );
    Ok(Gate {
        node,
        auth_url,
        door: Door::new(
            &options,
            listen,
            Tokens::new(authority, clock.clone()),
            router.clone(),
            clock.clone(),
        )?,
        rules: Rules::new(&options),
        registry: Registry::default(),
        router,
        figures: Figures::new(metrics, own_refusals, clock.clone()),
        options,
        clock,
    })
}

/// What a user may read of the record, in KiB.
fn reads(limits: &LimitOptions) -> Rate {
    let kib = |size: ByteSize| {
        let kib = u32::try_from(size.get() / 1024).unwrap_or(u32::MAX);
        NonZero::new(kib).unwrap_or(NonZero::<u32>::MIN)
    };
    Rate::per_second(kib(limits.read_bytes_per_second), kib(limits.read_burst))
}

async fn accept_all(gate: &Arc<Gate>, listener: &TcpListener, connections: &TaskTracker) {
    let plain = Plain::new(Arc::clone(gate));
    loop {
        match listener.accept().await {
            Ok((line, peer)) => match gate.door.enter(peer.ip()) {
                Some(permit) => spawn(gate, &plain, connections, line, peer, permit),
                // Full: a refusal would cost what is missing.
                None => drop(gate.figures.metrics.dropped.inc()),
            },
            Err(error) => {
                tracing::error!(%error, "a connection could not be accepted");
                // Out of file descriptors, most likely: wait for some to come back instead of spinning.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn spawn(
    gate: &Arc<Gate>,
    plain: &Plain,
    connections: &TaskTracker,
    line: TcpStream,
    peer: SocketAddr,
    permit: Permit,
) {
    // Frames are written whole and at once: waiting for more would only add latency.
    let _ = line.set_nodelay(true);
    connections.spawn(accept::serve(
        Arc::clone(gate),
        plain.clone(),
        connections.clone(),
        line,
        peer,
        permit,
    ));
}

/// Ends a bucket of the history every few seconds.
async fn sample(gate: Arc<Gate>, stop: CancellationToken) {
    let mut every = tokio::time::interval(history::BUCKET);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        gate.figures.history.sample(gate.clock.unix_ms(), gate.figures.metrics.read(), gate.gauges());
        gate.figures.sum_up();
    }
}

/// Forgets what nobody comes back for.
async fn sweep(gate: Arc<Gate>, stop: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_mins(1));
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        gate.router.sweep();
    }
}

/// Lets the record go of what need not be kept, at the start and then every ten minutes.
async fn sweep_log(gate: Arc<Gate>, log: Arc<dyn EventLog>, stop: CancellationToken) {
    // The time of day is asked for once: a clock that jumps a year ahead under us must not take all threads with it.
    let (began, since) = (gate.clock.unix_ms(), gate.clock.instant());
    let mut every = tokio::time::interval(Duration::from_mins(10));
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        let options = &gate.options.events;
        let now =
            began.saturating_add(u64::try_from(gate.clock.since(since).as_millis()).unwrap_or(u64::MAX));
        let before = now.saturating_sub(options.retention.as_millis());
        match log.sweep(before).await {
            Ok(0) => {}
            Ok(threads) => tracing::info!(threads, "old threads were removed"),
            Err(error) => tracing::error!(%error, "old threads cannot be removed"),
        }
    }
}

/// A listener with a queue for bursts, on both families where the address is IPv6's "any".
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Connections that the system completes for us before we accept them. It caps this at `somaxconn`.
const BACKLOG: i32 = 4_096;
