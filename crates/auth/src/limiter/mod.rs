//! Who may try a password, and how soon.
//!
//! Whoever logged in before is known by a device token or by their host, and has an allowance of their own. Strangers
//! share: the names' and the networks' allowances are a [`Group`]'s each, so that whoever is new gets in while others
//! poll, and each host has its own. A name that nobody has is limited like any other, so being limited tells nothing about
//! whether an account exists.

mod familiar;
mod group;

use std::{
    net::IpAddr,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use portcullis_peer::{Allowances, Host, Network};
use portcullis_units::{Rate, Wait};
use sha2::{Digest as _, Sha256};

use self::{
    familiar::{Familiar, Sign},
    group::{Group, Used},
};
use crate::{
    AttemptOptions,
    device::DeviceId,
    pool::{Claim, Lane},
};

/// How many hosts' allowances a network has in all.
const HOSTS_OF_A_NETWORK: u32 = 8;
/// Which part of a host's burst each of those who logged in before has to itself.
const FAMILIAR_PART: u32 = 4;
/// How much sooner than to a host something comes back to those who logged in before. They guess no more often for it,
/// since wrong passwords have a bound of their own.
const FAMILIAR_PACE: u32 = 10;
/// For how long an attempt is held against its host where several wait for their hash.
const ASKED: Duration = Duration::from_mins(1);

/// A name, as a part of its hash: no name however long takes more room, and no list of names lies in memory.
type NameKey = [u8; 16];

/// Limits login attempts.
#[derive(Debug)]
pub(crate) struct Limiter(Mutex<Tables>);

#[derive(Debug)]
struct Tables {
    familiar: Familiar,
    hosts: Allowances<Host>,
    networks: Group<Network, Host>,
    names: Group<NameKey, Site>,
    asked: Asked,
}

/// What counts as one stranger to a name. Of IPv6 hosts one holder has as many as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Site {
    Host(Host),
    Network(Network),
}

impl From<Host> for Site {
    fn from(host: Host) -> Self {
        match host {
            Host::V4(_) => Self::Host(host),
            Host::V6(_) => Self::Network(host.into()),
        }
    }
}

/// An attempt that was counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    name: NameKey,
    host: Host,
    way: Way,
    /// Its place among those that wait for their hash.
    pub(crate) claim: Claim,
}

/// Which allowance let an attempt through; `host` says whether it used one of its host's as well.
#[derive(Clone, Copy, Debug)]
enum Way {
    Familiar { sign: Sign, host: bool },
    Stranger { network: Used, name: Used },
}

impl Limiter {
    pub(crate) fn new(options: &AttemptOptions) -> Self {
        let capacity = options.table_size.get() as usize;
        let name = Rate::new(options.account_interval.get(), options.account_burst);
        let (burst, interval) = (options.address_burst, options.address_interval.get());
        let host = Rate::new(interval, burst);
        let network =
            Rate::new(interval / HOSTS_OF_A_NETWORK, burst.saturating_mul(number(HOSTS_OF_A_NETWORK)));
        let pace = interval / FAMILIAR_PACE;
        let familiar = familiar::Rates {
            name: Rate::new(pace, burst),
            attempts: Rate::new(pace, number(burst.get() / FAMILIAR_PART)),
            failures: name,
        };
        // Of 60 hosts that keep their first tries for the right moment, a name's newcomers are free after seven minutes;
        // of those that poll, at once. A /24 of them is through after an hour.
        let names = group::Rates::new(name, Duration::from_secs(5), 3, Duration::from_hours(6));
        let networks = group::Rates::new(network, Duration::from_secs(1), 5, Duration::from_mins(30));
        Self(Mutex::new(Tables {
            familiar: Familiar::new(familiar, capacity),
            hosts: Allowances::new(host, capacity),
            networks: Group::new(networks, capacity),
            names: Group::new(names, capacity),
            asked: Asked::new(capacity),
        }))
    }

    /// Counts an attempt, or says how long to wait.
    ///
    /// `name` is the key form of a user name, or any text that is none; `device` that of the name's device token, if one
    /// came along and is good.
    pub(crate) fn attempt(
        &self,
        name: &str,
        address: IpAddr,
        device: Option<DeviceId>,
        now: Instant,
    ) -> Result<Attempt, Wait> {
        let (name, host) = (key(name), Host::from(address));
        let mut tables = self.0.lock();
        let asked = tables.asked.add(host, now);
        let attempt = |way, lane| Attempt { name, host, way, claim: Claim { lane, asked, host } };
        let mut longer = None;
        for sign in device.map(Sign::Device).into_iter().chain([Sign::Host(host)]) {
            match tables.familiar.take(name, sign, now) {
                Some(Ok(())) => {
                    // Strangers of the same host have the less, and nothing of theirs can refuse it.
                    let host = tables.hosts.take(host, now).is_ok();
                    return Ok(attempt(Way::Familiar { sign, host }, Lane::Known));
                }
                Some(Err(wait)) => longer = longer.max(Some(wait)),
                None => {}
            }
        }
        match tables.stranger(name, host, now) {
            Ok(way) => Ok(attempt(way, Lane::Stranger)),
            // By then either way lets them in.
            Err(wait) => Err(longer.map_or(wait, |longer| longer.max(wait))),
        }
    }

    /// The attempt succeeded: whoever made it is known from now on, and has all attempts again but for what bounds those
    /// that succeed.
    pub(crate) fn succeeded(&self, attempt: &Attempt, now: Instant) {
        let Attempt { name, host, way, .. } = *attempt;
        let mut tables = self.0.lock();
        tables.familiar.succeeded(name, Sign::Host(host), now);
        match way {
            Way::Familiar { sign, .. } => tables.familiar.succeeded(name, sign, now),
            Way::Stranger { .. } => tables.names.restore(name, host.into()),
        }
    }

    /// Somebody logged in without a password: they are known from now on.
    pub(crate) fn meet(&self, name: &str, address: IpAddr, now: Instant) {
        self.0.lock().familiar.succeeded(key(name), Sign::Host(address.into()), now);
    }

    /// The attempt was never decided: as if it had not been made, but for the order of those that wait.
    pub(crate) fn take_back(&self, attempt: &Attempt) {
        let Attempt { name, host, way, .. } = *attempt;
        let mut tables = self.0.lock();
        match way {
            Way::Familiar { sign, host: used } => {
                tables.familiar.refund(name, sign);
                if used {
                    tables.hosts.refund(&host);
                }
            }
            Way::Stranger { network, name: used } => {
                tables.hosts.refund(&host);
                tables.networks.refund(host.into(), host, network);
                tables.names.refund(name, host.into(), used);
            }
        }
    }
}

impl Tables {
    /// Counts an attempt of somebody who is not known. One that the name refuses is held against the host all the same.
    fn stranger(&mut self, name: NameKey, host: Host, now: Instant) -> Result<Way, Wait> {
        self.hosts.take(host, now)?;
        let network = self.networks.take(host.into(), host, now)?;
        let name = self.names.take(name, host.into(), now)?;
        Ok(Way::Stranger { network, name })
    }
}

/// How much was asked for lately, by each host and by each network.
#[derive(Debug)]
struct Asked {
    hosts: Allowances<Host>,
    networks: Allowances<Network>,
}

impl Asked {
    fn new(capacity: usize) -> Self {
        // An hour's worth of what is asked for is remembered.
        let rate = |parts: u32| Rate::new(ASKED / parts, number(60 * parts));
        Self {
            hosts: Allowances::new(rate(1), capacity),
            networks: Allowances::new(rate(HOSTS_OF_A_NETWORK), capacity),
        }
    }

    /// Adds one, and says how much there was before it.
    fn add(&mut self, host: Host, now: Instant) -> Duration {
        let network = Network::from(host);
        let before = self.hosts.missing(&host, now) + self.networks.missing(&network, now);
        let _ = self.hosts.take(host, now);
        let _ = self.networks.take(network, now);
        before
    }
}

fn key(name: &str) -> NameKey {
    let hash: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    let mut key = [0; 16];
    key.copy_from_slice(&hash[..16]);
    key
}

fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests;
