//! What a case is.

use std::{future::Future, pin::Pin};

use portcullis_reason::Reason;
use serde::Serialize;

use crate::{
    outcome::{Found, Gravity, Outcome, Verdict},
    probe::Probe,
    remedy::Topic,
};

/// One thing that is tried.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Clause or rule, and what is tried: `rfc8725/3.2/alg-none`. Stable for ever.
    pub id: &'static str,
    /// Which chapter it belongs to.
    pub group: Group,
    /// How much it weighs.
    pub level: Level,
    /// What it stands on.
    pub clause: &'static str,
    /// What a server has to do, in one sentence.
    pub requirement: &'static str,
    /// The reason of the catalogue that a right refusal would give, or that names the fault.
    pub reason: Option<Reason>,
    /// What has to be at hand for it.
    pub needs: &'static [Need],
    /// Left out unless asked for.
    pub opt_in: Option<OptIn>,
    pub(crate) topic: Topic,
    pub(crate) run: Run,
}

/// How a case is run.
pub(crate) type Run = for<'a> fn(&'a Probe) -> Pin<Box<dyn Future<Output = Found> + Send + 'a>>;

/// A chapter of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Group {
    /// RFC 6455 §4.2: the opening handshake.
    H,
    /// Authentication before the 101.
    A,
    /// Negotiation of the subprotocol.
    N,
    /// Origin.
    O,
    /// Quality of refusals.
    E,
    /// Lifecycle.
    L,
    /// Robustness.
    R,
    /// Golden path and isolation.
    G,
    /// Performance.
    P,
}

impl Group {
    /// All, in the order of the report.
    pub const ALL: [Self; 9] =
        [Self::H, Self::A, Self::N, Self::O, Self::E, Self::L, Self::R, Self::G, Self::P];

    /// Its letter.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::H => "H",
            Self::A => "A",
            Self::N => "N",
            Self::O => "O",
            Self::E => "E",
            Self::L => "L",
            Self::R => "R",
            Self::G => "G",
            Self::P => "P",
        }
    }

    /// Its heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::H => "Opening handshake",
            Self::A => "Authentication before the 101",
            Self::N => "Negotiation",
            Self::O => "Origin",
            Self::E => "Quality of refusals",
            Self::L => "Lifecycle",
            Self::R => "Robustness",
            Self::G => "Golden path and isolation",
            Self::P => "Performance",
        }
    }

    /// The area that its cases count for.
    pub const fn area(self) -> Area {
        match self {
            Self::A | Self::O => Area::Core,
            Self::N => Area::Negotiation,
            Self::E => Area::ErrorHandling,
            Self::L | Self::G => Area::GoldenPath,
            Self::P => Area::Performance,
            Self::H | Self::R => Area::RfcCompliance,
        }
    }
}

/// What gets a score of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Authentication and origin.
    Core,
    /// The subprotocol.
    Negotiation,
    /// What refusals say.
    ErrorHandling,
    /// A user's way, and the connection's life.
    GoldenPath,
    /// Times.
    Performance,
    /// RFC 6455 and HTTP.
    RfcCompliance,
}

impl Area {
    /// All, in the order of the report; `--phase` goes through them in this order as well.
    pub const ALL: [Self; 6] = [
        Self::Core,
        Self::Negotiation,
        Self::ErrorHandling,
        Self::GoldenPath,
        Self::Performance,
        Self::RfcCompliance,
    ];

    /// Its name in reports and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Negotiation => "negotiation",
            Self::ErrorHandling => "error_handling",
            Self::GoldenPath => "golden_path",
            Self::Performance => "performance",
            Self::RfcCompliance => "rfc_compliance",
        }
    }
}

/// Where a requirement comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Level {
    /// An RFC's MUST. Broken, it is a fail.
    #[serde(rename = "MUST")]
    Must,
    /// An RFC's SHOULD, or a MUST whose breach harms nobody. Broken, it is a warning; with `--strict`, a finding.
    #[serde(rename = "SHOULD")]
    Should,
    /// A security practice that no RFC asks for. Broken, it is a fail.
    #[serde(rename = "practice")]
    Practice,
}

impl Level {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::Practice => "practice",
        }
    }
}

/// What a case needs beside a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A connection that works: without one nothing can be told from a refusal.
    Good,
    /// A token, whether or not it works.
    Token,
    /// A key to sign tokens with.
    Key,
    /// Tokens of two users.
    TwoUsers,
    /// A profile that knows how to ask, and how an answer ends.
    Question,
    /// A profile with numbered events.
    Sequence,
    /// A profile that resumes.
    Resume,
    /// A profile that renews tokens in a live connection.
    Renewal,
    /// A place to log in.
    Login,
}

/// A case that is slow or loud enough to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptIn {
    /// Waits in silence: `--silence TIME`.
    Silence,
    /// Sends many bad attempts: `--flood`.
    Flood,
}

impl OptIn {
    /// What asks for it.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Silence => "--silence TIME",
            Self::Flood => "--flood",
        }
    }
}

/// A case with what most of its chapter have. It needs a good connection and nothing else.
pub(crate) const fn case(
    group: Group,
    id: &'static str,
    level: Level,
    clause: &'static str,
    requirement: &'static str,
    run: Run,
) -> Case {
    let (topic, reason) = match group {
        Group::H => (Topic::Handshake, Some(Reason::BadUpgrade)),
        Group::A => (Topic::BeforeAccept, None),
        Group::N => (Topic::Negotiation, Some(Reason::NoCommonSubprotocol)),
        Group::O => (Topic::Origin, Some(Reason::OriginNotAllowed)),
        Group::E => (Topic::Challenge, None),
        Group::L => (Topic::Lifecycle, None),
        Group::R => (Topic::Limits, None),
        Group::G => (Topic::Isolation, None),
        Group::P => (Topic::Performance, Some(Reason::RateLimited)),
    };
    let needs = &[Need::Good];
    Case { id, group, level, clause, requirement, reason, needs, opt_in: None, topic, run }
}

impl Case {
    pub(crate) const fn topic(mut self, topic: Topic) -> Self {
        self.topic = topic;
        self
    }

    pub(crate) const fn reason(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    pub(crate) const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    pub(crate) const fn opt_in(mut self, opt_in: OptIn) -> Self {
        self.opt_in = Some(opt_in);
        self
    }

    /// A fail of a SHOULD is a warning.
    pub(crate) fn weigh(&self, mut outcome: Outcome) -> Outcome {
        if self.level == Level::Should
            && outcome.verdict == Verdict::Fail
            && outcome.gravity == Gravity::Plain
        {
            outcome.verdict = Verdict::Warn;
        }
        outcome
    }
}
