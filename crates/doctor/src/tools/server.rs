//! `audit_configuration` and `recent_refusals`: what this very server knows.

use portcullis_agent::ToolOutput;
use portcullis_reason::{CloseProfile, Reason};
use serde_json::{Value, json};

use super::context::Context;
use crate::{
    case::{Case, Weight},
    surroundings::{Configuration, Refusal},
    text::shown,
};

const MOST_REFUSALS: usize = 20;

pub(super) fn audit(context: &Context, case: &mut Case) -> ToolOutput {
    let configuration = &*context.configuration;
    let remarks = remarks(configuration);
    let list = |values: &[String]| match values {
        [] => "none".to_owned(),
        values => {
            values.iter().take(12).map(|value| format!("`{}`", shown(value))).collect::<Vec<_>>().join(", ")
        }
    };
    let paths: Vec<String> =
        configuration.paths.iter().map(|(path, mode)| format!("{path} ({mode})")).collect();
    let text = format!(
        "- environment `{}`; authentication is enforced in every one\n- paths: {}\n- origins beside its own: {}\n- credential \
         prefixes: {}; two-element form {}\n- subprotocols: {}\n- algorithms: {}; issuers: {}; audiences: {}\n- leeway {} s, \
         tokens up to {} bytes, messages up to {} bytes, ping every {} ms",
        shown(&configuration.environment),
        list(&paths),
        list(&configuration.origins),
        list(&configuration.credential_prefixes),
        if configuration.accept_two_element_form { "taken" } else { "refused" },
        list(&configuration.subprotocols),
        list(&configuration.algorithms),
        list(&configuration.issuers),
        list(&configuration.audiences),
        configuration.leeway_seconds,
        configuration.max_token_bytes,
        configuration.max_message_bytes,
        configuration.heartbeat_interval_ms,
    );
    case.sections.push(("This gateway's configuration".to_owned(), text));
    for remark in &remarks {
        case.step(remark.clone());
    }
    if remarks.is_empty() {
        case.found.push("**Configuration**: nothing to object to.".to_owned());
        case.otherwise(&[
            "Nothing has to change. Before you change something, `portcullis config check --config FILE` tells whether it would start, and \
             `portcullis config show` what is in force.",
        ]);
    } else {
        case.found.push(format!("**Configuration**: {} thing(s) to look at, listed below.", remarks.len()));
    }
    let summary = format!("{} remark(s).", remarks.len());
    ToolOutput { summary, result: Some(json!({ "configuration": configuration, "remarks": remarks })) }
}

/// What speaks against a configuration, or deserves a thought.
fn remarks(configuration: &Configuration) -> Vec<String> {
    let strict = matches!(configuration.environment.as_str(), "staging" | "production");
    let mut remarks: Vec<String> =
        configuration.warnings.iter().take(16).map(|warning| shown(warning)).collect();
    let mut note = |when: bool, text: &str| {
        if when {
            remarks.push(text.to_owned());
        }
    };
    note(
        configuration.accept_two_element_form,
        "The two-element form `jwt, <token>` is taken. That is for a rollout: switch `handshake.accept_two_element_form` off once old bundles are gone.",
    );
    note(strict && configuration.echo, "`/ws/echo` is on outside development: switch `dev.echo` off.");
    note(
        strict && configuration.issuers.is_empty(),
        "Any issuer is taken whose key is known. Name yours in the token policy.",
    );
    note(
        strict && configuration.audiences.is_empty(),
        "Audiences are not checked: a token made for another service of the same issuer is good here too.",
    );
    note(
        strict
            && configuration
                .origins
                .iter()
                .any(|origin| origin.contains("://localhost") || origin.contains("://127.0.0.1")),
        "An origin on localhost is allowed: any page on a user's own machine may then connect in their browser.",
    );
    note(
        strict && configuration.origins.iter().any(|origin| origin.starts_with("http://")),
        "An origin without TLS is allowed.",
    );
    note(
        configuration.leeway_seconds > 60,
        "The clock leeway is above 60 s: expired and revoked tokens live that much longer.",
    );
    note(
        configuration.heartbeat_interval_ms >= 60_000,
        "Pings are 60 s or more apart: many proxies cut idle connections after 60 s. Use 20 to 30 s.",
    );
    note(
        configuration.close_profile == CloseProfile::ServerError,
        "The close profile `server-error` sends 1011 for every authentication failure: clients will take their own expired token for a fault of the server and retry.",
    );
    note(
        configuration.max_token_bytes > 16 * 1024,
        "Tokens above 16 KiB are taken, while most proxies refuse headers of that size.",
    );
    remarks
}

pub(super) fn refusals(refusals: &[Refusal], context: &Context, case: &mut Case) -> ToolOutput {
    let recent = &refusals[..refusals.len().min(MOST_REFUSALS)];
    if recent.is_empty() {
        case.found.push(
            "**Recent refusals**: none that is known to be yours. A handshake whose token did not verify belongs to nobody, so it is \
             not in this list; the operator finds it in the log by its request id."
                .to_owned(),
        );
        case.step("If a connection of yours failed, paste what the console showed, the `Sec-WebSocket-Protocol` header or the request id's problem body.");
    } else {
        let line = |refusal: &Refusal| {
            format!(
                "- {} ago: `{}`{} (request `{}`)",
                ago(context.now.saturating_sub(refusal.at)),
                refusal.reason,
                refusal.form.as_deref().map_or_else(String::new, |form| format!(", sent as {}", shown(form))),
                shown(&refusal.request_id)
            )
        };
        let text = recent.iter().map(line).collect::<Vec<_>>().join("\n");
        case.found.push(format!("**Recent refusals**: {} of yours.", recent.len()));
        case.sections.push(("Your recent refusals".to_owned(), text));
    }
    let mut counts: Vec<(Reason, usize)> = Vec::new();
    for refusal in recent {
        match counts.iter_mut().find(|(reason, _)| *reason == refusal.reason) {
            Some((_, count)) => *count += 1,
            None => counts.push((refusal.reason, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (reason, count) in &counts {
        case.fault(*reason, Weight::Named, format!("This gateway refused you {count} time(s) for it."));
    }
    let by_reason: Vec<Value> =
        counts.iter().map(|(reason, count)| json!({ "reason": reason, "count": count })).collect();
    let summary = format!("{} refusal(s).", recent.len());
    ToolOutput { summary, result: Some(json!({ "by_reason": by_reason, "refusals": recent })) }
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
