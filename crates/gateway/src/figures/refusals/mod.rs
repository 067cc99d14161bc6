//! Refused handshakes, kept for the operator. The log of them is bounded, so that a flood of bad handshakes fills no disk.

mod evidence;
mod ledger;
mod own;
mod shape;

pub(crate) use evidence::Evidence;
pub(crate) use ledger::{Entry, Filter, Ledger};
pub use own::{OwnRefusal, OwnRefusals};

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Log lines for refusals in any one second; the rest is counted and summed up in one line.
const LINES_PER_SECOND: u32 = 100;

/// How many refusals were logged in this second, and how many were not.
#[derive(Debug)]
pub(crate) struct Refusals {
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    lines: u32,
    suppressed: u64,
}

impl Refusals {
    pub(crate) fn new(now: Instant) -> Self {
        Self { window: Mutex::new(Window { began: now, lines: 0, suppressed: 0 }) }
    }

    /// Whether one more refusal gets a line and a record of its own. Every one is counted in the metrics.
    pub(crate) fn may_log(&self, now: Instant) -> bool {
        let (may, suppressed) = self.window.lock().count(now);
        if suppressed > 0 {
            tracing::warn!(suppressed, "more was refused than is logged one by one");
        }
        may
    }
}

impl Window {
    /// Counts one refusal: whether it may be logged, and how many were not in the second that has just ended.
    fn count(&mut self, now: Instant) -> (bool, u64) {
        let mut suppressed = 0;
        if now.saturating_duration_since(self.began) >= Duration::from_secs(1) {
            suppressed = std::mem::take(&mut self.suppressed);
            (self.began, self.lines) = (now, 0);
        }
        let may = self.lines < LINES_PER_SECOND;
        self.lines += u32::from(may);
        self.suppressed += u64::from(!may);
        (may, suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_logged_up_to_the_bound_and_then_summed_up() {
        let now = Instant::now();
        let mut window = Window { began: now, lines: 0, suppressed: 0 };
        let logged = (0..1_000).filter(|_| window.count(now).0).count();
        assert_eq!(logged, LINES_PER_SECOND as usize);
        assert_eq!(window.count(now + Duration::from_secs(1)), (true, 900));
        assert_eq!(window.count(now + Duration::from_secs(1)), (true, 0));
    }
}
