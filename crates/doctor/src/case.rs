//! What the tools have found so far, and which of it decides.

use std::borrow::Cow;

use portcullis_reason::Reason;

use super::{
    knowledge::{self, Entry},
    surroundings::Configuration,
};

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

/// An entry of the knowledge, with what this server is configured to.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) title: &'static str,
    pub(crate) body: String,
    pub(crate) steps: Vec<String>,
    pub(crate) reason: Option<Reason>,
    /// It answers a question about the very numbers that the message names.
    pub(crate) about_numbers: bool,
}

/// What was pasted that a server like this one would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sound {
    /// A token in good form and in date.
    Token,
    /// A request, a header or a list as it was sent.
    Sent,
    /// Code that sends it.
    Code,
    /// Settings of a proxy.
    Settings,
    /// A log without a failure.
    Log,
}

/// Two pieces of evidence that cannot both be the whole truth.
#[derive(Debug)]
pub(crate) struct Doubt {
    pub(crate) what: Cow<'static, str>,
    /// How to find out which it is.
    pub(crate) steps: &'static [&'static str],
}

/// Everything that goes into the answer.
#[derive(Debug, Default)]
pub(crate) struct Case {
    /// What does not fit together. Told before anything else.
    pub(crate) doubts: Vec<Doubt>,
    /// One bullet each.
    pub(crate) found: Vec<String>,
    pub(crate) sound: Vec<Sound>,
    /// What to do in this very case, before what the catalogue says in general.
    pub(crate) steps: Vec<String>,
    /// A token was cut or blacked out in the paste, so nothing is known of it.
    pub(crate) shortened: bool,
    /// Who has to change something, where it is not whom the catalogue names.
    pub(crate) blame: Option<&'static str>,
    /// What to do where no fault was found.
    pub(crate) otherwise: Vec<&'static str>,
    /// Entries of the knowledge to tell in full.
    pub(crate) entries: Vec<Told>,
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

    pub(crate) fn entry(
        &mut self,
        entry: &'static Entry,
        about_numbers: bool,
        configuration: &Configuration,
    ) {
        if self.entries.iter().any(|known| known.title == entry.title) {
            return;
        }
        let here = |text| knowledge::here(text, configuration);
        self.entries.push(Told {
            title: entry.title,
            body: here(entry.body),
            steps: entry.steps.iter().map(|step| here(step)).collect(),
            reason: entry.reason,
            about_numbers,
        });
    }

    /// What to do where no fault was found.
    pub(crate) fn otherwise(&mut self, steps: &[&'static str]) {
        self.otherwise.extend(steps.iter().filter(|step| !self.otherwise.contains(step)).collect::<Vec<_>>());
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.doubts.is_empty()
            && self.found.is_empty()
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
