//! `diagnose_log`: what a log or an archive that was pasted comes to, by the same engine as `portcullis diagnose`.

use std::fmt::Write as _;

use portcullis_agent::ToolOutput;
use portcullis_diagnose::{Hop, Incident, Report};
use serde_json::{Value, json};

use crate::case::{Case, Sound, Weight};

/// The most incidents that are told.
const MOST: usize = 4;

/// The lines themselves are left out: whoever pasted them has them, and they name users.
pub(super) fn diagnose(report: &Report, case: &mut Case) -> ToolOutput {
    let read = report.read;
    if report.is_clean() {
        case.sound.push(Sound::Log);
        case.otherwise(&[
            "Paste the lines of the very minute in which somebody was refused; a proxy in front has a log of its own.",
            "Or export the browser's Network panel as HAR and paste the entry of the WebSocket: it shows what was sent.",
        ]);
        case.found.push(format!("**In the log**: {} lines, none of which tells of a failure.", read.lines));
        let result = json!({ "lines": read.lines, "failing": 0, "accepted": read.accepted, "incidents": [] });
        let summary = format!("{} lines without a failure.", read.lines);
        return ToolOutput { summary, result: Some(result) };
    }
    for (index, incident) in report.incidents.iter().take(MOST).enumerate() {
        case.found.push(found(incident));
        if let Some(reason) = incident.reason {
            case.fault(reason, Weight::Named, incident.cause.clone());
        }
        for remedy in incident.remedies.iter().filter(|remedy| !remedy.is_empty()) {
            case.step(remedy.clone());
        }
        if index == 0 {
            case.blame = incident.hop.and_then(blame);
        }
    }
    let names: Vec<_> = report.incidents.iter().take(MOST).map(summary).collect();
    let incidents: Vec<Value> = report.incidents.iter().take(MOST).map(result).collect();
    let result = json!({
        "lines": read.lines,
        "failing": read.failing,
        "unknown": read.unknown,
        "accepted": read.accepted,
        "incidents": incidents,
    });
    ToolOutput { summary: format!("{}: {}.", lines(read.lines), names.join("; ")), result: Some(result) }
}

fn lines(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}

fn summary(incident: &Incident) -> String {
    format!("{} ×{}", incident.name(), incident.count)
}

/// `**In the log: NO_TOKEN, 7 times**, to be changed in the client. It is followed by 9 ×…`
fn found(incident: &Incident) -> String {
    let times = if incident.count == 1 { "once".to_owned() } else { format!("{} times", incident.count) };
    let mut text = format!("**In the log: `{}`, {times}**", incident.name());
    let _ = match incident.hop {
        Some(hop) => write!(text, "; the hop to look at is the {}.", hop.name()),
        None => write!(text, "; {}. {}", lower(&incident.title), incident.cause),
    };
    if !incident.consequences.is_empty() {
        let list: Vec<_> = incident
            .consequences
            .iter()
            .map(|consequence| format!("{} (×{})", consequence.title, consequence.count))
            .collect();
        let _ = write!(
            text,
            " What came after it is its consequence, and no fault of its own: {}.",
            list.join("; ")
        );
    }
    text
}

fn result(incident: &Incident) -> Value {
    let consequences: Vec<Value> = incident
        .consequences
        .iter()
        .map(|consequence| json!({ "symptom": consequence.symptom, "count": consequence.count }))
        .collect();
    json!({
        "reason": incident.reason,
        "symptom": incident.symptom,
        "hop": incident.hop,
        "count": incident.count,
        "consequences": consequences,
        "candidates": incident.candidates,
    })
}

/// Who has to change something, where it is not whom the catalogue names.
const fn blame(hop: Hop) -> Option<&'static str> {
    match hop {
        Hop::Client => None,
        Hop::Network => Some("whoever runs the network between the two"),
        Hop::Proxy => Some("whoever runs the proxy"),
        Hop::Server => Some("whoever runs the server"),
        Hop::IdentityProvider => Some("whoever issues the tokens, or configured their keys"),
        Hop::Clock => Some("whoever runs the machine whose clock is wrong"),
    }
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
