//! What was found: incidents by reason, with evidence, counts over time, and what to do.

use std::collections::BTreeMap;

use portcullis_reason::Reason;
use serde::Serialize;

use crate::{
    Format, Hop, Symptom, advice,
    correlate::Event,
    evidence::{Evidence, instant},
    series::Series,
    signal::usual_hop,
    time,
};

/// All that an input comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Counts of what was read.
    pub read: Counts,
    /// Lines and entries by format.
    pub formats: BTreeMap<Format, u64>,
    /// The first and the last time in the input, RFC 3339; a time without a date is one of 1970-01-01.
    #[serde(serialize_with = "instant")]
    pub from: Option<i64>,
    /// See [`from`](Self::from).
    #[serde(serialize_with = "instant")]
    pub to: Option<i64>,
    /// What went wrong, the most frequent first.
    pub incidents: Vec<Incident>,
    /// Failures of further kinds, beyond the number of incidents that are kept apart.
    pub other_failures: u64,
}

/// Counts of lines, or of entries in a JSON document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All of them; blank lines do not count.
    pub lines: u64,
    /// Those that tell of a failure.
    pub failing: u64,
    /// Those that were understood and are of no concern.
    pub ordinary: u64,
    /// Those of no known format, with nothing in them that is known.
    pub unknown: u64,
    /// Those of which the end was left out because of their length.
    pub cut: u64,
    /// Handshakes that succeeded.
    pub accepted: u64,
    /// Refusals that the server itself counted and did not log one by one.
    pub suppressed: u64,
}

impl Counts {
    /// Whether nothing of what was read is known, from which neither a failure nor its absence can be told.
    pub const fn tell_nothing(&self) -> bool {
        self.lines > 0 && self.unknown == self.lines
    }
}

/// One kind of failure with one hop to blame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// Why; none where the input does not say.
    pub reason: Option<Reason>,
    /// How it showed itself, where there is no reason.
    pub symptom: Option<Symptom>,
    /// One line for people.
    pub title: String,
    /// What has to change; none where it cannot be told.
    pub hop: Option<Hop>,
    /// How many failures.
    pub count: u64,
    /// When it was first seen.
    #[serde(serialize_with = "instant")]
    pub first: Option<i64>,
    /// When it was last seen, consequences aside.
    #[serde(serialize_with = "instant")]
    pub last: Option<i64>,
    /// Failures over time, in equal steps from the report's `from` to its `to`; empty where the input has no times.
    pub over_time: Vec<u64>,
    /// What clients and logs showed of it, with counts.
    pub seen_as: BTreeMap<Symptom, u64>,
    /// What followed from it.
    pub consequences: Vec<Consequence>,
    /// Where it comes from, in a sentence or two about this hop.
    pub cause: String,
    /// What to do, the first thing first.
    pub remedies: Vec<String>,
    /// Reasons that it could be, where it says none.
    pub candidates: Vec<Reason>,
    /// A few of the lines, without credentials.
    pub evidence: Vec<Evidence>,
}

/// Something that followed from an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consequence {
    /// What.
    pub symptom: Symptom,
    /// For people.
    pub title: String,
    /// How often.
    pub count: u64,
    /// One of the lines.
    pub evidence: Evidence,
}

impl Report {
    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.incidents.is_empty() && self.other_failures == 0
    }
}

/// An instant for people: RFC 3339, or a time of day.
pub fn shown(at: i64) -> String {
    time::shown(at)
}

/// Incidents as they grow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incidents {
    kinds: Vec<Kind>,
    other: u64,
}

/// One incident as it grows.
#[derive(Clone, Debug)]
struct Kind {
    reason: Option<Reason>,
    symptom: Option<Symptom>,
    hop: Option<Hop>,
    count: u64,
    first: Option<i64>,
    last: Option<i64>,
    series: Series,
    seen_as: BTreeMap<Symptom, u64>,
    consequences: BTreeMap<Symptom, (u64, Evidence)>,
    evidence: Vec<Evidence>,
    /// A token stood in an address, from where it is in every log on the way.
    disclosed: bool,
}

impl Incidents {
    pub(crate) fn add(&mut self, event: Event) {
        let alone = event.symptom().filter(|_| event.reason.is_none());
        let reason = event.reason.or_else(|| alone.and_then(Symptom::alone));
        let symptom = alone.filter(|_| reason.is_none());
        let hop = event.hop.or_else(|| reason.map(usual_hop));
        let same = |kind: &Kind| (kind.reason, kind.symptom, kind.hop) == (reason, symptom, hop);
        let index = match self.kinds.iter().position(same) {
            Some(index) => index,
            None if self.kinds.len() < MOST_INCIDENTS => {
                self.kinds.push(Kind::new(reason, symptom, hop));
                self.kinds.len() - 1
            }
            None => {
                self.other += 1;
                return;
            }
        };
        self.kinds[index].add(event);
    }

    /// All of them between the times of the input.
    pub(crate) fn report(&self, from: Option<i64>, to: Option<i64>) -> (Vec<Incident>, u64) {
        let mut incidents: Vec<Incident> = self.kinds.iter().map(|kind| kind.incident(from, to)).collect();
        incidents.sort_by(|a, b| {
            (b.count, a.reason.is_none(), a.reason, a.symptom, a.hop).cmp(&(
                a.count,
                b.reason.is_none(),
                b.reason,
                b.symptom,
                b.hop,
            ))
        });
        (incidents, self.other)
    }
}

impl Kind {
    fn new(reason: Option<Reason>, symptom: Option<Symptom>, hop: Option<Hop>) -> Self {
        Self {
            reason,
            symptom,
            hop,
            count: 0,
            first: None,
            last: None,
            series: Series::default(),
            seen_as: BTreeMap::new(),
            consequences: BTreeMap::new(),
            evidence: Vec::new(),
            disclosed: false,
        }
    }

    fn add(&mut self, event: Event) {
        self.count += 1;
        if let Some(at) = event.first.at {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = Some(self.last.map_or(at, |last| last.max(at)));
            self.series.add(at);
        }
        for symptom in event.symptoms {
            if self.seen_as.len() < MOST_SYMPTOMS || self.seen_as.contains_key(&symptom) {
                *self.seen_as.entry(symptom).or_default() += 1;
            }
        }
        for (symptom, count, evidence) in event.consequences {
            if self.consequences.len() < MOST_SYMPTOMS || self.consequences.contains_key(&symptom) {
                self.consequences.entry(symptom).or_insert((0, evidence)).0 += count;
            }
        }
        // Of each event the line that tells most; of the first the others as well.
        let room = if self.count == 1 { MOST_EVIDENCE } else { 1 };
        self.disclosed |= event.evidence.iter().any(|evidence| {
            // The last is our own log's word for it, which does not show the query.
            ["token=jwt#", "token=secret#", "jwt=jwt#", "the query has a parameter that looks like one"]
                .iter()
                .any(|mark| evidence.text.contains(mark))
        });
        for evidence in event.evidence.into_iter().take(room) {
            if self.evidence.len() < MOST_EVIDENCE
                && !self.evidence.iter().any(|known| known.text == evidence.text)
            {
                self.evidence.push(evidence);
            }
        }
    }

    fn incident(&self, from: Option<i64>, to: Option<i64>) -> Incident {
        let mut advice = advice::of(self.reason, self.symptom, self.hop, &self.seen_as);
        if self.disclosed {
            advice.remedies.push(advice::DISCLOSED.to_owned());
        }
        let title = match (self.reason, self.symptom) {
            (Some(Reason::HeartbeatTimeout), _) if self.hop == Some(Hop::Proxy) => {
                "Connections were ended on the way, for being quiet or open too long".to_owned()
            }
            (Some(reason), _) => reason.title().to_owned(),
            (None, Some(symptom)) => format!("{}; the log does not say why", capitalised(&symptom.title())),
            (None, None) => "A failure of which the log does not say why".to_owned(),
        };
        Incident {
            reason: self.reason,
            symptom: self.symptom,
            title,
            hop: self.hop,
            count: self.count,
            first: self.first,
            last: self.last,
            over_time: self.series.between(from, to),
            seen_as: self.seen_as.clone(),
            consequences: self
                .consequences
                .iter()
                .map(|(symptom, (count, evidence))| Consequence {
                    symptom: *symptom,
                    title: symptom.title().into_owned(),
                    count: *count,
                    evidence: evidence.clone(),
                })
                .collect(),
            cause: advice.cause,
            remedies: advice.remedies,
            candidates: advice.candidates,
            evidence: self.evidence.clone(),
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

const MOST_INCIDENTS: usize = 64;
const MOST_SYMPTOMS: usize = 24;
const MOST_EVIDENCE: usize = 5;
