//! The one place where a refusal becomes an HTTP response, and the accept value.

use std::io::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD};
use portcullis_reason::{PROBLEM_CONTENT_TYPE, Problem, Reason, Rejection};
use sha1::{Digest, Sha1};

/// Computes `Sec-WebSocket-Accept` from the client's key as sent (RFC 6455 §4.2.2 item 5.4).
pub fn accept_value(key: &str) -> [u8; 28] {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    let mut value = [0; 28];
    STANDARD.encode_slice(hash.finalize(), &mut value).expect("20 bytes are 28 characters of base64");
    value
}

/// What a refusal needs besides its reason.
#[derive(Clone, Copy, Debug, Default)]
pub struct RejectionContext<'a> {
    /// Names the occurrence, in body, header and log. Visible ASCII; left out of the header otherwise.
    pub request_id: &'a str,
    /// Answers a HEAD: no body.
    pub head: bool,
    /// The value of `Date`, as the caller's clock has it (RFC 9110 §6.6.1).
    pub date: Option<&'a str>,
}

impl<'a> RejectionContext<'a> {
    /// A context with the id of the request.
    pub const fn new(request_id: &'a str) -> Self {
        Self { request_id, head: false, date: None }
    }

    /// Leaves the body away if the request's method is HEAD.
    #[must_use]
    pub fn for_method(mut self, method: &str) -> Self {
        self.head = method == "HEAD";
        self
    }

    /// Adds `Date`.
    #[must_use]
    pub const fn with_date(mut self, date: &'a str) -> Self {
        self.date = Some(date);
        self
    }
}

/// Appends the whole response to a refused request. The connection closes after it: nothing behind the head was
/// read as a request (RFC 9112 §11.2).
///
/// The fields follow from status and reason: a Bearer challenge with 401 and wherever RFC 6750 §3 names an error,
/// `Allow` with 405, `Upgrade` and the version with what should have been a handshake, `Retry-After` with 429 and 503,
/// and never a stored copy (RFC 6585 §4, §5).
pub fn write_rejection(rejection: &Rejection, context: &RejectionContext<'_>, out: &mut Vec<u8>) {
    let reason = rejection.reason.shown_as();
    let problem = Problem::new(rejection, context.request_id);
    let status = problem.status;
    let body = serde_json::to_vec(&problem).expect("a problem has nothing that JSON cannot say");
    let invites_upgrade = matches!(reason, Reason::BadUpgrade | Reason::UnsupportedVersion);

    out.reserve(640 + body.len());
    put(out, &["HTTP/1.1 "]);
    put_number(out, status.into());
    put(out, &[" ", phrase(status)]);
    if let Some(date) = context.date.filter(|date| is_visible(date)) {
        put(out, &["\r\nDate: ", date]);
    }
    put(out, &["\r\nContent-Type: ", PROBLEM_CONTENT_TYPE, "\r\nContent-Length: "]);
    put_number(out, body.len() as u64);
    put(out, &["\r\nCache-Control: no-store"]);
    if invites_upgrade {
        put(out, &["\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"]);
    } else {
        put(out, &["\r\nConnection: close"]);
    }
    let error = reason.bearer_error();
    if status == 401 || error.is_some() {
        put(out, &["\r\nWWW-Authenticate: Bearer realm=\"portcullis\""]);
        if let Some(error) = error {
            put(out, &[", error=\"", error.as_str(), "\", error_description=\""]);
            // RFC 6750 §3: %x20-21 / %x23-5B / %x5D-7E.
            out.extend(
                reason.title().bytes().filter(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)),
            );
            put(out, &["\""]);
        }
    }
    if status == 405 {
        put(out, &["\r\nAllow: GET"]);
    }
    if status == 429 || status == 503 {
        put(out, &["\r\nRetry-After: "]);
        put_number(out, rejection.retry_after.unwrap_or(1).into());
    }
    if !context.request_id.is_empty() && is_visible(context.request_id) {
        put(out, &["\r\nX-Request-Id: ", context.request_id]);
    }
    put(out, &["\r\n\r\n"]);
    if !context.head {
        out.extend_from_slice(&body);
    }
}

fn put(out: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    write!(out, "{number}").expect("writing to memory does not fail");
}

/// Nothing that could start another field line.
fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

const fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        // The phrase may be empty (RFC 9112 §4).
        _ => "",
    }
}

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
