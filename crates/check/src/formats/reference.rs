//! The table of cases, for the documentation.

use std::fmt::Write as _;

use super::markdown::cell;
use crate::{
    case::{Group, OptIn},
    cases,
};

/// Every case, as Markdown.
pub fn reference() -> String {
    let mut out = INTRODUCTION.to_owned();
    let _ = writeln!(out, "{} cases in {} groups.", cases::all().len(), Group::ALL.len());
    for group in Group::ALL {
        let _ = write!(
            out,
            "\n## {}: {}\n\nCounts for `{}`.\n\n| case | level | stands on | requirement | reason |\n|---|---|---|---|---|\n",
            group.letter(),
            group.title(),
            group.area().name()
        );
        for case in cases::all().iter().filter(|case| case.group == group) {
            let asked =
                case.opt_in.map(OptIn::flag).map(|flag| format!(" Only with `{flag}`.")).unwrap_or_default();
            let reason =
                case.reason.map(|reason| format!("[`{0}`](reasons/{0}.md)", reason.id())).unwrap_or_default();
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {}{asked} | {reason} |",
                case.id,
                case.level.name(),
                cell(case.clause),
                cell(case.requirement)
            );
        }
    }
    out
}

const INTRODUCTION: &str = "\
# Cases of check

<!-- Generated: cargo run -p portcullis-cli -- reference check > docs/check-cases.md -->

What [`portcullis check`](check.md) tries. The reason is the one that a right refusal would give, or that names the fault.
";
