//! Text without credentials: a kind and a fingerprint stand for each.
//!
//! A token has one fingerprint, the first 8 hex digits of its SHA-256, bare or wrapped in base64url alike, so that its way can
//! still be followed.

use std::{borrow::Cow, fmt::Write as _};

use base64::{
    Engine as _,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use portcullis_token::{Fingerprint, fingerprint};

use crate::credential::{Kind, credentials, mark};

/// The most characters of a piece of evidence.
const MOST: usize = 240;

/// `text` without its credentials, for writing down what a user said: `[jwt 1a2b3c4d]`, `[password 1a2b3c4d]` and so on stand for
/// them, and everything else stays as it is. What was replaced before is not replaced again.
///
/// It knows every form that this crate, the built-in agent and the gateway look for, and takes too much rather than too
/// little. A secret that has the form of an everyday word and stands in a sentence it cannot know. Takes time linear in the
/// text's length.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let plain = Plain::of(text);
    let mut out = String::new();
    let mut at = 0;
    for credential in credentials(&plain.text) {
        let range = plain.place(credential.range.start)..plain.place(credential.range.end);
        let secret: String =
            plain.text[credential.range].chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        out.push_str(&text[at..range.start]);
        out.push_str(&mark(credential.kind, print(credential.kind, &secret)));
        at = range.end;
    }
    if at == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

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
    let mut found = credentials(&plain);
    // What is cut away anyway need not be looked at; a credential that starts before the cut ends as a fingerprint.
    while count <= MOST {
        let credential = found.next_before(at + 4 * (MOST + 1 - count));
        let end = credential.as_ref().map_or(plain.len(), |credential| credential.range.start);
        count += plain[at..end].chars().take(MOST + 1).count();
        out.push_str(&plain[at..end]);
        let Some(credential) = credential else { break };
        let name = if credential.kind == Kind::Jwt { "jwt" } else { "secret" };
        let print = print(credential.kind, &plain[credential.range.clone()]);
        let _ = write!(out, "{name}#{print}");
        count += name.len() + 9;
        at = credential.range.end;
    }
    let text = out.trim();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

/// The fingerprint of a credential. A JWT that is wrapped in base64url has that of the token inside.
fn print(kind: Kind, text: &str) -> Fingerprint {
    if kind != Kind::Jwt {
        return fingerprint(text);
    }
    let text = text.trim_end_matches('=');
    let inside = text.starts_with("ZXlK").then(|| LENIENT.decode(text).ok()).flatten();
    match inside.as_deref().map(str::from_utf8) {
        Some(Ok(inside)) => fingerprint(inside),
        _ => fingerprint(text),
    }
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// A text without the marks that take no room, since between two halves of a token one would hide both.
struct Plain<'t> {
    text: Cow<'t, str>,
    /// Where a mark stood in the plain text, and how many bytes all of them took up to it.
    marks: Vec<(usize, usize)>,
}

impl<'t> Plain<'t> {
    fn of(text: &'t str) -> Self {
        if !text.contains(is_invisible) {
            return Self { text: Cow::Borrowed(text), marks: Vec::new() };
        }
        let (mut plain, mut marks) = (String::with_capacity(text.len()), Vec::new());
        for (at, c) in text.char_indices() {
            if is_invisible(c) {
                marks.push((plain.len(), at + c.len_utf8() - plain.len()));
            } else {
                plain.push(c);
            }
        }
        Self { text: Cow::Owned(plain), marks }
    }

    /// Where a place of the plain text stands in the whole one. Marks belong to what stands before them.
    fn place(&self, at: usize) -> usize {
        let before = self.marks.partition_point(|(mark, _)| *mark <= at);
        at + before.checked_sub(1).map_or(0, |last| self.marks[last].1)
    }
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
