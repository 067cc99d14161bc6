//! One allowance for many, which no few of them can use up for the rest.

use std::{
    hash::Hash,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use portcullis_peer::Allowances;
use portcullis_units::{Rate, Wait};

/// An allowance for each group, shared by its members; and one more for members that have not had any lately.
///
/// A stranger who polls takes whatever comes back to the common allowance the moment it does. So a member's first few
/// tries are not refused with the common allowance, but when as many newcomers as a second one allows are there at the
/// same time: to drain that takes ever new members.
#[derive(Debug)]
pub(super) struct Group<G, M> {
    common: Allowances<G>,
    newcomers: Allowances<G>,
    /// What is left of each member's first tries. All of a member's tries count, whichever allowance they use.
    tries: Allowances<(G, M)>,
}

/// The rates of a [`Group`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    pub(super) common: Rate,
    pub(super) newcomers: Rate,
    pub(super) tries: Rate,
}

impl Rates {
    /// Newcomers: 100 at once, and one each `interval`; a member is one for `tries`, and regains one each `memory`.
    pub(super) fn new(common: Rate, interval: Duration, tries: u32, memory: Duration) -> Self {
        let number = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let newcomers = Rate::new(interval, number(100));
        // Who has used up the common allowance alone is no newcomer any more.
        let tries = Rate::new(memory, number(tries).min(common.burst()));
        Self { common, newcomers, tries }
    }
}

/// Which allowance a try used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Used {
    Common,
    Newcomers,
}

impl<G: Copy + Eq + Hash, M: Copy + Eq + Hash> Group<G, M> {
    pub(super) fn new(rates: Rates, capacity: usize) -> Self {
        Self {
            common: Allowances::new(rates.common, capacity),
            newcomers: Allowances::new(rates.newcomers, capacity),
            tries: Allowances::new(rates.tries, capacity),
        }
    }

    /// Counts a try of `member`'s.
    ///
    /// # Errors
    ///
    /// How long to wait.
    pub(super) fn take(&mut self, group: G, member: M, now: Instant) -> Result<Used, Wait> {
        let newcomer = self.tries.take((group, member), now).is_ok();
        match self.common.take(group, now) {
            Ok(()) => Ok(Used::Common),
            Err(wait) if newcomer => {
                self.newcomers.take(group, now).map(|()| Used::Newcomers).map_err(|other| wait.min(other))
            }
            Err(wait) => Err(wait),
        }
    }

    /// As if a try had not been made.
    pub(super) fn refund(&mut self, group: G, member: M, used: Used) {
        self.tries.refund(&(group, member));
        match used {
            Used::Common => self.common.refund(&group),
            Used::Newcomers => self.newcomers.refund(&group),
        }
    }

    /// Gives the group its common allowance back, and the member its first tries.
    pub(super) fn restore(&mut self, group: G, member: M) {
        self.common.restore(&group);
        self.tries.restore(&(group, member));
    }
}

#[cfg(test)]
mod tests {
    use portcullis_units::Clock;

    use super::*;

    fn group() -> Group<u8, u32> {
        let common = Rate::new(Duration::from_secs(30), NonZeroU32::new(10).unwrap());
        Group::new(Rates::new(common, Duration::from_secs(5), 3, Duration::from_hours(6)), 4_096)
    }

    #[test]
    fn a_member_that_polls_gets_the_common_allowance_and_what_comes_back_to_it() {
        let (mut group, start) = (group(), Clock::system().instant());
        let seconds = 600_u64;
        let taken = (0..seconds * 10)
            .filter(|n| group.take(1, 1, start + Duration::from_millis(n * 100)).is_ok())
            .count() as u64;
        assert!((10 + 19..=10 + 3 + 20).contains(&taken), "{taken}");
    }

    #[test]
    fn newcomers_get_in_whatever_those_before_them_do() {
        let (mut group, start) = (group(), Clock::system().instant());
        for second in 0..600_u64 {
            let now = start + Duration::from_secs(second);
            for member in 0..60 {
                let _ = group.take(1, member, now);
            }
            // The burst is over after two seconds; from then on one gets in each five.
            if second >= 10 && second % 5 == 0 {
                assert!(group.take(1, 1_000 + second as u32, now).is_ok(), "after {second} s");
            }
        }
        assert!(group.take(2, 1, start).is_ok(), "another group");
    }

    #[test]
    fn to_keep_newcomers_out_takes_new_members_all_the_time() {
        // 60 members that do not poll but keep their tries for the moment when a place is free.
        let (mut group, start) = (group(), Clock::system().instant());
        for _ in 0..10 {
            group.take(1, 0, start).unwrap();
        }
        let mut tries: Vec<u32> = (1..=60).flat_map(|member| [member; 3]).collect();
        let mut second = 0;
        let first = loop {
            let now = start + Duration::from_secs(second);
            while tries.last().is_some_and(|&member| {
                group.newcomers.ask(&1, now).is_ok() && group.take(1, member, now).is_ok()
            }) {
                tries.pop();
            }
            if group.take(1, 10_000 + second as u32, now).is_ok() {
                break second;
            }
            second += 1;
        };
        // 180 tries: 100 at once and then one in five seconds, and one in thirty of the common ones.
        assert!((330..=400).contains(&first), "after {first} s");
    }

    #[test]
    fn a_try_taken_back_costs_nothing() {
        let (mut group, now) = (group(), Clock::system().instant());
        for _ in 0..1_000 {
            let used = group.take(1, 1, now).unwrap();
            group.refund(1, 1, used);
        }
        for _ in 0..10 {
            assert_eq!(group.take(1, 2, now), Ok(Used::Common));
        }
        for _ in 0..1_000 {
            let used = group.take(1, 1, now).unwrap();
            assert_eq!(used, Used::Newcomers);
            group.refund(1, 1, used);
        }
    }
}
