//! The service's parts put together.

use std::{path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use portcullis_peer::{Allowances, Lines, Proxies};
use portcullis_units::{Clock, Rate};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Accounts, EndedLogin, Error, LinkCode, Options, SharedSecret, Signing, Stats,
    accounts::{self, UserName},
    app::App,
    device::{DeviceId, Devices},
    endings::{self, Endings},
    limiter::Limiter,
    links::Links,
    origins::Origins,
    pool::Pool,
    server,
    stats::Counters,
};

/// What the caller brings beside the [`Options`].
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where the accounts and the signing key are.
    pub data_dir: PathBuf,
    /// The pages that may call the service, as browsers name them (`http://127.0.0.1:8000`); the gateway's own first
    /// of all. No other origin is answered.
    pub origins: Vec<String>,
    /// Signs HS256 with this instead of ES256 with a key of our own.
    pub secret: Option<SharedSecret>,
    /// The time.
    pub clock: Clock,
}

impl Setup {
    /// ES256, the machine's clock and no origin: no page may call it.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), origins: Vec::new(), secret: None, clock: Clock::system() }
    }
}

/// The auth service, ready to run.
#[derive(Debug)]
pub struct Service(Arc<App>);

/// Reaches a service from outside, also while it runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(Arc<App>);

impl Service {
    /// Opens the accounts and the signing key. Blocks on the disk; call it at the start.
    ///
    /// # Errors
    /// [`Error::Options`] for options that break a rule, [`Error::Origin`], and whatever opening files brings.
    pub fn new(options: Options, setup: Setup) -> Result<Self, Error> {
        if let Some((key, message)) = options.validate().into_iter().next() {
            return Err(Error::Options { key, message });
        }
        let origins = Origins::new(&setup.origins)?;
        let signing = Signing::open(&setup.data_dir, setup.secret.as_ref())?;
        let requests = Rate::per_second(options.server.requests_per_second, options.server.request_burst);
        let path = accounts::file(&setup.data_dir);
        let accounts = Accounts::open_with(path, &options.passwords, setup.clock.clone())?;
        Ok(Self(Arc::new(App {
            origins,
            lines: Lines::new("auth", setup.clock.instant()),
            clock: setup.clock,
            accounts,
            signing,
            limiter: Limiter::new(&options.attempts),
            links: Links::default(),
            counters: Counters::default(),
            hashes: Pool::new(options.passwords.concurrency.get(), options.passwords.queue),
            database: Pool::new(1, options.server.max_requests.get()),
            endings: Arc::new(Endings::default()),
            requests: Mutex::new(Allowances::new(requests, options.attempts.table_size.get() as usize)),
            proxies: Proxies::new(options.trusted_proxies.as_deref().unwrap_or_default()),
            devices: Devices::open(&setup.data_dir)?,
            options,
        })))
    }

    /// A handle on it.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.0))
    }

    /// Serves until `drain` is cancelled, then lets requests under way end, for `server.drain_timeout` at most.
    ///
    /// # Errors
    /// None at present: what goes wrong with a connection ends that connection alone.
    pub async fn run(self, listener: TcpListener, drain: CancellationToken) -> Result<(), Error> {
        let App { database, accounts, endings, clock, .. } = &*self.0;
        let watch = endings::watch(database.clone(), accounts.clone(), Arc::clone(endings), clock.clone());
        tokio::select! {
            () = server::run(Arc::clone(&self.0), listener, drain) => {}
            () = watch => {}
            () = sum_up(&self.0) => {}
        }
        Ok(())
    }
}

/// Tells now and then what was left out of the log, for ever.
async fn sum_up(app: &App) {
    loop {
        tokio::time::sleep(SUM_INTERVAL).await;
        app.lines.sum_up(app.clock.instant());
    }
}

const SUM_INTERVAL: Duration = Duration::from_secs(5);

impl Handle {
    /// Makes a one-time login link for a user (their [`User::id`](crate::User::id)), good for `lifetime`, a second to a
    /// day. The page posts its code to `/auth/link`.
    ///
    /// # Errors
    /// [`Error::LinkLifetime`] and [`Error::TooManyLinks`]. Whether the user exists is seen when the link is used.
    pub fn create_link(&self, user_id: &str, lifetime: Duration) -> Result<LinkCode, Error> {
        self.0.links.create(user_id, lifetime, self.0.clock.unix_ms())
    }

    /// A device token for the account of that name, as a login gives one: it opens nothing, and keeps attempts for whoever
    /// has it. None for a text that can be no name.
    pub fn device_token(&self, name: &str) -> Option<String> {
        let name = UserName::parse(name).ok()?;
        Some(self.0.devices.issue(
            &name.key,
            crate::random::<{ size_of::<DeviceId>() }>(),
            self.0.clock.unix_seconds(),
        ))
    }

    /// Has `hear` told of each login that ends, whoever ends it: in this process at once, in another one within half a
    /// second; and now of those that ended before. To be called once, before the service runs. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::Accounts`] if the accounts cannot be read.
    pub fn on_end(&self, hear: impl Fn(Vec<EndedLogin>) + Send + Sync + 'static) -> Result<(), Error> {
        self.0.endings.listen(hear);
        self.0.endings.tell(&self.0.accounts).map_err(Error::Accounts)
    }

    /// The public keys as a JWK set; empty where a shared secret signs.
    pub fn jwks(&self) -> &Value {
        self.0.signing.jwks()
    }

    /// What signs the access tokens, for the key set that verifies them.
    pub fn signing(&self) -> &Signing {
        &self.0.signing
    }

    /// The accounts. Their methods block.
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// The `iss` of the access tokens.
    pub fn issuer(&self) -> &str {
        &self.0.options.issuer
    }

    /// The `aud` of the access tokens.
    pub fn audience(&self) -> &str {
        &self.0.options.audience
    }

    /// What the service did so far.
    pub fn stats(&self) -> Stats {
        self.0.counters.read(self.0.accounts.hasher().computed())
    }
}
