//! One page of HTML without anything beside it: no script, no font, no address is fetched.

use std::fmt::Write as _;

use super::escape::escape;
use crate::{
    case::{Area, Group},
    finding::Finding,
    outcome::Verdict,
    report::Report,
};

/// The report as one HTML page.
pub fn write(report: &Report) -> String {
    let target = escape(&report.target);
    let grade = report.grade.map_or("–", crate::grade::Grade::name);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{target}: {grade}</title><style>{STYLE}</style></head><body><main>\n\
         <h1><span class=\"grade\">{grade}</span> {target}</h1>\n"
    );
    let summary = report.summary;
    let _ = writeln!(
        out,
        "<p>{} passed, {} failed, {} warned of, {} not applicable, {} inconclusive; {} s. Framework {}, profile {}.</p>",
        summary.pass,
        summary.fail,
        summary.warn,
        summary.not_applicable,
        summary.inconclusive,
        Seconds(report.elapsed_ms),
        report.server.framework,
        escape(&report.server.profile)
    );
    out.push_str("<dl class=\"scores\">");
    for area in Area::ALL {
        let score = report.scores.get(area.name()).copied().flatten();
        let score = score.map_or_else(|| "–".to_owned(), |score| format!("{score} %"));
        let _ = write!(out, "<div><dt>{}</dt><dd>{score}</dd></div>", area.name().replace('_', " "));
    }
    out.push_str("</dl>\n");
    for cause in &report.root_causes {
        let _ = writeln!(
            out,
            "<section class=\"cause\"><h2>Root cause: {}</h2>{}{}</section>",
            escape(cause.symptom.words()),
            prose(&cause.cause),
            prose(&cause.remedy)
        );
    }
    for group in Group::ALL {
        let mut cases = report.cases.iter().filter(|finding| finding.group == group).peekable();
        if cases.peek().is_none() {
            continue;
        }
        let _ = writeln!(out, "<h2>{} {}</h2>", group.letter(), escape(group.title()));
        for finding in cases {
            case(&mut out, finding);
        }
    }
    out.push_str("</main></body></html>\n");
    out
}

fn case(out: &mut String, finding: &Finding) {
    let open = if finding.verdict == Verdict::Fail { " open" } else { "" };
    let _ = writeln!(
        out,
        "<details{open}><summary><b class=\"{verdict}\">{shown}</b> <code>{}</code> {}</summary>\n<p>{} <i>{}, {}</i></p>",
        escape(finding.id),
        escape(&finding.says),
        escape(finding.requirement),
        escape(finding.clause),
        finding.level.name(),
        verdict = finding.verdict.name(),
        shown = finding.verdict.name().replace('_', " "),
    );
    if let Some(remedy) = &finding.remedy {
        out.push_str(&prose(remedy));
    }
    for exchange in &finding.evidence {
        let _ = writeln!(
            out,
            "<h4>{} ({} ms)</h4><pre class=\"sent\">{}</pre><pre class=\"received\">{}</pre>",
            escape(&exchange.what),
            exchange.ms,
            escape(&exchange.sent),
            escape(&exchange.received)
        );
    }
    out.push_str("</details>\n");
}

/// Paragraphs, and code between its fences.
fn prose(text: &str) -> String {
    let mut out = String::new();
    let mut code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            out.push_str(if code { "</pre>\n" } else { "<pre>" });
            code = !code;
        } else if code {
            out.push_str(&escape(line));
            out.push('\n');
        } else if !line.is_empty() {
            let _ = writeln!(out, "<p>{}</p>", escape(line));
        }
    }
    // A fence that was left open would swallow the rest of the page.
    out.push_str(if code { "</pre>\n" } else { "" });
    out
}

/// Milliseconds as seconds.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0 / 1000, self.0 % 1000 / 100)
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}main{max-width:70rem;margin:2rem auto;padding:0 1rem}\
.grade{display:inline-block;min-width:2ch;padding:0 .5ch;border:.15em solid;border-radius:.2em}h1{overflow-wrap:anywhere}\
h1 .grade{text-align:center}.scores{display:flex;flex-wrap:wrap;gap:.5rem}.scores div{padding:.3rem .8rem;border:1px solid #8886}\
dt{font-weight:bold}dd{margin:0}p,summary,h4{overflow-wrap:anywhere}\
details{border-top:1px solid #8886;padding:.4rem 0}summary{cursor:pointer}pre{overflow:auto;padding:.6rem;background:#8882}\
.sent{border-left:3px solid #36c}.received{border-left:3px solid #888}b{display:inline-block;min-width:8.5em}\
.fail{color:#c22}.warn{color:#a60}.pass{color:#282}.cause{border-left:4px solid #c22;padding-left:1rem}\
@media(prefers-color-scheme:dark){.fail{color:#f77}.warn{color:#fb4}.pass{color:#7c7}}";
