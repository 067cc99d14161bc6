//! What all requests share.

use std::{fmt, net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use portcullis_peer::{Allowances, Host, Lines, Proxies};
use portcullis_units::Clock;

use crate::{
    Accounts, Options, Signing, accounts::SessionPolicy, device::Devices, endings::Endings, limiter::Limiter,
    links::Links, origins::Origins, pool::Pool, stats::Counters,
};

/// What all requests share.
pub(crate) struct App {
    pub(crate) options: Options,
    pub(crate) origins: Origins,
    pub(crate) clock: Clock,
    pub(crate) accounts: Accounts,
    pub(crate) signing: Signing,
    pub(crate) limiter: Limiter,
    pub(crate) links: Links,
    pub(crate) counters: Counters,
    /// For password hashes.
    pub(crate) hashes: Pool,
    /// For the database: one connection, so one at a time.
    pub(crate) database: Pool,
    pub(crate) endings: Arc<Endings>,
    /// What each host may ask for, whatever it is.
    pub(crate) requests: Mutex<Allowances<Host>>,
    pub(crate) proxies: Proxies,
    pub(crate) devices: Devices,
    /// What is logged of requests, one by one.
    pub(crate) lines: Lines,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("options", &self.options).finish_non_exhaustive()
    }
}

impl App {
    /// Whether one more line of this kind is logged about a request of this client's.
    pub(crate) fn may_log(&self, kind: &'static str, address: IpAddr) -> bool {
        self.lines.may_write(kind, address, self.clock.instant())
    }

    pub(crate) fn session_policy(&self) -> SessionPolicy {
        SessionPolicy {
            refresh_ttl: self.options.refresh_ttl.as_secs(),
            session_ttl: self.options.session_ttl.as_secs(),
            max_per_user: self.options.max_sessions_per_user.get(),
        }
    }
}
