//! One allowance for each key, in a table that is bounded.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use portcullis_units::{Gcra, Rate, Wait};

/// One allowance for each key. A key that is not in the table has its full one.
///
/// Where the table is full, those are forgotten of which the least is missing: whoever floods it with new keys so
/// forgets their own, and not the one that is under attack.
#[derive(Debug)]
pub struct Allowances<K> {
    rate: Rate,
    capacity: usize,
    used: HashMap<K, Gcra>,
}

impl<K: Eq + Hash> Allowances<K> {
    /// A table of `capacity` keys, one at least, with the same rate for each.
    pub fn new(rate: Rate, capacity: usize) -> Self {
        Self { rate, capacity: capacity.max(1), used: HashMap::new() }
    }

    /// Uses one.
    ///
    /// # Errors
    ///
    /// None is left: how long to wait for it. What is refused uses nothing.
    pub fn take(&mut self, key: K, now: Instant) -> Result<(), Wait> {
        let rate = self.rate;
        self.entry(key, now).take(&rate, now)
    }

    /// What [`take`](Self::take) would say, without using any.
    ///
    /// # Errors
    ///
    /// None is left: how long to wait for it.
    pub fn ask(&self, key: &K, now: Instant) -> Result<(), Wait> {
        self.used.get(key).map_or(Ok(()), |used| used.ask(&self.rate, now))
    }

    /// How long until nothing is missing.
    pub fn missing(&self, key: &K, now: Instant) -> Duration {
        self.used.get(key).map_or_else(Default::default, |used| used.missing(now))
    }

    /// Gives one back, as if it had not been used.
    pub fn refund(&mut self, key: &K) {
        if let Some(used) = self.used.get_mut(key) {
            used.refund(&self.rate);
        }
    }

    /// Gives all of a key's back.
    pub fn restore(&mut self, key: &K) {
        self.used.remove(key);
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    fn entry(&mut self, key: K, now: Instant) -> &mut Gcra {
        if self.used.len() >= self.capacity && !self.used.contains_key(&key) {
            self.forget(now);
        }
        self.used.entry(key).or_default()
    }

    /// Makes room: those with nothing missing go, and if that is not enough, an eighth of the table, the fullest first.
    fn forget(&mut self, now: Instant) {
        self.used.retain(|_, used| !used.is_full(now));
        if self.used.len() < self.capacity {
            return;
        }
        let mut all: Vec<Gcra> = self.used.values().copied().collect();
        let last = (all.len() / 8).min(all.len() - 1);
        let (_, &mut limit, _) = all.select_nth_unstable(last);
        let mut room = last + 1;
        self.used.retain(|_, used| {
            let goes = *used <= limit && room > 0;
            room -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use portcullis_units::Clock;

    use super::*;

    fn table(burst: u32, capacity: usize) -> Allowances<String> {
        Allowances::new(Rate::new(Duration::from_secs(5), NonZeroU32::new(burst).unwrap()), capacity)
    }

    #[test]
    fn each_key_has_its_own() {
        let (mut table, now) = (table(1, 9), Clock::system().instant());
        assert!(table.take("a".into(), now).is_ok());
        assert_eq!(table.take("a".into(), now).unwrap_err().as_secs(), 5);
        assert!(table.ask(&"b".into(), now).is_ok());
        assert!(table.take("b".into(), now).is_ok());
        table.refund(&"a".into());
        assert!(table.take("a".into(), now).is_ok());
        table.restore(&"b".into());
        assert_eq!((table.missing(&"b".into(), now), table.len()), (Duration::ZERO, 1));
    }

    #[test]
    fn a_flood_of_keys_does_not_make_room_for_the_one_under_attack() {
        let (mut table, now) = (table(3, 64), Clock::system().instant());
        for _ in 0..3 {
            table.take("ada".into(), now).unwrap();
        }
        for n in 0..10_000 {
            table.take(format!("noise {n}"), now + Duration::from_millis(1)).unwrap();
        }
        assert!(table.take("ada".into(), now + Duration::from_millis(1)).is_err());
        assert!(table.len() <= 64);
    }
}
