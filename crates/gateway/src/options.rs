//! What an operator can set about the gate. Each struct is a section of the configuration file.

use std::{net::SocketAddr, num::NonZeroU32};

use portcullis_log::{Durability, Limits};
use portcullis_reason::CloseProfile;
use portcullis_units::{ByteSize, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All sections that the gateway reads.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `[gateway]`
    pub gateway: GatewayOptions,
    /// `[handshake]`
    pub handshake: HandshakeOptions,
    /// `[limits]`
    pub limits: LimitOptions,
    /// `[heartbeat]`
    pub heartbeat: HeartbeatOptions,
    /// `[runs]`
    pub runs: RunOptions,
    /// `[events]`
    pub events: EventOptions,
    /// `[dev]`
    pub dev: DevOptions,
    /// `[admin]`
    pub admin: AdminOptions,
    /// `[probe]`
    pub probe: ProbeOptions,
}

impl Options {
    /// Rules that span fields, as pairs of a key and what is wrong with it.
    pub fn validate(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, text: String| faults.push((key.to_owned(), text));
        if self.heartbeat.interval.is_zero() {
            fault("heartbeat.interval", "must be longer than zero".to_owned());
        }
        if self.heartbeat.timeout.is_zero() {
            fault("heartbeat.timeout", "must be longer than zero".to_owned());
        }
        if self.handshake.timeout.is_zero() {
            fault("handshake.timeout", "must be longer than zero".to_owned());
        }
        if self.handshake.max_head_bytes.get() < 1024 {
            fault(
                "handshake.max_head_bytes",
                "must be 1 KiB at least; a browser sends about that".to_owned(),
            );
        }
        if self.handshake.max_token_bytes.get() > self.handshake.max_head_bytes.get() {
            fault("handshake.max_token_bytes", "must not be over handshake.max_head_bytes".to_owned());
        }
        if self.limits.message_bytes.get() < 128 {
            fault("limits.message_bytes", "must be 128 B at least".to_owned());
        }
        if self.limits.queue_bytes.get() < 16 * 1024 {
            fault(
                "limits.queue_bytes",
                "must be 16 KiB at least, or a single answer overflows it".to_owned(),
            );
        }
        if self.admin.session.is_zero() {
            fault("admin.session", "must be longer than zero".to_owned());
        }
        if self.probe.timeout.is_zero() {
            fault("probe.timeout", "must be longer than zero".to_owned());
        }
        let origins = [
            ("gateway.allowed_origins", &self.gateway.allowed_origins),
            ("admin.allowed_origins", &self.admin.allowed_origins),
        ];
        for (key, origin) in
            origins.iter().flat_map(|(key, list)| list.iter().map(move |origin| (key, origin)))
        {
            let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if !rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ', '?', '#'])) {
                fault(
                    key,
                    format!(
                        "`{origin}` is not an origin; write it as `https://chat.example.com`, without a path"
                    ),
                );
            }
        }
        for proxy in &self.gateway.trusted_proxies {
            if portcullis_peer::parse_network(proxy).is_none() {
                fault(
                    "gateway.trusted_proxies",
                    format!(
                        "`{proxy}` is neither an address nor a network; write `10.0.0.7` or `10.0.0.0/8`"
                    ),
                );
            }
        }
        faults
    }
}

/// Where the gate listens and whom it trusts to open pages.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayOptions {
    /// Address of the WebSocket endpoints and the page. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Address of the operator's side: `/metrics`, which has no login, and `/dashboard`, which has one. Keep it away
    /// from strangers.
    pub admin_listen: SocketAddr,
    /// Origins whose pages may connect, beside the server's own. Written as a browser sends them:
    /// `https://chat.example.com`.
    pub allowed_origins: Vec<String>,
    /// Proxies in front of this server, as addresses or networks: `10.0.0.0/8`. For connections from these the client's
    /// address is taken from `X-Forwarded-For`; without them, limits per address count all clients of a proxy as one.
    /// Whoever is listed here can pose as any address.
    pub trusted_proxies: Vec<String>,
    /// Where browsers reach the auth service, if not at its own address (behind a proxy, say). Given to the page.
    pub auth_url: Option<String>,
    /// How long connections get to end in order when the server is told to stop.
    pub drain: Duration,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            auth_url: None,
            drain: Duration::from_secs(10),
        }
    }
}

/// What a refused browser gets to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RejectionStyle {
    /// The true HTTP status and a problem document. Browsers hide both, so clients ask `/ws/preflight`.
    #[default]
    Http,
    /// Complete the upgrade only to send a close frame with code and reason. No session exists and nothing is read.
    Close,
}

/// The opening handshake.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HandshakeOptions {
    /// Time for the whole request head, from accept to its last byte.
    pub timeout: Duration,
    /// Longest request head. Each connection that is still in its handshake can hold this much.
    pub max_head_bytes: ByteSize,
    /// Most header lines in a request.
    pub max_fields: usize,
    /// Longest token, before decoding.
    pub max_token_bytes: ByteSize,
    /// Takes `['jwt', token]` as well, for front ends that were built before the canonical form. Meant for the time of
    /// a rollout.
    pub accept_two_element_form: bool,
    /// More prefixes of subprotocol elements that carry a token, such as `base64url.bearer.phx.`.
    pub credential_prefixes: Vec<String>,
    /// What a refused client sees.
    pub rejection: RejectionStyle,
    /// Which close codes stand for which reason. `standard` unless clients were built on another habit.
    #[schemars(with = "String")]
    pub close_codes: CloseProfile,
}

impl Default for HandshakeOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            max_head_bytes: ByteSize::from_kib(32),
            max_fields: 64,
            max_token_bytes: ByteSize::from_kib(16),
            accept_two_element_form: false,
            credential_prefixes: Vec::new(),
            rejection: RejectionStyle::Http,
            close_codes: CloseProfile::Standard,
        }
    }
}

/// Limits on what strangers and users can make the server hold or do.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitOptions {
    /// Open connections in all, those in their handshake included; fewer where the limit on open files has no room for them,
    /// as `config check` tells.
    pub connections: usize,
    /// Live connections of one user.
    pub connections_per_user: u32,
    /// Open connections from one address (one /64 for IPv6). Clients behind one proxy or NAT share it.
    pub connections_per_address: u32,
    /// Handshakes a second from one address, on average; plain requests likewise, apart from them.
    pub handshakes_per_second: NonZeroU32,
    /// Handshakes that one address may make at once after a pause; plain requests likewise.
    pub handshake_burst: NonZeroU32,
    /// Largest message from a client.
    pub message_bytes: ByteSize,
    /// Most frames that one message may be made of.
    pub message_fragments: u32,
    /// Messages a second from one user, on average, over all of their connections; pings likewise, apart from them.
    pub messages_per_second: NonZeroU32,
    /// Messages that one user may send at once after a pause; pings likewise.
    pub message_burst: NonZeroU32,
    /// Outgoing bytes waiting for one connection before it is a slow consumer.
    pub queue_bytes: ByteSize,
    /// What one user may read of their threads in a second, on average: to catch up, and by page.
    pub read_bytes_per_second: ByteSize,
    /// What one user may read of their threads at once after a pause.
    pub read_burst: ByteSize,
}

impl Default for LimitOptions {
    fn default() -> Self {
        let number = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            connections: 100_000,
            connections_per_user: 32,
            connections_per_address: 1_024,
            handshakes_per_second: number(100),
            handshake_burst: number(400),
            message_bytes: ByteSize::from_kib(64),
            message_fragments: 256,
            messages_per_second: number(20),
            message_burst: number(60),
            queue_bytes: ByteSize::from_mib(1),
            read_bytes_per_second: ByteSize::from_mib(8),
            read_burst: ByteSize::from_mib(64),
        }
    }
}

/// Finding peers that are gone.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeartbeatOptions {
    /// Silence after which a ping is sent, measured from the last byte heard.
    pub interval: Duration,
    /// Silence after a ping that ends the connection.
    pub timeout: Duration,
}

impl Default for HeartbeatOptions {
    fn default() -> Self {
        Self { interval: Duration::from_secs(25), timeout: Duration::from_secs(20) }
    }
}

/// Limits of agents' runs.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// Runs of one user, waiting ones included.
    pub per_user: usize,
    /// Runs of all users, waiting ones included.
    pub total: usize,
    /// What becomes of a message on a thread whose run is still going: `queue` (it runs when that one has ended), `reject`,
    /// `replace` (that one is cancelled first) or `parallel`.
    pub thread_policy: ThreadPolicy,
    /// Longest time a run may take.
    pub timeout: Duration,
    /// Most steps that a run may take, thoughts and tools: an agent that goes round in circles ends there.
    pub steps: usize,
    /// Most bytes of events that a run may produce.
    pub output_bytes: ByteSize,
    /// Most events of a thread that are kept for clients that come back, in memory and on the disk.
    pub retained_events: usize,
    /// Most bytes of a thread's events that are kept.
    pub retained_bytes: ByteSize,
    /// Most threads of one user that are kept in memory; the longest unused goes first.
    pub threads_per_user: usize,
    /// How long a user's threads are kept in memory after their last connection and run have ended.
    pub retention: Duration,
    /// Whether a run that a crash of the server cut off is run again at the next start, where its agent allows it. Its
    /// question is on the disk until the run ends; the built-in agent allows none in which something may be a credential.
    pub repeat: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            per_user: 8,
            total: 1_000,
            thread_policy: ThreadPolicy::Queue,
            timeout: Duration::from_mins(5),
            steps: 1_000,
            output_bytes: ByteSize::from_mib(1),
            retained_events: 1_000,
            retained_bytes: ByteSize::from_kib(256),
            threads_per_user: 32,
            retention: Duration::from_hours(1),
            repeat: true,
        }
    }
}

/// What becomes of a message on a thread whose run is still going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ThreadPolicy {
    /// It waits.
    Queue,
    /// It is refused with `TOO_MANY_RUNS`.
    Reject,
    /// The run before it is cancelled.
    Replace,
    /// Both go on.
    Parallel,
}

impl From<ThreadPolicy> for portcullis_router::ThreadPolicy {
    fn from(policy: ThreadPolicy) -> Self {
        match policy {
            ThreadPolicy::Queue => Self::Queue,
            ThreadPolicy::Reject => Self::Reject,
            ThreadPolicy::Replace => Self::Replace,
            ThreadPolicy::Parallel => Self::Parallel,
        }
    }
}

/// The record of events and accepted messages.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventOptions {
    /// Where it is: `disk`, in the folder `events` of the data directory, or `memory`, where it ends with the process.
    pub store: EventStore,
    /// When an event counts as recorded, and may be seen: once it is on the `device`, or once the operating system (`os`)
    /// has it, which survives the end of the process and not the loss of power.
    #[schemars(with = "String")]
    pub durability: Durability,
    /// How long a thread is kept on the disk after its last event.
    pub retention: Duration,
    /// Most threads of one user that are kept on the disk; those that were silent for longest go first.
    pub threads_per_user: usize,
    /// Bytes of one user's events that are kept, 128 for each event among them. Who has as many is told to delete a thread
    /// (`QUOTA_REACHED`) before another message runs; what is under way goes on.
    pub bytes_per_user: ByteSize,
    /// The same of all users. On the disk it takes more for a while, until the database has let go of what is deleted.
    pub bytes: ByteSize,
}

impl Options {
    /// How much is kept of each user's events.
    pub const fn limits(&self) -> Limits {
        Limits {
            events: self.runs.retained_events,
            bytes: self.runs.retained_bytes.as_usize(),
            threads: self.events.threads_per_user,
            owner_bytes: self.events.bytes_per_user.get(),
            all_bytes: self.events.bytes.get(),
        }
    }
}

impl Default for EventOptions {
    fn default() -> Self {
        Self {
            store: EventStore::Disk,
            durability: Durability::Device,
            retention: Duration::from_days(30),
            threads_per_user: 256,
            bytes_per_user: ByteSize::from_mib(64),
            bytes: ByteSize::from_gib(16),
        }
    }
}

/// Where events are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventStore {
    /// In the data directory.
    Disk,
    /// In the process' memory.
    Memory,
}

/// The operator dashboard, at `/dashboard` of `gateway.admin_listen`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminOptions {
    /// Serves the dashboard. Its key is in the data directory: `secrets/operator.key`, made at the first start.
    pub dashboard: bool,
    /// Origins under which a proxy shows the dashboard: `https://ops.example.com`. A listener on loopback is reached
    /// under loopback's own names beside these, and under no other.
    pub allowed_origins: Vec<String>,
    /// How long a login lasts. A restart of the server ends it as well.
    pub session: Duration,
}

impl Default for AdminOptions {
    fn default() -> Self {
        Self { dashboard: true, allowed_origins: Vec::new(), session: Duration::from_hours(12) }
    }
}

/// The golden-path probe: now and then the server logs in, connects and asks its own built-in agent, as a user would.
/// It needs the auth service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeOptions {
    /// Time between two probes; `0s` turns them off. Each costs one password hash and one short run.
    pub interval: Duration,
    /// Longest time that one probe may take before it counts as failed.
    pub timeout: Duration,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self { interval: Duration::from_mins(1), timeout: Duration::from_secs(10) }
    }
}

/// Doors for development and test suites.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DevOptions {
    /// Serves `/ws/echo`: the same handshake and frames as everywhere, and every message comes back.
    pub echo: bool,
    /// Time that the built-in agent waits before each of its steps and each piece of its answer, so that a person can watch
    /// and a test can act in the middle.
    pub pace: Duration,
}
