//! The time, from one place, which tests and simulations can move.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Tells the time: monotonic for deadlines, rates and durations; of day for what is shown, written down or signed.
///
/// The time of day can be set forth and back while a server runs, so nothing that protects is to hang on it alone.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<dyn Time>>);

/// What a [`Clock`] that is not the machine's shows.
pub trait Time: Send + Sync {
    /// Monotonic time.
    fn instant(&self) -> Instant;

    /// The time of day, since 1970-01-01T00:00:00Z.
    fn since_epoch(&self) -> Duration;
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that shows another time.
    pub fn of(time: impl Time + 'static) -> Self {
        Self(Some(Arc::new(time)))
    }

    /// A clock that stands at `seconds` since 1970 until its hand moves it.
    pub fn manual(seconds: u64) -> (Self, Hand) {
        let hand = Hand(Arc::new(Manual::new(seconds)));
        (Self(Some(Arc::clone(&hand.0) as Arc<dyn Time>)), hand)
    }

    /// Monotonic time.
    #[inline]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn instant(&self) -> Instant {
        match &self.0 {
            None => Instant::now(),
            Some(time) => time.instant(),
        }
    }

    /// How long ago `then` was; nothing for what is still to come.
    pub fn since(&self, then: Instant) -> Duration {
        self.instant().saturating_duration_since(then)
    }

    /// The time of day, since 1970-01-01T00:00:00Z; nothing where the machine's clock stands before that.
    #[inline]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn since_epoch(&self) -> Duration {
        match &self.0 {
            None => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Some(time) => time.since_epoch(),
        }
    }

    /// The time of day, in milliseconds since 1970.
    pub fn unix_ms(&self) -> u64 {
        u64::try_from(self.since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time of day, in whole seconds since 1970, as tokens have it.
    pub fn unix_seconds(&self) -> u64 {
        self.since_epoch().as_secs()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Clock(moved)" } else { "Clock(system)" })
    }
}

/// The hand on a [`Clock::manual`].
#[derive(Clone)]
pub struct Hand(Arc<Manual>);

impl Hand {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.0.passed_ms.fetch_add(millis(by), Ordering::SeqCst);
        self.0.since_epoch_ms.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Puts the time of day at `seconds` since 1970, as an operator does. Monotonic time knows nothing of it.
    pub fn set(&self, seconds: u64) {
        self.0.since_epoch_ms.store(seconds.saturating_mul(1_000), Ordering::SeqCst);
    }
}

impl fmt::Debug for Hand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hand").finish_non_exhaustive()
    }
}

/// Both times, moved by hand.
struct Manual {
    began: Instant,
    passed_ms: AtomicU64,
    since_epoch_ms: AtomicU64,
}

impl Manual {
    fn new(seconds: u64) -> Self {
        Self {
            began: Clock::system().instant(),
            passed_ms: AtomicU64::new(0),
            since_epoch_ms: AtomicU64::new(seconds.saturating_mul(1_000)),
        }
    }
}

impl Time for Manual {
    fn instant(&self) -> Instant {
        self.began + Duration::from_millis(self.passed_ms.load(Ordering::SeqCst))
    }

    fn since_epoch(&self) -> Duration {
        Duration::from_millis(self.since_epoch_ms.load(Ordering::SeqCst))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let (clock, hand) = Clock::manual(1_700_000_000);
        let began = clock.instant();
        assert_eq!((clock.unix_seconds(), clock.since(began)), (1_700_000_000, Duration::ZERO));
        hand.advance(Duration::from_millis(1_500));
        assert_eq!(clock.unix_ms(), 1_700_000_001_500);
        assert_eq!(clock.since(began), Duration::from_millis(1_500));
    }

    #[test]
    fn monotonic_time_knows_nothing_of_a_clock_that_is_set() {
        let (clock, hand) = Clock::manual(1_700_000_000);
        let began = clock.instant();
        for seconds in [1_700_007_200, 5] {
            hand.set(seconds);
            assert_eq!((clock.unix_seconds(), clock.since(began)), (seconds, Duration::ZERO));
        }
    }

    #[test]
    fn a_copy_shows_the_same_time() {
        let (clock, hand) = Clock::manual(1);
        let copy = clock.clone();
        hand.advance(Duration::from_secs(2));
        assert_eq!((clock.unix_seconds(), copy.unix_seconds()), (3, 3));
    }

    #[test]
    fn the_machines_clock_is_past_2024_and_goes_on() {
        let clock = Clock::system();
        assert!(clock.unix_seconds() > 1_704_067_200);
        let began = clock.instant();
        assert!(clock.instant() >= began);
        assert_eq!(clock.since(began + Duration::from_hours(1)), Duration::ZERO);
    }
}
