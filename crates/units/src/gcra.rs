//! How often something may happen: the generic cell rate algorithm (ITU-T I.371, annex A).

use std::{
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A burst that may be used at once, and how long it takes until one of it has come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What one use takes away.
    interval: Duration,
    /// How much may be taken away in advance: all of the burst but the use that is asked for.
    tolerance: Duration,
    burst: NonZeroU32,
}

impl Rate {
    /// One each `interval`, and `burst` of them at once.
    ///
    /// An interval of no time allows everything; one beyond thirty years is cut to that, so that no sum overflows.
    pub fn new(interval: Duration, burst: NonZeroU32) -> Self {
        let interval = interval.min(LONGEST);
        Self { interval, tolerance: interval.saturating_mul(burst.get() - 1), burst }
    }

    /// So many in a second, and `burst` of them at once.
    pub fn per_second(number: NonZeroU32, burst: NonZeroU32) -> Self {
        Self::new(Duration::from_secs(1) / number.get(), burst)
    }

    /// How many may come at once.
    pub const fn burst(&self) -> NonZeroU32 {
        self.burst
    }
}

/// Thirty years: as many of them as a burst can count are still far from the end of what an [`Instant`] holds.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

/// What is left of one allowance.
///
/// All that is kept is when it will be full again, so it takes 16 bytes, needs no timer and costs nothing while it is
/// idle. The caller brings its [`Rate`] and monotonic time: an allowance on the wall clock would be gone for hours when
/// that is set back. The order is that of fullness: the fullest is the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gcra {
    /// The theoretical arrival time; none while nothing was taken yet.
    full_at: Option<Instant>,
}

impl Gcra {
    /// Uses one.
    ///
    /// # Errors
    ///
    /// None is left: how long to wait for it. What is refused uses nothing.
    #[inline]
    pub fn take(&mut self, rate: &Rate, now: Instant) -> Result<(), Wait> {
        let start = self.full_at.map_or(now, |full_at| full_at.max(now));
        match start.saturating_duration_since(now).checked_sub(rate.tolerance) {
            Some(wait) if !wait.is_zero() => Err(Wait(wait)),
            _ => {
                self.full_at = Some(start + rate.interval);
                Ok(())
            }
        }
    }

    /// What [`take`](Self::take) would say, without using any.
    ///
    /// # Errors
    ///
    /// None is left: how long to wait for it.
    pub fn ask(mut self, rate: &Rate, now: Instant) -> Result<(), Wait> {
        self.take(rate, now)
    }

    /// Uses so many, whether they are there or not: what is missing has to come back before the next use.
    pub fn charge(&mut self, rate: &Rate, number: u32, now: Instant) {
        let start = self.full_at.map_or(now, |full_at| full_at.max(now));
        self.full_at = start.checked_add(rate.interval.saturating_mul(number)).or(self.full_at);
    }

    /// Gives one back, as if it had not been taken.
    pub fn refund(&mut self, rate: &Rate) {
        self.full_at = self.full_at.and_then(|full_at| full_at.checked_sub(rate.interval));
    }

    /// How long until nothing is missing.
    pub fn missing(&self, now: Instant) -> Duration {
        self.full_at.map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now))
    }

    /// Whether nothing is missing, so that it need not be remembered.
    pub fn is_full(&self, now: Instant) -> bool {
        self.missing(now).is_zero()
    }
}

/// An allowance that several share.
#[derive(Debug, Default)]
pub struct Allowance(Mutex<Gcra>);

impl Allowance {
    /// Uses one.
    ///
    /// # Errors
    ///
    /// None is left: how long to wait for it.
    pub fn take(&self, rate: &Rate, now: Instant) -> Result<(), Wait> {
        self.gcra().take(rate, now)
    }

    /// What [`take`](Self::take) would say, without using any.
    ///
    /// # Errors
    ///
    /// None is left: how long to wait for it.
    pub fn ask(&self, rate: &Rate, now: Instant) -> Result<(), Wait> {
        self.gcra().ask(rate, now)
    }

    /// Uses so many, whether they are there or not.
    pub fn charge(&self, rate: &Rate, number: u32, now: Instant) {
        self.gcra().charge(rate, number, now);
    }

    fn gcra(&self) -> MutexGuard<'_, Gcra> {
        // A panic elsewhere leaves it whole: it is one value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long until the next use is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(Duration);

impl Wait {
    /// The standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// In whole seconds, rounded up, as `Retry-After` counts (RFC 9110 §10.2.3).
    pub fn as_secs(self) -> u32 {
        let seconds = self.0.as_secs().saturating_add(u64::from(self.0.subsec_nanos() > 0));
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::Clock;

    fn number(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn a_burst_is_taken_then_one_each_interval() {
        let (rate, now) = (Rate::per_second(number(2), number(3)), Clock::system().instant());
        let mut allowance = Gcra::default();
        for _ in 0..3 {
            assert_eq!(allowance.take(&rate, now), Ok(()));
        }
        let wait = allowance.take(&rate, now).unwrap_err();
        assert_eq!((wait.get(), wait.as_secs()), (Duration::from_millis(500), 1));
        let later = now + Duration::from_millis(500);
        assert_eq!(allowance.take(&rate, later), Ok(()));
        assert!(allowance.take(&rate, later).is_err());
        assert_eq!(allowance.missing(later), Duration::from_millis(1500));
        assert!(!allowance.is_full(later) && allowance.is_full(later + Duration::from_millis(1500)));
    }

    #[test]
    fn seconds_to_wait_are_rounded_up() {
        for (millis, seconds) in [(1, 1), (1_000, 1), (1_001, 2), (u64::MAX, u32::MAX)] {
            assert_eq!(Wait(Duration::from_millis(millis)).as_secs(), seconds, "{millis} ms");
        }
        assert_eq!(Wait(Duration::MAX).as_secs(), u32::MAX);
    }

    #[test]
    fn the_least_is_the_fullest() {
        let (rate, now) = (Rate::per_second(number(1), number(9)), Clock::system().instant());
        let (mut one, mut two) = (Gcra::default(), Gcra::default());
        one.take(&rate, now).unwrap();
        for _ in 0..2 {
            two.take(&rate, now).unwrap();
        }
        assert!(Gcra::default() < one && one < two);
    }

    #[test]
    fn the_ends_of_what_can_be_configured_overflow_nothing() {
        let now = Clock::system().instant();
        let mut allowance = Gcra::default();
        let never = Rate::new(Duration::MAX, number(u32::MAX));
        for _ in 0..3 {
            assert_eq!(allowance.take(&never, now), Ok(()));
        }
        let always = Rate::new(Duration::ZERO, number(1));
        let mut allowance = Gcra::default();
        for _ in 0..3 {
            assert_eq!(allowance.take(&always, now), Ok(()));
        }
    }

    /// What one allowance is asked in the tests below, each after some nanoseconds.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Take,
        Refund,
    }

    fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
        vec(
            (prop_oneof![Just(0), 0u64..3_000], prop_oneof![3 => Just(Step::Take), 1 => Just(Step::Refund)]),
            1..200,
        )
    }

    proptest! {
        /// A bucket that holds credit in nanoseconds, written in the plainest way.
        #[test]
        fn it_allows_what_a_bucket_of_tokens_allows(
            interval in 1u64..2_000,
            burst in 1u32..8,
            steps in steps(),
        ) {
            let rate = Rate::new(Duration::from_nanos(interval), number(burst));
            let full = interval * u64::from(burst);
            let (mut allowance, mut credit) = (Gcra::default(), full);
            let mut now = Clock::system().instant();
            for (pause, step) in steps {
                now += Duration::from_nanos(pause);
                credit = (credit + pause).min(full);
                match step {
                    Step::Take => {
                        let allowed = credit >= interval;
                        prop_assert_eq!(allowance.ask(&rate, now).is_ok(), allowed);
                        prop_assert_eq!(allowance.take(&rate, now).is_ok(), allowed);
                        credit -= if allowed { interval } else { 0 };
                    }
                    Step::Refund => {
                        allowance.refund(&rate);
                        credit = (credit + interval).min(full);
                    }
                }
                prop_assert_eq!(allowance.is_full(now), credit == full);
            }
        }

        #[test]
        fn the_wait_is_exact(interval in 1u64..2_000, burst in 1u32..8, pauses in vec(0u64..3_000, 1..100)) {
            let rate = Rate::new(Duration::from_nanos(interval), number(burst));
            let (mut allowance, mut now) = (Gcra::default(), Clock::system().instant());
            for pause in pauses {
                now += Duration::from_nanos(pause);
                if let Err(wait) = allowance.take(&rate, now) {
                    let just_before = now + wait.get().saturating_sub(Duration::from_nanos(1));
                    prop_assert!(allowance.ask(&rate, just_before).is_err());
                    prop_assert_eq!(allowance.ask(&rate, now + wait.get()), Ok(()));
                }
            }
        }

        /// Threads read the clock before they take a lock, so a time can come a little late.
        #[test]
        fn times_out_of_order_give_no_more_than_the_latest(times in vec(0u64..10_000, 1..200)) {
            let rate = Rate::new(Duration::from_micros(1), number(3));
            let (mut allowance, start) = (Gcra::default(), Clock::system().instant());
            let taken = times
                .iter()
                .filter(|&&at| allowance.take(&rate, start + Duration::from_nanos(at)).is_ok())
                .count() as u64;
            let span = times.iter().max().unwrap() - times.iter().min().unwrap();
            prop_assert!(taken <= 3 + span / 1_000);
        }
    }
}
