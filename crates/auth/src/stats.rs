//! What the service did so far, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Logins by password that succeeded.
    pub logins: u64,
    /// Logins by password that failed: wrong password, unknown name, disabled account.
    pub login_failures: u64,
    /// Login attempts refused because there were too many.
    pub rate_limited: u64,
    /// Logins by one-time link.
    pub link_logins: u64,
    /// Refresh tokens taken for their successor.
    pub refreshes: u64,
    /// Refresh tokens that came a second time.
    pub reuses: u64,
    /// Logins ended by their owner.
    pub logouts: u64,
    /// Requests turned away because the service was busy.
    pub overloads: u64,
    /// Password hashes computed.
    pub password_hashes: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub logins: Counter,
    pub login_failures: Counter,
    pub rate_limited: Counter,
    pub link_logins: Counter,
    pub refreshes: Counter,
    pub reuses: Counter,
    pub logouts: Counter,
    pub overloads: Counter,
}

impl Counters {
    pub(crate) fn read(&self, password_hashes: u64) -> Stats {
        Stats {
            logins: self.logins.get(),
            login_failures: self.login_failures.get(),
            rate_limited: self.rate_limited.get(),
            link_logins: self.link_logins.get(),
            refreshes: self.refreshes.get(),
            reuses: self.reuses.get(),
            logouts: self.logouts.get(),
            overloads: self.overloads.get(),
            password_hashes,
        }
    }
}

/// One count.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
