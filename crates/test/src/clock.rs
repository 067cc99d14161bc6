//! The time of tests: real where processes are tested, the runtime's where that is paused.

use std::time::{Duration, Instant};

use portcullis_units::{Clock, Time};

/// The machine's clock: processes live in real time.
pub(crate) static CLOCK: Clock = Clock::system();

/// A clock that shows the runtime's time, which a test may pause. The time of day is `seconds` since 1970 now, and goes
/// along.
pub fn runtime_clock(seconds: u64) -> Clock {
    Clock::of(Runtime { began: now(), since_epoch: Duration::from_secs(seconds) })
}

struct Runtime {
    began: Instant,
    since_epoch: Duration,
}

impl Time for Runtime {
    fn instant(&self) -> Instant {
        now()
    }

    fn since_epoch(&self) -> Duration {
        self.since_epoch + now().saturating_duration_since(self.began)
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
