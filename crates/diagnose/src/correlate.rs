//! Cause and consequence: which findings are one event, and which events follow from another.
//!
//! An **event** is one failure. The lines that tell of it each have a voice of their own ("no token", "refused with 403"), so a
//! second line of the same voice is a second event. A finding that stands further down the chain (a message that cannot be
//! routed, a heartbeat that times out) joins an event before it, of the same peer as far as both are named:
//!
//! ```text
//!  depth 0   authentication failed ─ refused with 403      one event, within moments
//!        1     └ exception, "accept first"                 the same
//!        2         └ message routing failed                within minutes, any number
//!        3             └ heartbeat timeout                 the same
//! ```
//!
//! Logs may be in any order of time: where both lines have one, times decide, and else the distance in lines.

use std::collections::VecDeque;

use portcullis_reason::Reason;

use crate::{
    evidence::Evidence,
    keys::{Keys, Relation},
    signal::{Certainty, Finding, Hop, Symptom},
    time::Millis,
};

/// One failure and what followed from it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) reason: Option<Reason>,
    certainty: Certainty,
    pub(crate) hop: Option<Hop>,
    live: bool,
    depth: u8,
    /// The answer was seen after the reason, so no more about the reason is to come.
    answered: bool,
    keys: Keys,
    voices: Vec<u32>,
    /// When and where it was first seen, and last.
    pub(crate) first: Moment,
    last: Moment,
    /// The last of what followed.
    followed: Moment,
    /// How it showed itself.
    pub(crate) symptoms: Vec<Symptom>,
    /// What came of it.
    pub(crate) consequences: Vec<(Symptom, u64, Evidence)>,
    pub(crate) evidence: Vec<Evidence>,
}

/// A place in time and in the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Its own time.
    pub(crate) at: Option<Millis>,
    /// The last time that a line had; logs mix lines with and without.
    pub(crate) clock: Option<Millis>,
    pub(crate) item: u64,
}

impl Event {
    fn new(finding: &Finding, keys: Keys, moment: Moment, evidence: Evidence) -> Self {
        Self {
            reason: finding.reason,
            certainty: finding.certainty,
            hop: finding.hop,
            live: finding.live,
            depth: finding.depth(),
            answered: false,
            keys,
            voices: vec![finding.voice],
            first: moment,
            last: moment,
            followed: moment,
            symptoms: finding.symptom.into_iter().collect(),
            consequences: Vec::new(),
            evidence: vec![evidence],
        }
    }

    /// The symptom that says most where there is no reason.
    pub(crate) fn symptom(&self) -> Option<Symptom> {
        self.symptoms.iter().copied().min_by_key(|symptom| (symptom.depth(), vagueness(*symptom)))
    }

    /// Whether `finding` is another voice of this very event.
    fn is_told_by(&self, finding: &Finding, keys: &Keys, moment: Moment) -> bool {
        if finding.depth() > 1 || self.depth > 1 || self.voices.contains(&finding.voice) {
            return false;
        }
        let relation = self.keys.event(keys);
        if relation == Relation::Apart || !self.last.is_near(moment, MOMENT_MS, MOMENT_ITEMS) {
            return false;
        }
        // Why it was refused is written before that it was; a why after both is another event's. Where the newest line comes
        // first, it is the other way round.
        let backwards = matches!((moment.at, self.first.at), (Some(at), Some(first)) if at < first);
        if self.answered && finding.reason.is_some() && relation != Relation::Same && !backwards {
            return false;
        }
        // An exception behind the answer is this event's only where nothing stands between the two.
        if self.answered
            && finding.depth() == 1
            && relation != Relation::Same
            && moment.item.abs_diff(self.last.item) > 1
        {
            return false;
        }
        let same_reason = match (self.reason, finding.reason) {
            (Some(mine), Some(other)) => {
                mine == other
                    || self.certainty != finding.certainty
                        && mine.is_authentication() == other.is_authentication()
            }
            _ => true,
        };
        let reason =
            if finding.certainty > self.certainty { finding.reason } else { self.reason.or(finding.reason) };
        let fits = |symptom: &Symptom| reason.is_none_or(|reason| symptom.fits(reason));
        let agree = finding.symptom.is_none_or(|new| {
            self.symptoms.iter().all(|old| match (old, new) {
                (Symptom::Refused(old), Symptom::Refused(new)) => *old == new,
                (Symptom::Closed(old), Symptom::Closed(new)) => *old == new || new == 1006 || *old == 1006,
                _ => true,
            })
        });
        same_reason && agree && self.symptoms.iter().all(fits) && finding.symptom.iter().all(fits)
    }

    /// Whether something that was seen at `moment` may follow from this.
    fn may_cause(&self, symptom: Symptom, live: bool, keys: &Keys, moment: Moment) -> Option<Relation> {
        if live
            || self.live && self.reason.is_some_and(|reason| reason.status().is_none())
            || symptom.depth() <= self.depth
        {
            return None;
        }
        // What follows is that somebody was not let in, or was half let in.
        let turned_away = match self.reason {
            Some(reason) => symptom.fits(reason) && reason.status().is_some() && reason != Reason::NotReady,
            None => self.symptoms.iter().any(|symptom| {
                matches!(
                    symptom,
                    Symptom::AuthenticationFailed
                        | Symptom::RoutingFailed
                        | Symptom::Refused(401 | 403)
                        | Symptom::Closed(1008)
                        | Symptom::NotAccepted
                )
            }),
        };
        let relation = self.keys.peer_of(keys);
        let near = moment.follows(self.first, self.followed, FOLLOWS_MS, FOLLOWS_ITEMS);
        // Connections are lost for many reasons; a heartbeat or a message to nobody is what a refusal leaves behind.
        let least = if symptom == Symptom::ConnectionLost { Relation::Same } else { Relation::Open };
        (turned_away && near && relation >= least).then_some(relation)
    }

    fn tell(&mut self, finding: &Finding, keys: &Keys, moment: Moment, evidence: Evidence) {
        if finding.certainty > self.certainty {
            self.reason = finding.reason;
            self.certainty = finding.certainty;
            // The line that knows why knows where, too.
            self.hop = finding.hop;
            // It is the first that people should read.
            self.evidence.insert(0, evidence);
        } else {
            if self.reason.is_some() && self.reason == finding.reason {
                self.hop = self.hop.or(finding.hop);
            } else if self.reason.is_none() && finding.depth() < self.depth {
                self.hop = finding.hop;
            }
            self.evidence.push(evidence);
        }
        self.evidence.truncate(MOST_EVIDENCE);
        self.answered |= self.reason.is_some()
            && finding.reason.is_none()
            && finding.symptom.is_some_and(Symptom::is_answer);
        self.depth = self.depth.min(finding.depth());
        self.live |= finding.live;
        if let Some(symptom) = finding.symptom
            && !self.symptoms.contains(&symptom)
            && self.symptoms.len() < MOST_VOICES
        {
            self.symptoms.push(symptom);
        }
        if self.voices.len() < MOST_VOICES {
            self.voices.push(finding.voice);
        }
        self.keys = self.keys.or(keys);
        self.last = self.last.later(moment);
        self.followed = self.followed.later(moment);
        self.first = self.first.earlier(moment);
    }

    fn follow(&mut self, symptom: Symptom, count: u64, moment: Moment, evidence: Evidence) {
        match self.consequences.iter_mut().find(|(known, ..)| *known == symptom) {
            Some((_, counted, _)) => *counted += count,
            None => self.consequences.push((symptom, count, evidence)),
        }
        self.followed = self.followed.later(moment);
    }
}

impl Moment {
    /// Whether both are within so many milliseconds, or items where one has no time.
    fn is_near(self, other: Self, ms: i64, items: u64) -> bool {
        match (self.at, other.at) {
            (Some(mine), Some(theirs)) => mine.abs_diff(theirs) <= ms.unsigned_abs(),
            _ => {
                self.item.abs_diff(other.item) <= items
                    || matches!((self.clock, other.clock), (Some(mine), Some(theirs)) if mine.abs_diff(theirs) <= ms.unsigned_abs())
            }
        }
    }

    /// Whether it comes after something that lasted from `first` to `last`.
    fn follows(self, first: Self, last: Self, ms: i64, items: u64) -> bool {
        match (self.at, first.at, last.at) {
            (Some(mine), Some(first), Some(last)) => {
                mine.saturating_add(SLIP_MS) >= first && mine.saturating_sub(last) <= ms
            }
            _ => self.item >= first.item && self.item - last.item.min(self.item) <= items,
        }
    }

    fn later(self, other: Self) -> Self {
        Self {
            at: self.at.max(other.at),
            clock: self.clock.max(other.clock),
            item: self.item.max(other.item),
        }
    }

    fn earlier(self, other: Self) -> Self {
        let earlier = |mine: Option<Millis>, theirs: Option<Millis>| match (mine, theirs) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        Self {
            at: earlier(self.at, other.at),
            clock: earlier(self.clock, other.clock),
            item: self.item.min(other.item),
        }
    }
}

/// The events that may still be joined by others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Correlator {
    open: VecDeque<Event>,
}

impl Correlator {
    /// Takes a finding. Events that nothing can join any more are handed to `settled`.
    pub(crate) fn add(
        &mut self,
        finding: &Finding,
        keys: Keys,
        moment: Moment,
        evidence: Evidence,
        settled: &mut impl FnMut(Event),
    ) {
        self.settle(moment, settled);
        let depth = finding.depth();
        if let Some(symptom) =
            finding.symptom.filter(|symptom| symptom.depth() > 1 && finding.reason.is_none())
        {
            // The latest of those that are about the same peer, else the latest of all.
            let mut best: Option<(Relation, usize)> = None;
            for (index, event) in self.open.iter().enumerate() {
                if let Some(relation) = event.may_cause(symptom, finding.live, &keys, moment)
                    && best.is_none_or(|(known, _)| relation >= known)
                {
                    best = Some((relation, index));
                }
            }
            if let Some((_, index)) = best {
                self.open[index].follow(symptom, 1, moment, evidence);
                return;
            }
        } else {
            // One that is surely the same, then the nearest in time, then the latest: lines of one event stand together.
            let told = |event: &Event| event.is_told_by(finding, &keys, moment);
            let distance = |event: &Event| match (event.last.clock, moment.clock) {
                (Some(mine), Some(theirs)) => mine.abs_diff(theirs),
                _ => 0,
            };
            let same = |event: &Event| event.keys.event(&keys) == Relation::Same;
            let found = (0..self.open.len()).filter(|&index| told(&self.open[index])).min_by_key(|&index| {
                let event = &self.open[index];
                (!same(event), distance(event), moment.item - event.last.item.min(moment.item))
            });
            if let Some(index) = found {
                self.open[index].tell(finding, &keys, moment, evidence);
                self.absorb(index);
                return;
            }
        }
        self.open.push_back(Event::new(finding, keys, moment, evidence));
        if depth < 3 {
            self.absorb(self.open.len() - 1);
        }
        if self.open.len() > MOST_OPEN
            && let Some(oldest) = self.open.pop_front()
        {
            settled(oldest);
        }
    }

    /// Events that were seen before the one at `index`, and follow from it: logs may begin with their newest line.
    fn absorb(&mut self, index: usize) {
        let mut cause = self.open[index].clone();
        let mut at = 0;
        let mut place = index;
        while at < self.open.len() {
            let other = &self.open[at];
            let follows = at != place
                && other.reason.is_none()
                && other.depth > 1
                && cause.first.at.is_some()
                && other.symptom().is_some_and(|symptom| {
                    cause.may_cause(symptom, other.live, &other.keys, other.first).is_some()
                });
            if !follows {
                at += 1;
                continue;
            }
            let Some(event) = self.open.remove(at) else { break };
            place -= usize::from(at < place);
            let moment = event.followed;
            if let (Some(symptom), Some(evidence)) = (event.symptom(), event.evidence.into_iter().next()) {
                cause.follow(symptom, 1, moment, evidence);
            }
            for (symptom, count, evidence) in event.consequences {
                cause.follow(symptom, count, moment, evidence);
            }
        }
        self.open[place] = cause;
    }

    /// Hands over what is too long ago.
    fn settle(&mut self, now: Moment, settled: &mut impl FnMut(Event)) {
        while let Some(oldest) = self.open.front() {
            let joinable = match (oldest.followed.at, now.at) {
                (Some(last), Some(at)) => last.abs_diff(at) <= FOLLOWS_MS.unsigned_abs(),
                _ => now.item.abs_diff(oldest.followed.item) <= FOLLOWS_ITEMS,
            };
            if joinable {
                break;
            }
            let Some(oldest) = self.open.pop_front() else { break };
            settled(oldest);
        }
    }

    /// Hands over the rest.
    pub(crate) fn finish(&mut self, settled: &mut impl FnMut(Event)) {
        self.open.drain(..).for_each(settled);
    }
}

/// The status or code of a server says more than that a client could not connect.
const fn vagueness(symptom: Symptom) -> u8 {
    match symptom {
        Symptom::AuthenticationFailed => 0,
        Symptom::Refused(_) => 1,
        Symptom::Closed(1006) => 3,
        Symptom::Closed(_) => 2,
        Symptom::Failed => 4,
        _ => 5,
    }
}

/// Lines of one event are written within this.
const MOMENT_MS: i64 = 2_000;
const MOMENT_ITEMS: u64 = 12;
/// What follows from an event is seen within this of the last that was.
const FOLLOWS_MS: i64 = 120_000;
const FOLLOWS_ITEMS: u64 = 200;
/// Two programs' clocks, or a log's whole seconds, may differ by this.
const SLIP_MS: i64 = 2_000;
const MOST_OPEN: usize = 128;
const MOST_VOICES: usize = 16;
const MOST_EVIDENCE: usize = 4;
