//! Putting the answer into words, and the words into pieces.

use std::fmt::Write as _;

use portcullis_reason::{Fault as AtFault, Reason};

use super::case::{Case, Fault, Sound, Told, Weight};

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
    let head = Head::of(case, primary);
    let mut text = head.text(case);
    let looked_into = primary.is_some_and(|fault| fault.weight >= Weight::Token);
    section(&mut text, "What I found", &bullets(&found(case, &head)));
    match (primary, focus) {
        (Some(fault), Focus::Cause) => section(&mut text, "Where it comes from", fault.reason.help().cause()),
        (Some(fault), Focus::Symptoms) => section(&mut text, "How to see it", fault.reason.help().symptoms()),
        (Some(fault), Focus::All) if fault.weight >= Weight::Named => {
            section(&mut text, "What it means", fault.reason.help().cause());
        }
        _ => {}
    }
    // Where the fault itself was seen, what codes and log lines mean in general would only bury it.
    for (at, (title, body)) in case.sections.iter().enumerate() {
        if !(looked_into || matches!(head, Head::Section(headed) if headed == at)) {
            section(&mut text, title, body);
        }
    }
    for (at, entry) in case.entries.iter().enumerate() {
        // Of the lines that were quoted, only those about the same fault matter once it was seen.
        let quoted = case.found.iter().any(|found| found.contains(entry.title));
        let aside = looked_into && quoted && entry.reason != primary.map(|fault| fault.reason);
        if !(aside || matches!(head, Head::Entry(headed) if headed == at)) {
            section(&mut text, entry.title, &entry.body);
        }
    }
    to_do(&mut text, case, primary, focus);
    also(&mut text, &faults);
    if partial {
        let _ = write!(text, "\n\n*{PARTIAL}*");
    }
    text
}

/// Told where not all of a message was looked into.
pub(crate) const PARTIAL: &str =
    "The message held more than I look into at once; send the rest by itself if something is missing here.";

/// What the answer begins with.
enum Head<'c> {
    Fault(&'c Fault),
    Likely(&'c Fault),
    /// The section of this index, which needs no heading then.
    Section(usize),
    /// The entry of this index.
    Entry(usize),
    /// A token was cut or blacked out.
    Unclear,
    /// Nothing is wrong with what was pasted.
    NoFault,
    /// The first finding.
    Finding,
    Knowledge,
}

impl<'c> Head<'c> {
    fn of(case: &'c Case, primary: Option<&'c Fault>) -> Self {
        let about_numbers = case.entries.iter().position(|entry| entry.about_numbers);
        match primary {
            Some(fault) if fault.weight >= Weight::Quoted => Self::Fault(fault),
            Some(fault) if fault.weight == Weight::Suggested => Self::Likely(fault),
            _ if case.shortened => Self::Unclear,
            _ if !case.sound.is_empty() => Self::NoFault,
            _ => match (about_numbers, case.sections.is_empty(), case.entries.is_empty()) {
                (Some(at), ..) => Self::Entry(at),
                (None, false, _) => Self::Section(0),
                (None, true, false) => Self::Entry(0),
                (None, true, true) if case.found.is_empty() => Self::Knowledge,
                (None, true, true) => Self::Finding,
            },
        }
    }

    fn text(&self, case: &Case) -> String {
        match self {
            Self::Fault(fault) => {
                let mut text = format!("**{}: {}.**", fault.reason, fault.reason.title());
                if !fault.why.is_empty() {
                    let _ = write!(text, " {}", fault.why);
                }
                text
            }
            Self::Likely(fault) => {
                format!("**Most likely {}: {}.** {}", fault.reason, fault.reason.title(), fault.why)
            }
            Self::Section(at) => case.sections.get(*at).map(|(title, body)| titled(title, body)).unwrap_or_default(),
            Self::Entry(at) => case.entries.get(*at).map(|entry| titled(entry.title, &entry.body)).unwrap_or_default(),
            Self::Unclear => {
                let sent = case.sound.contains(&Sound::Sent);
                let form = if sent { " The form in which it was sent is right." } else { "" };
                format!(
                    "**I cannot tell from this whether the token is good**: it was cut or blacked out where it was copied from, and what \
                     was really sent does not stand here.{form}"
                )
            }
            Self::NoFault if case.sound.contains(&Sound::Token) => {
                "**I see no fault in what you pasted.** Only the signature remains, which a server with the key checks."
                    .to_owned()
            }
            Self::NoFault if case.sound.contains(&Sound::Log) => {
                "**I see no failed handshake or connection in this log.**".to_owned()
            }
            Self::NoFault => "**I see no fault in what you pasted.**".to_owned(),
            Self::Finding => case.found.first().cloned().unwrap_or_default(),
            Self::Knowledge => "**Here is what I know about it.**".to_owned(),
        }
    }
}

fn titled(title: &str, body: &str) -> String {
    format!("**{title}**\n\n{body}")
}

/// The findings that are not in the headline already.
fn found(case: &Case, head: &Head) -> Vec<String> {
    let doubts = case.doubts.iter().map(|doubt| format!("**This does not fit together**: {}", doubt.what));
    let told = match head {
        // The one finding is the headline's own.
        Head::Section(_) | Head::Entry(_) => case.found.len() == 1,
        Head::Fault(fault) | Head::Likely(fault) => {
            let why = fault.why.as_str();
            fault.weight < Weight::Token
                && !why.is_empty()
                && case.found.len() == 1
                && case.found.iter().all(|found| found.ends_with(why))
        }
        Head::Finding => true,
        Head::NoFault | Head::Unclear | Head::Knowledge => false,
    };
    doubts.chain(case.found.iter().skip(usize::from(told)).cloned()).collect()
}

fn to_do(text: &mut String, case: &Case, primary: Option<&Fault>, focus: Focus) {
    let mut steps: Vec<&str> = case.doubts.iter().flat_map(|doubt| doubt.steps.iter().copied()).collect();
    let doubted = steps.len();
    steps.extend(case.steps.iter().map(String::as_str));
    let seen = primary.filter(|fault| fault.weight >= Weight::Token).map(|fault| fault.reason);
    let each = |entry: &Told| if seen.is_none() || entry.reason == seen { MOST_STEPS } else { 1 };
    steps.extend(
        case.entries.iter().flat_map(|entry| entry.steps.iter().take(each(entry))).map(String::as_str),
    );
    if primary.is_none_or(|fault| fault.weight == Weight::Asked) {
        steps.extend(&case.otherwise);
    }
    let mut distinct: Vec<&str> = Vec::new();
    for step in steps {
        if !distinct.contains(&step) {
            distinct.push(step);
        }
    }
    distinct.truncate(MOST_STEPS);
    let decided = primary.filter(|fault| fault.weight > Weight::Asked);
    if let Some(fault) = decided {
        let help = fault.reason.help();
        let first = format!("**{}**", help.remedy());
        let mut list = distinct.clone();
        // A log line's entry or a proxy's settings know more of the case than the catalogue does, and a doubt has to be
        // settled first.
        let general = fault.weight <= Weight::Quoted || case.blame.is_some();
        let at = if general { list.len() } else { doubted.min(list.len()) };
        list.insert(at, &first);
        section(text, "What to do", &numbered(&list));
        if fault.weight >= Weight::Named && matches!(focus, Focus::All | Focus::Fix) {
            section(text, &format!("{}, step by step", fault.reason), help.fix());
        }
        let who = match (case.blame, fault.reason.fault()) {
            _ if doubted > 0 => "that is what the first step tells",
            (Some(who), _) => who,
            (None, AtFault::Client) => "the client",
            (None, AtFault::Server) => "the server",
            (None, AtFault::Operator) => "whoever runs the server",
        };
        let _ = write!(text, "\n\nWho has to change something: {who}. ");
        text.push_str(retry(fault.reason));
    } else if !distinct.is_empty() {
        section(text, "What to do", &numbered(&distinct));
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
