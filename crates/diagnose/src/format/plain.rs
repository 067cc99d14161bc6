//! Lines of text: what log drivers put before them is taken off, and formats are tried from the strictest on.

use std::{borrow::Cow, sync::LazyLock};

use aho_corasick::AhoCorasick;
use portcullis_reason::Reason;

use super::{Format, Outcome, Parsed, Paths, access, context::Context, json, nginx};
use crate::{
    keys::Keys,
    signature, text,
    time::{self, Millis},
};

/// Reads a line. `context` is what the entry that it stood in knows already.
pub(crate) fn read<'t>(line: &'t str, context: &Context, paths: &mut Paths) -> Parsed<'t> {
    let line = without_driver(line);
    if let Some(parsed) = nginx::error_log(line, paths)
        .or_else(|| access::combined(line, paths))
        .or_else(|| access::haproxy(line, paths))
        .or_else(|| access::load_balancer(line, paths))
    {
        return context.apply(parsed);
    }
    let (at, rest) = time::leading(line).map_or((None, line), |(at, rest)| (Some(at), rest));
    let rest = without_driver(rest);
    let bare = without_brackets(rest);
    if let Some(parsed) = access::uvicorn(line, at, paths)
        .or_else(|| own(line, rest, at))
        .or_else(|| access::channels(line, bare, at, paths))
    {
        return context.apply(parsed);
    }
    // Log drivers put a time before lines that have their own: `2025-09-11T08:15:30Z 10.0.0.1 - - [11/Sep/2025…`
    if at.is_some()
        && let Some(parsed) = nginx::error_log(rest, paths)
            .or_else(|| access::combined(bare, paths))
            .or_else(|| access::haproxy(rest, paths))
            .or_else(|| access::load_balancer(rest, paths))
    {
        return context.apply(parsed);
    }
    let level = level(rest);
    let quiet = level.is_some_and(|level| matches!(level, "INFO" | "DEBUG" | "TRACE" | "NOTICE"));
    let finding = if quiet { text::tell_quiet(rest) } else { text::tell(rest) };
    let format = if at.is_some() || level.is_some() || context.format.is_some() {
        Some(Format::Plain)
    } else if is_console(rest) {
        Some(Format::Console)
    } else if finding.is_some() {
        Some(Format::Plain)
    } else {
        None
    };
    let outcome = match (finding, format) {
        (Some(finding), _) => Outcome::Found(finding),
        (None, Some(_)) => Outcome::Ordinary,
        (None, None) => Outcome::Unknown,
    };
    let keys = if finding.is_some() { names(rest) } else { Keys::default() };
    context.apply(Parsed { format, at, keys, outcome, shown: Cow::Borrowed(line) })
}

/// Our own log as text: `WARN handshake refused request_id="…" peer=… reason=NO_TOKEN detail="…" form=""`.
fn own<'t>(line: &'t str, rest: &str, at: Option<Millis>) -> Option<Parsed<'t>> {
    at?;
    let (level, message) = rest.trim_start().split_once(' ')?;
    if !matches!(level, "INFO" | "WARN" | "ERROR" | "DEBUG" | "TRACE") {
        return None;
    }
    let is_own = json::OWN_MESSAGES.iter().any(|known| message.starts_with(known));
    if !is_own {
        return None;
    }
    let field = |name: &str| field(message, name);
    let own = json::Own {
        message,
        level,
        reason: field("reason").and_then(|reason| reason.parse::<Reason>().ok()),
        detail: field("detail").unwrap_or_default(),
        code: field("code").and_then(|code| code.parse().ok()),
        suppressed: field("suppressed").and_then(|count| count.parse().ok()),
    };
    let mut keys = Keys::default().peer(field("peer").unwrap_or_default());
    keys = keys.connection(field("connection").unwrap_or_default());
    keys = keys.request(field("request_id").unwrap_or_default());
    let outcome = own.outcome();
    Some(Parsed { outcome, ..Parsed::new(Format::Portcullis, line).at(at).keys(keys) })
}

/// The value of ` name=value` or ` name="value"`.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let start = text.match_indices(name).find_map(|(at, _)| {
        let after = at + name.len();
        let stands_alone = at == 0 || text.as_bytes()[at - 1] == b' ';
        (stands_alone && text.as_bytes().get(after) == Some(&b'=')).then_some(after + 1)
    })?;
    let value = &text[start..];
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split(' ').next(),
    }
}

/// The users, connections and requests that a sentence names.
fn names(text: &str) -> Keys {
    let value = |leads: &[&str]| -> Option<&str> {
        let at = leads.iter().find_map(|lead| Some(find(text, lead)? + lead.len()))?;
        let rest = text[at..].trim_start_matches([' ', ':', '=', '"', '\'', '#']);
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "-_@.|".contains(c))).unwrap_or(rest.len());
        let value = rest[..end].trim_end_matches('.');
        // A name has a digit, or stands behind a key: `the user left` names nobody.
        let telling =
            value.bytes().any(|b| b.is_ascii_digit() || b == b'@') || text[..at].ends_with(['=', ':']);
        (telling && value.len() <= 128).then_some(value)
    };
    let mut keys = Keys::default();
    if let Some(user) = value(&["user_id=", "user_id:", "user_id", "user=", "user:", "for user", "user "]) {
        keys = keys.user(user);
    }
    let leads = [
        "connection_id=",
        "connection_id:",
        "connection_id",
        "conn_id=",
        "conn=",
        "connection=",
        "connection ",
    ];
    if let Some(connection) = value(&leads) {
        keys = keys.connection(connection);
    }
    if let Some(client) = value(&["client ", "client=", "peer=", "remote_addr=", "client_ip=", "from "])
        && client.contains('.')
        && client.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    {
        keys = keys.peer(client).seen_by(Format::Plain as u8 + 1);
    }
    if let Some(request) = value(&["request_id=", "request_id:", "request_id", "trace_id=", "trace_id"]) {
        keys = keys.request(request);
    }
    keys
}

fn find(text: &str, needle: &str) -> Option<usize> {
    text.as_bytes().windows(needle.len()).position(|here| here.eq_ignore_ascii_case(needle.as_bytes()))
}

/// Takes off what container runtimes and syslog put before a line: `web-1  | `, `stdout F `, `host unit[123]: `.
fn without_driver(line: &str) -> &str {
    let mut line = line.trim_start_matches('\u{feff}');
    for lead in ["stdout F ", "stderr F ", "stdout P ", "stderr P "] {
        if let Some(rest) = line.strip_prefix(lead) {
            return rest;
        }
    }
    if let Some((name, rest)) = line.split_once('|') {
        let name = name.trim_end();
        let is_service = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if is_service {
            line = rest.strip_prefix(' ').unwrap_or(rest);
        }
    }
    let head = &line[..line.floor_char_boundary(96)];
    if let Some(end) = head.find("]: ")
        && let Some(start) = head[..end].rfind('[')
        && head[start + 1..end].bytes().all(|b| b.is_ascii_digit())
        && !head[start + 1..end].is_empty()
        && !head[..start].ends_with("haproxy")
        && head[..start].bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@ ".contains(&b))
        && head[..start].split(' ').count() <= 2
    {
        return &line[end + 3..];
    }
    line
}

/// Takes off what gunicorn and Hypercorn put behind the time: `[912] [INFO] `.
fn without_brackets(mut line: &str) -> &str {
    while let Some((inside, rest)) = line.strip_prefix('[').and_then(|line| line.split_once("] "))
        && inside.len() <= 10
    {
        line = rest;
    }
    line.strip_prefix("INFO ").unwrap_or(line).trim_start()
}

/// The level near the beginning, as nearly all logs have one.
fn level(line: &str) -> Option<&'static str> {
    const LEVELS: [&str; 9] =
        ["INFO", "WARNING", "WARN", "ERROR", "DEBUG", "CRITICAL", "FATAL", "TRACE", "NOTICE"];
    let head = &line[..line.floor_char_boundary(96)];
    // logfmt
    if let Some((_, rest)) = head.split_once("level=") {
        let word = rest.trim_start_matches('"').split([' ', '"']).next().unwrap_or_default();
        return LEVELS.into_iter().find(|level| level.eq_ignore_ascii_case(word));
    }
    let mut words = head.split(|c: char| !c.is_ascii_alphanumeric()).take(12);
    words.find_map(|word| LEVELS.into_iter().find(|level| *level == word))
}

/// Whether a line is one of a browser's console: it names a script and a line, or says what browsers alone say. Every unknown
/// line is asked, so it takes one pass for the words and one for the colons.
fn is_console(line: &str) -> bool {
    static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
        signature::automaton(["websocket connection to '", "firefox can", "closeevent {"].iter())
    });
    let head = &line[..line.floor_char_boundary(160)];
    let script = |(at, _): (usize, &str)| {
        head[at + 1..].starts_with(|c: char| c.is_ascii_digit())
            && [".js", ".ts", ".tsx", ".jsx", ".mjs"].iter().any(|end| head[..at].ends_with(end))
    };
    head.match_indices(':').any(script) || WORDS.is_match(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keys::Relation, signal::Symptom};

    fn line(text: &str) -> (Option<Format>, Outcome) {
        let parsed = read(text, &Context::default(), &mut Paths::default());
        (parsed.format, parsed.outcome)
    }

    #[test]
    fn what_drivers_add_is_taken_off() {
        for text in [
            "INFO:     127.0.0.1:60826 - \"WebSocket /ws\" 403",
            "web-1  | INFO:     127.0.0.1:60826 - \"WebSocket /ws\" 403",
            "2025-09-11T08:15:30.123456789Z stdout F INFO:     127.0.0.1:60826 - \"WebSocket /ws\" 403",
            "Sep 11 08:15:30 host uvicorn[41]: INFO:     127.0.0.1:60826 - \"WebSocket /ws\" 403",
            "2025-09-11 08:15:30,123 INFO 127.0.0.1:60826 - \"WebSocket /ws\" 403",
        ] {
            let (format, outcome) = line(text);
            assert_eq!(format, Some(Format::Uvicorn), "{text}");
            assert!(
                matches!(outcome, Outcome::Found(finding) if finding.symptom == Some(Symptom::Refused(403)))
            );
        }
        let access =
            "nginx-1  | 10.0.0.9 - - [27/Nov/2026:21:59:49 +0000] \"GET /ws HTTP/1.1\" 401 0 \"-\" \"-\"";
        assert_eq!(line(access).0, Some(Format::Access));
    }

    #[test]
    fn unknown_lines_are_known_to_be_unknown() {
        assert_eq!(line("hello world"), (None, Outcome::Unknown));
        assert_eq!(line("2025-09-11 08:15:30 hello"), (Some(Format::Plain), Outcome::Ordinary));
        let logfmt = "time=2025-09-11T08:00:00Z level=info msg=\"websocket token expired metric\"";
        assert_eq!(line(logfmt), (Some(Format::Plain), Outcome::Ordinary));
        assert_eq!(line("[INFO] hello"), (Some(Format::Plain), Outcome::Ordinary));
        assert_eq!(line("app.3f2a.js:118 hello"), (Some(Format::Console), Outcome::Ordinary));
    }

    #[test]
    fn names_in_sentences() {
        let user = |text| names(text).peer_of(&Keys::default().user("105945141827451681156"));
        assert_eq!(user("Message routing failed for user 105945141827451681156"), Relation::Same);
        assert_eq!(user("routing failed user_id=7"), Relation::Apart);
        assert_eq!(user("the user left"), Relation::Open);
    }
}
