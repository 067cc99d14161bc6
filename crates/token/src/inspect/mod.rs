//! Looking into a token without verifying it: for people who want to know what is wrong with one.

mod contents;

use std::{borrow::Cow, fmt};

use portcullis_reason::Reason;
use serde::Serialize;
use serde_json::Value;

use crate::{Fingerprint, base64url, fingerprint};

/// The longest text that is looked into.
pub const MAX_INSPECTED_BYTES: usize = 64 * 1024;

/// What a text that should be a token turned out to be. **Nothing in it is verified**, and the signature is not in it.
///
/// `Debug` shows neither header nor claims.
#[derive(Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// What stands for the token in our logs: the SHA-256 prefix of the bare token.
    pub fingerprint: Fingerprint,
    /// The length of the bare token in bytes.
    pub bytes: usize,
    /// Whether the text was base64url of the token, as in the subprotocol element `jwt.<base64url(token)>`.
    pub wrapped: bool,
    /// The header, if it could be read.
    pub header: Option<Value>,
    /// The claims, if they could be read.
    pub claims: Option<Value>,
    /// Seconds until `exp`; negative once it has passed.
    pub expires_in: Option<i64>,
    /// What was noticed: what hides the token first, then its form, header, claims and signature.
    pub findings: Vec<Finding>,
}

/// One thing that was noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What a gateway would answer because of it; none for a remark.
    pub reason: Option<Reason>,
    /// Where.
    pub part: Part,
    /// What, in a sentence. No claim's value is quoted, except for times.
    pub message: String,
    /// The index of the byte at fault, in the part (or the text) as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<usize>,
}

/// A part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The text as a whole.
    Whole,
    /// The first part.
    Header,
    /// The second part.
    Payload,
    /// The third part.
    Signature,
}

impl Inspection {
    /// What a gateway would most likely answer: the reason of the first finding that has one. None if the form is good and
    /// the times fit, in which case only the key can tell.
    pub fn reason(&self) -> Option<Reason> {
        self.findings.iter().find_map(|finding| finding.reason)
    }

    fn note(&mut self, part: Part, reason: impl Into<Option<Reason>>, message: impl Into<String>) {
        self.findings.push(Finding { reason: reason.into(), part, message: message.into(), at: None });
    }

    fn note_at(&mut self, part: Part, at: usize, message: impl Into<String>) {
        let reason = Some(Reason::TokenMalformed);
        self.findings.push(Finding { reason, part, message: message.into(), at: Some(at) });
    }
}

impl fmt::Debug for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspection")
            .field("fingerprint", &self.fingerprint)
            .field("bytes", &self.bytes)
            .field("findings", &self.findings)
            .finish_non_exhaustive()
    }
}

/// Looks into `text` at the time `now` (seconds since 1970). Any text will do; it never fails and never verifies.
///
/// What people paste along with a token is taken off and named: quotes, white space, `Bearer`, a subprotocol element's prefix,
/// the base64url around a token.
pub fn inspect(text: &str, now: u64) -> Inspection {
    let mut seen = Inspection {
        fingerprint: fingerprint(text),
        bytes: text.len(),
        wrapped: false,
        header: None,
        claims: None,
        expires_in: None,
        findings: Vec::new(),
    };
    if text.len() > MAX_INSPECTED_BYTES {
        seen.note(
            Part::Whole,
            Reason::TokenTooLarge,
            format!("{} bytes are too many for a token.", text.len()),
        );
        return seen;
    }
    let bare = undress(text, &mut seen);
    let token = unwrap(bare, &mut seen);
    seen.fingerprint = fingerprint(&token);
    seen.bytes = token.len();
    if token.len() > 8192 {
        let message = format!("It has {} bytes, more than the usual limit of 8192.", token.len());
        seen.note(Part::Whole, Reason::TokenTooLarge, message);
    }
    look_inside(&token, now, &mut seen);
    if seen.reason().is_none() {
        seen.note(
            Part::Whole,
            None,
            "The form is good. Whether the signature is, only a server with the key can tell.",
        );
    }
    seen
}

/// Takes off what is around a token, and names it.
fn undress<'a>(text: &'a str, seen: &mut Inspection) -> &'a str {
    let mut bare = text.trim();
    if bare.len() != text.len() && !bare.is_empty() {
        seen.note(
            Part::Whole,
            Reason::TokenMalformed,
            "There is white space or a line break around the token; send it without.",
        );
    }
    for quote in ['"', '\'', '`'] {
        if let Some(inner) = bare.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            seen.note(
                Part::Whole,
                Reason::TokenMalformed,
                "The token is in quotes, which are not part of it; send it without.",
            );
            bare = inner.trim();
        }
    }
    if bare.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
        && bare[6..].starts_with(char::is_whitespace)
    {
        let message = "It starts with \"Bearer \", which belongs into the Authorization header and not into a subprotocol.";
        seen.note(Part::Whole, None, message);
        bare = bare[6..].trim_start();
    }
    if let Some(prefix) = PREFIXES.iter().find(|prefix| bare.starts_with(**prefix)) {
        seen.note(
            Part::Whole,
            None,
            format!("It is a subprotocol element; the token stands behind \"{prefix}\"."),
        );
        bare = &bare[prefix.len()..];
    }
    bare
}

/// What a subprotocol element with a token in it starts with. No token does: its first part is JSON in base64url.
const PREFIXES: &[&str] = &["base64url.bearer.authorization.k8s.io.", "jwt-auth.", "bearer.", "jwt."];

/// Undoes the base64url around a token, if there is one.
fn unwrap<'a>(text: &'a str, seen: &mut Inspection) -> Cow<'a, str> {
    if text.is_empty() || text.contains('.') {
        return Cow::Borrowed(text);
    }
    let unpadded = text.trim_end_matches('=');
    let inner = base64url::decode(unpadded.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(inner) =
        inner.filter(|inner| inner.contains('.') && inner.bytes().all(|byte| byte.is_ascii_graphic()))
    else {
        return Cow::Borrowed(text);
    };
    seen.wrapped = true;
    seen.note(
        Part::Whole,
        None,
        "It is base64url of a token, the canonical form for a subprotocol element; this is what is inside.",
    );
    if unpadded.len() != text.len() {
        seen.note_at(
            Part::Whole,
            unpadded.len(),
            "The base64url around the token has padding (=), which is not allowed.",
        );
    }
    Cow::Owned(inner)
}

fn look_inside(token: &str, now: u64, seen: &mut Inspection) {
    if token.is_empty() {
        seen.note(
            Part::Whole,
            Reason::TokenMalformed,
            "There is no token: the text is empty. Was the token undefined or not loaded yet?",
        );
        return;
    }
    if matches!(token, "undefined" | "null" | "[object Object]" | "None" | "NaN") {
        seen.note(
            Part::Whole,
            Reason::TokenMalformed,
            format!("\"{token}\" is what code writes when it has no token."),
        );
        return;
    }
    if token.contains("...") || token.contains('…') {
        seen.note(
            Part::Whole,
            Reason::TokenMalformed,
            "It was shortened where it was copied from (\"...\"); copy all of it.",
        );
    } else if let Some(at) = token.find(char::is_whitespace) {
        seen.note_at(Part::Whole, at, "There is white space or a line break inside the token.");
    }
    let parts: Vec<&str> = token.split('.').collect();
    let (header, payload, signature) = match parts[..] {
        [header, payload, signature] => (header, payload, Some(signature)),
        [_, _, _, _, _] => {
            seen.note(
                Part::Whole,
                Reason::TokenMalformed,
                "It has five parts: an encrypted token (JWE). A signed one (JWS) is needed.",
            );
            return;
        }
        [header, payload] => {
            seen.note(
                Part::Whole,
                Reason::TokenMalformed,
                "It has two parts instead of three: the signature is missing, or it was cut off.",
            );
            (header, payload, None)
        }
        [_] => {
            let message = if token.len() < SHORTEST {
                format!(
                    "{} characters are too short for a token, which has three parts with dots between them.",
                    token.len()
                )
            } else {
                "It has one part; a token has three with dots between them. It may be an opaque token, or cut off.".to_owned()
            };
            seen.note(Part::Whole, Reason::TokenMalformed, message);
            name_bad_character(Part::Whole, token, seen);
            return;
        }
        _ => {
            seen.note(
                Part::Whole,
                Reason::TokenMalformed,
                format!("It has {} parts instead of three.", parts.len()),
            );
            return;
        }
    };
    let algorithm = decode(Part::Header, header, seen).and_then(|bytes| contents::header(&bytes, seen));
    if let Some(bytes) = decode(Part::Payload, payload, seen) {
        contents::claims(&bytes, now, seen);
    }
    match signature {
        Some("") if algorithm == Some(contents::Claimed::None) => {}
        Some(signature) => {
            if let Some(bytes) = decode(Part::Signature, signature, seen) {
                contents::signature(&bytes, algorithm, seen);
            }
        }
        None => {}
    }
}

/// No token is shorter: `{"alg":"HS256"}`, `{}` and 32 bytes of signature.
const SHORTEST: usize = 68;

fn decode(part: Part, text: &str, seen: &mut Inspection) -> Option<Vec<u8>> {
    if text.is_empty() {
        seen.note(part, Reason::TokenMalformed, format!("The {} is empty.", part.name()));
        return None;
    }
    match base64url::decode(text.as_bytes()) {
        Ok(bytes) => Some(bytes),
        Err(base64url::Fault::Character(_) | base64url::Fault::Padding(_)) => {
            name_bad_character(part, text, seen);
            None
        }
        Err(base64url::Fault::Length) => {
            let message = format!(
                "The {} has {} characters, which base64url never has: it was cut off.",
                part.name(),
                text.len()
            );
            seen.note(part, Reason::TokenMalformed, message);
            None
        }
        Err(base64url::Fault::TrailingBits) => {
            let message = format!(
                "The last character of the {} is not one that base64url ends with: it was changed or cut off.",
                part.name()
            );
            seen.note_at(part, text.len() - 1, message);
            None
        }
    }
}

fn name_bad_character(part: Part, text: &str, seen: &mut Inspection) {
    let good = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
    let Some((at, bad)) = text.char_indices().find(|(_, character)| !good(*character)) else { return };
    let name = part.name();
    let message = match bad {
        '=' => format!(
            "The {name} has base64 padding (=) at index {at}; base64url in tokens has none (RFC 7515 §2)."
        ),
        '+' | '/' => format!(
            "The {name} has '{bad}' at index {at}: it is in standard base64; tokens take base64url, with - and _ instead."
        ),
        '%' => format!("The {name} has '%' at index {at}: it is percent-encoded; decode it first."),
        _ => format!("The {name} has the character {bad:?} at index {at}, which is not in base64url."),
    };
    seen.note_at(part, at, message);
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Whole => "text",
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        }
    }
}
