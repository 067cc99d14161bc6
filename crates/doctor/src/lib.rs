//! The built-in agent: a doctor for failed WebSocket and JWT handshakes that needs no model.
//!
//! It reads a message once and gathers its evidence (`evidence`), runs a tool on each piece (`tools`), lets the piece
//! that is nearest to the fault decide (`case`), and tells what it found with what to do (`answer`). What it knows
//! beyond the catalogue of reasons is data (`knowledge`). It owns no socket and fetches nothing.

mod answer;
mod case;
mod contradictions;
mod desk;
mod evidence;
mod found;
mod knowledge;
mod paced;
mod scan;
mod search;
mod surroundings;
#[cfg(test)]
mod tests;
mod text;
mod thread;
mod tools;
mod vocabulary;

use std::{fmt, sync::Arc, time::Duration};

use portcullis_agent::{Agent, Answer, Failure, Keeps, RunContext, RunFuture, Task};
use portcullis_diagnose::is_plain;
use serde::Serialize as _;
use serde_json::{Serializer, Value, ser::PrettyFormatter};

pub use self::surroundings::{Configuration, Refusal, Surroundings};
use self::{
    answer::{Focus, PARTIAL, compose, pieces},
    case::{Case, Weight},
    contradictions::Reported,
    desk::Desk,
    evidence::Evidence,
    paced::Paced,
    scan::{credential::credentials, offer::Source},
    thread::follow_up,
    tools::{call::Call, context::Context},
};

/// The most tools of one run, and the most reasons that are explained in it.
const MAX_CALLS: usize = 16;
const MAX_REASONS: usize = 3;

/// Answers questions about failed handshakes, with evidence or without.
///
/// Its work is linear in the message, of which it reads 64 KiB. It repeats no credential: neither in a thought, nor in a
/// tool's arguments or result, nor in the answer. Long messages are worked on off the runtime's threads, one of each user
/// at a time and few in all; clones share that bound.
#[derive(Clone)]
pub struct Doctor {
    surroundings: Arc<dyn Surroundings>,
    name: String,
    keeps: Keeps,
    pause: Duration,
    desk: Arc<Desk>,
}

impl fmt::Debug for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doctor").finish_non_exhaustive()
    }
}

impl Doctor {
    /// A doctor for the server that `surroundings` describes. Its name is `doctor`, and of users' words it keeps all but
    /// credentials.
    pub fn new(surroundings: Arc<dyn Surroundings>) -> Self {
        Self {
            surroundings,
            name: "doctor".to_owned(),
            keeps: Keeps::default(),
            pause: Duration::ZERO,
            desk: Arc::new(Desk::new()),
        }
    }

    /// The same doctor under another name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The same doctor, and what of users' words may be written down.
    #[must_use]
    pub fn keeping(self, keeps: Keeps) -> Self {
        Self { keeps, ..self }
    }

    /// The same doctor, taking its time: it waits so long before each step and each piece of the answer, so that a person
    /// can watch it and a test can act in the middle.
    #[must_use]
    pub fn paced(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    async fn answer(&self, task: &Task, events: &Paced) -> Result<Answer, Failure> {
        let message = task.question().into_owned();
        let bytes = message.len();
        let gather = move || {
            let evidence = Evidence::gather(&message);
            (message, evidence)
        };
        let (message, mut evidence) = self.desk.work(&task.user_id, bytes, gather).await;
        let follow_up = if evidence.is_empty() {
            follow_up(&message, &task.messages, !evidence.asked.is_empty())
        } else {
            None
        };
        let mut case = Case::default();
        let mut focus = Focus::All;
        if let Some(follow_up) = follow_up {
            evidence.asked.clear();
            focus = follow_up.focus;
            case.fault(follow_up.reason, Weight::Named, "This is what your earlier message came down to.");
            events
                .thinking(format!("This refers back to {}, which we found before.", follow_up.reason))
                .await?;
        } else {
            events.thinking(overview(&evidence)).await?;
        }

        let context = Context {
            now: self.surroundings.now(),
            configuration: self.surroundings.configuration(),
            browser: evidence.browser,
            named: !evidence.reasons.is_empty(),
            origin: evidence.origin.clone(),
            script: evidence.script,
            offered: evidence.head.is_some() || !evidence.offers.is_empty(),
        };
        let partial = evidence.partial;
        let reported = Reported::of(&evidence);
        for reason in &evidence.reasons {
            case.fault(*reason, Weight::Named, "");
        }
        let mut calls = self.plan(evidence, &task.user_id);
        calls.truncate(MAX_CALLS - MAX_REASONS);
        for call in calls {
            run(&call, &context, &mut case, events).await?;
        }
        reported.weigh(&mut case);
        if let Some(doubt) = case.doubts.first() {
            events.thinking(format!("Something does not fit: {}", doubt.what)).await?;
        }
        let reasons: Vec<_> = case.faults().iter().take(MAX_REASONS).map(|fault| fault.reason).collect();
        for reason in reasons {
            run(&Call::ExplainReason(reason), &context, &mut case, events).await?;
        }

        let text = if case.is_empty() {
            unknown(&message, partial)
        } else {
            if let [first, _, ..] = case.faults()[..]
                && first.weight > Weight::Asked
            {
                let thought = format!(
                    "Of all this, {} is nearest to the fault; the rest follows from it or comes after it.",
                    first.reason
                );
                events.thinking(thought).await?;
            }
            compose(&case, focus, partial)
        };
        for piece in pieces(&text) {
            events.delta(piece).await?;
        }
        Ok(Answer { final_response: text, usage: None })
    }

    /// The tools that the evidence asks for, the nearest to the fault first.
    fn plan(&self, evidence: Evidence, user_id: &str) -> Vec<Call> {
        let mut calls: Vec<Call> = evidence.head.map(Call::CheckRequest).into_iter().collect();
        calls.extend(evidence.offers.into_iter().map(|offer| match offer.source {
            Source::ResponseHeader => Call::CheckResponse(offer),
            Source::RequestHeader | Source::Code | Source::List => Call::CheckTokenForm(offer),
        }));
        calls.extend(evidence.log.map(|report| Call::DiagnoseLog(Box::new(report))));
        calls.extend(evidence.tokens.into_iter().map(Call::DecodeToken));
        calls.extend(evidence.settings.map(Call::CheckProxySettings));
        let mut codes = evidence.close_codes;
        let entries = || evidence.quoted.iter().chain(&evidence.asked);
        codes.extend(evidence.asked.iter().filter_map(|entry| entry.code));
        let own: Vec<&str> = entries().filter_map(|entry| entry.tool).collect();
        let quoted: Vec<_> = evidence.quoted.iter().copied().filter(|entry| entry.tool.is_none()).collect();
        let asked: Vec<_> = evidence.asked.iter().copied().filter(|entry| entry.tool.is_none()).collect();
        if !(quoted.is_empty() && asked.is_empty()) {
            calls.push(Call::LookUp { quoted, asked, about_numbers: evidence.about_numbers });
        }
        // A handshake that succeeded is the least of what a message tells.
        let (succeeded, statuses): (Vec<u16>, Vec<u16>) =
            evidence.statuses.iter().partition(|status| **status == 101);
        calls.extend(statuses.into_iter().map(Call::ExplainStatus));
        let mut seen = Vec::new();
        for code in codes {
            if !seen.contains(&code) {
                seen.push(code);
                calls.push(Call::ExplainCloseCode(code));
            }
        }
        calls.extend(succeeded.into_iter().map(Call::ExplainStatus));
        if own.contains(&"audit_configuration") {
            calls.push(Call::AuditConfiguration);
        }
        if own.contains(&"recent_refusals") {
            calls.push(Call::RecentRefusals(self.surroundings.recent_refusals(user_id)));
        }
        calls
    }
}

impl Agent for Doctor {
    fn id(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "builtin"
    }

    /// Its tools only read, so answering twice does no harm; what may hold a credential is never written down.
    fn may_repeat(&self, question: &str, context: Option<&Value>) -> bool {
        let plain = |text: &str| is_plain(text) && credentials(text).is_empty();
        plain(question) && context.is_none_or(|context| plain(&spread(context)))
    }

    fn keeps(&self) -> Keeps {
        self.keeps
    }

    fn run(&self, task: Task, run: RunContext) -> RunFuture<'_> {
        Box::pin(async move {
            let RunContext { events, inbox, cancel } = run;
            // What it was asked is all that it looks at.
            drop(inbox);
            let events = Paced::new(events, self.pause);
            // Dropping the work at any of its waits is safe: a tool that was going on is completed.
            cancel
                .run_until_cancelled(self.answer(&task, &events))
                .await
                .unwrap_or_else(|| Err(Failure::cancelled()))
        })
    }
}

/// `context` as a text with each of its names and values on a line, so that none is taken for part of another.
fn spread(context: &Value) -> String {
    let mut text = Vec::new();
    // Without indentation, which would be paid for once more at each level.
    let lines = PrettyFormatter::with_indent(b"");
    context
        .serialize(&mut Serializer::with_formatter(&mut text, lines))
        .expect("a value is written into memory");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// Says why, then runs the tool. A tool that fails costs its part of the answer alone.
async fn run(call: &Call, context: &Context, case: &mut Case, events: &Paced) -> Result<(), Failure> {
    events.thinking(call.why()).await?;
    let outcome = events
        .tool(call.name(), call.args(), async {
            // A place to be cancelled at, also when nothing else waits.
            tokio::task::yield_now().await;
            call.run(context, case)
        })
        .await?;
    if let Err(error) = outcome {
        case.found.push(format!("**{}** came to no result: {error}", call.name()));
    }
    Ok(())
}

/// What was recognised, in a sentence.
fn overview(evidence: &Evidence) -> String {
    let mut parts = Vec::new();
    let mut count = |number: usize, one: &str, many: &str| match number {
        0 => {}
        1 => parts.push(one.to_owned()),
        number => parts.push(format!("{number} {many}")),
    };
    count(usize::from(evidence.head.is_some()), "a whole request head", "request heads");
    count(
        evidence.offers.len(),
        "a form in which credentials are sent",
        "forms in which credentials are sent",
    );
    count(usize::from(evidence.log.is_some()), "a log", "logs");
    count(evidence.tokens.len(), "a token", "tokens");
    count(evidence.quoted.len(), "an error or log line that I know", "errors or log lines that I know");
    let list = |numbers: &[u16]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if evidence.settings.is_some() {
        parts.push("settings of nginx".to_owned());
    }
    if !evidence.statuses.is_empty() {
        parts.push(format!("the HTTP status {}", list(&evidence.statuses)));
    }
    if !evidence.close_codes.is_empty() {
        parts.push(format!("the close code {}", list(&evidence.close_codes)));
    }
    if !evidence.reasons.is_empty() {
        let ids: Vec<_> = evidence.reasons.iter().map(ToString::to_string).collect();
        parts.push(format!("the reason {}", ids.join(", ")));
    }
    if let Some(entry) = evidence.asked.first() {
        parts.push(format!("a question ({})", entry.title));
    }
    if parts.is_empty() {
        return "I recognise neither a token, a code, a log line nor a question of my field in this."
            .to_owned();
    }
    format!("In the message I see {}.", parts.join("; "))
}

/// The honest answer to what is not understood, or to someone who asks what can be asked.
fn unknown(message: &str, partial: bool) -> String {
    let lower = text::clip(message, 256).to_lowercase();
    let words: Vec<&str> = text::words(&lower).take(7).collect();
    let greeting = words.len() < 7
        && words.iter().any(|word| {
            ["hello", "hi", "hey", "help", "hallo", "hilfe", "hola", "bonjour", "who", "thanks", "you"]
                .contains(word)
        });
    let first = if greeting {
        "**I am the handshake doctor of this gateway.**"
    } else {
        "**I cannot tell from this.**"
    };
    let rest = if partial { format!("\n\n*{PARTIAL}*") } else { String::new() };
    format!("{first} {}{rest}", include_str!("knowledge/unknown.md").trim())
}
