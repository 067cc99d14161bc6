//! One case of a run, and what came of it.

use serde::Serialize;

use crate::{
    case::{Area, Case, Group, Level},
    evidence::Exchange,
    outcome::{Gravity, Outcome, Verdict},
    remedy::{Framework, remedy},
};

/// One case with what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The case.
    pub id: &'static str,
    /// Its chapter.
    pub group: Group,
    /// What it counts for.
    pub area: Area,
    /// How much it weighs.
    pub level: Level,
    /// What it stands on.
    pub clause: &'static str,
    /// What a server has to do.
    pub requirement: &'static str,
    /// What it came to.
    pub verdict: Verdict,
    /// How much a fail weighs in the grade.
    pub gravity: Gravity,
    /// The reason of the catalogue.
    pub reason: Option<&'static str>,
    /// What was seen, in one line.
    pub says: String,
    /// What was sent and what came.
    pub evidence: Vec<Exchange>,
    /// What to do, for a fail or a warning.
    pub remedy: Option<String>,
}

impl Finding {
    pub(crate) fn new(case: &Case, outcome: Outcome, evidence: Vec<Exchange>, framework: Framework) -> Self {
        let bad = matches!(outcome.verdict, Verdict::Fail | Verdict::Warn);
        Self {
            id: case.id,
            group: case.group,
            area: case.group.area(),
            level: case.level,
            clause: case.clause,
            requirement: case.requirement,
            verdict: outcome.verdict,
            gravity: if outcome.verdict == Verdict::Fail { outcome.gravity } else { Gravity::Plain },
            reason: outcome.reason.or(case.reason).map(portcullis_reason::Reason::id),
            says: outcome.says,
            evidence,
            remedy: bad.then(|| remedy(case.topic, framework)),
        }
    }

    #[cfg(test)]
    pub(crate) fn untried(case: &Case, why: &str) -> Self {
        Self::new(case, Outcome::inconclusive(why), Vec::new(), Framework::Generic)
    }

    /// What it is about, for a person: `A rule/no-echo`.
    pub fn title(&self) -> String {
        format!("{} {}", self.group.letter(), self.id)
    }
}
