//! Where the time comes from.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Tells the time of day, for what is written down, and the time that passes, for limits; tests move both by hand.
///
/// They are two, because the time of day jumps when it is set, and a limit must not.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<Hands>>);

struct Hands {
    /// Milliseconds since the epoch.
    time_of_day: AtomicU64,
    start: Instant,
    /// Milliseconds since the start.
    passed: AtomicU64,
}

impl Clock {
    /// The machine's clocks.
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `seconds` until its second half moves it.
    pub fn manual(seconds: u64) -> (Self, ManualClock) {
        let hands = Arc::new(Hands {
            time_of_day: AtomicU64::new(seconds.saturating_mul(1_000)),
            start: Instant::now(),
            passed: AtomicU64::new(0),
        });
        (Self(Some(Arc::clone(&hands))), ManualClock(hands))
    }

    /// Seconds since the epoch.
    pub fn now(&self) -> u64 {
        self.now_ms() / 1_000
    }

    /// Milliseconds since the epoch; 0 where the machine's clock stands before it.
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Some(hands) => hands.time_of_day.load(Ordering::SeqCst),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// The time that passes, whatever is done to the time of day.
    pub fn monotonic(&self) -> Instant {
        match &self.0 {
            Some(hands) => hands.start + Duration::from_millis(hands.passed.load(Ordering::SeqCst)),
            None => Instant::now(),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Clock(manual)" } else { "Clock(system)" })
    }
}

/// The hand on a [`Clock::manual`].
#[derive(Clone)]
pub struct ManualClock(Arc<Hands>);

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").finish_non_exhaustive()
    }
}

impl ManualClock {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.0.time_of_day.fetch_add(by, Ordering::SeqCst);
        self.0.passed.fetch_add(by, Ordering::SeqCst);
    }

    /// Sets the time of day to `seconds` since the epoch, without letting any pass.
    pub fn set(&self, seconds: u64) {
        self.0.time_of_day.store(seconds.saturating_mul(1_000), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let (clock, hand) = Clock::manual(1_700_000_000);
        let start = clock.monotonic();
        assert_eq!(clock.now(), 1_700_000_000);
        hand.advance(Duration::from_millis(1_500));
        assert_eq!(clock.now_ms(), 1_700_000_001_500);
        hand.set(5);
        assert_eq!(clock.now(), 5);
        assert_eq!(clock.monotonic() - start, Duration::from_millis(1_500));
    }

    #[test]
    fn the_system_clock_is_past_2024() {
        assert!(Clock::system().now() > 1_704_067_200);
    }
}
