//! G: golden path and isolation, as far as the profile knows the server's messages.

use std::time::Duration;

use portcullis_reason::Reason;
use portcullis_token::base64url;
use portcullis_units::random;
use serde_json::Value;

use crate::{
    admission::Ms,
    case::{Case, Group, Level, Need, case},
    clock::CLOCK,
    outcome::{Found, Gravity, Outcome},
    peer::{Event, Peer},
    probe::{MOST_TEXTS, Probe},
    response::End,
};

/// What the events of an answer are held against.
const V1: &str = "portcullis protocol v1";
const QUESTION: &[Need] = &[Need::Good, Need::Question];
const SEQUENCE: &[Need] = &[Need::Good, Need::Question, Need::Sequence];
const USERS: &[Need] = &[Need::Good, Need::Question, Need::TwoUsers];
const RESUME: &[Need] = &[Need::Good, Need::Question, Need::Sequence, Need::Resume];

pub(super) const CASES: &[Case] = &[
    case(
        Group::G,
        "rule/login",
        Level::Practice,
        V1,
        "A login gives a token that opens a connection.",
        |p| Box::pin(login(p)),
    )
    .reason(Reason::LoginFailed)
    .needs(&[Need::Good, Need::Login]),
    case(
        Group::G,
        "rule/greeting",
        Level::Practice,
        V1,
        "The server greets, and names the user of the token.",
        |p| Box::pin(greeting(p)),
    )
    .reason(Reason::Internal)
    .needs(QUESTION),
    case(Group::G, "rule/answer", Level::Practice, V1, "A question is answered to its end.", |p| {
        Box::pin(answer(p))
    })
    .reason(Reason::AgentError)
    .needs(QUESTION),
    case(
        Group::G,
        "rule/events-in-order",
        Level::Practice,
        V1,
        "The events of an answer come in their order.",
        |p| Box::pin(order(p)),
    )
    .reason(Reason::AgentError)
    .needs(QUESTION),
    case(
        Group::G,
        "rule/sequence",
        Level::Practice,
        V1,
        "Events are numbered without gaps within an epoch.",
        |p| Box::pin(sequence(p)),
    )
    .reason(Reason::Internal)
    .needs(SEQUENCE),
    case(Group::G, "rule/two-users", Level::Practice, V1, "No user sees anything of another one.", |p| {
        Box::pin(two_users(p))
    })
    .reason(Reason::Internal)
    .needs(USERS),
    case(
        Group::G,
        "rule/resume",
        Level::Practice,
        V1,
        "Who comes back is given what was missed, and that alone.",
        |p| Box::pin(resume(p)),
    )
    .reason(Reason::Internal)
    .needs(RESUME),
    case(
        Group::G,
        "rule/once",
        Level::Practice,
        V1,
        "A message that is sent twice under one id is worked on once.",
        |p| Box::pin(once(p)),
    )
    .reason(Reason::Internal)
    .needs(SEQUENCE),
];

/// One question with what came of it.
struct Talk {
    thread: String,
    /// Every text, the acknowledgement and the end included.
    texts: Vec<String>,
    ended: Ended,
    took: Duration,
}

#[derive(PartialEq, Eq)]
enum Ended {
    Well,
    Badly(String),
    Not(String),
}

fn marker(what: &str) -> String {
    format!("check-{what}-{}", base64url::encode(random::bytes::<9>()))
}

/// Asks, and reads up to the end of the answer.
async fn ask(probe: &Probe, peer: &mut Peer, id: &str, thread: &str) -> Result<Talk, Outcome> {
    let question = probe.profile().ask(id, thread, QUESTION_TEXT);
    let question = question.ok_or_else(|| Outcome::not_applicable("the profile asks no questions"))?;
    peer.text(&question).await;
    read_answer(probe, peer, thread).await
}

async fn read_answer(probe: &Probe, peer: &mut Peer, thread: &str) -> Result<Talk, Outcome> {
    let began = CLOCK.instant();
    let deadline = began + probe.times().timeout * 4;
    let mut texts = Vec::new();
    let ended = loop {
        match peer.event(deadline.saturating_duration_since(CLOCK.instant())).await {
            // All connections of a user may see all of their threads.
            Event::Text(text) if is_of_another(&text, thread) => {}
            Event::Text(_) if texts.len() >= MOST_TEXTS => {
                break Ended::Not("far too many messages".to_owned());
            }
            Event::Text(text) => {
                let kind = probe.profile().kind(&text).unwrap_or_default();
                let failed =
                    probe.profile().failures.contains(&kind) || probe.profile().error.as_ref() == Some(&kind);
                let done = probe.profile().ends.contains(&kind);
                texts.push(text);
                if failed {
                    break Ended::Badly(kind);
                }
                if done {
                    break Ended::Well;
                }
            }
            Event::Binary(_) | Event::Ping | Event::Pong(_) => {}
            Event::End(End::Silent) => break Ended::Not("no end in time".to_owned()),
            other => break Ended::Not(format!("the connection ended: {other:?}")),
        }
    };
    Ok(Talk { thread: thread.to_owned(), texts, ended, took: CLOCK.since(began) })
}

/// Whether a message names a thread, and not this one.
fn is_of_another(text: &str, thread: &str) -> bool {
    let Ok(json) = serde_json::from_str::<Value>(text) else { return false };
    let named = ["thread_id", "threadId"].iter().find_map(|name| json.get(name)?.as_str());
    named.is_some_and(|named| named != thread)
}

/// A question on a connection of its own, answered well.
async fn talk(probe: &Probe) -> Result<Talk, Outcome> {
    let mut peer = probe.live("a question").await?;
    let talk = ask(probe, &mut peer, &marker("m"), &marker("t")).await?;
    match &talk.ended {
        Ended::Well => Ok(talk),
        Ended::Badly(kind) => Err(Outcome::fail(format!("the question ends in `{kind}`"))),
        Ended::Not(why) => Err(Outcome::fail(format!("the question is not answered: {why}"))),
    }
}

async fn login(probe: &Probe) -> Found {
    match &probe.shared.login {
        None => Ok(Outcome::not_applicable("no place to log in was given")),
        Some(Err(error)) => Ok(Outcome::fail(error.clone())),
        Some(Ok(token)) => {
            let admission = probe.attempt("the token of the login", &probe.with_token(token)?).await?;
            Ok(if admission.is_admitted() {
                Outcome::pass("the login's token opens a connection")
            } else {
                Outcome::fail(format!("the login's token: {admission}"))
            })
        }
    }
}

async fn greeting(probe: &Probe) -> Found {
    let Some(wanted) = probe.profile().greeting.clone() else {
        return Ok(Outcome::not_applicable("the profile knows no greeting"));
    };
    let mut peer = probe.live("a good connection").await?;
    let deadline = CLOCK.instant() + probe.times().timeout;
    loop {
        match peer.event(deadline.saturating_duration_since(CLOCK.instant())).await {
            Event::Text(text) if probe.profile().kind(&text).as_deref() == Some(&wanted) => {
                let json: Value = serde_json::from_str(&text).unwrap_or_default();
                let user = probe
                    .profile()
                    .greeting_user
                    .as_deref()
                    .and_then(|at| json.pointer(at)?.as_str().map(ToOwned::to_owned));
                let subject = probe.mint().subject();
                return Ok(match (user, subject) {
                    (Some(user), Some(subject)) if user != subject => {
                        Outcome::fail(format!("the greeting names `{user}`, the token `{subject}`"))
                    }
                    _ => Outcome::pass(format!("`{wanted}`")),
                });
            }
            Event::Text(text) => {
                return Ok(Outcome::fail(format!("first comes `{}`", probe.profile().shape(&text))));
            }
            Event::End(End::Silent) => return Ok(Outcome::fail("there is no greeting")),
            Event::Binary(_) | Event::Ping | Event::Pong(_) => {}
            other => return Ok(Outcome::fail(format!("the connection ends: {other:?}"))),
        }
    }
}

async fn answer(probe: &Probe) -> Found {
    let talk = talk(probe).await?;
    Ok(Outcome::pass(format!("{} messages in {}", talk.texts.len(), Ms(talk.took))))
}

async fn order(probe: &Probe) -> Found {
    let wanted = &probe.profile().order;
    if wanted.is_empty() {
        return Ok(Outcome::not_applicable("the profile knows no order"));
    }
    let talk = talk(probe).await?;
    let kinds: Vec<String> = talk.texts.iter().filter_map(|text| probe.profile().kind(text)).collect();
    let mut place = 0;
    for kind in wanted {
        match kinds[place..].iter().position(|seen| seen == kind) {
            Some(at) => place += at + 1,
            None if kinds.contains(kind) => {
                return Ok(Outcome::fail(format!("`{kind}` comes too early: {}", kinds.join(", "))));
            }
            None => return Ok(Outcome::fail(format!("`{kind}` is missing: {}", kinds.join(", ")))),
        }
    }
    Ok(Outcome::pass(wanted.join(", ")))
}

/// The numbers of a thread's events, with their epochs.
fn numbers(probe: &Probe, talk: &Talk) -> Vec<(String, u64)> {
    let field = probe.profile().sequence_field.as_deref().unwrap_or("seq");
    let read = |text: &String| {
        let json: Value = serde_json::from_str(text).ok()?;
        if json.get("thread_id")?.as_str()? != talk.thread {
            return None;
        }
        let epoch = json.get("epoch").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some((epoch, json.get(field)?.as_u64()?))
    };
    talk.texts.iter().filter_map(read).collect()
}

async fn sequence(probe: &Probe) -> Found {
    let talk = talk(probe).await?;
    let numbers = numbers(probe, &talk);
    let Some((epoch, first)) = numbers.first().cloned() else {
        return Ok(Outcome::fail("no event has a number"));
    };
    for (index, (other, number)) in numbers.iter().enumerate() {
        if *other != epoch {
            return Ok(Outcome::fail("the epoch changes within an answer"));
        }
        if *number != first + index as u64 {
            return Ok(Outcome::fail(format!("{number} comes where {} should", first + index as u64)));
        }
    }
    Ok(Outcome::pass(format!("{first} to {} without a gap", first + numbers.len() as u64 - 1)))
}

async fn two_users(probe: &Probe) -> Found {
    let second = probe.mint().second().ok_or_else(|| Outcome::inconclusive("there is no second user"))?;
    let (mut other, _) = probe.open("another user, listening", &probe.with_token(&second)?).await?;
    if let Some(listen) = &probe.profile().listen {
        other.text(listen).await;
    }
    let mut peer = probe.live("a user with a question").await?;
    let talk = ask(probe, &mut peer, &marker("m"), &marker("t")).await?;
    if talk.ended != Ended::Well {
        return Ok(Outcome::inconclusive(
            "the question was not answered, so that there was nothing to overhear",
        ));
    }
    let mut heard = 0;
    loop {
        match other.event(probe.times().settle).await {
            Event::Text(text) => {
                heard += 1;
                if text.contains(&talk.thread)
                    || probe.mint().subject().is_some_and(|subject| names(&text, subject))
                {
                    let shape = probe.profile().shape(&text);
                    return Ok(Outcome::fail(format!(
                        "another user was sent `{shape}` of the first one's thread"
                    ))
                    .grave(Gravity::Open));
                }
            }
            Event::Binary(_) | Event::Ping | Event::Pong(_) => {}
            Event::End(End::Silent) => break,
            other => return Ok(Outcome::inconclusive(format!("the second connection ended: {other:?}"))),
        }
    }
    Ok(Outcome::pass(format!(
        "{} messages to the one, none of them to the other ({heard} of its own)",
        talk.texts.len()
    )))
}

/// Whether a text has `subject` as a whole string in it.
fn names(text: &str, subject: &str) -> bool {
    text.contains(&format!("\"{subject}\""))
}

async fn resume(probe: &Probe) -> Found {
    let talk = talk(probe).await?;
    let numbers = numbers(probe, &talk);
    let (Some((epoch, first)), Some((_, last))) = (numbers.first().cloned(), numbers.last().cloned()) else {
        return Ok(Outcome::fail("no event has a number"));
    };
    let after = first + (last - first) / 2;
    let message = probe.profile().resume.clone().unwrap_or_default();
    let message = message
        .replace("{thread}", &talk.thread)
        .replace("{epoch}", &epoch)
        .replace("{after}", &after.to_string());
    let mut peer = probe.live("the same user, coming back").await?;
    peer.text(&message).await;
    let mut again =
        Talk { thread: talk.thread.clone(), texts: Vec::new(), ended: Ended::Well, took: talk.took };
    let deadline = CLOCK.instant() + probe.times().timeout;
    let wanted: Vec<u64> = (after + 1..=last).collect();
    while seen(probe, &again).len() < wanted.len() {
        match peer.event(deadline.saturating_duration_since(CLOCK.instant())).await {
            Event::Text(text) if again.texts.len() < MOST_TEXTS => again.texts.push(text),
            Event::Binary(_) | Event::Ping | Event::Pong(_) => {}
            _ => break,
        }
    }
    let seen = seen(probe, &again);
    Ok(if seen == wanted {
        Outcome::pass(format!("{} to {last} again, after {after}", after + 1))
    } else {
        Outcome::fail(format!("{wanted:?} were missed, {seen:?} came"))
    })
}

fn seen(probe: &Probe, talk: &Talk) -> Vec<u64> {
    numbers(probe, talk).into_iter().map(|(_, number)| number).collect()
}

async fn once(probe: &Probe) -> Found {
    let mut peer = probe.live("a question, sent twice").await?;
    let (id, thread) = (marker("m"), marker("t"));
    let first = ask(probe, &mut peer, &id, &thread).await?;
    if first.ended != Ended::Well {
        return Ok(Outcome::inconclusive("the question was not answered"));
    }
    let question = probe.profile().ask(&id, &thread, QUESTION_TEXT).unwrap_or_default();
    peer.text(&question).await;
    let begins = probe.profile().order.first().cloned().unwrap_or_default();
    loop {
        match peer.event(probe.times().settle).await {
            Event::Text(text) if is_of_another(&text, &thread) => {}
            Event::Text(text) if probe.profile().kind(&text).as_deref() == Some(&begins) => {
                return Ok(Outcome::fail("the second one is worked on again"));
            }
            Event::Text(_) | Event::Binary(_) | Event::Ping | Event::Pong(_) => {}
            Event::End(End::Silent) => return Ok(Outcome::pass("the second one starts nothing")),
            other => return Ok(Outcome::fail(format!("the connection ends: {other:?}"))),
        }
    }
}

/// What is asked: something that every handshake doctor can answer, and a model as well.
const QUESTION_TEXT: &str = "Why does my browser show close code 1006?";
