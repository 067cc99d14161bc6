//! `explain_reason`, `explain_close_code`, `explain_status` and `look_up`: what is known in general.

use std::fmt::Write as _;

use portcullis_agent::ToolOutput;
use portcullis_reason::{CloseCode, CloseProfile, Reason};
use serde_json::{Value, json};

use super::{context::Context, origin};
use crate::{
    case::{Case, Fault, Weight},
    knowledge::{self, Entry},
};

pub(super) fn reason(reason: Reason, context: &Context, case: &mut Case) -> ToolOutput {
    let help = reason.help();
    if reason == Reason::OriginNotAllowed {
        origin::compare(context, case);
    }
    if let Some(fact) = here(reason) {
        case.found.push(format!("**`{reason}` here**: {}", knowledge::here(fact, &context.configuration)));
    }
    let result = json!({
        "reason": reason,
        "title": reason.title(),
        "http_status": reason.status(),
        "close_code": reason.close_code(context.configuration.close_profile),
        "retry": reason.retry().as_str(),
        "at_fault": reason.fault().as_str(),
        "clause": reason.clause(),
        "cause": help.cause(),
        "remedy": help.remedy(),
    });
    ToolOutput { summary: format!("{reason}: {}.", reason.title()), result: Some(result) }
}

/// What this server is configured to, where that decides about a reason.
const fn here(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::AlgorithmNotAllowed => Some("this server's keys are for {algorithms}."),
        Reason::AudienceMismatch => Some("this server answers to the audiences {audiences}."),
        Reason::HeartbeatTimeout => Some("this server pings every {heartbeat}."),
        Reason::IssuerMismatch => Some("this server takes tokens of {issuers}."),
        Reason::MessageTooBig => Some("this server takes messages of up to {message_bytes} bytes."),
        Reason::NoCommonSubprotocol => Some("this server speaks {subprotocols}."),
        Reason::NotYetValid | Reason::TokenExpired => {
            Some("this server allows clocks to differ by {leeway}.")
        }
        Reason::OriginNotAllowed => Some("beside its own, this server takes the origins {origins}."),
        Reason::ProtocolMismatch => Some("this server takes tokens behind {prefixes}."),
        Reason::TokenTooLarge => Some("this server takes tokens of up to {token_bytes} bytes."),
        _ => None,
    }
}

pub(super) fn close_code(code: u16, context: &Context, case: &mut Case) -> ToolOutput {
    let close = CloseCode(code);
    let help = close.help();
    let reasons: Vec<Reason> = close.reasons(context.configuration.close_profile).collect();
    case.found.push(format!("**Close code {code}, {}**: {}", help.name, first_sentence(help.meaning)));
    let mut text = format!("{} {}", help.meaning, help.comes_from);
    if !reasons.is_empty() {
        let list = reasons.iter().take(12).map(|reason| format!("`{reason}`")).collect::<Vec<_>>().join(", ");
        let _ = write!(
            text,
            "\n\nThis server closes with {code} for: {list}. The close reason text begins with the identifier."
        );
    }
    let elsewhere = CloseProfile::ALL.iter().find(|profile| close.reasons(**profile).next().is_some());
    if reasons.is_empty()
        && let Some(profile) = elsewhere
    {
        let list: Vec<_> = close.reasons(*profile).map(|reason| format!("`{reason}`")).collect();
        let _ = write!(
            text,
            "\n\nThis server does not send it. A Portcullis whose `handshake.close_codes` is `\"{}\"` does, for {}.",
            profile.as_str(),
            list.join(", ")
        );
    }
    case.sections.push((format!("Close code {code}: {}", help.name), text));
    case.step(help.remedy);
    for step in
        knowledge::entries().iter().filter(|entry| entry.code == Some(code)).flat_map(|entry| &entry.steps)
    {
        case.step(*step);
    }
    if let [only] = reasons[..] {
        case.fault(only, Weight::Suggested, format!("Here, close code {code} is sent for this alone."));
    }
    let result = json!({
        "code": code,
        "name": help.name,
        "meaning": help.meaning,
        "comes_from": help.comes_from,
        "remedy": help.remedy,
        "may_be_sent": close.may_be_sent(),
        "reasons_here": reasons,
    });
    ToolOutput { summary: format!("{code}: {}.", help.name), result: Some(result) }
}

pub(super) fn status(status: u16, case: &mut Case) -> ToolOutput {
    let reasons: Vec<Reason> =
        Reason::ALL.iter().copied().filter(|reason| reason.status() == Some(status)).collect();
    let entry = knowledge::status(status);
    let (title, body) = entry.map_or(
        (
            "a status that a handshake seldom meets",
            "Only 101 accepts a WebSocket handshake; anything else refuses it.",
        ),
        |entry| (entry.title, entry.body),
    );
    case.found.push(format!("**HTTP {status}**: {}", first_sentence(body)));
    let handshake: Vec<_> = reasons
        .iter()
        .filter(|reason| !matches!(reason, Reason::BadRequest | Reason::LoginFailed | Reason::NotFound))
        .collect();
    let mut text = body.to_owned();
    if !handshake.is_empty() {
        let list = handshake.iter().map(|reason| format!("`{reason}`")).collect::<Vec<_>>().join(", ");
        let _ = write!(
            text,
            "\n\nThis server refuses a handshake with {status} for: {list}. The body's `reason` says which."
        );
    }
    // Where the reason was told, what else the status could mean would only bury it.
    let told = |fault: &&Fault| fault.weight >= Weight::Named && fault.reason.status() == Some(status);
    if !case.faults().iter().any(told) {
        case.sections.push((format!("HTTP {status} as the answer to a handshake"), text));
        for step in entry.map(|entry| entry.steps.as_slice()).unwrap_or_default() {
            case.step(*step);
        }
    }
    if let [only] = handshake[..] {
        case.fault(
            *only,
            Weight::Suggested,
            format!("Here, a handshake is answered with {status} for this alone."),
        );
    }
    let result = json!({ "status": status, "meaning": body, "reasons_here": reasons });
    ToolOutput { summary: format!("HTTP {status}: {title}."), result: Some(result) }
}

pub(super) fn look_up(
    quoted: &[&'static Entry],
    asked: &[&'static Entry],
    about_numbers: Option<&'static Entry>,
    context: &Context,
    case: &mut Case,
) -> ToolOutput {
    let configuration = &context.configuration;
    let first_sentence = |entry: &Entry| knowledge::here(&first_sentence(entry.body), configuration);
    for entry in quoted {
        case.found.push(format!("**{}.** {}", entry.title, first_sentence(entry)));
        if let Some(reason) = entry.reason {
            case.fault(reason, Weight::Quoted, first_sentence(entry));
        }
        case.entry(entry, false, configuration);
    }
    for entry in asked {
        if let Some(reason) = entry.reason {
            case.fault(reason, Weight::Asked, "");
        }
        case.entry(entry, about_numbers == Some(entry) && entry.tool.is_none(), configuration);
    }
    let entry = |entry: &&Entry| json!({ "title": entry.title, "reason": entry.reason });
    let result: Vec<Value> = quoted.iter().chain(asked).map(entry).collect();
    let titles: Vec<&str> = quoted.iter().chain(asked).map(|entry| entry.title).collect();
    ToolOutput { summary: format!("{}.", titles.join("; ")), result: Some(Value::Array(result)) }
}

/// The first sentence of an entry, on one line.
pub(super) fn first_sentence(body: &str) -> String {
    let paragraph = body.split("\n\n").next().unwrap_or(body);
    let end = paragraph.find(". ").map_or(paragraph.len(), |end| end + 1);
    paragraph[..end].replace('\n', " ")
}
