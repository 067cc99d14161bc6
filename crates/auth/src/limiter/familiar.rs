//! Who has logged in before: devices, and names at hosts.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use portcullis_peer::Host;
use portcullis_units::{Gcra, Rate, Wait};

use super::NameKey;
use crate::device::DeviceId;

/// The most of one name that are remembered.
const OF_A_NAME: usize = 16;

/// What somebody who logged in before is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// A device token of the name's.
    Device(DeviceId),
    /// The host that the name logged in from.
    Host(Host),
}

/// Who has logged in before, each with an allowance of its own that no stranger can touch.
///
/// A name has an entry from its first login on, so there are as many as accounts, and `capacity` at most.
#[derive(Debug)]
pub(super) struct Familiar {
    rates: Rates,
    capacity: usize,
    names: HashMap<NameKey, Name>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// Of all signs of a name together.
    pub(super) name: Rate,
    /// Of one sign.
    pub(super) attempts: Rate,
    /// Of one sign, and given back by a login.
    pub(super) failures: Rate,
}

#[derive(Debug)]
struct Name {
    attempts: Gcra,
    /// Those used last are at the end.
    signs: VecDeque<Known>,
    used: Instant,
}

#[derive(Debug)]
struct Known {
    sign: Sign,
    attempts: Gcra,
    failures: Gcra,
}

impl Familiar {
    pub(super) fn new(rates: Rates, capacity: usize) -> Self {
        Self { rates, capacity, names: HashMap::new() }
    }

    /// Counts an attempt of somebody with this sign. None where the sign is not known.
    pub(super) fn take(&mut self, name: NameKey, sign: Sign, now: Instant) -> Option<Result<(), Wait>> {
        if matches!(sign, Sign::Device(_)) {
            // Its token was checked: it is known, if only since the last start.
            self.meet(name, sign, now);
        }
        let name = self.names.get_mut(&name)?;
        let Name { attempts: all, signs, .. } = name;
        let known = signs.iter_mut().find(|known| known.sign == sign)?;
        let rates = &self.rates;
        let uses = [
            (all, &rates.name),
            (&mut known.attempts, &rates.attempts),
            (&mut known.failures, &rates.failures),
        ];
        if let Some(wait) = uses.iter().filter_map(|(used, rate)| used.ask(rate, now).err()).max() {
            return Some(Err(wait));
        }
        for (used, rate) in uses {
            let _ = used.take(rate, now);
        }
        Some(Ok(()))
    }

    /// As if the attempt had not been made.
    pub(super) fn refund(&mut self, name: NameKey, sign: Sign) {
        let rates = self.rates;
        let Some(name) = self.names.get_mut(&name) else { return };
        name.attempts.refund(&rates.name);
        if let Some(known) = name.signs.iter_mut().find(|known| known.sign == sign) {
            known.attempts.refund(&rates.attempts);
            known.failures.refund(&rates.failures);
        }
    }

    /// Somebody with this sign has logged in.
    pub(super) fn succeeded(&mut self, name: NameKey, sign: Sign, now: Instant) {
        self.meet(name, sign, now).failures = Gcra::default();
    }

    fn meet(&mut self, name: NameKey, sign: Sign, now: Instant) -> &mut Known {
        if self.names.len() >= self.capacity && !self.names.contains_key(&name) {
            let oldest = self.names.iter().min_by_key(|(_, name)| name.used).map(|(&key, _)| key);
            oldest.and_then(|oldest| self.names.remove(&oldest));
        }
        let new = || Name { attempts: Gcra::default(), signs: VecDeque::new(), used: now };
        let Name { signs, used, .. } = self.names.entry(name).or_insert_with(new);
        *used = now;
        let at = signs.iter().position(|known| known.sign == sign);
        let known = at.and_then(|at| signs.remove(at));
        if signs.len() == OF_A_NAME {
            signs.pop_front();
        }
        signs.push_back(known.unwrap_or_else(|| Known {
            sign,
            attempts: Gcra::default(),
            failures: Gcra::default(),
        }));
        signs.back_mut().expect("one was just added")
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, num::NonZeroU32, time::Duration};

    use portcullis_units::Clock;

    use super::*;

    const ADA: NameKey = [1; 16];

    fn familiar(capacity: usize) -> (Familiar, Instant) {
        let rate = |seconds, burst| Rate::new(Duration::from_secs(seconds), NonZeroU32::new(burst).unwrap());
        let rates = Rates { name: rate(5, 50), attempts: rate(5, 12), failures: rate(30, 10) };
        (Familiar::new(rates, capacity), Clock::system().instant())
    }

    fn host(n: u8) -> Sign {
        Sign::Host(IpAddr::from([192, 0, 2, n]).into())
    }

    #[test]
    fn a_host_is_known_once_it_logged_in_and_a_device_by_its_token() {
        let (mut familiar, now) = familiar(9);
        assert_eq!(familiar.take(ADA, host(1), now), None);
        familiar.succeeded(ADA, host(1), now);
        assert_eq!(familiar.take(ADA, host(1), now), Some(Ok(())));
        assert_eq!(familiar.take(ADA, host(2), now), None);
        assert_eq!(familiar.take([2; 16], host(1), now), None);
        assert_eq!(familiar.take(ADA, Sign::Device([7; 16]), now), Some(Ok(())));
    }

    #[test]
    fn each_has_its_own_allowance_and_a_login_gives_the_failures_back() {
        let (mut familiar, now) = familiar(9);
        for sign in [host(1), host(2)] {
            familiar.succeeded(ADA, sign, now);
            for _ in 0..10 {
                assert_eq!(familiar.take(ADA, sign, now), Some(Ok(())));
            }
            assert_eq!(familiar.take(ADA, sign, now).unwrap().unwrap_err().as_secs(), 30);
        }
        familiar.succeeded(ADA, host(1), now);
        for _ in 0..2 {
            assert_eq!(familiar.take(ADA, host(1), now), Some(Ok(())));
        }
        // Whoever knows the password cannot log in without end either.
        assert_eq!(familiar.take(ADA, host(1), now).unwrap().unwrap_err().as_secs(), 5);
    }

    #[test]
    fn many_devices_of_one_name_share_a_bound() {
        let (mut familiar, now) = familiar(9);
        let taken =
            (0..=255).filter(|&n| familiar.take(ADA, Sign::Device([n; 16]), now).unwrap().is_ok()).count();
        assert_eq!(taken, 50);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut familiar, now) = familiar(3);
        for n in 0..100 {
            familiar.succeeded(ADA, host(n), now);
            familiar.succeeded([n; 16], host(1), now + Duration::from_secs(n.into()));
        }
        assert_eq!(familiar.names.len(), 3);
        assert!(familiar.names.values().all(|name| name.signs.len() <= OF_A_NAME));
        assert_eq!(familiar.take([99; 16], host(1), now), Some(Ok(())), "the last one stays");
    }

    #[test]
    fn an_attempt_taken_back_costs_nothing() {
        let (mut familiar, now) = familiar(9);
        familiar.succeeded(ADA, host(1), now);
        for _ in 0..1_000 {
            assert_eq!(familiar.take(ADA, host(1), now), Some(Ok(())));
            familiar.refund(ADA, host(1));
        }
    }
}
