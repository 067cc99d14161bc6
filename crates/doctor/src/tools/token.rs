//! `decode_token`: what a token says of itself.

use std::fmt::Write as _;

use portcullis_agent::ToolOutput;
use portcullis_reason::Reason;
use portcullis_token::{Inspection, inspect};
use serde_json::{Map, Value, json};

use super::context::Context;
use crate::{
    case::{Case, Sound, Weight},
    found::Token,
    scan::credential::Place,
    text::shown,
};

/// Claims whose values are shown; of the others the names.
const SHOWN_CLAIMS: [&str; 8] = ["iss", "aud", "exp", "nbf", "iat", "scope", "azp", "token_use"];
const SHOWN_HEADER: [&str; 3] = ["alg", "typ", "kid"];
const MOST_NAMES: usize = 24;

/// What is left to check where a token has no other fault.
const CHECK_SIGNATURE: [&str; 3] = [
    "Let a server with the key check the signature: `portcullis token verify` on the machine of this one (the token on standard input), \
     or `POST /ws/preflight` with it.",
    "If the signature fails, compare the secret or key of issuer and server: `printf %s \"$SECRET\" | sha256sum` on both, and the token's \
     `kid` with the key set.",
    "If it verifies and is refused all the same, paste the refusal: its `reason`, or the header in which the token was sent.",
];

pub(super) fn args(token: &Token) -> Value {
    let text = token.text.as_str();
    json!({ "fingerprint": inspect(text, 0).fingerprint, "bytes": text.len(), "found": place(token.place) })
}

fn place(place: Place) -> String {
    match place {
        Place::Bare => "by itself".to_owned(),
        Place::Element(prefix) => format!("behind `{prefix}`"),
        Place::UnknownPrefix => "behind an unknown prefix".to_owned(),
        Place::Bearer => "after `Bearer`".to_owned(),
        Place::Query => "in the query of an address".to_owned(),
        Place::Cookie => "in a cookie".to_owned(),
        Place::OtherHeader => "in another header field".to_owned(),
    }
}

/// Looks into a token by this server's clock and leeway: what is still within the leeway is a remark.
pub(super) fn judge(text: &str, context: &Context) -> Inspection {
    let mut seen = inspect(text, context.now);
    let leeway = context.configuration.leeway_seconds;
    let time = |name: &str| seen.claims.as_ref()?.get(name)?.as_f64();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
    let (now, slack) = (context.now as f64, leeway as f64);
    let alive = time("exp").is_some_and(|exp| now < exp + slack);
    let begun = [time("nbf"), time("iat")].into_iter().flatten().all(|from| from <= now + slack);
    for finding in &mut seen.findings {
        let within = match finding.reason {
            Some(Reason::TokenExpired) => alive,
            Some(Reason::NotYetValid) => begun,
            _ => false,
        };
        if within {
            finding.reason = None;
            let _ = write!(
                finding.message,
                " That is within this server's leeway of {leeway} s, so it is still taken here; if the token is fresh, a clock is off."
            );
        }
    }
    seen
}

pub(super) fn decode(token: &Token, context: &Context, case: &mut Case) -> ToolOutput {
    let seen = judge(token.text.as_str(), context);
    let mut faults: Vec<(Reason, String)> =
        seen.findings.iter().filter_map(|f| Some((f.reason?, shown_message(&f.message)))).collect();
    if token.broken_lines {
        case.step("Send the token on one line: it was pasted over several, and a line break inside a header ends it.");
    }
    if token.shortened {
        // What is missing was hardly missing when it was sent, so nothing is concluded from it.
        faults.clear();
        case.shortened = true;
        case.step("Copy the whole token (developer tools: right click, Copy value), best an expired one of a test user.");
    } else {
        mismatches(&seen, context, &mut faults);
    }
    let size = match seen.bytes {
        0 => "empty".to_owned(),
        bytes => format!("fingerprint `{}`, {bytes} bytes", seen.fingerprint),
    };
    let what =
        if token.shortened { "it was cut or blacked out in the paste." } else { &*describe(&seen, &faults) };
    let found = format!("**A token {}** ({size}): {what}", place(token.place));
    case.found.push(found);
    for (reason, why) in &faults {
        case.fault(*reason, Weight::Token, why.clone());
    }
    if faults.is_empty() && !token.shortened {
        case.sound.push(Sound::Token);
        case.otherwise(&CHECK_SIGNATURE);
    }
    if !(token.place.is_read() || context.offered) {
        let weight = if context.named { Weight::Quoted } else { Weight::Decided };
        case.fault(
            Reason::NoToken,
            weight,
            "Where this token stands, no server looks for it unless told to, and this one does not.",
        );
    }
    match token.place {
        Place::UnknownPrefix => case.step(format!(
            "The prefix before the token is not one of this server's ({}).",
            quoted_list(&context.configuration.credential_prefixes)
        )),
        Place::Query => {
            case.step(
                "Take the token out of the URL: it is not read from there, and it ends up in logs. Treat this one as disclosed.",
            );
        }
        Place::Cookie => {
            case.step(
                "Take the token out of the cookie: a browser attaches it to the handshakes of foreign pages too, so it is not read. Send it \
                 in the subprotocol.",
            );
        }
        Place::OtherHeader => {
            case.step(
                "Send it as `Authorization: Bearer <token>`: a header of one's own, such as `X-Auth-Token`, is not read (and a browser's \
                 `WebSocket` can set neither).",
            );
        }
        Place::Bare | Place::Element(_) | Place::Bearer => {}
    }
    let reason = faults.first().map(|(reason, _)| *reason);
    let summary = match faults.first() {
        None if token.shortened => "Cut or blacked out in the paste.".to_owned(),
        Some((reason, why)) => format!("{reason}: {why}"),
        None => "Well-formed and in date; the signature was not checked.".to_owned(),
    };
    let findings: Vec<Value> = seen
        .findings
        .iter()
        .filter(|_| !token.shortened)
        .map(|f| json!({ "part": f.part, "reason": f.reason, "message": shown_message(&f.message), "at": f.at }))
        .collect();
    let result = json!({
        "fingerprint": seen.fingerprint,
        "bytes": seen.bytes,
        "wrapped": seen.wrapped,
        "header": limited(seen.header.as_ref(), &SHOWN_HEADER),
        "claims": limited(seen.claims.as_ref(), &SHOWN_CLAIMS),
        "expires_in_s": seen.expires_in,
        "findings": findings,
        "reason": reason,
        "signature_checked": false,
    });
    ToolOutput { summary, result: Some(result) }
}

/// What this server would find besides: an algorithm, issuer or audience that it does not take.
fn mismatches(seen: &Inspection, context: &Context, faults: &mut Vec<(Reason, String)>) {
    let configuration = &context.configuration;
    let text = |part: &Option<Value>, name: &str| {
        part.as_ref().and_then(|part| part.get(name)).and_then(Value::as_str).map(ToOwned::to_owned)
    };
    let known =
        |reason: Reason, faults: &[(Reason, String)]| faults.iter().any(|(other, _)| *other == reason);
    if let Some(alg) = text(&seen.header, "alg")
        && !configuration.algorithms.is_empty()
        && !configuration.algorithms.contains(&alg)
        && !known(Reason::AlgorithmNotAllowed, faults)
    {
        let takes = quoted_list(&configuration.algorithms);
        let why = format!("Its alg is `{}`; no key of this server is used with it ({takes}).", shown(&alg));
        // The algorithm is checked before the signature and the claims, but a token has to be readable first.
        let unreadable =
            |fault: &&(Reason, String)| matches!(fault.0, Reason::TokenMalformed | Reason::TokenTooLarge);
        let at = faults.iter().take_while(unreadable).count();
        faults.insert(at, (Reason::AlgorithmNotAllowed, why));
    }
    let Some(claims) = seen.claims.as_ref() else { return };
    if !configuration.issuers.is_empty() && !known(Reason::IssuerMismatch, faults) {
        let takes = quoted_list(&configuration.issuers);
        match claims.get("iss").and_then(Value::as_str) {
            Some(iss) if configuration.issuers.iter().any(|known| known == iss) => {}
            Some(iss) => faults.push((
                Reason::IssuerMismatch,
                format!("Its issuer is `{}`; this server takes {takes}, letter for letter.", shown(iss)),
            )),
            None => faults
                .push((Reason::IssuerMismatch, format!("It names no issuer; this server takes {takes}."))),
        }
    }
    if !configuration.audiences.is_empty() && !known(Reason::AudienceMismatch, faults) {
        let ours = |aud: &str| configuration.audiences.iter().any(|known| known == aud);
        let fits = match claims.get("aud") {
            Some(Value::String(aud)) => ours(aud),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).any(ours),
            _ => false,
        };
        if !fits {
            let takes = quoted_list(&configuration.audiences);
            let has = match claims.get("aud") {
                Some(Value::String(aud)) => format!("Its audience is `{}`", shown(aud)),
                Some(Value::Array(list)) if !list.is_empty() => {
                    let list: Vec<_> = list.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect();
                    format!("Its audiences are {}", quoted_list(&list))
                }
                _ => "It names no audience".to_owned(),
            };
            faults.push((
                Reason::AudienceMismatch,
                format!("{has}: it is not meant for this server, which answers to {takes}."),
            ));
        }
    }
    for name in configuration.required_claims.iter().filter(|name| claims.get(name.as_str()).is_none()) {
        faults.push((
            Reason::ClaimMissing,
            format!("The claim `{}` is missing, and this server requires it.", shown(name)),
        ));
    }
}

fn describe(seen: &Inspection, faults: &[(Reason, String)]) -> String {
    let mut text = String::new();
    if let Some(alg) = seen.header.as_ref().and_then(|header| header.get("alg")).and_then(Value::as_str) {
        let _ = write!(text, "its alg is `{}`", shown(alg));
        if let Some(kid) = seen.header.as_ref().and_then(|header| header.get("kid")).and_then(Value::as_str) {
            let _ = write!(text, ", its kid `{}`", shown(kid));
        }
        text.push_str(". ");
    }
    let remarks = seen.findings.iter().filter(|f| f.reason.is_none()).map(|f| f.message.as_str());
    let said: Vec<String> =
        faults.iter().map(|(_, why)| why.clone()).chain(remarks.map(shown_message)).take(6).collect();
    text.push_str(&said.join(" "));
    text
}

/// The members of `part` that may be shown, and the names of the others.
fn limited(part: Option<&Value>, names: &[&str]) -> Option<Value> {
    let object = part?.as_object()?;
    let mut out = Map::new();
    for name in names {
        match object.get(*name) {
            Some(Value::String(text)) => out.insert((*name).to_owned(), Value::String(shown(text))),
            Some(Value::Array(list)) => {
                let list =
                    list.iter().take(8).filter_map(Value::as_str).map(|text| Value::String(shown(text)));
                out.insert((*name).to_owned(), Value::Array(list.collect()))
            }
            Some(value @ (Value::Number(_) | Value::Bool(_) | Value::Null)) => {
                out.insert((*name).to_owned(), value.clone())
            }
            Some(Value::Object(_)) | None => None,
        };
    }
    let others: Vec<Value> = object
        .keys()
        .filter(|name| !names.contains(&name.as_str()))
        .take(MOST_NAMES)
        .map(|name| Value::String(shown(name)))
        .collect();
    if !others.is_empty() {
        out.insert("others_present".to_owned(), Value::Array(others));
    }
    Some(Value::Object(out))
}

/// A finding's sentence is ours, but it may quote a name out of the token.
fn shown_message(message: &str) -> String {
    if message.contains("eyJ") || message.contains("ZXlK") {
        return "It names something that is not shown here.".to_owned();
    }
    message.replace('`', "'")
}

/// `a`, `b` and `c`, from the configuration.
fn quoted_list(values: &[String]) -> String {
    values.iter().take(8).map(|value| format!("`{}`", shown(value))).collect::<Vec<_>>().join(", ")
}
