//! `portcullis serve`: the gateway and the auth service in one process.

use std::{
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZero,
    path::{Path, PathBuf},
    pin::Pin,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use portcullis_agent::Agent;
use portcullis_auth::{EndedLogin, Handle, Setup as AuthSetup, User};
use portcullis_doctor::Doctor;
use portcullis_gateway::{
    EventStore, Handle as GatewayHandle, Listeners, Options, OwnRefusals, Service, Setup,
};
use portcullis_log::{EventLog, Memory};
use portcullis_log_fjall::{Embedded, Notice, Options as LogOptions};
use portcullis_router::{Agents, Alone, Recovered};
use portcullis_token::{Secret, Verifier};
use portcullis_units::Clock;
use tokio::{net::TcpListener, signal::unix::SignalKind};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    args::ServeArgs,
    config::{
        agents::{AgentKind, AgentOptions},
        settings::Config,
    },
    data_dir::DataDir,
    descriptors::{self, Descriptors},
    exit,
    keys::{self, Keys},
    operator, output,
    surroundings::{self, Server},
};

/// How long the link that opens the page logged in is good.
const LINK_TTL: Duration = Duration::from_mins(15);

/// The account that a development server begins with.
const FIRST_ACCOUNT: &str = "demo";

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(args: ServeArgs, config: Config, warnings: Vec<String>) -> anyhow::Result<ExitCode> {
    if let Err(error) = descriptors::raise_limit() {
        output::warn(format_args!("the limit on open files stays as it is: {error}"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the threads of the server cannot be started")?;
    let outcome = runtime.block_on(serve(args, config, warnings));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(args: ServeArgs, config: Config, mut warnings: Vec<String>) -> anyhow::Result<ExitCode> {
    let data_dir = DataDir::open_or_create(&config.data_dir)?;
    data_dir.ensure_writable()?;
    let keys = keys::load(&config).map_err(keys::Faults)?;
    warnings.extend(keys.warnings.iter().cloned());
    let mut options = config.gateway_options();
    let descriptors = Descriptors::of(&config);
    options.limits.connections = descriptors.connections;
    tracing::info!("{descriptors}");
    warnings.extend(descriptors.warning(&config));
    let listeners = Listeners::bind(&options).map_err(|error| explain_listen(error.into()))?;
    let gateway = listeners.gateway();
    if !gateway.ip().is_loopback() && options.gateway.allowed_origins.is_empty() && config.auth.enabled {
        warnings.push(
            "gateway.allowed_origins is empty: the auth service does not know the page's address, so nobody can log in \
             with a browser"
                .to_owned(),
        );
    }

    let auth = Auth::start(&config, &descriptors, &data_dir, &keys, gateway).await?;
    let auth_url = config.gateway.auth_url.clone().or_else(|| auth.as_ref().map(|auth| url(auth.address)));
    let authority = Arc::new(verifier(keys, auth.as_ref())?);
    for warning in &warnings {
        tracing::warn!("{warning}");
    }

    let own_refusals = OwnRefusals::default();
    let server = Arc::new(Server::new(
        own_refusals.clone(),
        surroundings::configuration(&config, gateway, auth_url.as_deref(), warnings),
        Clock::system(),
    ));
    let agents = agents(&config, &server);
    let admin = listeners.admin();
    let (log, record_failed) = event_log(&options, &data_dir).await?;
    let setup = Setup {
        authority,
        agents,
        log,
        homes: Arc::new(Alone),
        redact: Some(without_credentials),
        auth_url,
        own_refusals,
        clock: Clock::system(),
    };
    let mut service = Service::new(options, setup, listeners)?;
    recover(service.handle()).await?;
    if let Some(auth) = &auth {
        let (handle, gate) = (auth.handle.clone(), service.handle());
        let hear = move |logins: Vec<EndedLogin>| {
            gate.revoke(logins.into_iter().map(|EndedLogin { session, tokens_end }| (session, tokens_end)));
        };
        tokio::task::spawn_blocking(move || handle.on_end(hear)).await??;
    }
    if config.admin.dashboard {
        service = service.with_operator(&operator::key(data_dir.path())?)?;
    }

    let drain = CancellationToken::new();
    let tasks = TaskTracker::new();
    // Signals are caught before anybody is told that the server is ready.
    let signals = Signals::new()?;
    if let Some(auth) = &auth {
        welcome(&config, &data_dir, gateway, admin, auth).await?;
        if !config.probe.interval.is_zero() {
            let (handle, address) = (auth.handle.clone(), auth.address);
            let account =
                tokio::task::spawn_blocking(move || operator::probe_account(&handle, address)).await??;
            // The first one that needs no model.
            let built_in = config.agents().into_iter().find(|agent| agent.kind == AgentKind::Doctor);
            if let Some(agent) = built_in {
                service = service.with_probe(account, agent.name);
            }
        }
    }
    let auth_address = auth.as_ref().map(|auth| auth.address);
    let gateway_drain = drain.child_token();
    let auth_drain = CancellationToken::new();
    tasks.spawn(async move { service.run(gateway_drain).await });
    if let Some(auth) = auth {
        let auth_drain = auth_drain.clone();
        tasks.spawn(async move {
            if let Err(error) = auth.service.run(auth.listener, auth_drain).await {
                tracing::error!(%error, "the auth service failed");
            }
        });
    }
    tasks.close();
    let ready = Ready::write(args.ready_file, gateway, auth_address, admin)?;
    tracing::info!(gateway = %url(gateway), auth = auth_address.map(url), admin = %url(admin), "ready");

    let end = signals.wait(record_failed, &drain, &auth_drain, tasks).await;
    drop(ready);
    tracing::info!("stopped");
    Ok(match end {
        End::Asked => ExitCode::SUCCESS,
        End::RecordFailed => exit::RECORD_FAILED.into(),
    })
}

/// The agents, as they are configured.
fn agents(config: &Config, server: &Arc<Server>) -> Agents {
    let doctor = Doctor::new(Arc::clone(server) as _).paced(config.dev.pace.get());
    let makes = config.agents().into_iter().map(|AgentOptions { name, kind, keeps }| {
        let doctor = doctor.clone();
        move || match kind {
            AgentKind::Doctor => {
                Arc::new(doctor.clone().named(name.as_str()).keeping(keeps.into())) as Arc<dyn Agent>
            }
        }
    });
    makes.fold(Agents::default(), Agents::and)
}

/// What of a user's words may be written down where their agent does not say otherwise.
fn without_credentials(words: &str) -> String {
    portcullis_diagnose::redacted(words).into_owned()
}

/// Completes once the record has failed for good, with the cause.
type RecordFailed = Pin<Box<dyn Future<Output = Arc<str>> + Send>>;

/// Opens the record of events.
async fn event_log(
    options: &Options,
    data_dir: &DataDir,
) -> anyhow::Result<(Arc<dyn EventLog>, RecordFailed)> {
    let limits = options.limits();
    if options.events.store == EventStore::Memory {
        return Ok((Arc::new(Memory::new(limits)), Box::pin(std::future::pending())));
    }
    let path = data_dir.path().join("events");
    if !data_dir.created() && path.symlink_metadata().is_err() {
        tracing::warn!(
            path = %path.display(),
            "there is no record of events, and an empty one is begun; if there was one, stop the server and put it back"
        );
    }
    let place = path.clone();
    let notice =
        move |notice: Notice| tracing::warn!(path = %place.display(), "the record of events: {notice}");
    let options =
        LogOptions { notice: Arc::new(notice), ..LogOptions::new(options.events.durability, limits) };
    let opened = tokio::task::spawn_blocking(move || Embedded::open(&path, options));
    let log = opened.await?.context(WITHOUT_RECORD)?;
    let failed = log.failed();
    Ok((Arc::new(log), failed))
}

/// Takes up what a crash left open.
async fn recover(gateway: GatewayHandle) -> anyhow::Result<()> {
    let recovered = gateway.recover().await;
    let Recovered { repeated, ended } =
        recovered.map_err(|rejection| anyhow::anyhow!(rejection.detail)).context(WITHOUT_RECORD)?;
    if repeated + ended > 0 {
        tracing::warn!(
            repeated,
            ended,
            "the last process left runs open: some are run again, the others are ended"
        );
    }
    Ok(())
}

const WITHOUT_RECORD: &str = "events.store = \"memory\" starts without the record";

/// The auth service with its listener, before it accepts.
struct Auth {
    service: portcullis_auth::Service,
    handle: Handle,
    listener: TcpListener,
    address: SocketAddr,
}

impl Auth {
    /// None where the configuration turns it off.
    async fn start(
        config: &Config,
        descriptors: &Descriptors,
        data_dir: &DataDir,
        keys: &Keys,
        gateway: SocketAddr,
    ) -> anyhow::Result<Option<Self>> {
        if !config.auth.enabled {
            return Ok(None);
        }
        let listener =
            portcullis_auth::bind(config.auth.listen).await.map_err(|error| explain_listen(error.into()))?;
        let address = listener.local_addr().context("the auth service's listener has no address")?;
        let mut setup = AuthSetup::new(data_dir.path());
        setup.origins = own_origins(gateway).chain(config.gateway.allowed_origins.iter().cloned()).collect();
        setup.secret.clone_from(&keys.shared);
        let mut options = config.auth_options();
        options.server.max_connections =
            descriptors.auth_connections.try_into().unwrap_or(NonZero::<u32>::MIN);
        let service = portcullis_auth::Service::new(options, setup)?;
        let handle = service.handle();
        Ok(Some(Self { service, handle, listener, address }))
    }
}

fn verifier(mut keys: Keys, auth: Option<&Auth>) -> anyhow::Result<Verifier> {
    if let Some(auth) = auth {
        keys.add_auth(auth.handle.jwks()).context("the auth service's own key cannot be used")?;
    }
    anyhow::ensure!(
        !keys.is_empty(),
        "there is no key to verify tokens with: set token.secrets, token.pem or token.jwks, or auth.enabled = true"
    );
    let (policy, cache_entries) = (keys.policy.clone(), keys.cache_entries);
    Ok(Verifier::new(keys.into_issuers(), policy, cache_entries))
}

/// The origins under which a browser on this machine knows a listener.
fn own_origins(gateway: SocketAddr) -> impl Iterator<Item = String> {
    let port = gateway.port();
    let own = [
        url(gateway),
        format!("http://localhost:{port}"),
        format!("http://127.0.0.1:{port}"),
        format!("http://[::1]:{port}"),
    ];
    own.into_iter().take(if gateway.ip().is_loopback() { 4 } else { 1 })
}

/// Where a client on this machine reaches a listener.
fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// What a person needs to begin with, on standard output: it is for them, and not for the log.
async fn welcome(
    config: &Config,
    data_dir: &DataDir,
    gateway: SocketAddr,
    admin: SocketAddr,
    auth: &Auth,
) -> anyhow::Result<()> {
    if config.environment.is_strict() {
        return Ok(());
    }
    let accounts = auth.handle.accounts().clone();
    // Hashing a password takes a while, and the database may be on a slow disk.
    let (user, password) = tokio::task::spawn_blocking(move || first_account(&accounts)).await??;
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n  Portcullis {} ({})\n", env!("CARGO_PKG_VERSION"), config.environment.as_str())?;
    writeln!(out, "  page     {}/", url(gateway))?;
    writeln!(out, "  auth     {}", url(auth.address))?;
    writeln!(out, "  data     {}", data_dir.path().display())?;
    if config.admin.dashboard {
        let key = operator::key_file(&absolute(data_dir.path()));
        writeln!(out, "  operator {}/dashboard   (key in {})", url(admin), key.display())?;
    }
    if let Some(password) = password {
        writeln!(
            out,
            "\n  account  {}\n  password {}   (shown once)",
            user.name,
            String::from_utf8_lossy(password.expose())
        )?;
    }
    if user.enabled {
        let link = auth.handle.create_link(&user.id, LINK_TTL)?;
        let minutes = LINK_TTL.as_secs() / 60;
        writeln!(
            out,
            "\n  Open the page logged in (works once, for {minutes} minutes):\n    {}/#link={}",
            url(gateway),
            link.as_str()
        )?;
    }
    let mint = format!(
        "$({} token mint --data-dir {} --sub {})",
        command(),
        quoted(&absolute(data_dir.path())),
        user.id
    );
    writeln!(out, "\n  Ask the gate what it makes of a token:")?;
    writeln!(out, "    curl -s -H \"Authorization: Bearer {mint}\" {}/ws/preflight", url(gateway))?;
    writeln!(out, "  Talk to it:")?;
    writeln!(
        out,
        "    websocat -H \"Authorization: Bearer {mint}\" {}/ws\n",
        url(gateway).replacen("http", "ws", 1)
    )?;
    out.flush()?;
    Ok(())
}

/// The account to begin with: the one that is there, or a new one with its password.
fn first_account(accounts: &portcullis_auth::Accounts) -> anyhow::Result<(User, Option<Secret>)> {
    if let Some(user) = accounts.find(FIRST_ACCOUNT)? {
        return Ok((user, None));
    }
    if let Some(user) = accounts.list()?.into_iter().find(|user| user.enabled && user.name != operator::PROBE)
    {
        return Ok((user, None));
    }
    let password = Secret::generate();
    let text = std::str::from_utf8(password.expose()).context("a generated password is text")?;
    Ok((accounts.add(FIRST_ACCOUNT, text)?, Some(password)))
}

/// How this very program is called, so that the lines work when pasted.
fn command() -> String {
    std::env::current_exe().map_or_else(|_| "portcullis".to_owned(), |path| quoted(&path))
}

fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte));
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The file that tells scripts where the server listens. It goes with the server.
struct Ready(Option<PathBuf>);

impl Ready {
    fn write(
        path: Option<PathBuf>,
        gateway: SocketAddr,
        auth: Option<SocketAddr>,
        admin: SocketAddr,
    ) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let body = serde_json::json!({ "gateway": url(gateway), "auth": auth.map(url), "admin": url(admin) });
        // Whoever waits for the file finds it whole.
        let mut partial = path.clone().into_os_string();
        partial.push(".partial");
        fs::write(&partial, format!("{body}\n"))
            .and_then(|()| fs::rename(&partial, &path))
            .with_context(|| format!("cannot write the ready file {}", path.display()))?;
        Ok(Self(Some(path)))
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Gone already is as good.
            let _ = fs::remove_file(path);
        }
    }
}

/// SIGTERM and SIGINT: the first drains, the second ends at once.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let signal = |kind| tokio::signal::unix::signal(kind).context("signals cannot be caught");
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for a signal or the end of the record, then for everything to end. The auth service goes on while the gateway drains: clients that
    /// are told to come back elsewhere may want a fresh token.
    async fn wait(
        mut self,
        record_failed: RecordFailed,
        drain: &CancellationToken,
        auth_drain: &CancellationToken,
        tasks: TaskTracker,
    ) -> End {
        let end = tokio::select! {
            () = self.next() => End::Asked,
            cause = record_failed => {
                tracing::error!("the record of events has failed, and opening it again did not help: {cause}");
                End::RecordFailed
            }
        };
        tracing::info!("stopping; a second signal ends at once");
        drain.cancel();
        let all = async {
            while tasks.len() > 1 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            auth_drain.cancel();
            tasks.wait().await;
        };
        tokio::select! {
            () = all => {}
            () = self.next() => tracing::warn!("stopped without waiting"),
        }
        end
    }
}

/// Why a server ends.
#[derive(Clone, Copy)]
enum End {
    /// A signal came.
    Asked,
    /// Nothing can be recorded any more until another process begins.
    RecordFailed,
}

/// Says what to do about an address that cannot be had.
fn explain_listen(error: anyhow::Error) -> anyhow::Error {
    let in_use = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::AddrInUse);
    if in_use {
        return error.context(
            "an address is taken: is another server running? `--listen` and `--auth-listen` choose others",
        );
    }
    error
}
