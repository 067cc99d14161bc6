//! Service-level objectives and what is left of their error budgets.
//!
//! An objective is a share `target` of good ones among all that count. Its error budget is what may go wrong without
//! missing it: `(1 - target) * (good + bad)`. What is left of it is `1 - bad / budget`: 1 is untouched, 0 spent, below
//! 0 overspent. `docs/operations.md` says the same to operators.

use std::collections::VecDeque;

use portcullis_reason::{Fault, Reason};
use serde::Serialize;

use crate::figures::metrics::{Reading, precise};

/// The length of one slot, in milliseconds.
const SLOT: u64 = 5 * 60 * 1_000;

/// Slots that are kept: a day.
const KEPT: usize = 288;

/// The window of the objectives, in milliseconds.
const WINDOW: u64 = SLOT * KEPT as u64;

/// The share of handshakes that must succeed among those whose failure is not the client's fault.
const HANDSHAKES: f64 = 0.99;

/// The share of events that must reach the queue of their connection.
const DELIVERY: f64 = 0.999;

/// How one objective stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Objective {
    pub(crate) id: &'static str,
    title: &'static str,
    /// What counts as good and as bad, in words.
    formula: &'static str,
    /// The share of good ones that is promised; 1 means that none may be bad.
    target: f64,
    pub(crate) good: u64,
    pub(crate) bad: u64,
    /// The share of good ones; none where nothing counted yet.
    ratio: Option<f64>,
    /// The part of the error budget that is left; below 0 where more went wrong than may.
    pub(crate) budget_left: f64,
    /// The time that was looked at, in seconds: a day, or since the start.
    window_s: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Slot {
    at: u64,
    accepted: u64,
    ours: u64,
    deliveries: u64,
    overflows: u64,
    internal: u64,
}

/// Counts of the last day.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    began: u64,
    slots: VecDeque<Slot>,
}

impl Slots {
    pub(super) const fn new(now: u64) -> Self {
        Self { began: now, slots: VecDeque::new() }
    }

    pub(super) fn add(&mut self, now: u64, delta: &Reading) {
        let at = now - now % SLOT;
        // A clock that was set back adds to the last slot.
        if self.slots.back().is_none_or(|last| last.at < at) {
            self.slots.push_back(Slot { at, ..Slot::default() });
        }
        let slot = self.slots.back_mut().expect("one was just pushed if there was none");
        slot.accepted += delta.accepted;
        slot.ours +=
            delta.refused().filter(|(reason, _)| is_ours(*reason)).map(|(_, count)| count).sum::<u64>();
        slot.deliveries += delta.deliveries;
        slot.overflows += delta.overflows;
        slot.internal += delta.closed_with(1011);
        while self.slots.len() > KEPT || self.slots.front().is_some_and(|slot| slot.at + WINDOW < now) {
            self.slots.pop_front();
        }
    }

    pub(super) fn objectives(&self, now: u64) -> Vec<Objective> {
        let sum = |of: fn(&Slot) -> u64| self.slots.iter().map(of).sum::<u64>();
        let window_s = now.saturating_sub(self.began).min(WINDOW) / 1_000;
        let deliveries = sum(|slot| slot.deliveries);
        let overflows = sum(|slot| slot.overflows).min(deliveries);
        vec![
            Objective::new(
                "handshakes",
                "Handshakes that succeed",
                "accepted ÷ (accepted + refused for a reason that is the server's or the operator's fault)",
                HANDSHAKES,
                (sum(|slot| slot.accepted), sum(|slot| slot.ours)),
                window_s,
            ),
            Objective::new(
                "delivery",
                "Events that are delivered",
                "(events queued for a connection − frames that found the queue full) ÷ events queued",
                DELIVERY,
                (deliveries - overflows, overflows),
                window_s,
            ),
            Objective::new(
                "internal",
                "No close with 1011",
                "close frames with code 1011; the budget is none at all",
                1.0,
                (0, sum(|slot| slot.internal)),
                window_s,
            ),
        ]
    }
}

impl Objective {
    fn new(
        id: &'static str,
        title: &'static str,
        formula: &'static str,
        target: f64,
        (good, bad): (u64, u64),
        window_s: u64,
    ) -> Self {
        let total = good + bad;
        let ratio = (total > 0 && target < 1.0).then(|| precise(good) / precise(total));
        Self { id, title, formula, target, good, bad, ratio, budget_left: left(target, good, bad), window_s }
    }
}

/// The part of an error budget that is left.
fn left(target: f64, good: u64, bad: u64) -> f64 {
    if bad == 0 {
        return 1.0;
    }
    let budget = (1.0 - target) * precise(good + bad);
    if budget <= 0.0 {
        // A budget of nothing is gone with the first one.
        return 0.0;
    }
    1.0 - precise(bad) / budget
}

/// Whether a refusal counts against this server: the peer could do nothing about it.
fn is_ours(reason: Reason) -> bool {
    match reason.fault() {
        Fault::Server | Fault::Operator => true,
        Fault::Client => false,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_reason::Reason;

    use super::*;
    use crate::figures::metrics::Metrics;

    #[test]
    fn a_budget_is_spent_in_proportion() {
        for (target, good, bad, expected) in [
            (0.99, 0, 0, 1.0),
            (0.99, 1_000, 0, 1.0),
            // A budget of 10 in 1,000.
            (0.99, 995, 5, 0.5),
            (0.99, 990, 10, 0.0),
            (0.99, 980, 20, -1.0),
            (0.999, 9_995, 5, 0.5),
            (1.0, 0, 0, 1.0),
            (1.0, 0, 1, 0.0),
            (1.0, 1_000_000, 7, 0.0),
        ] {
            let found = left(target, good, bad);
            assert!((found - expected).abs() < 1e-9, "{target} {good} {bad}: {found}");
        }
    }

    #[test]
    fn a_clients_fault_costs_no_budget_and_ours_does() {
        let metrics = Metrics::new("n", "b");
        for _ in 0..99 {
            metrics.accepted();
            metrics.rejected(Reason::TokenExpired);
            metrics.rejected(Reason::OriginNotAllowed);
        }
        let mut slots = Slots::new(0);
        slots.add(1_000, &metrics.read());
        let handshakes = &slots.objectives(1_000)[0];
        assert_eq!((handshakes.good, handshakes.bad), (99, 0));
        metrics.rejected(Reason::AuthUnavailable);
        let mut slots = Slots::new(0);
        slots.add(1_000, &metrics.read());
        let handshakes = &slots.objectives(1_000)[0];
        assert_eq!((handshakes.good, handshakes.bad), (99, 1));
        assert!(handshakes.budget_left.abs() < 1e-9, "{}", handshakes.budget_left);
    }

    #[test]
    fn one_1011_spends_everything() {
        let metrics = Metrics::new("n", "b");
        metrics.closed(Some(1008), None);
        let mut slots = Slots::new(0);
        slots.add(0, &metrics.read());
        assert!((slots.objectives(0)[2].budget_left - 1.0).abs() < 1e-9);
        metrics.closed(Some(1011), Some(Reason::Internal));
        let mut slots = Slots::new(0);
        slots.add(0, &metrics.read());
        assert_eq!((slots.objectives(0)[2].bad, slots.objectives(0)[2].budget_left), (1, 0.0));
    }

    #[test]
    fn what_is_older_than_a_day_is_forgotten() {
        let metrics = Metrics::new("n", "b");
        metrics.accepted();
        let once = metrics.read();
        let mut slots = Slots::new(0);
        let day = WINDOW;
        slots.add(0, &once);
        slots.add(day / 2, &once);
        assert_eq!(slots.objectives(day / 2)[0].good, 2);
        slots.add(day + SLOT, &once);
        assert_eq!(slots.objectives(day + SLOT)[0].good, 2);
        assert_eq!(slots.objectives(day + SLOT)[0].window_s, day / 1_000);
        for n in 0..10_000 {
            slots.add(n * SLOT, &Reading::default());
        }
        assert!(slots.slots.len() <= KEPT);
    }
}
