//! The report for people.

use std::fmt::Write as _;

use portcullis_check::{Area, Case, Finding, Grade, Group, OptIn, Report, Verdict, Worse};

use crate::output::{Palette, wrap};

/// The whole report: grade and scores, a line for each group with what did not pass below it, root causes.
pub(super) fn render(report: &Report, worse: Option<&[Worse]>, verbose: bool, palette: Palette) -> String {
    let mut out = String::new();
    head(&mut out, report, palette);
    for group in Group::ALL {
        let findings: Vec<&Finding> = report.cases.iter().filter(|finding| finding.group == group).collect();
        if findings.is_empty() {
            continue;
        }
        let _ = write!(out, "\n{} {:<32}", palette.bold(group.letter()), palette.bold(group.title()));
        for verdict in Verdict::ALL.into_iter().rev() {
            let count = findings.iter().filter(|finding| finding.verdict == verdict).count();
            if count > 0 {
                let _ = write!(out, "  {count} {}", paint(verdict, palette));
            }
        }
        out.push('\n');
        let untried = most_common(&findings).filter(|_| !verbose);
        if let Some((says, count)) = untried {
            let _ = writeln!(out, "  {} {count} times: {says}", paint(Verdict::Inconclusive, palette));
        }
        for finding in findings {
            if untried
                .is_some_and(|(says, _)| finding.verdict == Verdict::Inconclusive && finding.says == says)
            {
                continue;
            }
            if verbose || finding.verdict != Verdict::Pass && finding.verdict != Verdict::NotApplicable {
                describe(&mut out, finding, verbose, palette);
            }
        }
    }
    if let Some(worse) = worse {
        comparison(&mut out, worse, palette);
    }
    for cause in &report.root_causes {
        let _ = write!(
            out,
            "\n{} {}\n  {}\n",
            palette.bold("Root cause:"),
            palette.bold(cause.symptom.words()),
            paragraphs(&cause.cause, "  ")
        );
        let _ = writeln!(out, "\n  {}", paragraphs(&cause.remedy, "  "));
    }
    remedies(&mut out, report, palette);
    out
}

/// What to do about the fails, each remedy once; those of the root causes were told.
fn remedies(out: &mut String, report: &Report, palette: Palette) {
    let mut told: Vec<&str> = report.root_causes.iter().map(|cause| cause.remedy.as_str()).collect();
    for finding in report.cases.iter().filter(|finding| finding.verdict == Verdict::Fail) {
        let Some(remedy) = finding.remedy.as_deref().filter(|remedy| !told.contains(remedy)) else {
            continue;
        };
        told.push(remedy);
        let same =
            |other: &&Finding| other.verdict == Verdict::Fail && other.remedy.as_deref() == Some(remedy);
        let cases: Vec<&str> = report.cases.iter().filter(same).map(|finding| finding.id).collect();
        let _ = writeln!(
            out,
            "\n{} {}\n  {}",
            palette.bold("What to do:"),
            wrap(&cases.join(", "), WIDTH, "  "),
            paragraphs(remedy, "  ")
        );
    }
}

/// What three or more cases of a group could not be tried for.
fn most_common<'f>(findings: &[&'f Finding]) -> Option<(&'f str, usize)> {
    let open = findings.iter().filter(|finding| finding.verdict == Verdict::Inconclusive);
    let count = |says: &str| findings.iter().filter(|finding| finding.says == says).count();
    open.map(|finding| (finding.says.as_str(), count(&finding.says)))
        .max_by_key(|(_, count)| *count)
        .filter(|(_, count)| *count > 2)
}

/// The cases, for `--list`.
pub(super) fn list(cases: &[&Case], palette: Palette) -> String {
    let width = cases.iter().map(|case| case.id.len()).max().unwrap_or_default();
    let mut out = String::new();
    for case in cases {
        let asked = case.opt_in.map(OptIn::flag).map(|flag| format!(" ({flag})")).unwrap_or_default();
        let _ = writeln!(
            out,
            "{} {:<width$}  {:<8}  {}{asked}",
            case.group.letter(),
            palette.bold(case.id),
            case.level.name(),
            case.requirement
        );
    }
    out
}

fn head(out: &mut String, report: &Report, palette: Palette) {
    let grade = match report.grade {
        Some(grade @ (Grade::APlus | Grade::A)) => palette.green(grade.name()).to_string(),
        Some(grade @ (Grade::B | Grade::C)) => palette.yellow(grade.name()).to_string(),
        Some(grade) => palette.red(grade.name()).to_string(),
        None => "no grade".to_owned(),
    };
    let _ = writeln!(out, "{}  {grade}", palette.bold(&report.target));
    let server = &report.server;
    let software = server.software.as_deref().unwrap_or("no Server field");
    let _ = writeln!(
        out,
        "{}",
        palette.dim(format_args!("{software}, {}, profile {}", server.framework, server.profile))
    );
    if let Some(form) = &server.form {
        let _ = writeln!(out, "{}", palette.dim(form));
    } else {
        let _ = writeln!(out, "{}", palette.red("no connection could be made that works"));
        // What became of a token stands in the root cause.
        if let Some(tried) = report.tried.first() {
            let _ = writeln!(out, "  {}: {}", tried.form, tried.outcome);
        }
    }
    let mut line = String::new();
    for area in Area::ALL {
        let score = report.scores.get(area.name()).copied().flatten();
        let score = score.map_or_else(|| "–".to_owned(), |score| score.to_string());
        let _ = write!(line, "{} {score}  ", area.name().replace('_', " "));
    }
    let _ = writeln!(out, "\n{}", line.trim_end());
}

fn describe(out: &mut String, finding: &Finding, verbose: bool, palette: Palette) {
    let _ = writeln!(out, "  {} {}", paint(finding.verdict, palette), palette.bold(finding.id));
    let _ = writeln!(out, "    {}", wrap(&finding.says, WIDTH, "    "));
    let bad = matches!(finding.verdict, Verdict::Fail | Verdict::Warn);
    if bad || verbose {
        let reason = finding.reason.map(|reason| format!(", {reason}")).unwrap_or_default();
        let basis = format!("{} ({}, {}{reason})", finding.requirement, finding.level.name(), finding.clause);
        let _ = writeln!(out, "    {}", palette.dim(wrap(&basis, WIDTH, "    ")));
    }
    if verbose {
        for exchange in &finding.evidence {
            let _ = writeln!(out, "    {} ({} ms)", palette.dim(&exchange.what), exchange.ms);
            for (mark, text) in [(">", &exchange.sent), ("<", &exchange.received)] {
                for line in text.trim_end().lines() {
                    let _ = writeln!(out, "      {} {line}", palette.dim(mark));
                }
            }
        }
    }
}

fn comparison(out: &mut String, worse: &[Worse], palette: Palette) {
    if worse.is_empty() {
        let _ = writeln!(out, "\n{}", palette.green("Nothing got worse."));
        return;
    }
    let _ = writeln!(out, "\n{}", palette.bold("Worse than before:"));
    for case in worse {
        let before = case.before.map_or("new", Verdict::name);
        let _ = writeln!(out, "  {}: {before}, now {}", case.id, paint(case.now, palette));
    }
}

fn paint(verdict: Verdict, palette: Palette) -> String {
    let name = verdict.name().replace('_', " ");
    match verdict {
        Verdict::Pass => palette.green(name).to_string(),
        Verdict::Fail => palette.red(name).to_string(),
        Verdict::Warn => palette.yellow(name).to_string(),
        Verdict::NotApplicable | Verdict::Inconclusive => palette.dim(name).to_string(),
    }
}

/// Prose is wrapped; code between its fences is left as it is, without them.
fn paragraphs(text: &str, indent: &str) -> String {
    let mut code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            code = !code;
        } else if code {
            lines.push(format!("  {line}"));
        } else {
            lines.push(wrap(line, WIDTH, indent));
        }
    }
    lines.join(&format!("\n{indent}"))
}

const WIDTH: usize = 96;
