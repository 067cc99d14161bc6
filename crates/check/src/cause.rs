//! From what people report to the one thing that is behind it.

use serde::Serialize;

use crate::{
    baseline::{NO_TOKEN, Search, by_outcome},
    finding::Finding,
    form::Form,
    mint::now,
    outcome::{Gravity, Verdict},
    remedy::{Framework, Topic, remedy},
};

/// What people see when a handshake goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Symptom {
    /// The browser says 1006 and nothing else.
    Browser1006,
    /// Connections close with 1011.
    Closed1011,
    /// Every refusal is a bare 403.
    Bare403,
    /// The server says that there is no token, though the client sends one.
    NoToken,
    /// It works in tests, and not where users are; or the other way round.
    WorksInTests,
}

impl Symptom {
    /// The words in which it is reported.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Browser1006 => "1006 in the browser",
            Self::Closed1011 => "close code 1011, or 500",
            Self::Bare403 => "403 for everything",
            Self::NoToken => "NO_TOKEN, though a token is sent",
            Self::WorksInTests => "works in tests, not in staging",
        }
    }
}

/// One thing that explains several findings.
#[derive(Clone, Debug, Serialize)]
pub struct RootCause {
    /// What is seen of it.
    pub symptom: Symptom,
    /// What it is.
    pub cause: String,
    /// The cases that show it.
    pub cases: Vec<&'static str>,
    /// What to do.
    pub remedy: String,
}

/// The root causes behind the findings, the gravest first.
pub(crate) fn causes(findings: &[Finding], search: &Search, framework: Framework) -> Vec<RootCause> {
    let look = Look { findings, search, framework };
    [look.works_in_tests(), look.no_token(), look.closed_1011(), look.bare_403(), look.browser_1006()]
        .into_iter()
        .flatten()
        .collect()
}

struct Look<'a> {
    findings: &'a [Finding],
    search: &'a Search,
    framework: Framework,
}

impl Look<'_> {
    /// The findings of these cases that did not pass.
    fn broken<'c>(&'c self, ids: &'c [&str]) -> impl Iterator<Item = &'c Finding> {
        let bad = |finding: &&Finding| matches!(finding.verdict, Verdict::Fail | Verdict::Warn);
        self.findings.iter().filter(|finding| ids.contains(&finding.id)).filter(bad)
    }

    fn cause(&self, symptom: Symptom, cause: String, cases: Vec<&'static str>, topic: Topic) -> RootCause {
        RootCause { symptom, cause, cases, remedy: remedy(topic, self.framework) }
    }

    fn works_in_tests(&self) -> Option<RootCause> {
        let bypass = self.broken(&["rule/no-bypass"]).find(|finding| finding.gravity == Gravity::Open);
        if let Some(finding) = bypass {
            let cause = format!(
                "Authentication can be switched off from outside: {}. Tests that use it prove nothing about what users meet.",
                finding.says
            );
            return Some(self.cause(Symptom::WorksInTests, cause, vec![finding.id], Topic::Bypass));
        }
        let open =
            self.broken(&["rule/before-101/no-token"]).find(|finding| finding.gravity == Gravity::Open);
        if let Some(finding) = open {
            let cause = "Nobody is asked for a token here. Either this endpoint was never guarded, or something waves \
                         connections through where the environment is called so (`staging`, `TESTING=1`): what works \
                         here says nothing about where it is enforced."
                .to_owned();
            return Some(self.cause(Symptom::WorksInTests, cause, vec![finding.id], Topic::Bypass));
        }
        if let Some(Err(error)) = self.search.good.as_ref().map(|good| &good.minted) {
            let cause = format!(
                "The key that was given is not the one that this server verifies with ({error}): tests and server use \
                 different secrets, issuers or audiences."
            );
            return Some(self.cause(Symptom::WorksInTests, cause, Vec::new(), Topic::Claims));
        }
        None
    }

    fn no_token(&self) -> Option<RootCause> {
        match &self.search.good {
            None => self.taken_nowhere(),
            Some(good) => {
                let odd = |form: &Form| matches!(form, Form::TwoElement { .. } | Form::Query { .. });
                if good.open || self.search.told || !good.forms.iter().all(odd) {
                    return None;
                }
                let cause = format!(
                    "This server reads the token as `{}`. A client that sends it as `jwt.<token>` or in \
                     `Authorization`, as newer bundles do, is told that there is none: client and server are of \
                     different ages.",
                    good.form
                );
                Some(self.cause(Symptom::NoToken, cause, vec!["rule/two-element"], Topic::Negotiation))
            }
        }
    }

    /// A token was given, and no connection came of it.
    fn taken_nowhere(&self) -> Option<RootCause> {
        let tried = by_outcome(self.search.tried.iter().filter(|tried| tried.form != NO_TOKEN));
        if tried.is_empty() {
            return None;
        }
        let (cause, remedy) = if let Some(form) = &self.search.elsewhere {
            let cause = format!(
                "The token is good, and this server reads it from another place than it is sent in: it takes `{form}`. \
                 Client and server are of different ages, or an old bundle is still served."
            );
            (cause, remedy(Topic::Negotiation, self.framework))
        } else if let Some(exp) = self.search.expired {
            let cause =
                format!("The token that was given expired {} ago.", roughly(now().saturating_sub(exp)));
            let remedy = "Give one that is good for the whole run: `--token-command` and `--login` get a fresh one each \
                          time. A page has to renew its token before it expires, and to take the new one at each reconnect.";
            (cause, remedy.to_owned())
        } else {
            let cause = "The token is taken in none of the usual forms. Either it is no good here (another key, issuer or \
                         audience), or the server reads it from a place of its own.";
            let remedy = "Hold what the token says (`portcullis token inspect`) against the key, issuer and audience that the \
                          server verifies. If it reads the token from a place of its own, name that: --form 'X-Header: \
                          {token}'.";
            (cause.to_owned(), remedy.to_owned())
        };
        let cause = format!("{cause} Tried:\n{}", tried.join("\n"));
        Some(RootCause { symptom: Symptom::NoToken, cause, cases: Vec::new(), remedy })
    }

    fn closed_1011(&self) -> Option<RootCause> {
        let ids = ["rule/never-1011", "rule/never-5xx", "rule/not-json", "rule/binary"];
        let mut broken = self.broken(&ids).peekable();
        let first = broken.peek()?;
        let topic = if first.group == crate::case::Group::R { Topic::Messages } else { Topic::Malformed };
        let cause = format!(
            "An exception escapes while something of the client's is read ({}). The framework takes it for the server's \
             fault and says 1011 or 500.",
            first.says
        );
        let cases = broken.map(|finding| finding.id).collect();
        Some(self.cause(Symptom::Closed1011, cause, cases, topic))
    }

    fn bare_403(&self) -> Option<RootCause> {
        let status =
            self.broken(&["rfc9110/15.5.2/status"]).find(|finding| finding.says.starts_with("403"))?;
        let cause = "The route closes before it accepts, and the framework makes a 403 without a body of it: a missing \
                     token, an expired one and a foreign origin look the same to everybody."
            .to_owned();
        Some(self.cause(Symptom::Bare403, cause, vec![status.id], Topic::Challenge))
    }

    fn browser_1006(&self) -> Option<RootCause> {
        if let Some(finding) = self.broken(&["rule/browser-gets-a-name"]).next() {
            let cause =
                format!("The browser gives up a connection that the server believes open: {}.", finding.says);
            return Some(self.cause(Symptom::Browser1006, cause, vec![finding.id], Topic::Negotiation));
        }
        if let Some(finding) = self.broken(&["rule/own-origin"]).next() {
            let cause = format!("The page that the server itself would serve is refused: {}.", finding.says);
            return Some(self.cause(Symptom::Browser1006, cause, vec![finding.id], Topic::Origin));
        }
        let dropped: Vec<&'static str> = self
            .findings
            .iter()
            .filter(|finding| finding.verdict == Verdict::Fail && finding.says.contains("1006"))
            .map(|finding| finding.id)
            .collect();
        if !dropped.is_empty() {
            let cause = "The server accepts, and then drops the connection without a close frame: nobody is told why."
                .to_owned();
            return Some(self.cause(Symptom::Browser1006, cause, dropped, Topic::BeforeAccept));
        }
        let late: Vec<&'static str> = self
            .findings
            .iter()
            .filter(|finding| finding.gravity == Gravity::Late)
            .map(|finding| finding.id)
            .collect();
        if late.is_empty() {
            return None;
        }
        let cause = "The server accepts first and authenticates later: a page sees its connection open and close again, \
                     and what it sends in between may be lost, or worked on."
            .to_owned();
        Some(self.cause(Symptom::Browser1006, cause, late, Topic::BeforeAccept))
    }
}

/// A length of time in the one unit that a person would say.
fn roughly(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "seconds"),
        120..7200 => (seconds / 60, "minutes"),
        7200..172_800 => (seconds / 3600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}
