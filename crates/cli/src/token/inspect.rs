//! Looking into a token without verifying it.

use std::{fmt::Write as _, process::ExitCode};

use portcullis_token::{Inspection, inspect};
use serde_json::Value;

use super::input::read;
use crate::{
    args::InspectArgs,
    escape::one_line,
    exit::FINDINGS,
    output::{Output, Palette},
    time::{self, Relative},
};

pub(super) fn run(args: &InspectArgs, out: Output) -> anyhow::Result<ExitCode> {
    let now = time::now();
    let inspection = inspect(&read(&args.token)?, now);
    out.print(&inspection, |palette| text(&inspection, now, palette))?;
    let fine = inspection.findings.iter().all(|finding| finding.reason.is_none());
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

fn text(inspection: &Inspection, now: u64, palette: Palette) -> String {
    let mut text = String::new();
    for (name, part) in [("header", &inspection.header), ("claims", &inspection.claims)] {
        let Some(part) = part else { continue };
        let _ = writeln!(text, "{}", palette.bold(name));
        match part {
            Value::Object(members) => {
                for (member, value) in members {
                    let _ = write!(text, "  {:<8} {value}", palette.dim(one_line(member)));
                    // NumericDate, RFC 7519 §2.
                    if let ("exp" | "nbf" | "iat" | "auth_time", Some(moment)) =
                        (member.as_str(), seconds(value))
                    {
                        let _ =
                            write!(text, "  {}", palette.dim(format_args!("({})", Relative { moment, now })));
                    }
                    text.push('\n');
                }
            }
            other => {
                let _ = writeln!(text, "  {other}");
            }
        }
    }
    let _ = writeln!(text, "{}\n  {}", palette.bold("fingerprint"), inspection.fingerprint);
    let _ = writeln!(text, "{}", palette.bold("findings"));
    for finding in &inspection.findings {
        let _ = match finding.reason {
            Some(reason) => {
                writeln!(text, "  {} {}: {}", palette.red("✗"), palette.bold(reason.id()), finding.message)
            }
            None => writeln!(text, "  {} {}", palette.dim("·"), finding.message),
        };
    }
    if let Some(reason) = inspection.reason() {
        let _ = writeln!(text, "\n{}", palette.green(reason.help().remedy()));
    } else {
        let _ = writeln!(text, "\nThe signature was not looked at: `portcullis token verify` does that.");
    }
    text
}

fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let seconds = value.as_f64()?;
        #[expect(clippy::cast_sign_loss, reason = "checked on the same line")]
        (0.0..1e15).contains(&seconds).then_some(seconds as u64)
    })
}
