//! The grade: one letter, by a rule that is written down.
//!
//! Each case weighs 3 (MUST, practice) or 1 (SHOULD). A pass earns its weight, a warning half of it, a fail nothing. What
//! is not applicable or inconclusive does not count. The score of an area is what was earned of what could be, in
//! percent; the whole score likewise, over all cases.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};

use crate::{
    case::{Area, Level},
    finding::Finding,
    outcome::{Gravity, Verdict},
};

/// A grade, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Nothing failed, nothing to warn of, nothing left open.
    APlus,
    /// Nothing failed, and a score of 90 or more.
    A,
    /// 80 or more.
    B,
    /// 65 or more.
    C,
    /// 50 or more.
    D,
    /// Less; or a stranger was let in, whatever the score.
    F,
}

impl Grade {
    /// The letter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::APlus => "A+",
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::F => "F",
        }
    }

    /// The grade of a run.
    ///
    /// A fail caps it at B, a credential that was judged after the 101 at C, and a stranger who was let in (or a token
    /// handed out) makes it F. A run of which more than half is inconclusive has none.
    pub(crate) fn of(findings: &[Finding]) -> Option<Self> {
        let score = score(findings.iter())?;
        let unseen = findings.iter().filter(|finding| finding.verdict == Verdict::Inconclusive).count();
        if unseen * 2 > findings.len() {
            return None;
        }
        let has = |verdict: Verdict| findings.iter().any(|finding| finding.verdict == verdict);
        let by_score = match score {
            90.. => Self::A,
            80.. => Self::B,
            65.. => Self::C,
            50.. => Self::D,
            _ => Self::F,
        };
        let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Fail);
        let cap = failed
            .map(|finding| match finding.gravity {
                Gravity::Plain => Self::B,
                Gravity::Late => Self::C,
                Gravity::Open => Self::F,
            })
            .max();
        Some(match cap {
            Some(cap) => by_score.max(cap),
            None if !has(Verdict::Warn) && !has(Verdict::Inconclusive) => Self::APlus,
            None => by_score,
        })
    }
}

/// The score of each area, in percent; none where no case of it came to a verdict.
pub(crate) fn scores(findings: &[Finding]) -> BTreeMap<&'static str, Option<u8>> {
    let of = |area: Area| score(findings.iter().filter(move |finding| finding.area == area));
    Area::ALL.into_iter().map(|area| (area.name(), of(area))).collect()
}

fn score<'a>(findings: impl Iterator<Item = &'a Finding>) -> Option<u8> {
    let (mut earned, mut possible) = (0_u32, 0_u32);
    for finding in findings {
        // Doubled, so that half a weight is a whole number.
        let weight = match finding.level {
            Level::Must | Level::Practice => 6,
            Level::Should => 2,
        };
        match finding.verdict {
            Verdict::Pass => earned += weight,
            Verdict::Warn => earned += weight / 2,
            Verdict::Fail => {}
            Verdict::NotApplicable | Verdict::Inconclusive => continue,
        }
        possible += weight;
    }
    // A whole score is only for those who earned all of it.
    (possible > 0).then(|| u8::try_from(earned * 100 / possible).unwrap_or(100))
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Grade {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Finding;

    fn findings(list: &[(Level, Verdict, Gravity)]) -> Vec<Finding> {
        let case = &crate::cases::all()[0];
        list.iter()
            .map(|&(level, verdict, gravity)| Finding {
                level,
                verdict,
                gravity,
                ..Finding::untried(case, "")
            })
            .collect()
    }

    #[test]
    fn the_rule() {
        use Gravity::{Late, Open, Plain};
        use Level::{Must, Should};
        use Verdict::{Fail, Inconclusive, NotApplicable, Pass, Warn};
        let many = |last| {
            let mut list = vec![(Must, Pass, Plain); 40];
            list.push(last);
            list
        };
        for (list, grade) in [
            (vec![(Must, Pass, Plain), (Must, NotApplicable, Plain)], Some(Grade::APlus)),
            (many((Should, Warn, Plain)), Some(Grade::A)),
            (many((Must, Inconclusive, Plain)), Some(Grade::A)),
            (many((Must, Fail, Plain)), Some(Grade::B)),
            (many((Must, Fail, Late)), Some(Grade::C)),
            (many((Must, Fail, Open)), Some(Grade::F)),
            (vec![(Must, Pass, Plain), (Must, Fail, Plain)], Some(Grade::D)),
            (vec![(Must, Fail, Plain)], Some(Grade::F)),
            (vec![(Must, Inconclusive, Plain)], None),
            (vec![(Must, Pass, Plain), (Must, Inconclusive, Plain), (Must, Inconclusive, Plain)], None),
        ] {
            assert_eq!(Grade::of(&findings(&list)), grade, "{list:?}");
        }
    }
}
