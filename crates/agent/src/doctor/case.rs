//! What the tools have found so far, and which of it decides.

use portcullis_reason::Reason;

use super::knowledge::Entry;

/// How much a finding decides: the evidence that is nearest to the fault wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// A question about it was asked.
    Asked,
    /// A status or close code suggests it.
    Suggested,
    /// A log line or error text says it.
    Quoted,
    /// The message names it.
    Named,
    /// A token shows it.
    Token,
    /// The handshake core decided so on the form that was pasted.
    Decided,
}

/// A reason with the sentence that says why it is thought to be the one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) why: String,
    pub(crate) weight: Weight,
}

/// Everything that goes into the answer.
#[derive(Debug, Default)]
pub(crate) struct Case {
    /// One bullet each.
    pub(crate) found: Vec<String>,
    /// What to do in this very case, before what the catalogue says in general.
    pub(crate) steps: Vec<String>,
    /// Entries of the knowledge to tell in full.
    pub(crate) entries: Vec<&'static Entry>,
    /// Whole sections: heading and text.
    pub(crate) sections: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl Case {
    pub(crate) fn fault(&mut self, reason: Reason, weight: Weight, why: impl Into<String>) {
        let why = why.into();
        match self.faults.iter_mut().find(|fault| fault.reason == reason) {
            // Both saw the same fault: the core's verdict decides, and the token's own sentence is the more precise.
            Some(known) if known.weight == Weight::Decided && weight == Weight::Token && !why.is_empty() => {
                known.why = why;
            }
            Some(known) if known.weight >= weight && !known.why.is_empty() => {}
            Some(known) => {
                let weight = known.weight.max(weight);
                *known = Fault { reason, why, weight };
            }
            None => self.faults.push(Fault { reason, why, weight }),
        }
    }

    pub(crate) fn step(&mut self, step: impl Into<String>) {
        let step = step.into();
        if !self.steps.contains(&step) {
            self.steps.push(step);
        }
    }

    pub(crate) fn entry(&mut self, entry: &'static Entry) {
        if !self.entries.iter().any(|known| known.title == entry.title) {
            self.entries.push(entry);
        }
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
            && self.steps.is_empty()
            && self.entries.is_empty()
            && self.sections.is_empty()
            && self.faults.is_empty()
    }

    /// The faults, the one that decides first; of equal weight the one that was found first.
    pub(crate) fn faults(&self) -> Vec<&Fault> {
        let mut faults: Vec<_> = self.faults.iter().collect();
        faults.sort_by_key(|fault| std::cmp::Reverse(fault.weight));
        faults
    }
}
