//! The table of cases, a file for each group, and what they have in common.

mod a;
mod bypass;
mod challenge;
mod e;
mod g;
mod h;
mod l;
mod mistakes;
mod n;
mod o;
mod p;
mod r;
mod secrets;

use std::sync::LazyLock;

use portcullis_dial::Response;
use portcullis_reason::Reason;

use crate::{
    admission::{Admission, Ms},
    case::{Case, Group, Level, Need, OptIn, Run},
    outcome::{Found, Gravity, Outcome},
    probe::Probe,
    remedy::Topic,
    request::Request,
    response::End,
};

/// Every case, in the order of the report.
pub fn all() -> &'static [Case] {
    static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| {
        [h::CASES, a::CASES, n::CASES, o::CASES, e::CASES, l::CASES, r::CASES, g::CASES, p::CASES].concat()
    });
    &ALL
}

impl Case {
    /// A case that needs a good connection and nothing else.
    const fn new(
        id: &'static str,
        group: Group,
        level: Level,
        clause: &'static str,
        requirement: &'static str,
        topic: Topic,
        run: Run,
    ) -> Self {
        let needs = &[Need::Good];
        Self { id, group, level, clause, requirement, reason: None, needs, opt_in: None, topic, run }
    }

    const fn reason(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    const fn opt_in(mut self, opt_in: OptIn) -> Self {
        self.opt_in = Some(opt_in);
        self
    }
}

/// Judges a handshake that has to be refused over HTTP for what is wrong with its form.
async fn must_not_upgrade(probe: &Probe, what: &str, request: &Request) -> Found {
    Ok(match probe.answer(what, request).await? {
        Ok(response) => match response.status {
            101 => Outcome::fail(format!("{what}: accepted with 101")),
            // Not implemented, and a version that is not spoken, are answers to a client's mistake as well.
            501 | 505 | 200..=499 => Outcome::pass(format!("{what}: {}", response.status)),
            status => Outcome::fail(format!("{what}: {status}, though the mistake is the client's"))
                .because(Reason::Internal),
        },
        Err(End::Silent) => Outcome::fail(format!("{what}: left hanging without an answer")),
        Err(End::NotHttp) => Outcome::fail(format!("{what}: answered with something that is not HTTP")),
        Err(end) => Outcome::warn(format!("{what}: {end}; an HTTP error would say why")),
    })
}

/// Judges a handshake that is unusual and right.
async fn must_upgrade(probe: &Probe, what: &str, request: &Request) -> Found {
    Ok(match probe.answer(what, request).await? {
        Ok(response) if response.status == 101 => Outcome::pass(format!("{what}: accepted")),
        Ok(response) => Outcome::fail(format!("{what}: refused with {}", response.status)),
        Err(end) => Outcome::fail(format!("{what}: {end}")),
    })
}

/// Judges what became of a credential that is no good.
async fn must_refuse(probe: &Probe, what: &str, request: &Request) -> Found {
    let admission = probe.attempt(what, request).await?;
    Ok(judge(probe, what, &admission))
}

/// Whether a bad credential was refused before the 101, and if not, how bad that is.
fn judge(probe: &Probe, what: &str, admission: &Admission) -> Outcome {
    let worked_on = admission.texts().iter().any(|text| probe.is_answer(text));
    let meanwhile = if worked_on { "; a message sent in between was answered" } else { "" };
    match admission {
        Admission::Refused(response) if response.is_client_error() => {
            Outcome::pass(format!("{what}: {admission}"))
        }
        Admission::Refused(response) => refusal(what, response),
        Admission::Unanswered(End::Silent) => {
            Outcome::fail(format!("{what}: left hanging without an answer"))
        }
        Admission::Unanswered(end) => Outcome::fail(format!("{what}: {end}; nobody learns why")),
        Admission::Closed { code, .. } => {
            let invisible = if code.is_none() { "; browsers show 1005" } else { "" };
            let outcome =
                Outcome::fail(format!("{what}: {admission}{invisible}{meanwhile}")).grave(Gravity::Late);
            if *code == Some(1011) { outcome.because(Reason::Internal) } else { outcome }
        }
        Admission::Dropped { .. } => {
            Outcome::fail(format!("{what}: {admission}{meanwhile}")).grave(Gravity::Late)
        }
        Admission::Admitted { texts, .. } => {
            let error = probe.profile().error.as_deref();
            let refused =
                error.is_some() && texts.iter().any(|text| probe.profile().kind(text).as_deref() == error);
            if refused && !worked_on {
                return Outcome::fail(format!(
                    "{what}: accepted, refused by a message only, and left open for more than {}",
                    Ms(probe.times().settle)
                ))
                .grave(Gravity::Late);
            }
            Outcome::fail(format!(
                "{what}: accepted, and still open after {}{meanwhile}",
                Ms(probe.times().settle)
            ))
            .grave(Gravity::Open)
        }
    }
}

fn refusal(what: &str, response: &Response) -> Outcome {
    match response.status {
        300..=399 => Outcome::warn(format!(
            "{what}: redirected with {}; clients of WebSockets do not follow",
            response.status
        )),
        200..=299 => {
            Outcome::warn(format!("{what}: answered with {} as if it were no WebSocket", response.status))
        }
        status => Outcome::fail(format!("{what}: {status}, though the mistake is the client's"))
            .because(Reason::Internal),
    }
}

/// The worst of several outcomes, with what the others say left out.
fn worst(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
    let mut worst: Option<Outcome> = None;
    let mut passed = Vec::new();
    for outcome in outcomes {
        if outcome.verdict == crate::outcome::Verdict::Pass {
            passed.push(outcome.says.clone());
        }
        let rank = (outcome.verdict.rank(), outcome.gravity);
        if worst.as_ref().is_none_or(|other| rank > (other.verdict.rank(), other.gravity)) {
            worst = Some(outcome);
        }
    }
    let mut worst = worst.unwrap_or_else(|| Outcome::inconclusive("nothing was tried"));
    if worst.verdict == crate::outcome::Verdict::Pass {
        worst.says = passed.join("; ");
    }
    worst
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_well_formed() {
        let mut seen = HashSet::new();
        for case in all() {
            assert!(seen.insert(case.id), "{} twice", case.id);
            assert!(
                case.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "/.-".contains(c)),
                "{}",
                case.id
            );
            assert!(case.requirement.ends_with('.'), "{}", case.id);
            assert!(!case.clause.is_empty(), "{}", case.id);
        }
    }

    #[test]
    fn every_group_has_cases_in_one_piece() {
        let mut groups: Vec<Group> = all().iter().map(|case| case.group).collect();
        groups.dedup();
        assert_eq!(groups, Group::ALL);
    }
}
