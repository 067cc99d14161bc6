//! How often a name and an address may try to log in.
//!
//! Each key has a bucket of attempts that refills by one per interval, kept as a single point in time: when it will be
//! full again (the generic cell rate algorithm, ITU-T I.371). An unknown name has a bucket like a known one, so being
//! limited tells nothing about whether an account exists.

use std::{collections::HashMap, hash::Hash, net::IpAddr};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::AttemptOptions;

/// Limits login attempts.
#[derive(Debug)]
pub(crate) struct Limiter(Mutex<Tables>);

#[derive(Debug)]
struct Tables {
    accounts: Table<AccountKey>,
    addresses: Table<AddressKey>,
}

/// A name, as a part of its hash: no name however long takes more room, and no list of names lies in memory.
type AccountKey = [u8; 16];

/// What counts as one client: an IPv4 address or an IPv6 /64, which is what one subscriber has (RFC 6177 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AddressKey {
    V4([u8; 4]),
    V6(u64),
}

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// An attempt that was counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    account: AccountKey,
    address: AddressKey,
}

impl Limiter {
    pub(crate) fn new(options: &AttemptOptions) -> Self {
        let capacity = options.table_size.get() as usize;
        let table = |burst: u32, interval: u64| Rate { burst: u64::from(burst), interval: interval.max(1) };
        let account = table(options.account_burst.get(), options.account_interval.as_millis());
        let address = table(options.address_burst.get(), options.address_interval.as_millis());
        Self(Mutex::new(Tables {
            accounts: Table::new(account, capacity),
            addresses: Table::new(address, capacity),
        }))
    }

    /// Counts an attempt against both, or against neither and says in how many seconds to come back.
    ///
    /// `name` is the key form of a user name, or any text that is none.
    pub(crate) fn attempt(&self, name: &str, address: IpAddr, now_ms: u64) -> Result<Attempt, u32> {
        let hash: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let mut account = [0; 16];
        account.copy_from_slice(&hash[..16]);
        let address = AddressKey::from(address);
        let mut tables = self.0.lock();
        let wait = tables.accounts.wait(&account, now_ms).max(tables.addresses.wait(&address, now_ms));
        if wait > 0 {
            return Err(u32::try_from(wait.div_ceil(1_000)).unwrap_or(u32::MAX));
        }
        tables.accounts.charge(account, now_ms);
        tables.addresses.charge(address, now_ms);
        Ok(Attempt { account, address })
    }

    /// The attempt succeeded: the name has all its attempts again, the address keeps its count.
    pub(crate) fn succeeded(&self, attempt: Attempt) {
        self.0.lock().accounts.full_at.remove(&attempt.account);
    }

    /// The attempt was never decided: as if it had not been made.
    pub(crate) fn take_back(&self, attempt: Attempt) {
        let mut tables = self.0.lock();
        tables.accounts.refund(&attempt.account);
        tables.addresses.refund(&attempt.address);
    }
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u64,
    /// Milliseconds.
    interval: u64,
}

#[derive(Debug)]
struct Table<K> {
    rate: Rate,
    capacity: usize,
    /// When a key's bucket is full again; a key without an entry has a full one.
    full_at: HashMap<K, u64>,
}

impl<K: Eq + Hash + Copy> Table<K> {
    fn new(rate: Rate, capacity: usize) -> Self {
        Self { rate, capacity: capacity.max(1), full_at: HashMap::new() }
    }

    /// Milliseconds until the next attempt is allowed; 0 now.
    fn wait(&self, key: &K, now: u64) -> u64 {
        let Some(full_at) = self.full_at.get(key) else { return 0 };
        let missing = full_at.saturating_sub(now);
        missing
            .saturating_add(self.rate.interval)
            .saturating_sub(self.rate.burst.saturating_mul(self.rate.interval))
    }

    fn charge(&mut self, key: K, now: u64) {
        if self.full_at.len() >= self.capacity && !self.full_at.contains_key(&key) {
            self.forget(now);
        }
        let full_at = self.full_at.entry(key).or_insert(now);
        *full_at = (*full_at).max(now).saturating_add(self.rate.interval);
    }

    fn refund(&mut self, key: &K) {
        if let Some(full_at) = self.full_at.get_mut(key) {
            *full_at = full_at.saturating_sub(self.rate.interval);
        }
    }

    /// Makes room: full buckets go, and if that is not enough, an eighth of the table, the fullest first. Whoever
    /// floods the table with new keys so forgets their own, and not the key that is under attack.
    fn forget(&mut self, now: u64) {
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() < self.capacity {
            return;
        }
        let mut ends: Vec<u64> = self.full_at.values().copied().collect();
        let last = (ends.len() / 8).min(ends.len() - 1);
        let (_, &mut limit, _) = ends.select_nth_unstable(last);
        let mut room = last + 1;
        self.full_at.retain(|_, full_at| {
            let goes = *full_at <= limit && room > 0;
            room -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use portcullis_units::Duration;
    use proptest::prelude::*;

    use super::*;

    fn limiter(account: u32, address: u32, table: u32) -> Limiter {
        let number = |n| NonZeroU32::new(n).unwrap();
        Limiter::new(&AttemptOptions {
            account_burst: number(account),
            account_interval: Duration::from_secs(30),
            address_burst: number(address),
            address_interval: Duration::from_secs(5),
            table_size: number(table),
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_limited_from_wherever_it_is_tried() {
        let limiter = limiter(3, 100, 100);
        for n in 1..=3 {
            assert!(limiter.attempt("ada", ip(&format!("192.0.2.{n}")), 0).is_ok());
        }
        assert_eq!(limiter.attempt("ada", ip("192.0.2.9"), 0).err(), Some(30));
        assert_eq!(limiter.attempt("ada", ip("192.0.2.9"), 29_001).err(), Some(1));
        assert!(limiter.attempt("bob", ip("192.0.2.9"), 0).is_ok());
        assert!(limiter.attempt("ada", ip("192.0.2.9"), 30_000).is_ok());
        assert_eq!(limiter.attempt("ada", ip("192.0.2.9"), 30_000).err(), Some(30));
    }

    #[test]
    fn an_address_is_limited_whatever_it_tries() {
        let limiter = limiter(3, 4, 100);
        for n in 0..4 {
            assert!(limiter.attempt(&format!("user {n}"), ip("192.0.2.1"), 0).is_ok());
        }
        assert_eq!(limiter.attempt("another", ip("192.0.2.1"), 0).err(), Some(5));
        assert_eq!(limiter.attempt("another", ip("::ffff:192.0.2.1"), 0).err(), Some(5));
        assert!(limiter.attempt("another", ip("192.0.2.2"), 0).is_ok());
    }

    #[test]
    fn a_64_is_one_address() {
        let limiter = limiter(9, 1, 100);
        assert!(limiter.attempt("a", ip("2001:db8:0:1::1"), 0).is_ok());
        assert!(limiter.attempt("b", ip("2001:db8:0:1:ffff::2"), 0).is_err());
        assert!(limiter.attempt("c", ip("2001:db8:0:2::1"), 0).is_ok());
    }

    #[test]
    fn success_gives_the_name_its_attempts_back_and_not_the_address() {
        let limiter = limiter(2, 3, 100);
        let here = ip("192.0.2.1");
        limiter.attempt("ada", here, 0).unwrap();
        let good = limiter.attempt("ada", here, 0).unwrap();
        limiter.succeeded(good);
        assert!(limiter.attempt("ada", here, 0).is_ok());
        assert_eq!(limiter.attempt("ada", here, 0).err(), Some(5));
    }

    #[test]
    fn an_attempt_taken_back_costs_nothing() {
        let limiter = limiter(1, 1, 100);
        for _ in 0..5 {
            let attempt = limiter.attempt("ada", ip("192.0.2.1"), 1_000).unwrap();
            limiter.take_back(attempt);
        }
        assert!(limiter.attempt("ada", ip("192.0.2.1"), 1_000).is_ok());
        assert!(limiter.attempt("ada", ip("192.0.2.1"), 1_000).is_err());
    }

    #[test]
    fn a_flood_of_names_does_not_make_room_for_the_one_under_attack() {
        let limiter = limiter(3, 1_000_000, 64);
        for _ in 0..3 {
            limiter.attempt("ada", ip("192.0.2.1"), 0).unwrap();
        }
        for n in 0..10_000 {
            limiter.attempt(&format!("noise {n}"), ip("192.0.2.1"), 1).unwrap();
        }
        assert!(limiter.attempt("ada", ip("192.0.2.1"), 1).is_err());
        assert!(limiter.0.lock().accounts.full_at.len() <= 64);
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_its_refill(steps in proptest::collection::vec(0u64..20_000, 1..200)) {
            let limiter = limiter(5, 1_000_000, 8);
            let (mut now, mut taken) = (1_000_000, 0u64);
            let start = now;
            for step in steps {
                now += step;
                taken += u64::from(limiter.attempt("ada", ip("192.0.2.1"), now).is_ok());
                prop_assert!(taken <= 5 + (now - start) / 30_000);
            }
        }
    }
}
