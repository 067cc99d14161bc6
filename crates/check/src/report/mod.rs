//! What a run gives, and how it is written down.

mod html;
mod junit;
mod markdown;
mod reference;
mod sarif;

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

pub use self::reference::reference;
use crate::{
    baseline::Tried,
    case::{Area, Case, Group, Level},
    cause::RootCause,
    evidence::Exchange,
    grade::{Grade, scores},
    outcome::{Gravity, Outcome, Verdict},
    remedy::{Framework, remedy},
};

/// A whole run. Serialised, it is the JSON report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of the tester.
    pub version: &'static str,
    /// What was tested.
    pub target: String,
    /// What is known of it.
    pub server: Server,
    /// The grade; none where nothing came to a verdict.
    pub grade: Option<Grade>,
    /// Percent by area; none where no case of it came to a verdict.
    pub scores: BTreeMap<&'static str, Option<u8>>,
    /// Cases by verdict.
    pub summary: Summary,
    /// What is behind the findings.
    pub root_causes: Vec<RootCause>,
    /// How a good connection was looked for.
    pub tried: Vec<Tried>,
    /// How long it took.
    pub elapsed_ms: u64,
    /// Every case that was run.
    pub cases: Vec<Finding>,
}

/// What is known of the server.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// What it calls itself.
    pub software: Option<String>,
    /// What it is built with, given or recognised.
    pub framework: Framework,
    /// The dialect that was spoken.
    pub profile: String,
    /// How it takes the token.
    pub form: Option<String>,
    /// The origin that it lets in.
    pub origin: Option<String>,
}

/// Cases by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "named for the verdicts")]
pub struct Summary {
    pub pass: usize,
    pub fail: usize,
    pub warn: usize,
    pub not_applicable: usize,
    pub inconclusive: usize,
}

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

impl Report {
    pub(crate) fn new(
        target: String,
        server: Server,
        cases: Vec<Finding>,
        root_causes: Vec<RootCause>,
        tried: Vec<Tried>,
        elapsed: Duration,
    ) -> Self {
        let mut summary = Summary::default();
        for finding in &cases {
            *match finding.verdict {
                Verdict::Pass => &mut summary.pass,
                Verdict::Fail => &mut summary.fail,
                Verdict::Warn => &mut summary.warn,
                Verdict::NotApplicable => &mut summary.not_applicable,
                Verdict::Inconclusive => &mut summary.inconclusive,
            } += 1;
        }
        Self {
            version: env!("CARGO_PKG_VERSION"),
            target,
            server,
            grade: Grade::of(&cases),
            scores: scores(&cases),
            summary,
            root_causes,
            tried,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            cases,
        }
    }

    /// Whether something was found: a fail; with `strict` a warning or something inconclusive as well.
    pub fn has_findings(&self, strict: bool) -> bool {
        self.summary.fail > 0 || strict && self.summary.warn + self.summary.inconclusive > 0
    }

    /// As `JUnit` XML.
    pub fn junit(&self) -> String {
        junit::write(self)
    }

    /// As SARIF 2.1.0.
    pub fn sarif(&self) -> serde_json::Value {
        sarif::write(self)
    }

    /// As one HTML page.
    pub fn html(&self) -> String {
        html::write(self)
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        markdown::write(self)
    }

    /// What did not pass, the worst first.
    fn bad(&self) -> impl Iterator<Item = &Finding> {
        let of = |verdict: Verdict| self.cases.iter().filter(move |finding| finding.verdict == verdict);
        of(Verdict::Fail).chain(of(Verdict::Warn)).chain(of(Verdict::Inconclusive))
    }
}

/// The five characters that XML and HTML do not take as they are.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not in XML 1.0, in whatever spelling.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}
