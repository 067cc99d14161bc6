//! What the cases of several groups judge alike.

use portcullis_dial::Response;
use portcullis_reason::Reason;

use crate::{
    admission::{Admission, Ms},
    outcome::{Found, Gravity, Outcome, Verdict},
    probe::Probe,
    request::Request,
    response::End,
};

/// Judges a handshake that has to be refused over HTTP for what is wrong with its form.
pub(super) async fn must_not_upgrade(probe: &Probe, what: &str, request: &Request) -> Found {
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
pub(super) async fn must_upgrade(probe: &Probe, what: &str, request: &Request) -> Found {
    Ok(match probe.answer(what, request).await? {
        Ok(response) if response.status == 101 => Outcome::pass(format!("{what}: accepted")),
        Ok(response) => Outcome::fail(format!("{what}: refused with {}", response.status)),
        Err(end) => Outcome::fail(format!("{what}: {end}")),
    })
}

/// Judges what became of a credential that is no good.
pub(super) async fn must_refuse(probe: &Probe, what: &str, request: &Request) -> Found {
    let admission = probe.attempt(what, request).await?;
    Ok(judge(probe, what, &admission))
}

/// Whether a bad credential was refused before the 101, and if not, how bad that is.
pub(super) fn judge(probe: &Probe, what: &str, admission: &Admission) -> Outcome {
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
pub(super) fn worst(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
    let mut worst: Option<Outcome> = None;
    let mut passed = Vec::new();
    for outcome in outcomes {
        if outcome.verdict == Verdict::Pass {
            passed.push(outcome.says.clone());
        }
        let rank = (outcome.verdict.rank(), outcome.gravity);
        if worst.as_ref().is_none_or(|other| rank > (other.verdict.rank(), other.gravity)) {
            worst = Some(outcome);
        }
    }
    let mut worst = worst.unwrap_or_else(|| Outcome::inconclusive("nothing was tried"));
    if worst.verdict == Verdict::Pass {
        worst.says = passed.join("; ");
    }
    worst
}
