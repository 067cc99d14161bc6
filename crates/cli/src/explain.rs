//! `portcullis explain`: what a reason, a close code or an HTTP status means, from the catalogue.

use std::{collections::BTreeMap, fmt::Write as _, process::ExitCode};

use portcullis_reason::{BearerError, CloseCode, CloseProfile, Reason};
use serde::Serialize;

use crate::{
    args::ExplainArgs,
    output::{Output, Palette, Usage, wrap},
    suggest,
};

/// Runs the command.
pub(crate) fn run(args: &ExplainArgs, out: Output) -> anyhow::Result<ExitCode> {
    let Some(what) = args.what.as_deref().map(str::trim) else {
        let list: Vec<_> = Reason::ALL.iter().copied().map(Line::new).collect();
        out.print(&list, |palette| lines(&list, palette))?;
        return Ok(ExitCode::SUCCESS);
    };
    match subject(what)? {
        Subject::Reason(reason) => {
            let entry = Entry::new(reason);
            out.print(&entry, |palette| entry.text(palette))?;
        }
        Subject::CloseCode(code) => {
            let entry = CodeEntry::new(code);
            out.print(&entry, |palette| entry.text(palette))?;
        }
        Subject::Status(status, reasons) => {
            let list: Vec<_> = reasons.into_iter().map(Line::new).collect();
            out.print(&StatusEntry { status, reasons: &list }, |palette| {
                format!("{}\n\n{}", palette.bold(format_args!("HTTP {status}")), lines(&list, palette))
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

enum Subject {
    Reason(Reason),
    CloseCode(CloseCode),
    Status(u16, Vec<Reason>),
}

fn subject(what: &str) -> Result<Subject, Usage> {
    if what.bytes().all(|byte| byte.is_ascii_digit()) && !what.is_empty() {
        let number: u16 =
            what.parse().map_err(|_| Usage(format!("{what} is neither a close code nor an HTTP status")))?;
        if !(100..600).contains(&number) {
            return Ok(Subject::CloseCode(CloseCode(number)));
        }
        let reasons: Vec<_> =
            Reason::ALL.iter().copied().filter(|reason| reason.status() == Some(number)).collect();
        if reasons.is_empty() {
            return Err(Usage(format!(
                "no reason answers with HTTP {number}; Portcullis did not send it: look at the proxy in front of it"
            )));
        }
        return Ok(Subject::Status(number, reasons));
    }
    let id = what.replace([' ', '-'], "_").to_ascii_uppercase();
    // The catalogue shortens it, so people look for the long form too.
    let id = if id == "TOKEN_NOT_YET_VALID" { "NOT_YET_VALID" } else { &id };
    id.parse().map(Subject::Reason).map_err(|_| {
        let known = Reason::ALL.iter().map(|reason| reason.id());
        Usage(match suggest::nearest(id, known) {
            Some(near) => format!("`{what}` is not a reason; did you mean {near}?"),
            None => format!("`{what}` is not a reason; `portcullis explain --list` shows all of them"),
        })
    })
}

/// A reason in a list.
#[derive(Serialize)]
struct Line {
    reason: Reason,
    title: &'static str,
    status: Option<u16>,
    close_code: Option<u16>,
    remedy: &'static str,
}

impl Line {
    fn new(reason: Reason) -> Self {
        Self {
            reason,
            title: reason.title(),
            status: reason.status(),
            close_code: reason.close_code(CloseProfile::Standard),
            remedy: reason.help().remedy(),
        }
    }
}

fn lines(list: &[Line], palette: Palette) -> String {
    let number = |number: Option<u16>| number.map_or_else(|| "–".to_owned(), |number| number.to_string());
    let mut text = format!("{}\n", palette.dim(format_args!("{:<22} HTTP  close  title", "reason")));
    for line in list {
        let (status, close) = (number(line.status), number(line.close_code));
        let _ =
            writeln!(text, "{:<22} {status:>4}  {close:>5}  {}", palette.bold(line.reason.id()), line.title);
    }
    text
}

#[derive(Serialize)]
struct StatusEntry<'a> {
    status: u16,
    reasons: &'a [Line],
}

/// Everything about a reason.
#[derive(Serialize)]
struct Entry {
    reason: Reason,
    title: &'static str,
    status: Option<u16>,
    bearer_error: Option<&'static str>,
    close_codes: BTreeMap<&'static str, u16>,
    retry: &'static str,
    fault: &'static str,
    severity: &'static str,
    clause: &'static str,
    shown_as: Reason,
    remedy: &'static str,
    cause: &'static str,
    symptoms: &'static str,
    fix: &'static str,
}

impl Entry {
    fn new(reason: Reason) -> Self {
        let help = reason.help();
        Self {
            reason,
            title: reason.title(),
            status: reason.status(),
            bearer_error: reason.bearer_error().map(BearerError::as_str),
            close_codes: CloseProfile::ALL
                .iter()
                .filter_map(|profile| Some((profile.as_str(), reason.close_code(*profile)?)))
                .collect(),
            retry: reason.retry().as_str(),
            fault: reason.fault().as_str(),
            severity: reason.severity().as_str(),
            clause: reason.clause(),
            shown_as: reason.shown_as(),
            remedy: help.remedy(),
            cause: help.cause(),
            symptoms: help.symptoms(),
            fix: help.fix(),
        }
    }

    fn text(&self, palette: Palette) -> String {
        let mut text = format!("{}: {}\n\n", palette.bold(self.reason.id()), self.title);
        let mut fact = |name: &str, value: String| {
            if !value.is_empty() {
                let _ = writeln!(text, "{} {value}", palette.dim(format_args!("{name:<12}")));
            }
        };
        fact("HTTP", self.status.map_or_else(String::new, |status| status.to_string()));
        fact(
            "challenge",
            self.bearer_error.map_or_else(String::new, |error| format!("Bearer error=\"{error}\"")),
        );
        fact("close code", self.codes());
        fact("retry", self.retry.replace('_', " "));
        fact("fault", self.fault.to_owned());
        fact("severity", self.severity.to_owned());
        fact("clause", self.clause.to_owned());
        if self.shown_as != self.reason {
            fact("shown as", format!("{} (strangers cannot tell them apart)", self.shown_as));
        }
        let _ = writeln!(text, "\n{}", palette.green(wrap(self.remedy, WIDTH, "")));
        for (heading, body) in
            [("Cause", self.cause), ("How to see it", self.symptoms), ("How to fix it", self.fix)]
        {
            let _ = write!(text, "\n{}\n{}", palette.bold(heading), markdown(body));
        }
        text
    }

    /// `1008`, and what other profiles say instead.
    fn codes(&self) -> String {
        let Some(standard) = self.close_codes.get(CloseProfile::Standard.as_str()) else {
            return String::new();
        };
        let others: Vec<_> = self
            .close_codes
            .iter()
            .filter(|(_, code)| *code != standard)
            .map(|(profile, code)| format!("{profile}: {code}"))
            .collect();
        if others.is_empty() { standard.to_string() } else { format!("{standard} ({})", others.join(", ")) }
    }
}

/// Everything about a close code.
#[derive(Serialize)]
struct CodeEntry {
    close_code: u16,
    name: &'static str,
    may_be_sent: bool,
    meaning: &'static str,
    comes_from: &'static str,
    remedy: &'static str,
    reasons: BTreeMap<&'static str, Vec<Reason>>,
}

impl CodeEntry {
    fn new(code: CloseCode) -> Self {
        let help = code.help();
        Self {
            close_code: code.0,
            name: help.name,
            may_be_sent: code.may_be_sent(),
            meaning: help.meaning,
            comes_from: help.comes_from,
            remedy: help.remedy,
            reasons: CloseProfile::ALL
                .iter()
                .map(|profile| (profile.as_str(), code.reasons(*profile).collect::<Vec<_>>()))
                .filter(|(_, reasons)| !reasons.is_empty())
                .collect(),
        }
    }

    fn text(&self, palette: Palette) -> String {
        let mut text = format!("{}: {}\n", palette.bold(self.close_code), self.name);
        let _ = writeln!(text, "\n{}", wrap(self.meaning, WIDTH, ""));
        let _ =
            writeln!(text, "\n{}\n{}", palette.bold("Where it comes from"), wrap(self.comes_from, WIDTH, ""));
        let _ = writeln!(
            text,
            "\n{}\n{}",
            palette.bold("What to do"),
            palette.green(wrap(self.remedy, WIDTH, ""))
        );
        if self.reasons.is_empty() {
            return text;
        }
        let _ = writeln!(text, "\n{}", palette.bold("Reasons with this code"));
        let standard = self.reasons.get(CloseProfile::Standard.as_str());
        for (profile, reasons) in &self.reasons {
            if *profile != CloseProfile::Standard.as_str() && standard == Some(reasons) {
                continue;
            }
            let list: Vec<_> = reasons.iter().map(|reason| reason.id()).collect();
            let _ = writeln!(
                text,
                "{} {}",
                palette.dim(format_args!("{profile:<16}")),
                wrap(&list.join(", "), WIDTH - 17, INDENT)
            );
        }
        text
    }
}

/// Markdown for a terminal: paragraphs and list items wrapped, code left as it is and indented.
fn markdown(body: &str) -> String {
    let mut text = String::new();
    let mut code = false;
    for line in body.lines() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") {
            code = !code;
        } else if code {
            let _ = writeln!(text, "     {trimmed}", trimmed = line.strip_prefix("   ").unwrap_or(line));
        } else {
            let bullet = trimmed
                .split_once(' ')
                .filter(|(mark, _)| *mark == "-" || mark.ends_with('.') && mark.len() == 2);
            if let Some((mark, rest)) = bullet {
                let indent = if mark == "-" { "  " } else { "   " };
                let _ = writeln!(text, "{mark} {}", wrap(rest, WIDTH - indent.len(), indent));
            } else {
                let indent = if line.len() > trimmed.len() { "   " } else { "" };
                let _ = writeln!(text, "{indent}{}", wrap(trimmed, WIDTH - indent.len(), indent));
            }
        }
    }
    text
}

/// Lines of this length are still read easily.
const WIDTH: usize = 96;
/// The column of what stands behind a profile's name.
const INDENT: &str = "                 ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_found_however_it_is_written() {
        for &reason in Reason::ALL {
            for text in [
                reason.id().to_owned(),
                reason.id().to_lowercase(),
                reason.id().replace('_', "-"),
                reason.id().replace('_', " "),
            ] {
                assert!(matches!(subject(&text), Ok(Subject::Reason(found)) if found == reason), "{text}");
            }
        }
        assert!(matches!(subject("token-not-yet-valid"), Ok(Subject::Reason(Reason::NotYetValid))));
    }

    #[test]
    fn numbers_are_close_codes_or_statuses() {
        assert!(matches!(subject("1006"), Ok(Subject::CloseCode(CloseCode(1006)))));
        assert!(matches!(subject("0"), Ok(Subject::CloseCode(CloseCode(0)))));
        assert!(
            matches!(subject("426"), Ok(Subject::Status(426, reasons)) if reasons == [Reason::UnsupportedVersion])
        );
        for text in ["502", "100", "70000", "99999999999999999999"] {
            assert!(subject(text).is_err(), "{text}");
        }
    }

    #[test]
    fn slips_are_mended() {
        let hint = |text: &str| subject(text).err().unwrap().0;
        assert_eq!(hint("TOKEN_EXPIERD"), "`TOKEN_EXPIERD` is not a reason; did you mean TOKEN_EXPIRED?");
        assert_eq!(hint("expired"), "`expired` is not a reason; did you mean TOKEN_EXPIRED?");
        assert!(hint("banana").ends_with("`portcullis explain --list` shows all of them"));
        assert!(subject("").is_err());
    }

    #[test]
    fn every_entry_prints_its_whole_help() {
        for &reason in Reason::ALL {
            let text = Entry::new(reason).text(Palette::PLAIN);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let printed = words(&text).join(" ");
            for body in [reason.help().cause(), reason.help().symptoms(), reason.help().fix()] {
                let expected =
                    words(body).into_iter().filter(|word| word != "```").collect::<Vec<_>>().join(" ");
                assert!(printed.contains(&expected), "{reason}:\n{text}");
            }
        }
    }
}
