//! The keys of questions: a question is gone soon after its run's end, while its stream stays.
//!
//! Questions are sealed a second time, under a key that all of a while share. Some time after a run has ended, the
//! questions that are still open get another key, and that one is destroyed.

use std::time::{Duration, Instant};

use crate::{
    clock::CLOCK,
    failure::Failure,
    keys,
    secrets::Secret,
    slots::Slots,
    store::damaged,
    values::{self, RunHead},
    writer::Writer,
};

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

    /// Whether the time has come.
    pub(crate) fn are_due(&self) -> bool {
        self.are_left() && self.since.elapsed() >= KEPT
    }
}

impl Writer {
    /// Gives the questions of open runs another key, and destroys the ones before.
    pub(crate) fn renew_questions(&mut self) -> Result<(), Failure> {
        let before = self.store.slots.generations()?;
        let mut open = Vec::new();
        for entry in self.store.table.prefix(keys::RUNS) {
            let (key, value) = entry.into_inner()?;
            let form = || damaged("an open run is not of the known form");
            if RunHead::read(&value).ok_or_else(form)?.generation > 0 {
                open.push((key, value));
            }
        }
        // A renewal that was cut off has left two.
        if before.len() < 2 {
            self.questions.current = None;
        }
        for (key, value) in open {
            let names = RunHead::read(&value).zip(keys::owner(&key)).zip(keys::name_of(&key));
            let Some(((head, owner), name)) = names else { continue };
            let Ok(from) = self.store.slots.generation(head.generation) else { continue };
            let (generation, to, new) = self.questions.key(&self.store.slots)?;
            if generation == head.generation {
                continue;
            }
            self.unsynced |= new;
            let resealed =
                values::reseal_run(&value, &from, (generation, to), &mut self.nonces, &owner, &name);
            if let Some(resealed) = resealed {
                self.insert(key, resealed);
            }
        }
        if std::mem::take(&mut self.unsynced) {
            self.store.slots.sync()?;
        }
        self.flush()?;
        // However durable changes have to be: the keys of these are gone for good.
        self.store.database.persist(fjall::PersistMode::SyncAll)?;
        let current = self.questions.current.as_ref().map(|(generation, _)| *generation);
        for generation in before.into_iter().filter(|generation| Some(*generation) != current) {
            self.store.slots.destroy_generation(generation)?;
        }
        self.store.slots.sync()?;
        (self.questions.ended, self.questions.since) = (false, CLOCK.instant());
        Ok(())
    }
}

/// How long a question may be there after its run has ended.
const KEPT: Duration = Duration::from_secs(30);
