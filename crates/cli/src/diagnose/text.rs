//! A report for people at a terminal.

use std::fmt::Write as _;

use portcullis_diagnose::{Incident, Report, shown};
use portcullis_reason::Severity;

use crate::output::{Palette, wrap};

/// Lines of this length are still read easily.
const WIDTH: usize = 96;
/// What stands behind a name begins here.
const INDENT: &str = "              ";

/// All of it.
pub(super) fn report(report: &Report, palette: Palette) -> String {
    let read = &report.read;
    let mut out = String::new();
    let formats: Vec<_> =
        report.formats.iter().map(|(format, count)| format!("{} {count}", format.name())).collect();
    let _ = write!(out, "{} {}", read.lines, if read.lines == 1 { "line" } else { "lines" });
    if !formats.is_empty() {
        let _ = write!(out, " ({})", formats.join(", "));
    }
    let _ = write!(
        out,
        ": {} about failures, {} ordinary, {} unknown; {} handshakes succeeded",
        read.failing, read.ordinary, read.unknown, read.accepted
    );
    let mut out = wrap(&out, WIDTH, "");
    out.push('\n');
    if let (Some(from), Some(to)) = (report.from, report.to) {
        let _ = writeln!(out, "{}", palette.dim(format_args!("from {} to {}", shown(from), shown(to))));
    }
    if read.suppressed > 0 {
        let _ = writeln!(out, "the server left {} more refusals out of its log", read.suppressed);
    }
    if read.cut > 0 {
        let _ = writeln!(out, "{} lines were longer than is read", read.cut);
    }
    if read.tell_nothing() {
        let what = "nothing of it is of a format that is known: a log of words of its own, or no log";
        let _ = writeln!(out, "\n{}: {what}", palette.yellow("no incident can be told"));
    } else if report.incidents.is_empty() {
        let _ = writeln!(out, "\n{}", palette.green("✓ no incident"));
    }
    for incident in &report.incidents {
        let _ = write!(out, "\n{}", self::incident(incident, palette));
    }
    if report.other_failures > 0 {
        let _ = writeln!(out, "\n{} failures of further kinds are not listed", report.other_failures);
    }
    out
}

/// One incident.
pub(super) fn incident(incident: &Incident, palette: Palette) -> String {
    let mut out = format!("{} {}\n", headline(incident, palette), wrap(&incident.title, WIDTH, INDENT));
    let mut line = |name: &str, text: &str| {
        if !text.is_empty() {
            let text = wrap(text, WIDTH - INDENT.len(), INDENT);
            let _ = writeln!(out, "  {} {text}", palette.dim(format_args!("{name:<11}")));
        }
    };
    line("seen", &seen(incident));
    line("hop", incident.hop.map_or("cannot be told from this log", |hop| hop.name()));
    line("cause", &incident.cause);
    let candidates: Vec<_> = incident.candidates.iter().map(|reason| reason.id()).collect();
    line("could be", &candidates.join(", "));
    let seen_as: Vec<_> = incident
        .seen_as
        .iter()
        .filter(|(symptom, _)| Some(**symptom) != incident.symptom)
        .map(|(symptom, count)| format!("{} (×{count})", symptom.title()))
        .collect();
    line("seen as", &seen_as.join("; "));
    for consequence in &incident.consequences {
        line("so that", &format!("{} (×{})", consequence.title, consequence.count));
    }
    for (index, remedy) in incident.remedies.iter().enumerate() {
        line(if index == 0 { "what to do" } else { "" }, remedy);
    }
    for (index, evidence) in incident.evidence.iter().enumerate() {
        let name = if index == 0 { "evidence" } else { "" };
        let number = format!("line {}: ", evidence.line);
        let _ = writeln!(
            out,
            "  {} {}{}",
            palette.dim(format_args!("{name:<11}")),
            palette.dim(&number),
            evidence.text
        );
    }
    out
}

/// `✗ NO_TOKEN`, in the colour of its severity.
pub(super) fn headline(incident: &Incident, palette: Palette) -> String {
    let name = format!("✗ {}", incident.name());
    match incident.reason.map(portcullis_reason::Reason::severity) {
        Some(Severity::Info) => palette.bold(name).to_string(),
        Some(Severity::Warning) | None => palette.yellow(name).to_string(),
        Some(Severity::Error) => palette.red(name).to_string(),
    }
}

fn seen(incident: &Incident) -> String {
    let line = incident.sparkline().map(|line| format!("  {line}")).unwrap_or_default();
    format!("{}{line}", incident.times())
}
