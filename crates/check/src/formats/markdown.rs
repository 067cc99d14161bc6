//! Markdown, for a pull request.

use std::fmt::Write as _;

use crate::{case::Area, outcome::Verdict, report::Report};

/// The report as Markdown.
pub fn write(report: &Report) -> String {
    let summary = report.summary;
    let grade = report.grade.map_or("no grade", crate::grade::Grade::name);
    let mut out = format!("# `{}`: {grade}\n\n", report.target);
    let _ = writeln!(
        out,
        "{} passed, {} failed, {} warned of, {} not applicable, {} inconclusive. Framework: {}. Token: {}.\n",
        summary.pass,
        summary.fail,
        summary.warn,
        summary.not_applicable,
        summary.inconclusive,
        report.server.framework,
        report.server.form.as_deref().map_or_else(|| "none".to_owned(), |form| format!("`{form}`"))
    );
    out.push_str("| area | score |\n|---|---|\n");
    for area in Area::ALL {
        let score = report.scores.get(area.name()).copied().flatten();
        let _ = writeln!(
            out,
            "| {} | {} |",
            area.name(),
            score.map_or_else(|| "–".to_owned(), |score| format!("{score} %"))
        );
    }
    for cause in &report.root_causes {
        let _ = write!(
            out,
            "\n## Root cause: {}\n\n{}\n\n{}\n",
            cause.symptom.words(),
            cause.cause,
            cause.remedy
        );
    }
    if report.bad().next().is_some() {
        out.push_str("\n## Findings\n\n| case | level | verdict | what was seen |\n|---|---|---|---|\n");
    }
    for finding in report.bad() {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            finding.id,
            finding.level.name(),
            finding.verdict.name(),
            cell(&finding.says)
        );
    }
    for finding in report.bad().filter(|finding| finding.verdict == Verdict::Fail) {
        let _ = write!(
            out,
            "\n### {}\n\n{} ({})\n\n{}\n",
            finding.title(),
            finding.requirement,
            finding.clause,
            finding.remedy.as_deref().unwrap_or_default()
        );
    }
    out
}

/// A text that does not end its cell.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ").replace('<', "\\<")
}
