//! A report as Markdown, for tickets and chats.

use std::fmt::Write as _;

use crate::{Incident, Report, shown};

impl Report {
    /// The report as Markdown. Evidence stands in code blocks, so nothing in it is taken for markup.
    pub fn markdown(&self) -> String {
        let mut out = String::from("# Diagnosis\n\n");
        let read = &self.read;
        let formats: Vec<_> =
            self.formats.iter().map(|(format, count)| format!("{}: {count}", format.name())).collect();
        let _ = write!(
            out,
            "{} {} read, {} about failures, {} unknown; {} handshakes succeeded.",
            read.lines,
            if read.lines == 1 { "line" } else { "lines" },
            read.failing,
            read.unknown,
            read.accepted
        );
        if !formats.is_empty() {
            let _ = write!(out, " {}.", formats.join(", "));
        }
        if let (Some(from), Some(to)) = (self.from, self.to) {
            let _ = write!(out, " From {} to {}.", shown(from), shown(to));
        }
        if read.suppressed > 0 {
            let _ = write!(out, " The server left {} more refusals out of its log.", read.suppressed);
        }
        out.push('\n');
        if self.read.tell_nothing() {
            out.push_str("\nNo incident can be told: nothing of it is of a format that is known.\n");
        } else if self.incidents.is_empty() {
            out.push_str("\nNo incident was found.\n");
        }
        for (index, incident) in self.incidents.iter().enumerate() {
            let _ = write!(out, "\n{}", section(index + 1, incident));
        }
        if self.other_failures > 0 {
            let _ = write!(out, "\n{} failures of further kinds are not listed.\n", self.other_failures);
        }
        out
    }
}

fn section(number: usize, incident: &Incident) -> String {
    let mut out = format!("## {number}. {}: {}\n\n", incident.name(), incident.title);
    let _ = write!(out, "- **Seen** {}", incident.times());
    if let Some(line) = incident.sparkline() {
        let _ = write!(out, " `{line}`");
    }
    out.push('\n');
    let hop = incident.hop.map_or("cannot be told from this log", |hop| hop.name());
    let _ = writeln!(out, "- **Where to change something**: {hop}");
    if !incident.cause.is_empty() {
        let _ = writeln!(out, "- **Cause**: {}", incident.cause);
    }
    if !incident.candidates.is_empty() {
        let list: Vec<_> = incident.candidates.iter().map(|reason| format!("`{reason}`")).collect();
        let _ = writeln!(out, "- **Could be**: {}", list.join(", "));
    }
    for consequence in &incident.consequences {
        let _ = writeln!(out, "- **What followed**: {} (×{})", consequence.title, consequence.count);
    }
    out.push_str("\nWhat to do:\n\n");
    for (index, remedy) in incident.remedies.iter().enumerate() {
        let _ = writeln!(out, "{}. {remedy}", index + 1);
    }
    out.push_str("\nEvidence:\n\n```text\n");
    for evidence in &incident.evidence {
        let _ = writeln!(out, "{}: {}", evidence.line, evidence.text.replace("```", "'''"));
    }
    out.push_str("```\n");
    out
}

impl Incident {
    /// Its reason, or its symptom.
    pub fn name(&self) -> String {
        match (self.reason, self.symptom) {
            (Some(reason), _) => reason.id().to_owned(),
            (None, Some(symptom)) => symptom.id().into_owned(),
            (None, None) => "unexplained".to_owned(),
        }
    }

    /// How often it was seen, and when: `3 times, from 2025-09-11T08:15:30Z to 2025-09-11T08:20:00Z`.
    pub fn times(&self) -> String {
        let mut out = if self.count == 1 { "once".to_owned() } else { format!("{} times", self.count) };
        if let (Some(first), Some(last)) = (self.first, self.last) {
            if first == last {
                let _ = write!(out, ", at {}", shown(first));
            } else {
                let _ = write!(out, ", from {} to {}", shown(first), shown(last));
            }
        }
        out
    }

    /// The counts over time as a line of blocks; none where there is one block at most, which shows nothing.
    pub fn sparkline(&self) -> Option<String> {
        const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        if self.over_time.iter().filter(|count| **count > 0).count() < 2 {
            return None;
        }
        let most = self.over_time.iter().copied().max().unwrap_or(0).max(1);
        let block = |count: &u64| match count {
            0 => '·',
            count => BLOCKS[((count * 8).div_ceil(most) as usize).clamp(1, 8) - 1],
        };
        Some(self.over_time.iter().map(block).collect())
    }
}
