//! Counts over time in a bounded number of steps, whatever the span, in any order of time.

#![expect(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "steps are counted from the first one, and are fewer than a thousand"
)]

use std::collections::VecDeque;

use crate::time::Millis;

/// The steps of a report.
pub(crate) const STEPS: usize = 24;

/// Counts in steps of equal width, which doubles whenever the span outgrows [`Series::MOST`] steps.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    width: i64,
    /// The number of the first step, counted from 1970.
    first: i64,
    counts: VecDeque<u64>,
}

impl Default for Series {
    fn default() -> Self {
        Self { width: 1000, first: 0, counts: VecDeque::new() }
    }
}

impl Series {
    const MOST: usize = 512;

    pub(crate) fn add(&mut self, at: Millis) {
        loop {
            let step = at.div_euclid(self.width);
            if self.counts.is_empty() {
                self.first = step;
            }
            let last = self.first + self.counts.len() as i64 - 1;
            let span = step.max(last) - step.min(self.first) + 1;
            if span <= Self::MOST as i64 {
                while step < self.first {
                    self.counts.push_front(0);
                    self.first -= 1;
                }
                while step >= self.first + self.counts.len() as i64 {
                    self.counts.push_back(0);
                }
                self.counts[(step - self.first) as usize] += 1;
                return;
            }
            self.widen();
        }
    }

    fn widen(&mut self) {
        let mut counts = VecDeque::with_capacity(self.counts.len() / 2 + 1);
        let first = self.first.div_euclid(2);
        for (offset, count) in self.counts.iter().enumerate() {
            let step = ((self.first + offset as i64).div_euclid(2) - first) as usize;
            if step == counts.len() {
                counts.push_back(0);
            }
            counts[step] += count;
        }
        self.width *= 2;
        self.first = first;
        self.counts = counts;
    }

    /// The counts in [`STEPS`] equal steps of a span; empty where nothing has a time.
    pub(crate) fn between(&self, from: Option<Millis>, to: Option<Millis>) -> Vec<u64> {
        let (Some(from), Some(to)) = (from, to) else { return Vec::new() };
        if self.counts.is_empty() {
            return Vec::new();
        }
        let mut out = vec![0; STEPS];
        let span = i128::from((to - from).max(1));
        for (offset, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let at = (self.first + offset as i64).saturating_mul(self.width).clamp(from, to);
            let step = i128::from(at - from) * STEPS as i128 / span;
            out[(step as usize).min(STEPS - 1)] += count;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_memory_is_bounded() {
        let mut series = Series::default();
        let times = [0, 1, 999, 1000, 86_400_000, -5_000_000, 1_757_578_530_000, 253_402_300_799_000];
        for at in times {
            series.add(at);
            assert!(series.counts.len() <= Series::MOST);
        }
        assert_eq!(series.counts.iter().sum::<u64>(), 8);
        let steps = series.between(Some(-5_000_000), Some(253_402_300_799_000));
        assert_eq!(steps.iter().sum::<u64>(), 8);
        assert_eq!((steps[0], steps[STEPS - 1]), (7, 1));
        assert!(Series::default().between(Some(0), Some(1)).is_empty());
    }
}
