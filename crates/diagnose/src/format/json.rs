//! Logs of JSON objects: our own, Cloud Logging's entries, and what other programs write.

use std::borrow::Cow;

use portcullis_reason::Reason;
use serde_json::{Map, Value};

use super::{Format, Outcome, Parsed, Paths, context::Context};
use crate::{
    keys::Keys,
    signal::{Finding, Hop, Symptom},
    text,
    time::{self, Millis},
};

/// What an object comes to.
pub(crate) enum Read {
    /// It was understood as a whole.
    Entry(Parsed<'static>),
    /// It wraps text of another program, which is to be read line by line.
    Text(String, Context, Option<Parsed<'static>>),
}

/// Reads one object.
pub(crate) fn read(object: &Map<String, Value>, paths: &mut Paths) -> Read {
    if is_gcp(object) {
        return gcp(object, paths);
    }
    let is_own = string(object, &["target"]).is_some_and(|target| target.starts_with("portcullis"));
    if is_own {
        return Read::Entry(own(object));
    }
    structured(object, Format::Json, &Context::default(), paths)
}

/// The beginnings of the messages of our own that are about failures, for logs that are written as text.
pub(crate) const OWN_MESSAGES: [&str; 6] = [
    "handshake refused",
    "preflight refused",
    "connection ended",
    "more was refused than is logged",
    "golden-path probe failed",
    "refused ",
];

/// What a line of our own log says.
pub(crate) struct Own<'t> {
    pub(crate) message: &'t str,
    pub(crate) level: &'t str,
    pub(crate) reason: Option<Reason>,
    pub(crate) detail: &'t str,
    pub(crate) code: Option<u16>,
    pub(crate) suppressed: Option<u64>,
}

impl Own<'_> {
    pub(crate) fn outcome(&self) -> Outcome {
        if let Some(count) = self.suppressed {
            return Outcome::Suppressed(count);
        }
        // What users mistype and mistake, and what a page asks after a refusal that has its own line, is no failure here.
        let nothing = self.message.starts_with("preflight refused")
            || matches!(self.reason, Some(Reason::LoginFailed | Reason::BadRequest | Reason::NotFound));
        if nothing {
            return Outcome::Ordinary;
        }
        if let Some(reason) = self.reason {
            let ended = self.message.starts_with("connection ended");
            // A restart says so to everyone who is connected.
            if ended && reason == Reason::Draining {
                return Outcome::Ordinary;
            }
            let mut finding = Finding::cause(VOICE_OWN, reason);
            finding.hop = self.hop(reason);
            finding.live = true;
            if let Some(code) = self.code.filter(|_| ended) {
                finding.symptom = Some(Symptom::Closed(code));
            }
            return Outcome::Found(finding);
        }
        if self.level == "ERROR" {
            return Outcome::Found(Finding::cause(VOICE_OWN, Reason::Internal).at(Hop::Server).live());
        }
        Outcome::Ordinary
    }

    /// Which hop the detail points at.
    fn hop(&self, reason: Reason) -> Option<Hop> {
        match reason {
            // The core's words for a missing field are in the table; every other fault of the head is the client's.
            Reason::BadUpgrade => {
                Some(text::tell(self.detail).and_then(|finding| finding.hop).unwrap_or(Hop::Client))
            }
            // This server selects whatever it speaks of what is offered.
            Reason::NoCommonSubprotocol => Some(Hop::Client),
            _ => None,
        }
    }
}

fn own(object: &Map<String, Value>) -> Parsed<'static> {
    let text = |name| string(object, &[name]).unwrap_or_default();
    let own = Own {
        message: text("message"),
        level: text("level"),
        reason: text("reason").parse().ok(),
        detail: text("detail"),
        code: number(object, &["code"]),
        suppressed: object.get("suppressed").and_then(Value::as_u64),
    };
    let outcome = own.outcome();
    let shown = match outcome {
        Outcome::Found(_) => shown(
            object,
            &["message", "reason", "detail", "form", "peer", "connection", "request_id", "error"],
        ),
        _ => String::new(),
    };
    let parsed = Parsed::new(Format::Portcullis, shown).at(at(object)).keys(keys(object));
    Parsed { outcome, ..parsed }
}

fn is_gcp(object: &Map<String, Value>) -> bool {
    ["textPayload", "jsonPayload", "protoPayload"].iter().any(|name| object.contains_key(*name))
        || object.contains_key("httpRequest")
            && (object.contains_key("logName")
                || object.contains_key("severity")
                || object.contains_key("insertId"))
        || object.contains_key("insertId") && object.contains_key("logName")
}

/// A `LogEntry`: a request, a text or an object of the program that runs there.
fn gcp(object: &Map<String, Value>, paths: &mut Paths) -> Read {
    let mut context = Context { format: Some(Format::Gcp), at: at(object), keys: keys(object) };
    let request = object.get("httpRequest").and_then(Value::as_object).map(|request| {
        let parsed = http_request(request, context.at, paths);
        context.keys = parsed.keys.or(&context.keys);
        Parsed { keys: context.keys, ..parsed }
    });
    if let Some(text) = object.get("textPayload").and_then(Value::as_str) {
        return Read::Text(text.to_owned(), context, request);
    }
    if let Some(payload) = object.get("jsonPayload").and_then(Value::as_object) {
        if let Some(request) = request
            && matches!(request.outcome, Outcome::Found(_))
        {
            return Read::Entry(request);
        }
        let is_own = string(payload, &["target"]).is_some_and(|target| target.starts_with("portcullis"));
        if is_own {
            let parsed = own(payload);
            return Read::Entry(Parsed {
                at: parsed.at.or(context.at),
                keys: parsed.keys.or(&context.keys),
                ..parsed
            });
        }
        return structured(payload, Format::Gcp, &context, paths);
    }
    Read::Entry(request.unwrap_or_else(|| Parsed::new(Format::Gcp, "").at(context.at)))
}

fn http_request(request: &Map<String, Value>, at: Option<Millis>, paths: &mut Paths) -> Parsed<'static> {
    let target = string(request, &["requestUrl"]).unwrap_or_default();
    let status: u16 = number(request, &["status"]).unwrap_or(0);
    let keys = Keys::default().peer(string(request, &["remoteIp"]).unwrap_or_default());
    let method = string(request, &["requestMethod"]).unwrap_or("GET");
    let parsed = Parsed::new(Format::Gcp, format!("{method} {target} → {status}")).at(at).keys(keys);
    match status {
        101 => {
            paths.learn(target);
            Parsed { outcome: Outcome::Accepted, ..parsed }
        }
        400.. if method == "GET" && paths.is_socket(target) => {
            parsed.finding(Some(Finding::symptom(VOICE_GCP, Symptom::Refused(status))))
        }
        _ => parsed,
    }
}

/// An object with a message and fields beside it, as many loggers write.
fn structured(object: &Map<String, Value>, format: Format, outer: &Context, paths: &mut Paths) -> Read {
    let message =
        string(object, &["message", "msg", "event", "log", "text", "body", "error"]).unwrap_or_default();
    let context =
        Context { format: Some(format), at: at(object).or(outer.at), keys: keys(object).or(&outer.keys) };
    let failing = failing(object);
    let named = string(object, &["reason", "error_code", "errorCode", "code", "error_type", "close_reason"])
        .and_then(|id| id.split([':', ' ']).next())
        .and_then(|id| id.parse::<Reason>().ok())
        .filter(|reason| failing || reason.is_authentication());
    let code = number(object, &["close_code", "closeCode", "ws_close_code"])
        .filter(|code| !matches!(code, 1000 | 1001 | 1005) && (1000..=4999).contains(code));
    let status = number(object, &["status", "status_code", "statusCode", "DownstreamStatus"]);
    let target = target(object);
    if let (Some(101), Some(target)) = (status, target) {
        paths.learn(target);
        let parsed = Parsed::new(format, "").at(context.at).keys(context.keys);
        return Read::Entry(Parsed { outcome: Outcome::Accepted, ..parsed });
    }
    let status = status.filter(|status| *status >= 400);
    let target = target.filter(|path| paths.is_socket(path));
    let symptom =
        code.map(Symptom::Closed).or_else(|| Some(Symptom::Refused(status.filter(|_| target.is_some())?)));
    let told = if is_quiet(object) { text::tell_quiet(message) } else { text::tell(message) };
    let finding = match (named, told, symptom) {
        (Some(reason), told, symptom) => {
            let symptom = symptom.or_else(|| told?.symptom);
            Some(Finding { symptom, ..Finding::cause(VOICE_JSON, reason) })
        }
        (None, Some(told), symptom) => Some(Finding { symptom: told.symptom.or(symptom), ..told }),
        (None, None, Some(symptom)) => Some(Finding::symptom(VOICE_JSON, symptom)),
        (None, None, None) => None,
    };
    // Several lines in one message: a traceback, most often.
    let trace = string(object, &["exc_info", "exception", "stack_trace", "stack", "traceback"]);
    if let Some(trace) = trace.filter(|_| finding.is_none_or(|finding| finding.reason.is_none())) {
        return Read::Text(format!("{message}\n{trace}"), context, None);
    }
    if finding.is_none() && !message.is_empty() {
        return Read::Text(message.to_owned(), context, None);
    }
    let shown = match finding {
        Some(_) => shown(
            object,
            &["message", "msg", "event", "reason", "error_code", "error", "close_code", "status", "path"],
        ),
        None => String::new(),
    };
    let parsed = Parsed::new(format, shown).at(context.at).keys(context.keys);
    Read::Entry(parsed.finding(finding))
}

/// What was asked for: Caddy has it in an object of its own, Traefik writes names in capitals.
fn target(object: &Map<String, Value>) -> Option<&str> {
    const NAMES: [&str; 5] = ["path", "url", "uri", "request_path", "RequestPath"];
    let inside = || string(object.get("request")?.as_object()?, &NAMES);
    string(object, &NAMES).or_else(inside)
}

/// Whether an object is about something that went wrong, by its level.
fn failing(object: &Map<String, Value>) -> bool {
    level(object).is_some_and(|level| level >= WARNING)
}

/// Whether its program marked it as no trouble.
fn is_quiet(object: &Map<String, Value>) -> bool {
    level(object).is_some_and(|level| level < WARNING)
}

/// The level, as pino and bunyan count them.
fn level(object: &Map<String, Value>) -> Option<u64> {
    match object.get("level").or_else(|| object.get("severity")).or_else(|| object.get("levelname"))? {
        Value::String(level) => {
            let level = level.to_ascii_lowercase();
            let is = |marks: &[&str]| marks.iter().any(|mark| level.starts_with(mark));
            if is(&["warn", "err", "crit", "fatal", "alert", "emerg"]) {
                Some(WARNING)
            } else {
                is(&["info", "debug", "trace", "notice"]).then_some(WARNING - 10)
            }
        }
        Value::Number(level) => level.as_u64(),
        _ => None,
    }
}

const WARNING: u64 = 40;

fn at(object: &Map<String, Value>) -> Option<Millis> {
    const NAMES: [&str; 7] =
        ["timestamp", "time", "@timestamp", "ts", "asctime", "receiveTimestamp", "datetime"];
    NAMES.iter().find_map(|name| match object.get(*name)? {
        Value::String(text) => time::rfc3339(text),
        Value::Number(number) => {
            let number = number.as_f64()?;
            // Seconds until the year 5138 are fewer than milliseconds since 1973.
            let ms = if number < 1e11 { number * 1000.0 } else { number };
            (0.0..1e15).contains(&ms).then_some(ms as Millis)
        }
        _ => None,
    })
}

fn keys(object: &Map<String, Value>) -> Keys {
    let text = |names: &[&str]| -> Cow<'_, str> {
        names
            .iter()
            .find_map(|name| match object.get(*name)? {
                Value::String(text) => Some(Cow::Borrowed(text.as_str())),
                Value::Number(number) => Some(Cow::Owned(number.to_string())),
                _ => None,
            })
            .unwrap_or_default()
    };
    let mut keys = Keys::default().peer(&text(&[
        "peer",
        "client",
        "remote_addr",
        "remoteAddress",
        "client_ip",
        "ClientHost",
        "address",
    ]));
    keys = keys.user(&text(&["user_id", "userId", "user", "sub", "uid"]));
    keys = keys.connection(&text(&["connection", "connection_id", "connectionId", "conn_id"]));
    keys.request(&text(&["request_id", "requestId", "req_id", "trace", "trace_id"]))
}

fn string<'o>(object: &'o Map<String, Value>, names: &[&str]) -> Option<&'o str> {
    names.iter().find_map(|name| object.get(*name)?.as_str())
}

fn number(object: &Map<String, Value>, names: &[&str]) -> Option<u16> {
    names.iter().find_map(|name| match object.get(*name)? {
        Value::Number(number) => number.as_u64().and_then(|number| number.try_into().ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    })
}

/// Some fields of an object, as evidence.
fn shown(object: &Map<String, Value>, names: &[&str]) -> String {
    let mut out = String::new();
    for name in names {
        let value = match object.get(*name) {
            Some(Value::String(text)) if !text.is_empty() => Cow::Borrowed(text.as_str()),
            Some(Value::Number(number)) => Cow::Owned(number.to_string()),
            _ => continue,
        };
        if !out.is_empty() {
            out.push(' ');
        }
        if !matches!(*name, "message" | "msg" | "event") {
            out.push_str(name);
            out.push('=');
        }
        out.push_str(&value);
    }
    out
}

const VOICE_OWN: u32 = 20;
const VOICE_GCP: u32 = 21;
const VOICE_JSON: u32 = 22;
