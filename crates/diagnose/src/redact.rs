//! Evidence without credentials: what may be one is replaced by the first 8 hex digits of its SHA-256.
//!
//! A token is shown as `jwt#1a2b3c4d`, bare or wrapped in base64url alike, so that its way through several logs can still be
//! followed. Opaque tokens, passwords and cookies are known by the names in front of them, or by their look.

use base64::{
    Engine as _,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use portcullis_token::fingerprint;

/// The most characters of a piece of evidence.
const MOST: usize = 240;

/// `text` without credentials, on one line, at most [`MOST`] characters.
pub(crate) fn redact(text: &str) -> String {
    // First what takes no room: between two halves of a token it would hide both.
    let plain: String = text
        .chars()
        .map(|c| if matches!(c, '\t' | '\n' | '\r') { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .collect();
    let mut out = String::with_capacity(plain.len().min(MOST * 2));
    let (mut at, mut count) = (0, 0);
    // What is cut away anyway need not be looked at; a credential that starts before the cut ends as a fingerprint.
    while count <= MOST
        && let Some(c) = plain[at..].chars().next()
    {
        if let Some((shown, end)) = credential(&plain, at) {
            count += shown.chars().count();
            out.push_str(&shown);
            at = end;
        } else {
            count += 1;
            out.push(c);
            at += c.len_utf8();
        }
    }
    let text = out.trim();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

/// Whether a credential begins anywhere in `text`. Takes time that grows with its longest word.
pub(crate) fn holds_credential(text: &str) -> bool {
    text.char_indices().any(|(at, _)| credential(text, at).is_some())
}

/// The credential that begins at `at`: what is shown for it with what leads to it, and where it ends.
fn credential(text: &str, at: usize) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let here = &bytes[at..];
    if !here.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b':') {
        return None;
    }
    if here.starts_with(b"eyJ") || here.starts_with(b"ZXlK") {
        let end = run(bytes, at, is_jwt);
        if end - at >= 12 {
            return Some((jwt(&text[at..end]), end));
        }
    }
    // `wss://user:password@host`
    if here.starts_with(b"://") {
        let end = run(bytes, at + 3, |b| !matches!(b, b'/' | b' ' | b'"' | b'\'' | b'?' | b'#'));
        let host = text[at + 3..end].rfind('@')?;
        return Some(("://(user)@".to_owned(), at + 3 + host + 1));
    }
    if at > 0 && is_name(bytes[at - 1]) {
        return None;
    }
    prefixed(text, at)
        .or_else(|| scheme(text, at))
        .or_else(|| named(text, at))
        .or_else(|| two_elements(text, at))
        .or_else(|| opaque(text, at))
}

/// A subprotocol element that bears a token: `jwt.<x>`. What has a few characters is no secret, and tells why it was refused.
fn prefixed(text: &str, at: usize) -> Option<(String, usize)> {
    const PREFIXES: [&str; 8] = [
        "base64url.bearer.authorization.k8s.io.",
        "base64url.bearer.phx.",
        "anycable-token.",
        "jwt-auth.",
        "bearer.",
        "ticket.",
        "token.",
        "jwt.",
    ];
    let bytes = text.as_bytes();
    let prefix = PREFIXES.iter().find(|prefix| starts_with(&bytes[at..], prefix))?;
    let from = at + prefix.len();
    let end = run(bytes, from, is_opaque);
    let value = &text[from..end];
    // Names of code have no digits: `jwt.exceptions.ExpiredSignatureError`.
    let secret = value.len() >= 8
        && (value.contains("eyJ") || value.contains("ZXlK") || value.bytes().any(|b| b.is_ascii_digit()));
    secret.then(|| (format!("{}{}", &text[at..from], shown(value)), end))
}

/// `Bearer <token>`, `Basic <credentials>`.
fn scheme(text: &str, at: usize) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let scheme = ["bearer", "basic", "digest"].into_iter().find(|name| starts_with(&bytes[at..], name))?;
    let blank = at + scheme.len();
    let from = run(bytes, blank, |b| b == b' ' || b == b'\t');
    let end = run(bytes, from, is_opaque);
    let value = &text[from..end];
    let telling = value.len() >= 20 || value.len() >= 8 && value.bytes().any(|b| b.is_ascii_digit());
    (from > blank && telling).then(|| (format!("{} {}", &text[at..blank], shown(value)), end))
}

/// `token=<x>`, `"password": "<x>"`, `Cookie: …`.
fn named(text: &str, at: usize) -> Option<(String, usize)> {
    const NAMES: [&str; 25] = [
        "access_token",
        "accesstoken",
        "api-key",
        "api_key",
        "apikey",
        "auth_token",
        "authorization",
        "client_secret",
        "cookie",
        "id_token",
        "jwt",
        "passwd",
        "password",
        "proxy-authorization",
        "pwd",
        "refresh_token",
        "secret",
        "session",
        "session_id",
        "sessionid",
        "set-cookie",
        "sid",
        "ticket",
        "token",
        "x-api-key",
    ];
    // Headers: what follows the colon is the value, also without quotes.
    const HEADERS: [&str; 5] = ["authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"];
    // Values that tell why it was refused.
    const TELLING: [&str; 9] = ["", "-", "none", "null", "undefined", "missing", "true", "false", "bearer"];
    let bytes = text.as_bytes();
    let end_of_name = run(bytes, at, is_name);
    let name = text[at..end_of_name].to_ascii_lowercase();
    if !NAMES.contains(&name.as_str()) {
        return None;
    }
    let mut from = end_of_name;
    let mut quote = bytes.get(from).copied().filter(|b| matches!(b, b'"' | b'\'' | b'\\'));
    from = run(bytes, from, |b| matches!(b, b'"' | b'\'' | b'\\'));
    from = run(bytes, from, |b| b == b' ');
    let mark = *bytes.get(from)?;
    if !matches!(mark, b'=' | b':') {
        return None;
    }
    let header = mark == b':' && HEADERS.contains(&name.as_str());
    let after_mark = run(bytes, from + 1, |b| b == b' ');
    from = run(bytes, after_mark, |b| matches!(b, b'"' | b'\'' | b'\\'));
    quote = quote.or_else(|| (from > after_mark).then_some(b'"'));
    // `invalid token: Signature has expired` is prose.
    if mark == b':' && quote.is_none() && !header {
        return None;
    }
    let whole_line = header && name.contains("cookie");
    let ends = |b: u8| match b {
        b'"' | b'\'' => true,
        b' ' => quote.is_none() && !whole_line,
        b'&' | b',' | b';' | b'}' | b')' | b']' | b'\\' => !whole_line,
        _ => false,
    };
    let mut end = run(bytes, from, |b| !ends(b));
    // `Authorization: Bearer <x>`: the scheme is kept.
    let mut lead = text[at..from].to_owned();
    if header && let Some((shown, end)) = scheme(text, from) {
        return Some((format!("{lead}{shown}"), end));
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let value = &text[from..end];
    if TELLING.contains(&value.to_ascii_lowercase().as_str()) {
        return None;
    }
    lead.push_str(&shown(value));
    Some((lead, end))
}

/// The two-element form `jwt, <token>` with a token that is none.
fn two_elements(text: &str, at: usize) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let lead = ["jwt, ", "jwt,", "bearer, ", "bearer,", "token, "]
        .into_iter()
        .find(|lead| starts_with(&bytes[at..], lead))?;
    let from = at + lead.len();
    let end = run(bytes, from, is_opaque);
    let value = &text[from..end];
    let telling = value.len() >= 12 && value.bytes().any(|b| b.is_ascii_digit());
    telling.then(|| (format!("{}{}", &text[at..from], shown(value)), end))
}

/// A long run of letters of both cases and digits: nothing in a log that people need to read looks like that.
fn opaque(text: &str, at: usize) -> Option<(String, usize)> {
    let end = run(text.as_bytes(), at, |b| b.is_ascii_alphanumeric() || b"_-+=".contains(&b));
    let value = &text[at..end];
    let has = |of: fn(&u8) -> bool| value.as_bytes().iter().any(of);
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    (value.len() >= 32 && mixed).then(|| (shown(value), end))
}

/// What stands for a credential.
fn shown(value: &str) -> String {
    if value.starts_with("eyJ") || value.starts_with("ZXlK") {
        jwt(value)
    } else {
        format!("secret#{}", fingerprint(value))
    }
}

/// What stands for a JWT. One that is wrapped in base64url has the fingerprint of the token inside.
fn jwt(text: &str) -> String {
    let text = text.trim_end_matches('=');
    let text = match text.strip_suffix('.') {
        Some(rest) if text.matches('.').count() > 2 => rest,
        _ => text,
    };
    let inside = text.starts_with("ZXlK").then(|| LENIENT.decode(text).ok()).flatten();
    match inside.as_deref().map(str::from_utf8) {
        Some(Ok(inside)) => format!("jwt#{}", fingerprint(inside)),
        _ => format!("jwt#{}", fingerprint(text)),
    }
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

fn run(bytes: &[u8], from: usize, of: impl Fn(u8) -> bool) -> usize {
    from + bytes[from.min(bytes.len())..].iter().take_while(|b| of(**b)).count()
}

fn starts_with(bytes: &[u8], lead: &str) -> bool {
    bytes.get(..lead.len()).is_some_and(|start| start.eq_ignore_ascii_case(lead.as_bytes()))
}

const fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

const fn is_jwt(b: u8) -> bool {
    is_name(b) || matches!(b, b'.' | b'=' | b'+' | b'%')
}

const fn is_opaque(b: u8) -> bool {
    is_jwt(b) || matches!(b, b'/' | b'~')
}

/// Marks that turn the direction of text or take no room.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{00AD}')
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";

    #[test]
    fn a_token_is_one_fingerprint_wherever_it_stands() {
        let print = format!("jwt#{}", fingerprint(JWT));
        let wrapped = URL_SAFE_NO_PAD.encode(JWT);
        for (text, expected) in [
            (JWT.to_owned(), print.clone()),
            (format!("a {JWT}. b"), format!("a {print}. b")),
            (format!("jwt.{JWT}"), format!("jwt.{print}")),
            (format!("jwt-auth, jwt.{wrapped}"), format!("jwt-auth, jwt.{print}")),
            (format!("jwt, {JWT}"), format!("jwt, {print}")),
            (format!("myapp.v1.{JWT}"), format!("myapp.v1.{print}")),
            (format!("GET /ws?token={JWT}&x=1"), format!("GET /ws?token={print}&x=1")),
            (format!("\"token\": \"{JWT}\""), format!("\"token\": \"{print}\"")),
            (format!("Authorization: Bearer {JWT}"), format!("Authorization: Bearer {print}")),
            (format!("authorization=bearer {JWT}"), format!("authorization=bearer {print}")),
        ] {
            let shown = redact(&text);
            assert!(!shown.contains("eyJ") && !shown.contains(&wrapped), "{shown}");
            if !text.starts_with("a ") {
                assert_eq!(shown, expected);
            }
        }
    }

    #[test]
    fn what_is_no_token_is_kept_and_what_may_be_one_is_not() {
        for kept in [
            "JWT token too short in subprotocol: jwt.abc",
            "jwt.exceptions.ExpiredSignatureError: Signature has expired",
            "invalid token: Signature has expired",
            "Message routing failed for user 105945141827451681156",
            "closed with code=1006 reason=",
            "token=null and token=undefined",
            "WWW-Authenticate: Bearer error=\"invalid_token\"",
            "connection 0123456789abcdef0123456789abcdef lost",
        ] {
            assert_eq!(redact(kept), kept);
        }
        for (text, secret) in [
            ("GET /ws?access_token=opaque-123 HTTP/1.1", "opaque-123"),
            ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
            ("Cookie: a=b1; c=d2", "d2"),
            ("{\"password\":\"hunter2 x\"}", "hunter2"),
            ("wss://anna:hunter2@h/ws", "hunter2"),
            ("offered jwt, a1b2c3d4e5f6g7", "a1b2c3d4e5f6g7"),
            ("key Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZkdISUpL used", "Zm9vYmFy"),
            ("ticket.0a1b2c3d4e5f", "0a1b2c3d4e5f"),
            ("{\\\"token\\\":\\\"s3cretvalue\\\"}", "s3cretvalue"),
        ] {
            assert!(!redact(text).contains(secret), "{}", redact(text));
        }
    }

    #[test]
    fn evidence_is_short_and_has_no_control_characters() {
        let shown = redact(&format!("\u{1b}[31m{}\u{202e}", "é x ".repeat(1000)));
        assert!(shown.chars().count() <= MOST + 1, "{}", shown.chars().count());
        assert!(!shown.contains(['\u{1b}', '\u{202e}']));
        let (head, tail) = JWT.split_at(5);
        let shown = redact(&format!("{head}\u{200b}{tail}"));
        assert!(!shown.contains(&tail[..12]), "{shown}");
    }
}
