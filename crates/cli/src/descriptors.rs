//! Open files: how many the system lets this process have, and who gets them.
//!
//! Every connection is one. What must go on when strangers hold all that they can (the record, the admin listener, files that
//! are opened now and then) has some that no connection gets.

use std::fmt;

use serde::Serialize;

use crate::config::settings::Config;

/// Kept for the record and the accounts, for the admin listener, and for what is opened now and then.
const RESERVE: u64 = 256 + 128 + 64;

/// Connections beyond its limit that the gateway lets in to be told so.
const TOLD: u64 = 256;

/// Below so many connections the server says unasked that it has few descriptors.
const FEW: usize = 1_000;

/// Who may have how many descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Descriptors {
    /// The hard limit on open files.
    limit: u64,
    /// Connections that the gateway takes: `limits.connections`, or fewer.
    pub(crate) connections: usize,
    /// Connections that the auth service takes.
    pub(crate) auth_connections: u32,
    /// Kept for everything else.
    reserve: u64,
}

impl Descriptors {
    /// By the limit of this process, which is raised as far as it can be where the server starts.
    pub(crate) fn of(config: &Config) -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let auth = if config.auth.enabled { config.auth.server.max_connections.get() } else { 0 };
        Self::within(limit.unwrap_or(u64::MAX), config.limits.connections, auth)
    }

    fn within(limit: u64, wanted: usize, auth: u32) -> Self {
        let reserve = RESERVE.min(limit / 2);
        let rest = limit - reserve;
        let auth_connections = u64::from(auth).min(rest / 4);
        let rest = rest - auth_connections;
        let connections = usize::try_from(rest - TOLD.min(rest.div_ceil(2))).unwrap_or(usize::MAX);
        let auth_connections = u32::try_from(auth_connections).unwrap_or(auth);
        Self { limit, connections: connections.min(wanted), auth_connections, reserve }
    }

    /// Why so few connections are taken, where that may come as a surprise.
    pub(crate) fn warning(&self, config: &Config) -> Option<String> {
        (self.connections < FEW.min(config.limits.connections)).then(|| {
            format!(
                "{self}: limits.connections is {}; raise the limit on open files (`LimitNOFILE=` of the unit, `ulimit -Hn`)",
                config.limits.connections
            )
        })
    }
}

impl fmt::Display for Descriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, connections, auth_connections, reserve } = self;
        write!(
            f,
            "of {limit} open files the gateway's connections get {connections}, the auth service's {auth_connections}, \
             and {reserve} are kept for the record, the admin listener and files"
        )
    }
}

/// Raises the limit on open files as far as it may be; the default of many systems is 1,024.
pub(crate) fn raise_limit() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_limit_is_it_is_enough_for_all() {
        for (limit, wanted, auth, connections, auth_connections) in [
            (1 << 20, 100_000, 512, 100_000, 512),
            (20_000, 100_000, 512, 18_784, 512),
            (4_096, 100_000, 512, 2_880, 512),
            (1_024, 100_000, 512, 216, 144),
            (1_024, 100, 512, 100, 144),
            (1_024, 100_000, 0, 320, 0),
            (64, 100_000, 512, 12, 8),
            (0, 100_000, 512, 0, 0),
            (u64::MAX, 7, 512, 7, 512),
        ] {
            let share = Descriptors::within(limit, wanted, auth);
            assert_eq!(
                (share.connections, share.auth_connections),
                (connections, auth_connections),
                "{limit}"
            );
        }
        for limit in 256..5_000 {
            let Descriptors { connections, auth_connections, reserve, .. } =
                Descriptors::within(limit, usize::MAX, 512);
            // As the gateway counts those that are told that it is full.
            let told = connections.clamp(16, 256) as u64;
            let all = connections as u64 + told + u64::from(auth_connections) + reserve;
            assert!(all <= limit, "{limit}: {all}");
        }
    }
}
