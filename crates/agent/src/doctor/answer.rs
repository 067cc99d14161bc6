//! Putting the answer into words, and the words into pieces.

use std::fmt::Write as _;

use portcullis_reason::{Fault as AtFault, Reason};

use super::{
    case::{Case, Fault, Weight},
    knowledge::Entry,
};

/// What of a reason the user wants to hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Focus {
    /// All of it.
    #[default]
    All,
    /// How to fix it, step by step.
    Fix,
    /// Where it comes from.
    Cause,
    /// How to see it.
    Symptoms,
}

const MOST_STEPS: usize = 10;
const MOST_ALSO: usize = 4;

/// The answer, Markdown.
pub(crate) fn compose(case: &Case, focus: Focus, partial: bool) -> String {
    let faults = case.faults();
    let primary = faults.first().copied();
    let mut text = headline(case, primary);
    // A single finding is already in the headline, unless a token or form was looked into.
    let looked_into = primary.is_some_and(|fault| fault.weight >= Weight::Token);
    if case.found.len() > 1
        || looked_into
        || (case.found.len() == 1 && case.sections.is_empty() && primary.is_none())
    {
        section(&mut text, "What I found", &bullets(&case.found));
    }
    match (primary, focus) {
        (Some(fault), Focus::Cause) => section(&mut text, "Where it comes from", fault.reason.help().cause()),
        (Some(fault), Focus::Symptoms) => section(&mut text, "How to see it", fault.reason.help().symptoms()),
        (Some(fault), Focus::All) if fault.weight >= Weight::Named => {
            section(&mut text, "What it means", fault.reason.help().cause());
        }
        _ => {}
    }
    // Where the fault itself was seen, what codes and log lines mean in general would only bury it.
    let headed_section = usize::from(has_headed_section(case, primary));
    for (title, body) in case.sections.iter().skip(headed_section).filter(|_| !looked_into) {
        section(&mut text, title, body);
    }
    let headed = headed_entry(case, primary);
    for entry in &case.entries {
        // Of the lines that were quoted, only those about the same fault matter once it was seen.
        let quoted = case.found.iter().any(|found| found.contains(entry.title));
        let aside = looked_into && quoted && entry.reason != primary.map(|fault| fault.reason);
        if headed.is_some_and(|headed| headed.title == entry.title) || aside {
            continue;
        }
        section(&mut text, entry.title, entry.body);
    }
    to_do(&mut text, case, primary, focus);
    also(&mut text, &faults);
    if partial {
        text.push_str("\n\n*The message held more than I look into at once; send the rest by itself if something is missing here.*");
    }
    text
}

fn headed_entry<'c>(case: &'c Case, primary: Option<&Fault>) -> Option<&'c &'static Entry> {
    let told = primary.is_some_and(|fault| fault.weight > Weight::Asked) || !case.found.is_empty();
    if told { None } else { case.entries.first() }
}

/// Whether the first section is told in the headline: nothing more decisive is known.
fn has_headed_section(case: &Case, primary: Option<&Fault>) -> bool {
    !case.sections.is_empty()
        && primary.is_none_or(|fault| fault.weight == Weight::Asked)
        && !case.found.is_empty()
}

fn headline(case: &Case, primary: Option<&Fault>) -> String {
    if let Some(entry) = headed_entry(case, primary) {
        return format!("**{}**\n\n{}", entry.title, entry.body);
    }
    match primary {
        Some(fault) if fault.weight >= Weight::Quoted => {
            let mut text = format!("**{}: {}.**", fault.reason, fault.reason.title());
            if !fault.why.is_empty() {
                let _ = write!(text, " {}", fault.why);
            }
            text
        }
        Some(fault) if fault.weight == Weight::Suggested => {
            format!("**Most likely {}: {}.** {}", fault.reason, fault.reason.title(), fault.why)
        }
        _ if case.found.is_empty() => "**Here is what I know about it.**".to_owned(),
        _ => match (case.sections.first(), case.entries.first()) {
            (Some((title, body)), _) => format!("**{title}**\n\n{body}"),
            (None, Some(entry)) => format!("**{}**", entry.title),
            (None, None) => "**I see no fault in what you pasted.** Only the signature remains, which a server with the key checks.".to_owned(),
        },
    }
}

fn to_do(text: &mut String, case: &Case, primary: Option<&Fault>, focus: Focus) {
    let mut steps: Vec<&str> = case.steps.iter().map(String::as_str).collect();
    let seen = primary.filter(|fault| fault.weight >= Weight::Token).map(|fault| fault.reason);
    let each = |entry: &Entry| if seen.is_none() || entry.reason == seen { MOST_STEPS } else { 1 };
    for step in case.entries.iter().flat_map(|entry| entry.steps.iter().take(each(entry))) {
        if !steps.contains(step) {
            steps.push(step);
        }
    }
    steps.truncate(MOST_STEPS);
    let decided = primary.filter(|fault| fault.weight > Weight::Asked);
    if let Some(fault) = decided {
        let help = fault.reason.help();
        let first = format!("**{}**", help.remedy());
        let mut list = steps.clone();
        // A log line's own entry knows more of the case than the catalogue does.
        let at = if fault.weight > Weight::Quoted { 0 } else { list.len() };
        list.insert(at, &first);
        section(text, "What to do", &numbered(&list));
        if fault.weight >= Weight::Named && matches!(focus, Focus::All | Focus::Fix) {
            section(text, &format!("{}, step by step", fault.reason), help.fix());
        }
        let who = match fault.reason.fault() {
            AtFault::Client => "the client",
            AtFault::Server => "the server",
            AtFault::Operator => "whoever runs the server",
        };
        let _ = write!(text, "\n\nWho has to change something: {who}. ");
        text.push_str(retry(fault.reason));
    } else if !steps.is_empty() {
        section(text, "What to do", &numbered(&steps));
    }
    if let Some(fault) = primary.filter(|fault| fault.weight == Weight::Asked) {
        let _ =
            write!(text, "\n\nThe reason in the catalogue: `{}` ({}).", fault.reason, fault.reason.title());
    }
}

fn retry(reason: Reason) -> &'static str {
    match reason.retry() {
        portcullis_reason::Retry::Never => "Trying the same again will not help.",
        portcullis_reason::Retry::AfterChange => "Trying again helps only after that change.",
        portcullis_reason::Retry::Backoff => "Trying again later, with growing pauses, may help.",
        portcullis_reason::Retry::Now => "It may be tried again at once.",
    }
}

fn also(text: &mut String, faults: &[&Fault]) {
    let others: Vec<String> = faults
        .iter()
        .skip(1)
        .filter(|fault| fault.weight > Weight::Asked)
        .take(MOST_ALSO)
        .map(|fault| {
            let why = if fault.why.is_empty() { fault.reason.title() } else { &fault.why };
            format!("**{}**: {why} {}", fault.reason, fault.reason.help().remedy())
        })
        .collect();
    if !others.is_empty() {
        section(text, "Also", &bullets(&others));
    }
}

fn section(text: &mut String, title: &str, body: &str) {
    if !body.is_empty() {
        let _ = write!(text, "\n\n### {title}\n\n{body}");
    }
}

fn bullets(items: &[String]) -> String {
    items.iter().map(|item| format!("- {item}")).collect::<Vec<_>>().join("\n")
}

fn numbered(items: &[&str]) -> String {
    items.iter().enumerate().map(|(i, item)| format!("{}. {item}", i + 1)).collect::<Vec<_>>().join("\n")
}

/// Cuts an answer into pieces to stream: at line ends and between words, none much longer than a line on a screen. The
/// pieces joined are the text.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    const WANTED: usize = 96;
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let window = &rest[..rest.floor_char_boundary(WANTED)];
        let cut = if window.len() == rest.len() {
            rest.len()
        } else {
            let line = window.rfind('\n').filter(|i| *i >= WANTED / 3);
            line.or_else(|| window.rfind(' ')).map_or(window.len(), |i| i + 1)
        };
        let (piece, after) = rest.split_at(cut);
        rest = after;
        Some(piece)
    })
}
