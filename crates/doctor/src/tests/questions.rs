//! The table of questions: what people paste and ask, and what the answer has to name.
//!
//! A row of `questions/*.toml` is run through the real agent. Its columns:
//!
//! | column | meaning |
//! |---|---|
//! | `name` | says what the row is about, once in the whole table |
//! | `ask` | the message |
//! | `before` | earlier messages of the same thread, whose answers are remembered |
//! | `user` | who asks; `anna` unless said |
//! | `headline` | stands in the first paragraph of the answer |
//! | `says` | each of them stands in the answer |
//! | `never` | none of them does, nor in any thought or tool's result |
//! | `tools` | each of them comes to a result |
//! | `like` | the row that may have the same answer: any other row has to have another |
//!
//! In `ask` and `before`, `{jwt}` is a token that the server of these tests would take but for its signature, and
//! `{20000 x a}` is text repeated. Words after `jwt` change one thing: see [`Spec`].

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis_agent::{Agent as _, Message, Task};
use portcullis_diagnose::redacted;
use portcullis_reason::Reason;
use serde::Deserialize;
use serde_json::{Value, json};

use super::support::{Fixed, NOW, Transcript, claims, run_task, task, token};
use crate::Doctor;

const FILES: [(&str, &str); 9] = [
    ("reasons", include_str!("questions/reasons.toml")),
    ("forms", include_str!("questions/forms.toml")),
    ("clocks", include_str!("questions/clocks.toml")),
    ("logs", include_str!("questions/logs.toml")),
    ("network", include_str!("questions/network.toml")),
    ("plain", include_str!("questions/plain.toml")),
    ("server", include_str!("questions/server.toml")),
    ("languages", include_str!("questions/languages.toml")),
    ("doubtful", include_str!("questions/doubtful.toml")),
];

#[derive(Deserialize)]
struct Table {
    question: Vec<Question>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    name: String,
    ask: String,
    #[serde(default)]
    before: Vec<String>,
    user: Option<String>,
    headline: String,
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    never: Vec<String>,
    #[serde(default)]
    tools: Vec<String>,
    like: Option<String>,
}

fn table() -> Vec<Question> {
    let rows = |(file, text): (&str, &str)| {
        let table: Table = toml::from_str(text).unwrap_or_else(|error| panic!("{file}.toml: {error}"));
        table.question
    };
    FILES.into_iter().flat_map(rows).collect()
}

#[tokio::test]
async fn every_question_of_the_table_is_answered_as_it_says() {
    let mut faults = String::new();
    let mut answers: HashMap<String, String> = HashMap::new();
    for row in table() {
        let mut secrets = Vec::new();
        let transcript = run(&row, &mut secrets).await;
        let answer = &transcript.answer;
        let mut missing = judge(&row, &transcript, &secrets);
        if let Some(other) = answers.get(answer)
            && row.like.as_ref() != Some(other)
        {
            missing.push(format!("the same answer as {other:?}"));
        }
        answers.entry(answer.clone()).or_insert(row.name);
        if !missing.is_empty() {
            let ask: String = row.ask.chars().take(200).collect();
            writeln!(faults, "== {ask}\n!! {}\n{answer}\n", missing.join("\n!! ")).unwrap();
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn a_question_with_a_token_is_never_kept_and_everyday_ones_are() {
    let doctor = Doctor::new(Arc::new(Fixed));
    let (mut kept, mut plain) = (0, 0);
    for row in table() {
        let mut secrets = Vec::new();
        let ask = filled(&row.ask, &mut secrets);
        let may = doctor.may_repeat(&ask, None);
        assert!(!may || secrets.is_empty(), "{} would be written down", row.name);
        assert!(!doctor.may_repeat("why?", Some(&json!({ "pasted": [ask] }))) || may, "{}", row.name);
        kept += usize::from(may);
        plain += usize::from(secrets.is_empty());
    }
    assert!(kept * 4 > plain * 3, "{kept} of {plain} questions without a token");
}

#[test]
fn no_token_of_the_table_is_written_down() {
    for row in table() {
        let mut secrets = Vec::new();
        for text in row.before.iter().chain([&row.ask]) {
            let text = filled(text, &mut secrets);
            let shown = redacted(&text);
            for secret in &secrets {
                let pieces = secret.as_bytes().windows(16).map(|piece| str::from_utf8(piece).unwrap());
                let left: Vec<_> = pieces.filter(|piece| shown.contains(piece)).collect();
                assert!(left.is_empty(), "{}: {left:?} of {text} in {shown}", row.name);
            }
        }
    }
}

/// What the transcript lacks, or has too much of.
fn judge(row: &Question, transcript: &Transcript, secrets: &[String]) -> Vec<String> {
    let (answer, all) = (&transcript.answer, transcript.all());
    // The headline is a title, with its sentence where the title stands in a line of its own.
    let head = answer.split("\n\n###").next().unwrap_or_default();
    let head = head.lines().take(3).collect::<Vec<_>>().join(" ");
    let mut missing = Vec::new();
    if !head.contains(&row.headline) {
        missing.push(format!("{:?} is not in the headline {head:?}", row.headline));
    }
    missing.extend(
        row.says.iter().filter(|text| !answer.contains(*text)).map(|text| format!("{text:?} is not said")),
    );
    missing
        .extend(row.never.iter().filter(|text| all.contains(*text)).map(|text| format!("{text:?} is said")));
    let tools = transcript.tools();
    missing.extend(
        row.tools
            .iter()
            .filter(|tool| !tools.contains(&tool.as_str()))
            .map(|tool| format!("{tool} is not in {tools:?}")),
    );
    missing.extend(
        secrets
            .iter()
            .filter(|part| all.contains(*part))
            .map(|part| format!("{part:?}, part of a token, is repeated")),
    );
    if !ends_with_advice(answer) {
        missing.push("there is no advice to act on".to_owned());
    }
    missing
}

/// Steps to take, or what to send.
fn ends_with_advice(answer: &str) -> bool {
    answer.contains("Send me")
        || answer.split("### What to do\n\n").nth(1).is_some_and(|steps| steps.starts_with("1. "))
}

async fn run(row: &Question, secrets: &mut Vec<String>) -> Transcript {
    let user: Arc<str> = row.user.as_deref().unwrap_or("anna").into();
    let mut messages = Vec::new();
    for earlier in &row.before {
        messages.push(Message::user(filled(earlier, secrets)));
        let earlier = Task { messages: messages.clone(), user_id: user.clone(), ..task("") };
        messages.push(Message::assistant(run_task(earlier).await.unwrap().answer));
    }
    messages.push(Message::user(filled(&row.ask, secrets)));
    run_task(Task { messages, user_id: user, ..task("") }).await.unwrap()
}

/// `text` with its placeholders filled. The parts of the tokens go to `secrets`: nobody may hear them again.
fn filled(text: &str, secrets: &mut Vec<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let inside = after.split_once('}');
        if let Some((value, after)) =
            inside.and_then(|(inside, after)| Some((placeholder(inside, secrets)?, after)))
        {
            out.push_str(&value);
            rest = after;
        } else {
            out.push('{');
            rest = after;
        }
    }
    out + rest
}

fn placeholder(inside: &str, secrets: &mut Vec<String>) -> Option<String> {
    if let Some((times, unit)) = inside.split_once(" x ") {
        return Some(unit.repeat(times.parse().ok()?));
    }
    let spec = inside.strip_prefix("jwt").filter(|rest| rest.is_empty() || rest.starts_with(' '))?;
    let spec = Spec::read(spec);
    let token = spec.token();
    secrets.extend(token.split('.').filter(|part| part.len() > 20).map(ToOwned::to_owned));
    let dressed = spec.dressed(&token);
    secrets.extend((dressed.len() > 20).then(|| dressed.clone()));
    Some(dressed)
}

/// The words after `jwt`: `exp=-600` for a time relative to now, `aud=elsewhere` for text, `sub=-` for a claim that is
/// missing, `exp=ms` for milliseconds, `alg` and `kid` for the header; `bad=$` puts characters into the first part,
/// `cut` takes the signature or half of it away, `wrap=2` wraps in base64url twice, `lines=2` breaks it into lines.
struct Spec<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Spec<'t> {
    fn read(text: &'t str) -> Self {
        Self(text.split_whitespace().filter_map(|word| word.split_once('=')).collect())
    }

    fn get(&self, name: &str) -> Option<&'t str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    fn token(&self) -> String {
        let mut header = json!({ "alg": "HS256", "typ": "JWT" });
        let mut claims = claims();
        for (name, value) in &self.0 {
            match (*name, *value) {
                ("bad" | "cut" | "wrap" | "lines", _) => {}
                ("alg" | "kid", value) => header[*name] = value.into(),
                (name, "-") => drop(claims.as_object_mut().unwrap().remove(name)),
                ("exp" | "nbf" | "iat", "ms") => claims[*name] = ((NOW + 3600) * 1000).into(),
                ("exp" | "nbf" | "iat", offset) => {
                    claims[*name] = NOW.saturating_add_signed(offset.parse().unwrap()).into();
                }
                (name, value) => claims[name] = Value::from(value),
            }
        }
        token(&header, &claims)
    }

    fn dressed(&self, token: &str) -> String {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut text = match self.get("cut") {
            Some("signature") => signed.to_owned(),
            Some("half-signature") => format!("{signed}.{}", &signature[..20]),
            _ => token.to_owned(),
        };
        if let Some(bad) = self.get("bad") {
            text.insert_str(12, bad);
        }
        for _ in 0..self.get("wrap").map_or(0, |times| times.parse().unwrap()) {
            text = URL_SAFE_NO_PAD.encode(text);
        }
        if self.get("lines").is_some() {
            text.insert(text.len() / 2, '\n');
        }
        text
    }
}

#[test]
fn the_table_is_whole() {
    let table = table();
    assert!(table.len() >= 60, "{} rows", table.len());
    let mut names = HashMap::new();
    for (at, row) in table.iter().enumerate() {
        assert_eq!(names.insert(&row.name, at), None, "{}: twice", row.name);
        if let Some(like) = &row.like {
            assert!(
                names.get(like).is_some_and(|other| *other < at),
                "{}: {like:?} is no earlier row",
                row.name
            );
        }
    }
    for reason in Reason::ALL {
        assert!(table.iter().any(|row| row.headline == reason.id()), "{reason} is the headline of no row");
    }
}
