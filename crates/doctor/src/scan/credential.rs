//! Credentials in free text: where a token begins, where it ends, and what is only talk about tokens.

use std::{fmt, ops::Range};

use portcullis_diagnose::PREFIXES;

use crate::text::{clip, is_unspaced};

/// A credential that someone pasted. `Debug` shows its size alone; [`as_str`](Self::as_str) is for tools.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pasted(String);

impl Pasted {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pasted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pasted({} bytes)", self.0.len())
    }
}

/// How a credential stood in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// By itself.
    Bare,
    /// As a subprotocol element with this prefix.
    Element(&'static str),
    /// Behind a prefix that nobody here knows.
    UnknownPrefix,
    /// After `Bearer`.
    Bearer,
    /// In a URL's query.
    Query,
    /// In a cookie.
    Cookie,
    /// In a header field that nobody here reads.
    OtherHeader,
}

impl Place {
    /// Whether this server looks for a credential there.
    pub(crate) const fn is_read(self) -> bool {
        !matches!(self, Self::Query | Self::Cookie | Self::OtherHeader)
    }
}

/// A credential found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    /// The token as it was sent, without prefix or scheme.
    pub(crate) token: Pasted,
    /// Where it stood.
    pub(crate) place: Place,
    /// The paste itself cut it short or blacked it out (`…`, `[REDACTED]`).
    pub(crate) shortened: bool,
    /// It ran over several lines.
    pub(crate) broken_lines: bool,
    /// The bytes it takes in the text, prefix included.
    pub(crate) range: Range<usize>,
}

/// Prefixes that the doctor knows by sight, longest first. `token.` is not among them: in a question it leads to the name
/// of a setting (`token.leeway`) more often than to a token, and asking which prefixes a server takes is the work of a tool.
fn prefixes() -> impl Iterator<Item = &'static str> {
    PREFIXES.into_iter().filter(|prefix| *prefix != "token.")
}

/// How people and programs black a token out.
const BLACKED_OUT: [&str; 7] = ["…", "...", "***", "•••", "[redacted", "redacted", "xxxxxx"];

/// Where `text` stops being what was sent, because it was cut or blacked out there.
pub(crate) fn blacked_out(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    BLACKED_OUT.iter().filter_map(|mark| lower.find(mark)).min()
}

/// What follows `jwt.` in code and prose that speaks about tokens and holds none.
const TALK: [&str; 30] = [
    "algorithm",
    "algorithms",
    "audience",
    "auth",
    "claims",
    "config",
    "decode",
    "encode",
    "exceptions",
    "expiry",
    "go",
    "io",
    "issuer",
    "js",
    "key",
    "model",
    "ms",
    "parse",
    "py",
    "rb",
    "rs",
    "secret",
    "sign",
    "strategy",
    "token",
    "ts",
    "ttl",
    "utils",
    "valid",
    "verify",
];

/// The most credentials that are looked for in one text.
const MAX_FOUND: usize = 64;

/// Finds the credentials of `text` in one pass.
pub(crate) fn credentials(text: &str) -> Vec<Credential> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() && found.len() < MAX_FOUND {
        let next = match starts_at(text, at) {
            Some(start) => match read(text, at, start) {
                Ok(credential) => {
                    let end = credential.range.end;
                    found.push(credential);
                    end
                }
                Err(end) => end,
            },
            None => at + 1,
        };
        at = next.max(at + 1);
    }
    found
}

/// The prefix that `element` begins with, and the rest.
pub(crate) fn split_prefix(element: &str) -> Option<(&'static str, &str)> {
    let bytes = element.as_bytes();
    let prefix = prefixes().find(|prefix| has_prefix(bytes, prefix))?;
    Some((prefix, &element[prefix.len()..]))
}

/// Whether `text` begins as a JWT does, or as the base64url of one.
pub(crate) fn looks_like_jwt(text: &str) -> bool {
    text.starts_with("eyJ") || text.starts_with("ZXlK")
}

#[derive(Clone, Copy)]
enum Start {
    Prefix(&'static str),
    Bearer,
    Jwt,
}

fn has_prefix(bytes: &[u8], prefix: &str) -> bool {
    bytes.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// Names of the parameters of a challenge, `WWW-Authenticate: Bearer error="…"`.
const CHALLENGE: [&str; 5] = ["error=", "error_description=", "error_uri=", "realm=", "scope="];

fn starts_at(text: &str, at: usize) -> Option<Start> {
    let bytes = text.as_bytes();
    let before = at.checked_sub(1).map(|i| bytes[i]);
    let within_word = match before {
        Some(b) if b >= 0x80 => text
            .get(..at)
            .and_then(|before| before.chars().next_back())
            .is_none_or(|c| c.is_alphanumeric() && !is_unspaced(c)),
        before => before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'),
    };
    if within_word {
        return None;
    }
    let here = &bytes[at..];
    // `.` before a prefix belongs to a longer name (`base64url.bearer.`), before `eyJ` to a prefix not in the list.
    if before != Some(b'.') {
        if let Some(prefix) = prefixes().find(|prefix| has_prefix(here, prefix)) {
            return Some(Start::Prefix(prefix));
        }
        if has_prefix(here, "bearer") && here.get(6).is_some_and(|b| *b == b' ' || *b == b'\t') {
            return Some(Start::Bearer);
        }
    }
    (here.starts_with(b"eyJ") || here.starts_with(b"ZXlK")).then_some(Start::Jwt)
}

/// Reads the credential that starts at `at`, or says where to go on.
fn read(text: &str, at: usize, start: Start) -> Result<Credential, usize> {
    let skip = match start {
        Start::Prefix(prefix) => prefix.len(),
        Start::Bearer => {
            let rest = &text[at + 6..];
            6 + (rest.len() - rest.trim_start_matches([' ', '\t']).len())
        }
        Start::Jwt => 0,
    };
    let from = at + skip;
    let mut end = run_end(text, from);
    let mut body = &text[from..end];
    let after = clip(&text[end..], 16);
    let mut shortened = blacked_out(after).is_some_and(|at| after[..at].chars().all(|c| "[<(".contains(c)));
    if let Some(at) = blacked_out(body) {
        body = &body[..at];
        shortened = true;
    }
    let body = trim_sentence(body, matches!(start, Start::Jwt));
    let mut token = body.to_owned();
    let mut broken_lines = false;
    if !shortened && from + body.len() == end && token.len() >= 40 {
        while let Some((line, line_end)) = next_line(text, end) {
            token.push_str(line);
            end = line_end;
            broken_lines = true;
        }
    } else {
        end = from + body.len();
    }
    let place = match start {
        Start::Prefix(prefix) => {
            if is_talk(text, at, body, end, shortened) {
                return Err(end.max(from));
            }
            Place::Element(prefix)
        }
        Start::Bearer => {
            // `Bearer token` in prose is two English words; a credential has a dot, a digit or some length.
            let telling = body.len() >= 24
                || body.contains(['.', '_', '='])
                || body.bytes().any(|b| b.is_ascii_digit());
            let challenge = CHALLENGE.iter().any(|name| body.starts_with(name));
            if !telling || challenge || split_prefix(body).is_some() {
                return Err(from);
            }
            Place::Bearer
        }
        Start::Jwt => {
            if body.len() < 8 {
                return Err(end.max(from));
            }
            place_of_jwt(&text[..at])
        }
    };
    Ok(Credential { token: Pasted::new(token), place, shortened, broken_lines, range: at..end })
}

/// Where a JWT stands that has no prefix of ours, by what is before it on its line.
fn place_of_jwt(before: &str) -> Place {
    let line = before.rsplit('\n').next().unwrap_or_default();
    if line.ends_with('.') {
        return Place::UnknownPrefix;
    }
    let is_cookie = |name: &str| {
        let start = line.trim_start_matches(['>', '<', ' ', '"', '\'']);
        start.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    if is_cookie("cookie:") || is_cookie("set-cookie:") {
        return Place::Cookie;
    }
    let name_of = |rest: &str| {
        let start = rest.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        start.map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8))
    };
    if let Some(rest) = line.strip_suffix('=') {
        let in_query = rest[..name_of(rest)].ends_with(['?', '&']);
        return if in_query { Place::Query } else { Place::Bare };
    }
    if let Some(rest) = line.trim_end().strip_suffix(':') {
        let name = &rest[name_of(rest)..];
        let ours = ["sec-websocket-protocol", "proxy-authorization"];
        if name.contains('-') && !ours.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            return Place::OtherHeader;
        }
    }
    Place::Bare
}

/// Where the run of characters that could be meant as a token ends: white space and what delimits things in code,
/// URLs and headers. Other characters stay in, because a wrong one is a finding.
fn run_end(text: &str, from: usize) -> usize {
    let delimits = |c: char| {
        c.is_whitespace() || c.is_control() || is_unspaced(c) || "\"'`,;<>()[]{}|\\&…“”„‘’«»".contains(c)
    };
    text[from..].find(delimits).map_or(text.len(), |length| from + length)
}

/// A terminal or a mail program breaks long tokens: the rest follows at the start of the next line.
fn next_line(text: &str, end: usize) -> Option<(&str, usize)> {
    let rest = &text[end..];
    let rest_of_line = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'))?;
    let from = text.len() - rest_of_line.len();
    let to = run_end(text, from);
    let line = &text[from..to];
    let part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let at_line_end = text[to..].chars().next().is_none_or(|c| c == '\n' || c == '\r');
    (line.len() >= 16 && line.bytes().all(part) && !looks_like_jwt(line) && at_line_end).then_some((line, to))
}

/// Takes off the punctuation of the sentence around a token. A JWT may end in a dot (an empty signature), so one dot
/// goes only where three parts stand before it, or where it is no JWT at all.
fn trim_sentence(body: &str, jwt: bool) -> &str {
    let body = body.trim_end_matches([':', '!', '?']);
    let dots = body.bytes().filter(|b| *b == b'.').count();
    match body.strip_suffix('.') {
        Some(rest) if dots == 3 || dots == 1 || !(jwt || looks_like_jwt(body)) => rest,
        _ => body,
    }
}

/// Whether a prefix and what follows it is prose or code about tokens: `jwt.io`, `jwt.decode(`, `jwt.<token>`, or the
/// word before a full stop.
fn is_talk(text: &str, at: usize, body: &str, end: usize, shortened: bool) -> bool {
    let after = text[end..].chars().next();
    if !body.is_empty() {
        let word = body.split(['.', '/', ':', '?']).next().unwrap_or(body);
        return after == Some('(') && body.len() < 32
            || TALK.iter().any(|talk| word.eq_ignore_ascii_case(talk))
            || body.starts_with(['$', '%', '*'])
            || body.bytes().all(|b| b == b'x' || b == b'X');
    }
    if shortened || matches!(after, Some('<' | '{' | '(' | '[' | '…' | '*')) {
        return true;
    }
    // Nothing follows: an empty token where it is quoted, listed or introduced as a value, else a full stop.
    let quote = |c: char| "\"'`,;:=”’»".contains(c) || is_unspaced(c);
    let quoted = after.is_some_and(quote);
    let before = text[..at].trim_end();
    let introduced = before.is_empty() || before.ends_with(quote);
    let word = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_ascii_lowercase();
    let sent = ["element", "offer", "protocol", "send", "sending", "sends", "sent", "subprotocol", "value"];
    let goes_on = text[end..].trim_start().chars().next().is_some_and(char::is_lowercase);
    !(quoted || introduced || goes_on || sent.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";

    fn found(text: &str) -> Vec<(Place, String)> {
        credentials(text).into_iter().map(|c| (c.place, c.token.as_str().to_owned())).collect()
    }

    #[test]
    fn finds_what_was_sent_and_nothing_else() {
        use Place::{Bare, Bearer, Cookie, Element, OtherHeader, Query, UnknownPrefix};
        let cases: &[(String, &[(Place, &str)])] = &[
            (JWT.to_owned(), &[(Bare, JWT)]),
            (format!("my token is {JWT}."), &[(Bare, JWT)]),
            (format!("Is {JWT}? valid"), &[(Bare, JWT)]),
            (format!("Authorization: Bearer {JWT}"), &[(Bearer, JWT)]),
            (format!("'jwt.{JWT}'"), &[(Element("jwt."), JWT)]),
            (format!("myapp.v2.{JWT}"), &[(UnknownPrefix, JWT)]),
            ("jwt.*** and jwt.[REDACTED] and Bearer REDACTED".into(), &[]),
            (format!("wss://h/ws?token={JWT}&x=1"), &[(Query, JWT)]),
            (format!("TOKEN={JWT}"), &[(Bare, JWT)]),
            (format!("> Cookie: a=1; access_token={JWT}"), &[(Cookie, JWT)]),
            (format!("X-Auth-Token: {JWT}"), &[(OtherHeader, JWT)]),
            (format!("the token: {JWT}"), &[(Bare, JWT)]),
            (format!("这个令牌：{JWT}，为什么"), &[(Bare, JWT)]),
            ("「jwt.」と出ます".into(), &[(Element("jwt."), "")]),
            ("Bearer error=\"invalid_token\"".into(), &[]),
            ("jwt.abc".into(), &[(Element("jwt."), "abc")]),
            ("jwt.".into(), &[(Element("jwt."), "")]),
            ("why is jwt. refused".into(), &[(Element("jwt."), "")]),
            ("too short in subprotocol: jwt.".into(), &[(Element("jwt."), "")]),
            ("JWT token too short in subprotocol: jwt.abc".into(), &[(Element("jwt."), "abc")]),
            (
                "jwt.token1, jwt.token2, jwt.token3".into(),
                &[(Element("jwt."), "token1"), (Element("jwt."), "token2"), (Element("jwt."), "token3")],
            ),
            ("jwt.a$b*c@".into(), &[(Element("jwt."), "a$b*c@")]),
            ("jwt.invalid_token_format".into(), &[(Element("jwt."), "invalid_token_format")]),
            ("base64url.bearer.authorization.k8s.io.ab".into(), &[(Element(PREFIXES[0]), "ab")]),
            ("see jwt.io or call jwt.decode(token), jwt.exceptions.DecodeError".into(), &[]),
            ("We use a jwt. It is fine.".into(), &[]),
            ("send jwt.<token> or `jwt.${token}`".into(), &[]),
            ("a Bearer token is sent by the bearer. Yes".into(), &[]),
            ("the ticket. And keyboards eyJ".into(), &[]),
        ];
        for (text, want) in cases {
            let want: Vec<_> = want.iter().map(|(place, token)| (*place, (*token).to_owned())).collect();
            assert_eq!(found(text), want, "{text}");
        }
    }

    #[test]
    fn joins_a_token_that_a_terminal_broke_into_lines() {
        let text = format!(
            "{}\n{}",
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOi", "JhIn0.c2lnbmF0dXJlc2lnbmF0dXJl"
        );
        let credential = &credentials(&text)[0];
        assert!(credential.broken_lines);
        assert_eq!(credential.token.as_str(), text.replace('\n', ""));
    }

    #[test]
    fn notes_that_a_paste_was_shortened() {
        for text in [
            "eyJhbGciOiJIUzI1NiIs…",
            "eyJhbGciOiJIUzI1NiIs...",
            "eyJhbGciOiJIUzI1NiIs[REDACTED]",
            "eyJhbGciOiJIUzI1NiIs***",
        ] {
            let credential = &credentials(text)[0];
            assert!(credential.shortened, "{text}");
            assert_eq!(credential.token.as_str(), "eyJhbGciOiJIUzI1NiIs");
        }
    }

    #[test]
    fn debug_hides_the_token() {
        assert!(!format!("{:?}", credentials(JWT)).contains("eyJ"));
    }
}
