//! Tokens by their look, and by the scheme, prefix or element that leads to them.

use super::{
    Credential, Kind,
    placeholder::is_placeholder,
    run::{Class, Run, Runs, is_name},
    text::{leads, trimmed},
};

/// Prefixes of subprotocol elements that bear a token, longest first. Which of them a server takes is that server's
/// configuration.
pub const PREFIXES: [&str; 8] = [
    "base64url.bearer.authorization.k8s.io.",
    "base64url.bearer.phx.",
    "anycable-token.",
    "jwt-auth.",
    "bearer.",
    "ticket.",
    "token.",
    "jwt.",
];

/// Names after which the next subprotocol element is the token.
pub(super) const ANNOUNCING: [&str; 6] =
    ["jwt", "jwt-auth", "bearer", "token", "access_token", "anycable-token"];

/// Subprotocol names that are public knowledge.
pub const SUBPROTOCOLS: [&str; 18] = [
    "access_token",
    "actioncable-v1-json",
    "ag-ui.v1",
    "anycable-token",
    "base64.binary.k8s.io",
    "bearer",
    "chat",
    "graphql-transport-ws",
    "graphql-ws",
    "jwt",
    "jwt-auth",
    "mqtt",
    "other-protocol",
    "portcullis.v1",
    "stomp",
    "token",
    "v4.channel.k8s.io",
    "v5.channel.k8s.io",
];

/// Names of the parameters of a challenge, `WWW-Authenticate: Bearer error="…"`.
const CHALLENGE: [&str; 5] = ["error=", "error_description=", "error_uri=", "realm=", "scope="];

/// Schemes of an `Authorization` field that are told by their names alone.
pub(super) const SCHEMES: [&str; 3] = ["bearer", "basic", "digest"];

/// Less than this is no JWT but talk about one.
const SHORTEST_JWT: usize = 12;

/// A JWT, or the base64url of one.
pub(super) fn jwt(runs: &mut Runs<'_>, at: usize) -> Option<Credential> {
    if !looks_like_jwt(&runs.text[at..]) {
        return None;
    }
    let mut end = runs.of(Class::Token, at).end;
    if runs.text[at..end].matches('.').count() < 2 {
        // Perhaps a wrong character is in it.
        end = end.max(trimmed(runs.text, at, runs.of(Class::Element, at).end));
    }
    let value = &runs.text[at..end];
    // Behind `%3D` or `\n` a letter stands before it; in `PrimaryKeyJoinColumn` too.
    let in_word = at > 0 && runs.text.as_bytes()[at - 1].is_ascii_alphanumeric();
    let long = if in_word {
        value.len() >= 40 || value.len() >= 20 && value.contains('.')
    } else {
        value.len() >= SHORTEST_JWT
    };
    long.then(|| token(runs, at, end, Kind::Jwt))
}

/// Whether a value is a JWT as a whole.
fn is_jwt(runs: &mut Runs<'_>, from: usize, end: usize) -> bool {
    looks_like_jwt(&runs.text[from..]) && end - from >= SHORTEST_JWT && runs.of(Class::Token, from).end >= end
}

fn looks_like_jwt(text: &str) -> bool {
    text.starts_with("eyJ") || text.starts_with("ZXlK")
}

/// What userinfo a URL has: `wss://user:password@host`.
pub(super) fn userinfo(text: &str, at: usize) -> Option<Credential> {
    let rest = text[at..].strip_prefix("://")?;
    let end = rest
        .find(|c: char| c.is_whitespace() || c.is_control() || "/\"'`<>?#".contains(c))
        .unwrap_or(rest.len());
    let user = &rest[..rest[..end].rfind('@')?];
    let from = at + 3;
    (user.contains(':') || user.len() >= 8)
        .then(|| Credential { kind: Kind::Password, range: from..from + user.len() })
}

/// A subprotocol element that bears a token: `jwt.<x>`. What has a few characters is no secret, and tells why it was refused.
pub(super) fn element(runs: &mut Runs<'_>, at: usize) -> Option<Credential> {
    // Behind a dot it is part of a longer name, `base64url.bearer.`.
    let apart = !runs.text[..at].ends_with('.');
    let prefix = PREFIXES.into_iter().find(|prefix| apart && leads(runs.text, at, prefix))?;
    let from = at + prefix.len();
    let run = runs.of(Class::Element, from);
    let end = trimmed(runs.text, from, run.end);
    let value = &runs.text[from..end];
    if is_placeholder(&runs.text[from..]) {
        return None;
    }
    // Names of code have no digits, or a dot: `jwt.exceptions.ExpiredSignatureError`, `jwt.InvalidTokenError`.
    let of_code =
        value.ends_with("Error") || value.ends_with("Exception") || runs.text[run.end..].starts_with('(');
    let secret = value.len() >= 8 && run.has_digit()
        || value.len() >= 16 && !of_code && !value.contains('.')
        || is_jwt(runs, from, end);
    secret.then(|| token(runs, from, end, Kind::Secret))
}

/// `Bearer <token>`, `Basic <credentials>` in any text.
pub(super) fn scheme(runs: &mut Runs<'_>, at: usize) -> Option<Credential> {
    let scheme = SCHEMES.into_iter().find(|name| leads(runs.text, at, name))?;
    let rest = &runs.text[at + scheme.len()..];
    let from = runs.text.len() - rest.trim_start_matches([' ', '\t']).len();
    if from == at + scheme.len() {
        return None;
    }
    let run = runs.of(Class::Element, from);
    let end = trimmed(runs.text, from, run.end);
    let value = &runs.text[from..end];
    // `Bearer token` in prose is two English words.
    let telling =
        value.len() >= 20 || value.len() >= 6 && (run.has_digit() || value.contains(['.', '_', '=']));
    let other = is_placeholder(&runs.text[from..]) || CHALLENGE.iter().any(|name| value.starts_with(name));
    (telling && !other).then(|| token(runs, from, end, Kind::Secret))
}

/// The element behind one that announces it: `jwt, <token>` in a `Sec-WebSocket-Protocol` field (`in_field`), in code, or
/// in prose, where it has to look like one.
pub(super) fn announced(runs: &mut Runs<'_>, at: usize, in_field: bool) -> Option<Credential> {
    let text = runs.text;
    let end = at + text.as_bytes()[at..].iter().take_while(|b| is_name(**b)).take(16).count();
    if !ANNOUNCING.iter().any(|name| name.eq_ignore_ascii_case(&text[at..end])) {
        return None;
    }
    let quote = text[..at].chars().next_back().filter(|c| matches!(c, '"' | '\'' | '`'));
    let rest = &text[end..];
    let rest = quote.and_then(|quote| rest.strip_prefix(quote)).unwrap_or(rest);
    let rest =
        rest.trim_start_matches([' ', '\t']).strip_prefix(',')?.trim_start_matches([' ', '\t', '\r', '\n']);
    let value = quote.and_then(|quote| rest.strip_prefix(quote));
    let in_code = value.is_some();
    let value = value.unwrap_or(rest);
    let from = text.len() - value.len();
    let run = runs.of(Class::Element, from);
    let end = trimmed(text, from, run.end);
    let value = &text[from..end];
    let telling = if in_code || in_field { !value.is_empty() } else { value.len() >= 12 && run.has_digit() };
    let other = is_placeholder(&runs.text[from..])
        || PREFIXES.iter().any(|prefix| leads(value, 0, prefix))
        || SUBPROTOCOLS.contains(&value);
    (telling && !other).then(|| token(runs, from, end, Kind::Secret))
}

/// A long run of letters of both cases and digits, or of letters and digits alone that is no hexadecimal number: nothing that
/// people need to read looks like that.
pub(super) fn opaque(runs: &mut Runs<'_>, at: usize) -> Option<Credential> {
    let run: Run = runs.of(Class::Word, at);
    let random = |value: &str| run.is_mixed() || run.has_digit() && has_random_part(value);
    (run.end - at >= LONG && random(&runs.text[at..run.end])).then(|| token(runs, at, run.end, Kind::Secret))
}

/// From here on a run is longer than names and identifiers are.
const LONG: usize = 32;

/// How far a run is looked into.
const FAR: usize = 256;

fn has_random_part(value: &str) -> bool {
    value[..value.len().min(FAR)].split(|c: char| !c.is_ascii_alphanumeric()).any(|part| {
        part.len() >= LONG
            && part.bytes().any(|b| b.is_ascii_digit())
            && part.bytes().any(|b| b.is_ascii_alphabetic() && !b.is_ascii_hexdigit())
    })
}

/// The credential from `from` to `end`, with what follows of it where a terminal or a mail program broke it.
pub(super) fn token(runs: &mut Runs<'_>, from: usize, end: usize, kind: Kind) -> Credential {
    let text = runs.text;
    let (kind, end) = if is_jwt(runs, from, end) {
        (Kind::Jwt, without_stop(text, from, runs.of(Class::Token, from).end))
    } else {
        (kind, end)
    };
    let mut whole = end;
    if end - from >= 40 {
        while let Some(next) = rest_on_next_line(text, whole) {
            whole = next;
        }
    }
    Credential { kind, range: from..whole }
}

/// A JWT may end in a dot (an empty signature), so the dot of a sentence goes only where it is one too many.
fn without_stop(text: &str, from: usize, end: usize) -> usize {
    let value = &text[from..end];
    let dots = value.bytes().filter(|b| *b == b'.').count();
    if value.ends_with('.') && dots % 2 == 1 { end - 1 } else { end }
}

fn rest_on_next_line(text: &str, end: usize) -> Option<usize> {
    let rest = &text[end..];
    let line = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'))?;
    let part = |b: &u8| is_name(*b) || *b == b'.';
    let length = line.bytes().take_while(part).count();
    let at_line_end = line[length..].is_empty() || line[length..].starts_with(['\r', '\n']);
    (length >= 16 && at_line_end && !looks_like_jwt(line)).then(|| text.len() - line.len() + length)
}
