//! `JUnit` XML: one suite for each group.

use std::fmt::Write as _;

use super::escape::escape;
use crate::{case::Group, outcome::Verdict, report::Report};

/// The report as `JUnit` XML.
pub fn write(report: &Report) -> String {
    let summary = report.summary;
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"portcullis check {}\" tests=\"{}\" failures=\"{}\" errors=\"0\" time=\"{}.{:03}\">",
        escape(&report.target),
        report.cases.len(),
        summary.fail,
        report.elapsed_ms / 1000,
        report.elapsed_ms % 1000
    );
    for group in Group::ALL {
        let cases: Vec<_> = report.cases.iter().filter(|finding| finding.group == group).collect();
        if cases.is_empty() {
            continue;
        }
        let count =
            |verdicts: &[Verdict]| cases.iter().filter(|finding| verdicts.contains(&finding.verdict)).count();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{} {}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">",
            group.letter(),
            escape(group.title()),
            cases.len(),
            count(&[Verdict::Fail]),
            count(&[Verdict::NotApplicable, Verdict::Inconclusive])
        );
        for finding in cases {
            let time = finding.evidence.iter().map(|exchange| exchange.ms).sum::<u64>();
            let _ = write!(
                out,
                "    <testcase classname=\"portcullis.{}\" name=\"{}\" time=\"{}.{:03}\"",
                group.letter(),
                escape(finding.id),
                time / 1000,
                time % 1000
            );
            let says = escape(&finding.says);
            let _ = match finding.verdict {
                Verdict::Pass => writeln!(out, "/>"),
                Verdict::Fail => writeln!(
                    out,
                    ">\n      <failure type=\"{}\" message=\"{says}\">{}\n{}</failure>\n    </testcase>",
                    finding.reason.unwrap_or("fail"),
                    escape(finding.requirement),
                    escape(finding.remedy.as_deref().unwrap_or_default())
                ),
                Verdict::Warn => {
                    writeln!(out, ">\n      <system-out>warning: {says}</system-out>\n    </testcase>")
                }
                Verdict::NotApplicable | Verdict::Inconclusive => writeln!(
                    out,
                    ">\n      <skipped message=\"{}: {says}\"/>\n    </testcase>",
                    finding.verdict.name()
                ),
            };
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}
