//! The one place where a refusal becomes an HTTP response.

use std::{borrow::Cow, io::Write as _};

use crate::{BearerError, PROBLEM_CONTENT_TYPE, Problem, Reason, Rejection};

/// What a refused client is told: status, fields and body, whatever version of HTTP carries them.
///
/// The fields follow from status and reason: a Bearer challenge with 401 and wherever RFC 6750 §3 names an error, the
/// version with what should have been a handshake, `Retry-After` with 429 and 503, and never a stored copy (RFC 6585 §4,
/// §5). `Allow` with 405 is its writer's, who knows what the route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    status: u16,
    fields: Vec<(&'static str, Cow<'a, str>)>,
    body: Vec<u8>,
    /// Whether it asks for a better handshake.
    invites_upgrade: bool,
}

impl<'a> Refusal<'a> {
    /// The answer to a request that was refused with `rejection`. `request_id` names the occurrence, in body, fields and
    /// log; it is left out of the fields unless it is visible ASCII.
    pub fn new(rejection: &Rejection, request_id: &'a str) -> Self {
        let reason = rejection.reason.shown_as();
        let problem = Problem::new(rejection, request_id);
        let status = problem.status;
        let mut body = Vec::with_capacity(BODY);
        serde_json::to_writer(&mut body, &problem).expect("a problem has nothing that JSON cannot say");
        let mut fields = Vec::with_capacity(FIELDS);
        fields.push(("Content-Type", Cow::Borrowed(PROBLEM_CONTENT_TYPE)));
        fields.push(("Cache-Control", "no-store".into()));
        let invites_upgrade = matches!(reason, Reason::BadUpgrade | Reason::UnsupportedVersion);
        if invites_upgrade {
            fields.push(("Sec-WebSocket-Version", "13".into()));
        }
        match reason.bearer_error() {
            Some(error) => fields.push(("WWW-Authenticate", challenge(error, reason.title()).into())),
            None if status == 401 => fields.push(("WWW-Authenticate", REALM.into())),
            None => {}
        }
        if status == 429 || status == 503 {
            fields.push(("Retry-After", rejection.retry_after.unwrap_or(1).to_string().into()));
        }
        if !request_id.is_empty() && is_visible(request_id) {
            fields.push(("X-Request-Id", request_id.into()));
        }
        Self { status, fields, body, invites_upgrade }
    }

    /// Names and values of the fields, none twice, without those that frame a message.
    fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.fields.iter().map(|(name, value)| (*name, &**value))
    }

    /// Appends the whole response to a handshake that was refused, as HTTP/1.1. `method` is the request's, empty where it could
    /// not be read; a HEAD is answered without a body. The connection closes after it: nothing behind the head was read as a
    /// request (RFC 9112 §11.2).
    pub fn write_http1(&self, method: &str, out: &mut Vec<u8>) {
        out.reserve(640 + self.body.len());
        put(out, &["HTTP/1.1 "]);
        put_number(out, self.status.into());
        put(out, &[" ", phrase(self.status)]);
        for (name, value) in self.fields() {
            put(out, &["\r\n", name, ": ", value]);
        }
        put(out, &["\r\nContent-Length: "]);
        put_number(out, self.body.len() as u64);
        put(out, &["\r\nConnection: close"]);
        if self.invites_upgrade {
            put(out, &[", Upgrade\r\nUpgrade: websocket"]);
        }
        if self.status == 405 {
            // A handshake is a GET (RFC 6455 §4.1 item 2).
            put(out, &["\r\nAllow: GET"]);
        }
        put(out, &["\r\n\r\n"]);
        if method != "HEAD" {
            out.extend_from_slice(&self.body);
        }
    }
}

impl From<Refusal<'_>> for http::Response<Vec<u8>> {
    /// The response to a plain request. Its reader is told its length, and `Allow` with 405, by whoever sends it.
    fn from(refusal: Refusal<'_>) -> Self {
        let mut response = http::Response::builder().status(refusal.status);
        for (name, value) in refusal.fields() {
            response = response.header(name, value);
        }
        response.body(refusal.body).expect("a refusal's status and fields are of HTTP")
    }
}

/// Bytes of a problem document, mostly, and the most fields.
const BODY: usize = 512;
const FIELDS: usize = 6;

/// The challenge to a request that had no credentials (RFC 6750 §3.1).
const REALM: &str = "Bearer realm=\"portcullis\"";

/// The challenge to one that had some.
fn challenge(error: BearerError, title: &str) -> String {
    // RFC 6750 §3: %x20-21 / %x23-5B / %x5D-7E.
    let description = title.chars().filter(|char| matches!(char, ' '..='!' | '#'..='[' | ']'..='~'));
    let mut text = String::with_capacity(128);
    text.extend([REALM, ", error=\"", error.as_str(), "\", error_description=\""]);
    text.extend(description);
    text.push('"');
    text
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
