//! The keys of questions: a question is gone soon after its run's end, while its stream stays.
//!
//! Questions are sealed a second time, under a key that all of a while share. Some time after a run has ended, the
//! questions that are still open get another key, and that one is destroyed.

use std::time::{Duration, Instant};

use crate::{clock::CLOCK, failure::Failure, secrets::Secret, slots::Slots};

/// The key that questions are sealed under now.
pub(crate) struct Questions {
    current: Option<(u32, Secret)>,
    /// The number of the next one.
    next: u32,
    /// Whether a run has ended whose question may be under it.
    ended: bool,
    /// Since when this key is used.
    since: Instant,
}

impl Questions {
    /// Begins with the keys that are there.
    pub(crate) fn new(slots: &Slots) -> Result<Self, Failure> {
        let mut live = slots.generations()?;
        live.sort_unstable();
        let last = live.last().copied();
        let current = match last.map(|generation| (generation, slots.generation(generation))) {
            Some((generation, Ok(secret))) => Some((generation, secret)),
            _ => None,
        };
        // Whether runs ended before the last end is not known.
        Ok(Self { current, next: last.unwrap_or(0) + 1, ended: true, since: CLOCK.instant() })
    }

    /// The key for a question; whether it is new.
    pub(crate) fn key(&mut self, slots: &Slots) -> Result<(u32, &Secret, bool), Failure> {
        let new = self.current.is_none();
        if new {
            self.current = Some((self.next, slots.fill_generation(self.next)?));
            self.next += 1;
            self.since = CLOCK.instant();
        }
        let (generation, secret) = self.current.as_ref().expect("it was just seen to");
        Ok((*generation, secret, new))
    }

    /// Says that a run has ended.
    pub(crate) const fn ended(&mut self) {
        self.ended = true;
    }

    /// Whether there is a question that should be gone soon.
    pub(crate) const fn are_left(&self) -> bool {
        self.ended && self.current.is_some()
    }

    /// The generation that is used now.
    pub(crate) fn current(&self) -> Option<u32> {
        self.current.as_ref().map(|(generation, _)| *generation)
    }

    /// The next question gets another key.
    pub(crate) fn begin_another(&mut self) {
        self.current = None;
    }

    /// No question is under a key from before.
    pub(crate) fn renewed(&mut self) {
        (self.ended, self.since) = (false, CLOCK.instant());
    }

    /// Whether the time has come.
    pub(crate) fn are_due(&self) -> bool {
        self.are_left() && self.since.elapsed() >= KEPT
    }
}

/// How long a question may be there after its run has ended.
const KEPT: Duration = Duration::from_secs(30);
