//! What a case can come to.

use portcullis_reason::Reason;
use serde::{Deserialize, Serialize};

/// What a case came to. There is no default: a case that could not be tried is [`Inconclusive`](Self::Inconclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The requirement was seen to hold.
    Pass,
    /// It was seen not to hold.
    Fail,
    /// It was seen not to hold, and is a SHOULD; or it holds in a way that has a price.
    Warn,
    /// The server does not have what the case is about.
    NotApplicable,
    /// It could not be seen.
    Inconclusive,
}

impl Verdict {
    /// All, the worst first.
    pub const ALL: [Self; 5] = [Self::Fail, Self::Warn, Self::Inconclusive, Self::NotApplicable, Self::Pass];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::NotApplicable => "not_applicable",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// How bad it is, for comparing two runs.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::Pass | Self::NotApplicable => 0,
            Self::Inconclusive => 1,
            Self::Warn => 2,
            Self::Fail => 3,
        }
    }
}

/// How much a fail weighs in the grade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// As its level says.
    #[default]
    Plain,
    /// Judged after the 101: whoever connects is inside for a while.
    Late,
    /// A stranger was let in, or a credential handed out.
    Open,
}

/// What running a case came to, in words.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) says: String,
    pub(crate) gravity: Gravity,
    /// Where it is another one than the case's own.
    pub(crate) reason: Option<Reason>,
}

/// What running a case gives. An `Err` is an early end, most often an inconclusive one.
pub(crate) type Found = Result<Outcome, Outcome>;

impl Outcome {
    fn new(verdict: Verdict, says: impl Into<String>) -> Self {
        Self { verdict, says: says.into(), gravity: Gravity::Plain, reason: None }
    }

    pub(crate) fn pass(says: impl Into<String>) -> Self {
        Self::new(Verdict::Pass, says)
    }

    pub(crate) fn fail(says: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, says)
    }

    pub(crate) fn warn(says: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, says)
    }

    pub(crate) fn not_applicable(says: impl Into<String>) -> Self {
        Self::new(Verdict::NotApplicable, says)
    }

    pub(crate) fn inconclusive(says: impl Into<String>) -> Self {
        Self::new(Verdict::Inconclusive, says)
    }

    pub(crate) fn grave(mut self, gravity: Gravity) -> Self {
        self.gravity = gravity;
        self
    }

    pub(crate) fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }
}
