//! Lines that tell of one request: access logs in the combined format, Uvicorn's, Daphne's and `HAProxy`'s.

use portcullis_reason::Reason;

use super::{Format, Outcome, Parsed, Paths};
use crate::{
    keys::Keys,
    signal::{Finding, Hop, Symptom},
    time::{self, Millis},
};

const VOICE_UVICORN: u32 = 10;
const VOICE_ACCESS: u32 = 11;
const VOICE_HAPROXY: u32 = 12;
const VOICE_BALANCER: u32 = 13;

/// `1.2.3.4 - - [27/Nov/2026:21:59:49 +0000] "GET /ws HTTP/1.1" 403 0 "-" "agent"`
pub(crate) fn combined<'t>(line: &'t str, paths: &mut Paths) -> Option<Parsed<'t>> {
    let (address, rest) = line.split_once(' ')?;
    let (names, rest) = rest.split_once('[')?;
    // Two names, which may have spaces of their own; a line of another kind has a whole sentence before its first bracket.
    if address.len() > 64 || names.len() > 128 || !names.contains("- ") && names.split(' ').count() != 3 {
        return None;
    }
    let (date, rest) = rest.split_once("] \"")?;
    let at = time::access(date)?;
    let (request, rest) = split_quoted(rest)?;
    let parsed = Parsed::new(Format::Access, line).at(Some(at)).keys(Keys::default().peer(address));
    // Daphne: `"WSREJECT /ws" - -`
    if let Some((verb, target)) = request.split_once(' ')
        && verb.starts_with("WS")
    {
        return Some(match verb {
            "WSCONNECT" => accepted(parsed, target, paths),
            "WSREJECT" => parsed.finding(Some(Finding::symptom(VOICE_ACCESS, Symptom::Refused(403)))),
            _ => parsed,
        });
    }
    let status = rest.trim_start().split(' ').next().and_then(|status| status.parse::<u16>().ok())?;
    Some(request_line(parsed, request, status, VOICE_ACCESS, paths))
}

/// `INFO:     127.0.0.1:60826 - "WebSocket /ws" 403`, behind whatever the log's own format puts before it.
pub(crate) fn uvicorn<'t>(line: &'t str, at: Option<Millis>, paths: &mut Paths) -> Option<Parsed<'t>> {
    let mark = memchr::memmem::find(line.as_bytes(), b" - \"")?;
    let (request, rest) = split_quoted(&line[mark + 4..])?;
    let peer = peer(&line[..mark])?;
    let parsed = Parsed::new(Format::Uvicorn, line).at(at).keys(Keys::default().peer(&peer));
    let answer = rest.trim();
    if let Some(target) = request.strip_prefix("WebSocket ") {
        return Some(if answer.starts_with("[accepted]") {
            accepted(parsed, target, paths)
        } else {
            let status = answer.get(..3)?.parse().ok()?;
            parsed.finding(Some(Finding::symptom(VOICE_UVICORN, Symptom::Refused(status))))
        });
    }
    let status: u16 = answer.get(..3)?.parse().ok()?;
    let (method, rest) = request.split_once(' ')?;
    let (target, version) = rest.rsplit_once(' ')?;
    if !version.starts_with("HTTP/") {
        return None;
    }
    // Uvicorn writes `WebSocket` where it saw an upgrade; here it saw none.
    let lost_upgrade = method == "GET" && matches!(status, 400 | 404 | 426) && paths.is_socket(target);
    Some(parsed.finding(lost_upgrade.then(|| {
        Finding::cause(VOICE_UVICORN, Reason::BadUpgrade)
            .vague()
            .at(Hop::Proxy)
            .seen_as(Symptom::Refused(status))
    })))
}

/// `haproxy[14]: 10.0.0.1:51000 [27/Nov/2026:21:59:49.123] front back/srv 0/0/1/-1/50 502 221 - - SC-- 1/1/0/0/0 0/0 "GET /ws HTTP/1.1"`
pub(crate) fn haproxy<'t>(line: &'t str, paths: &mut Paths) -> Option<Parsed<'t>> {
    let start = memchr::memmem::find(line.as_bytes(), b"haproxy[")?;
    let (_, rest) = line[start..].split_once("]: ")?;
    let (peer, rest) = rest.split_once(" [")?;
    let (date, rest) = rest.split_once("] ")?;
    let at = time::access(date)?;
    let (fields, request) = rest.split_once(" \"")?;
    let (request, _) = split_quoted(request)?;
    let mut fields = fields.split(' ').skip(3);
    let status: u16 = fields.next()?.parse().ok()?;
    let state = fields.nth(3).unwrap_or_default();
    let parsed = Parsed::new(Format::Haproxy, line).at(Some(at)).keys(Keys::default().peer(peer));
    // The session was cut by a timeout of one side while data flowed, or could have (`cD`, `sD`).
    if status == 101 && matches!(state.get(..2), Some("cD" | "sD")) {
        let cut = Finding::cause(VOICE_HAPROXY, Reason::HeartbeatTimeout).at(Hop::Proxy).live();
        return Some(parsed.finding(Some(cut)));
    }
    Some(request_line(parsed, request, status, VOICE_HAPROXY, paths))
}

/// `wss 2025-09-11T08:00:01.000000Z app/lb/50dc 203.0.113.5:2817 10.0.0.1:80 0.000 0.001 0.000 101 101 34 366 "GET https://h:443/ws HTTP/1.1" "agent"`
pub(crate) fn load_balancer<'t>(line: &'t str, paths: &mut Paths) -> Option<Parsed<'t>> {
    let (kind, rest) = line.split_once(' ')?;
    if !matches!(kind, "http" | "https" | "h2" | "ws" | "wss") {
        return None;
    }
    let (fields, request) = rest.split_once(" \"")?;
    let (request, _) = split_quoted(request)?;
    let mut fields = fields.split(' ');
    let at = time::rfc3339(fields.next()?)?;
    let peer = fields.nth(1)?;
    let status: u16 = fields.nth(4)?.parse().ok()?;
    let parsed = Parsed::new(Format::Access, line).at(Some(at)).keys(Keys::default().peer(peer));
    Some(request_line(parsed, request, status, VOICE_BALANCER, paths))
}

/// Django's development server: `WebSocket REJECT /ws/chat/ [127.0.0.1:5000]`.
pub(crate) fn channels<'t>(
    line: &'t str,
    rest: &str,
    at: Option<Millis>,
    paths: &mut Paths,
) -> Option<Parsed<'t>> {
    let (verb, rest) = rest.strip_prefix("WebSocket ")?.split_once(' ')?;
    let (target, peer) = rest.split_once(" [")?;
    let (peer, _) = peer.split_once(']')?;
    let parsed = Parsed::new(Format::Access, line).at(at).keys(Keys::default().peer(peer));
    match verb {
        "CONNECT" => Some(accepted(parsed, target, paths)),
        "REJECT" => Some(parsed.finding(Some(Finding::symptom(VOICE_ACCESS, Symptom::Refused(403))))),
        "HANDSHAKING" | "DISCONNECT" => Some(parsed),
        _ => None,
    }
}

fn request_line<'t>(
    parsed: Parsed<'t>,
    request: &str,
    status: u16,
    voice: u32,
    paths: &mut Paths,
) -> Parsed<'t> {
    let mut words = request.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return parsed };
    if status == 101 {
        return accepted(parsed, target, paths);
    }
    let refused = status >= 400 && method == "GET" && paths.is_socket(target);
    parsed.finding(refused.then(|| Finding::symptom(voice, Symptom::Refused(status))))
}

fn accepted<'t>(parsed: Parsed<'t>, target: &str, paths: &mut Paths) -> Parsed<'t> {
    paths.learn(target);
    Parsed { outcome: Outcome::Accepted, ..parsed }
}

/// The peer at the end of `before`: `127.0.0.1:60826`, or `('127.0.0.1', 52429)` of older versions.
fn peer(before: &str) -> Option<String> {
    if let Some(tuple) = before.strip_suffix(')') {
        let (address, port) = tuple[tuple.rfind('(')? + 1..].split_once(',')?;
        return Some(format!("{}:{}", address.trim_matches(['\'', ' ']), port.trim()));
    }
    let peer = before.rsplit([' ', '\t']).next()?;
    let like_a_peer = peer.bytes().all(|b| b.is_ascii_alphanumeric() || b".:[]-_".contains(&b));
    (like_a_peer && (peer.contains(':') || peer.contains('.'))).then(|| peer.to_owned())
}

/// Up to the next quote that is not behind a backslash.
fn split_quoted(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let end = memchr::memchr_iter(b'"', bytes).find(|&at| at == 0 || bytes[at - 1] != b'\\')?;
    Some((&text[..end], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(parsed: Option<Parsed<'_>>) -> Outcome {
        parsed.expect("of this format").outcome
    }

    fn refused(voice: u32, status: u16) -> Outcome {
        Outcome::Found(Finding::symptom(voice, Symptom::Refused(status)))
    }

    #[test]
    fn combined_lines() {
        let mut paths = Paths::default();
        let line = |request: &str, status: u16| {
            format!(
                "10.0.0.9 - - [27/Nov/2026:21:59:49 +0000] \"{request}\" {status} 0 \"-\" \"Mozilla/5.0\""
            )
        };
        let mut read = |request, status| outcome(combined(&line(request, status), &mut paths));
        assert_eq!(read("GET /ws HTTP/1.1", 101), Outcome::Accepted);
        assert_eq!(read("GET /ws?token=x HTTP/1.1", 401), refused(VOICE_ACCESS, 401));
        assert_eq!(read("GET / HTTP/1.1", 500), Outcome::Ordinary);
        assert_eq!(read("POST /ws HTTP/1.1", 405), Outcome::Ordinary);
        assert_eq!(read("GET /chat HTTP/1.1", 403), Outcome::Ordinary);
        assert_eq!(read("GET /chat HTTP/1.1", 101), Outcome::Accepted);
        assert_eq!(read("GET /chat HTTP/1.1", 403), refused(VOICE_ACCESS, 403));
        assert_eq!(read("-", 400), Outcome::Ordinary);
        assert_eq!(read("WSREJECT /ws/chat/", 0), refused(VOICE_ACCESS, 403));
        for other in ["", "10.0.0.9", "a b [c] \"d\" e", "10.0.0.9 - - [yesterday] \"GET / HTTP/1.1\" 200"] {
            assert!(combined(other, &mut paths).is_none(), "{other}");
        }
    }

    #[test]
    fn uvicorn_lines() {
        let mut paths = Paths::default();
        let mut read = |line: &str| outcome(uvicorn(line, None, &mut paths));
        assert_eq!(read("INFO:     127.0.0.1:60826 - \"WebSocket /ws\" 403"), refused(VOICE_UVICORN, 403));
        assert_eq!(read("INFO:     ('127.0.0.1', 52429) - \"WebSocket /\" 403"), refused(VOICE_UVICORN, 403));
        assert_eq!(read("INFO:     127.0.0.1:60826 - \"WebSocket /ws\" [accepted]"), Outcome::Accepted);
        assert_eq!(read("INFO:     127.0.0.1:6 - \"GET /health HTTP/1.1\" 200 OK"), Outcome::Ordinary);
        assert!(
            matches!(read("INFO:  10.0.0.1:0 - \"GET /ws HTTP/1.1\" 404 Not Found"), Outcome::Found(finding) if finding.reason == Some(Reason::BadUpgrade))
        );
        assert_eq!(read("INFO:  10.0.0.1:0 - \"GET /nothing HTTP/1.1\" 404 Not Found"), Outcome::Ordinary);
        assert!(uvicorn("he said - \"WebSocket /ws\" 403", None, &mut Paths::default()).is_none());
    }

    #[test]
    fn lines_of_load_balancers_and_of_django() {
        let mut paths = Paths::default();
        let mut read = |kind: &str, status: u16| {
            let line = format!(
                "{kind} 2025-09-11T08:00:01.000000Z app/lb/50dc 203.0.113.5:2817 10.0.0.1:80 0.000 0.001 0.000 {status} 101 34 366 \"GET https://chat.example.com:443/ws HTTP/1.1\" \"-\" - -"
            );
            outcome(load_balancer(&line, &mut paths))
        };
        assert_eq!(read("wss", 101), Outcome::Accepted);
        assert_eq!(read("https", 401), refused(VOICE_BALANCER, 401));
        let mut read = |line: &str| channels(line, line, None, &mut paths).map(|parsed| parsed.outcome);
        assert_eq!(read("WebSocket REJECT /ws/chat/ [127.0.0.1:5000]"), Some(refused(VOICE_ACCESS, 403)));
        assert_eq!(read("WebSocket CONNECT /ws/chat/ [127.0.0.1:5000]"), Some(Outcome::Accepted));
        assert_eq!(read("WebSocket SINGS /ws/chat/ [127.0.0.1:5000]"), None);
    }

    #[test]
    fn haproxy_lines() {
        let mut paths = Paths::default();
        let mut read = |rest: &str| {
            let line = format!(
                "Nov 27 21:59:49 lb haproxy[14]: 10.0.0.1:51000 [27/Nov/2026:21:59:49.123] front~ back/srv1 {rest}"
            );
            outcome(haproxy(&line, &mut paths))
        };
        assert_eq!(read("0/0/1/2/50 101 221 - - ---- 1/1/0/0/0 0/0 \"GET /ws HTTP/1.1\""), Outcome::Accepted);
        assert_eq!(
            read("0/0/-1/-1/50 503 221 - - SC-- 1/1/0/0/0 0/0 \"GET /ws HTTP/1.1\""),
            refused(VOICE_HAPROXY, 503)
        );
        assert!(
            matches!(read("0/0/1/2/60001 101 221 - - cD-- 1/1/0/0/0 0/0 \"GET /ws HTTP/1.1\""), Outcome::Found(finding) if finding.hop == Some(Hop::Proxy))
        );
    }
}
