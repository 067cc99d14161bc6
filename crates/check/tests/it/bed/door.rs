//! The handshake: who comes in, and what the others are told.

use std::{sync::atomic::Ordering, time::Duration};

use portcullis_frame::{Frame, WireCode};
use portcullis_handshake::{Head, HeadLimits, HeadReader, Reason, Refusal, Rejection, Upgrade};
use portcullis_units::Clock;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{HEAD, NAME, SECRET, State, head::Lines, now};

/// Who came in.
pub(super) struct Guest {
    pub(super) user: String,
    /// When the token ends; never for those who should not be here.
    pub(super) exp: Option<u64>,
    /// To be sent away at once: late, with that code, or without one.
    pub(super) leaves: Option<Late>,
}

/// How somebody leaves who should not have come in.
#[derive(Clone, Copy)]
pub(super) enum Late {
    /// With a close frame.
    Closed(u16),
    /// Without a word.
    Dropped,
}

/// Reads the head and answers. Gives the guest with the bytes that came behind the head.
pub(super) async fn enter(stream: &mut TcpStream, state: &State, number: usize) -> Option<(Guest, Vec<u8>)> {
    let (head, rest) = read_head(stream, state).await?;
    let _under_way = UnderWay::new(state);
    slow_down(state, number).await;
    let mut lines = Lines::new(&head);
    if lines.method() == "POST" && lines.target() == "/login" {
        let _ = stream.write_all(&login(state)).await;
        return None;
    }
    lines.bend(state);
    let (answer, guest) = answer(&lines, state, !rest.is_empty());
    if answer.is_empty() {
        // Left hanging.
        tokio::time::sleep(Duration::from_secs(30)).await;
        return None;
    }
    let refused = guest.is_none();
    if refused && state.is("rule/refusal-latency") {
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    stream.write_all(&answer).await.ok()?;
    if refused {
        let _ = stream.shutdown().await;
        // What is unread would reset the connection, and the reset can overtake the answer.
        let mut sink = vec![0; 64 * 1024];
        let drained = async { while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {} };
        let _ = timeout(Duration::from_millis(500), drained).await;
        return None;
    }
    Some((guest?, rest))
}

/// Counts the handshakes under way.
struct UnderWay<'a>(&'a State);

impl<'a> UnderWay<'a> {
    fn new(state: &'a State) -> Self {
        state.under_way.fetch_add(1, Ordering::Relaxed);
        Self(state)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn slow_down(state: &State, number: usize) {
    let wait = match state.defect {
        "rule/handshake-latency" if number % 10 == 9 => 1500,
        "rule/no-degradation" if number > 14 => 1500,
        "rule/parallel-handshakes" => 100,
        _ => return,
    };
    tokio::time::sleep(Duration::from_millis(wait)).await;
}

async fn read_head(stream: &mut TcpStream, state: &State) -> Option<(Vec<u8>, Vec<u8>)> {
    let careless = state.defect.starts_with("rfc6585/5/");
    let mut reader = HeadReader::new(HeadLimits::default());
    let mut buffer = Vec::new();
    let mut deadline = Clock::system().instant() + HEAD;
    loop {
        let found = if careless {
            Ok(buffer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4))
        } else {
            reader.advance(&buffer)
        };
        match found {
            Ok(Some(len)) => {
                let rest = buffer.split_off(len);
                return Some((buffer, rest));
            }
            Ok(None) => {}
            Err(rejection) => {
                let mut out = Vec::new();
                Refusal::new(&rejection, "bed").write_http1("", &mut out);
                let _ = stream.write_all(&out).await;
                return None;
            }
        }
        match state.defect {
            "rule/half-open" => deadline = Clock::system().instant() + Duration::from_secs(30),
            // Each byte is a new beginning.
            "rule/slow-head" => deadline = Clock::system().instant() + HEAD,
            _ => {}
        }
        let left = deadline.saturating_duration_since(Clock::system().instant());
        match timeout(left, stream.read_buf(&mut buffer)).await {
            Ok(Ok(read)) if read > 0 => {}
            _ => return None,
        }
    }
}

/// The answer, and who comes in by it. No answer at all is a defect as well.
fn answer(lines: &Lines, state: &State, pushes: bool) -> (Vec<u8>, Option<Guest>) {
    if state.is("rule/parallel-handshakes") && state.under_way.load(Ordering::Relaxed) > 3 {
        return (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_vec(), None);
    }
    if let Some(defect) = before(lines, state) {
        return defect;
    }
    let bytes = lines.bytes();
    let mut out = Vec::new();
    match judge(&bytes, state, &mut out) {
        Ok(guest) => (after(out, lines, state), Some(guest)),
        Err(rejection) => {
            if let Some(guest) = waved_through(&rejection, lines, state, pushes) {
                out.clear();
                match guest {
                    Waved::In(guest) => {
                        switch(&bytes, state, &mut out);
                        if state.is("rule/two-element") {
                            out = echoing(&out, lines.offered().last().copied().unwrap_or_default());
                        }
                        return (out, Some(guest));
                    }
                    Waved::Nowhere => return (Vec::new(), None),
                    Waved::Crash => return (response(500, "", "Internal Server Error"), None),
                }
            }
            (refuse(&rejection, lines, state), None)
        }
    }
}

/// Everything that the right server does.
fn judge(bytes: &[u8], state: &State, out: &mut Vec<u8>) -> Result<Guest, Rejection> {
    let head = Head::parse(bytes, &HeadLimits { bytes: 1 << 20, ..HeadLimits::default() })?;
    let origin_last = state.is("rule/origin-first");
    let checked = Upgrade::check(&head, &state.policy);
    if origin_last && matches!(&checked, Err(rejection) if rejection.reason == Reason::OriginNotAllowed) {
        let token =
            String::from_utf8_lossy(head.field("Sec-WebSocket-Protocol").unwrap_or_default()).into_owned();
        // Long enough to be one.
        if token.len() < 60 {
            return Err(Rejection::new(Reason::TokenMalformed, "the token is looked at first"));
        }
    }
    let offer = checked?.credentials(&state.policy)?;
    let token = offer.token().to_owned();
    if state.is("rfc8725/3.5/known-secret")
        && let Ok(identity) = state.careless.verify(&token, now())
    {
        let guest = Guest { user: identity.subject().to_owned(), exp: identity.expires_at(), leaves: None };
        offer.accept((), &state.policy, out)?;
        return Ok(guest);
    }
    if state.is("rule/claims-unseen") && part(&token, 1)["exp"].as_u64().is_some_and(|exp| exp < now()) {
        return Err(Rejection::new(Reason::TokenExpired, "judged before the signature"));
    }
    if state.is("rule/no-oracle") && part(&token, 0)["kid"] == "portcullis-check-no-such-key" {
        return Err(Rejection::new(Reason::ClaimMissing, "an unknown key has words of its own"));
    }
    let identity = state.verifier.verify(&token, now())?;
    if state.is("rule/again") && state.users.lock().values().any(|member| member.user == identity.subject()) {
        return Err(Rejection::new(Reason::TooManyConnections, "one connection of a user is enough"));
    }
    let guest = Guest { user: identity.subject().to_owned(), exp: identity.expires_at(), leaves: None };
    offer.accept((), &state.policy, out)?;
    Ok(guest)
}

/// Defects that look at the request alone.
fn before(lines: &Lines, state: &State) -> Option<(Vec<u8>, Option<Guest>)> {
    let odd = lines
        .values("Sec-WebSocket-Protocol")
        .iter()
        .any(|line| line.contains(['"']) || line.starts_with(','));
    match state.defect {
        "rule/never-5xx" if lines.value("Authorization") == Some("Bearer") => {
            Some((response(500, "", "Internal Server Error"), None))
        }
        "rfc6455/11.3.4/odd-lists" if odd => Some((response(500, "", "Internal Server Error"), None)),
        "rule/no-bypass" if lines.value("X-Test-Mode").is_some() => {
            let mut out = Vec::new();
            switch(&lines.bytes(), state, &mut out);
            Some((out, Some(stranger(None))))
        }
        "rule/never-1011" if lines.offered().last() == Some(&"jwt.abc") => {
            let mut out = Vec::new();
            switch(&lines.bytes(), state, &mut out);
            Some((out, Some(stranger(Some(Late::Closed(1011))))))
        }
        _ => None,
    }
}

enum Waved {
    In(Guest),
    Nowhere,
    Crash,
}

fn stranger(leaves: Option<Late>) -> Guest {
    Guest { user: "stranger".to_owned(), exp: None, leaves }
}

/// Those whom the defect lets pass although they were refused.
fn waved_through(rejection: &Rejection, lines: &Lines, state: &State, pushes: bool) -> Option<Waved> {
    use Reason::{
        AlgorithmNotAllowed, AudienceMismatch, ClaimMissing, IssuerMismatch, NoCommonSubprotocol, NoToken,
        NotYetValid, ProtocolMismatch, SignatureInvalid, TokenExpired, TokenMalformed, TokenTooLarge,
    };
    let guest = || Some(Waved::In(stranger(None)));
    let reason = rejection.reason;
    let token = lines.offered().last().copied().unwrap_or_default().trim_start_matches("jwt.");
    let malformed = matches!(reason, TokenMalformed | TokenTooLarge);
    match state.defect {
        "rule/before-101/no-token" if reason == NoToken => guest(),
        // Each of these is another way of being late.
        "rule/before-101/empty" if malformed => Some(Waved::In(stranger(Some(Late::Closed(1008))))),
        "rule/before-101/short" if malformed => Some(Waved::In(stranger(Some(Late::Dropped)))),
        "rule/before-101/not-a-jwt" if malformed => Some(Waved::Nowhere),
        "rule/before-101/characters" if malformed => Some(Waved::Crash),
        "rule/before-101/long" if malformed && token.len() > 5000 => guest(),
        "rfc7515/5.2/signature" | "rfc7515/5.2/payload" | "rfc8725/3.2/foreign-key"
            if reason == SignatureInvalid =>
        {
            guest()
        }
        "rfc7515/5.2/no-signature" if matches!(reason, TokenMalformed | SignatureInvalid) => guest(),
        "rfc8725/3.2/alg-none" | "rfc8725/3.1/alg-confusion" if reason == AlgorithmNotAllowed => guest(),
        "rfc7519/4.1.4/expired" if reason == TokenExpired => guest(),
        "rfc7519/4.1.5/not-yet-valid" if reason == NotYetValid => guest(),
        "rfc7519/4.1.3/audience" if reason == AudienceMismatch => guest(),
        "rfc8725/3.8/issuer" if reason == IssuerMismatch => guest(),
        "rule/expiry-required" if reason == ClaimMissing => guest(),
        "rfc7515/4.1.11/crit" if reason == TokenMalformed => guest(),
        "rule/nothing-before-101" if pushes => Some(Waved::In(stranger(Some(Late::Closed(1008))))),
        "rule/unknown-names" if reason == NoCommonSubprotocol => guest(),
        "rule/two-element" if reason == ProtocolMismatch => guest(),
        _ => None,
    }
}

/// A 101 without asking.
fn switch(bytes: &[u8], state: &State, out: &mut Vec<u8>) {
    if let Ok(head) = Head::parse(bytes, &HeadLimits { bytes: 1 << 20, ..HeadLimits::default() }) {
        let _ = Upgrade::accept_to_close(&head, &state.policy, out);
    }
}

fn echoing(out: &[u8], name: &str) -> Vec<u8> {
    let lines = Lines::new(out);
    with_field(&without_field(&lines.bytes(), "Sec-WebSocket-Protocol"), "Sec-WebSocket-Protocol", name)
}

fn with_field(out: &[u8], name: &str, value: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(out).into_owned();
    text.replacen("\r\n\r\n", &format!("\r\n{name}: {value}\r\n\r\n"), 1).into_bytes()
}

fn without_field(out: &[u8], name: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(out).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let is = |line: &&str| line.split(':').next().is_some_and(|known| known.eq_ignore_ascii_case(name));
    let head: Vec<&str> = head.split("\r\n").filter(|line| !is(line)).collect();
    format!("{}\r\n\r\n{body}", head.join("\r\n")).into_bytes()
}

/// Defects of the 101.
fn after(out: Vec<u8>, lines: &Lines, state: &State) -> Vec<u8> {
    let text = || String::from_utf8_lossy(&out).into_owned();
    match state.defect {
        "rfc6455/4.2.2/upgrade-fields" => text().replace("websocket", "ws").into_bytes(),
        "rfc6455/4.2.2/accept-key" => with_field(
            &without_field(&out, "Sec-WebSocket-Accept"),
            "Sec-WebSocket-Accept",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        "rfc6455/4.2.2/only-frames" => {
            let masked = Frame::text("{}").masked([1, 2, 3, 4]).to_vec();
            [out, masked].concat()
        }
        "rfc6455/9.1/no-extension" => with_field(&out, "Sec-WebSocket-Extensions", "permessage-deflate"),
        "rule/no-echo" => echoing(&out, lines.offered().last().copied().unwrap_or_default()),
        "rfc6455/4.2.2/selected-was-offered" => echoing(&out, "chat"),
        "rfc6455/11.3.4/one-selected" => with_field(&out, "Sec-WebSocket-Protocol", "bearer"),
        "rfc6455/4.2.2/none-without-offer" if lines.offered().is_empty() => echoing(&out, "jwt-auth"),
        "rule/browser-gets-a-name" => without_field(&out, "Sec-WebSocket-Protocol"),
        _ => out,
    }
}

/// The refusal, with its defect.
fn refuse(rejection: &Rejection, lines: &Lines, state: &State) -> Vec<u8> {
    let count = state.refusals.fetch_add(1, Ordering::Relaxed);
    if count >= MANY && !state.is("rfc6585/4/limits") {
        state.refusals.store(0, Ordering::Relaxed);
        let mut out = Vec::new();
        let limited = Rejection::new(Reason::RateLimited, "too many refusals");
        Refusal::new(&limited, "bed").write_http1("", &mut out);
        return out;
    }
    let mut out = Vec::new();
    Refusal::new(rejection, "bed").write_http1(lines.method(), &mut out);
    let challenge =
        |value: &str| with_field(&without_field(&out, "WWW-Authenticate"), "WWW-Authenticate", value);
    let (no_token, bad) = (rejection.reason == Reason::NoToken, rejection.reason == Reason::SignatureInvalid);
    match state.defect {
        "rfc6455/4.4/version-named" => without_field(&out, "Sec-WebSocket-Version"),
        "rfc9110/15.5.2/status" if no_token => response(403, "", ""),
        "rfc9110/11.6.1/challenge" => without_field(&out, "WWW-Authenticate"),
        "rfc6750/3/scheme" => challenge("Basic realm=\"bed\""),
        "rfc6750/3.1/no-error" if no_token => challenge("Bearer realm=\"bed\", error=\"invalid_token\""),
        "rfc6750/3.1/invalid-token" if bad => challenge("Bearer realm=\"bed\""),
        "rfc6750/3/parameters" => challenge("Bearer realm=\"bed\", realm=\"again\""),
        "rfc9457/3/problem" => {
            String::from_utf8_lossy(&out).replace("\"status\":401", "\"status\":400").into_bytes()
        }
        "rule/says-why" => response(401, "WWW-Authenticate: Bearer realm=\"bed\"\r\n", ""),
        "rule/no-internals" => {
            response(401, "", "Traceback (most recent call last):\n  File \"/app/ws.py\", line 7")
        }
        "rule/no-echo-refused" => {
            let sent = lines.values("Sec-WebSocket-Protocol").join(", ");
            response(401, "", &format!("not a token: {sent}"))
        }
        "rfc9111/5.2/no-store" => without_field(&out, "Cache-Control"),
        "rfc9110/15.5.6/allow" => without_field(&out, "Allow"),
        "rfc9110/15.5.22/upgrade" => without_field(&out, "Upgrade"),
        _ => out,
    }
}

fn response(status: u16, fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Status\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A token for whoever asks: a bed has no accounts.
fn login(state: &State) -> Vec<u8> {
    let secret = if state.is("rule/login") { "another secret than the bed's own" } else { SECRET };
    let claims = json!({ "sub": "ada", "iss": NAME, "aud": NAME, "exp": now() + 600 });
    let token = crate::sign(secret, &claims);
    let body = json!({ "access_token": token }).to_string();
    response(200, "Content-Type: application/json\r\nConnection: close\r\n", &body)
}

/// Header (0) or claims (1) of a token, whoever signed it.
fn part(token: &str, index: usize) -> Value {
    let bytes = token.split('.').nth(index).and_then(|part| portcullis_token::base64url::decode(part).ok());
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// A close frame as it goes out.
pub(super) fn close(code: u16, reason: &str) -> Vec<u8> {
    Frame::close(WireCode::new(code).unwrap(), reason).to_vec()
}

/// Refusals after which the next one is told to wait: more than a run makes that is not asked to flood.
const MANY: usize = 400;
