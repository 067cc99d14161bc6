//! R: robustness, within bounds.

use std::time::Duration;

use portcullis_frame::{Frame, Header, LengthForm, Opcode};
use portcullis_reason::Reason;
use portcullis_units::random;

use super::judge::{judge, must_not_upgrade};
use crate::{
    admission::{Admission, Ms},
    case::{Case, Group, Level, Need, case},
    clock::CLOCK,
    outcome::{Found, Gravity, Outcome},
    peer::{Event, Peer},
    probe::Probe,
    remedy::Topic,
    response::End,
};

use Level::{Must, Practice, Should};

pub(super) const CASES: &[Case] = &[
    case(
        Group::R,
        "rule/half-open",
        Should,
        "RFC 9110 §15.5.9; RFC 6455 §10.4",
        "A handshake that is begun and not finished is ended.",
        |p| Box::pin(half_open(p)),
    )
    .reason(Reason::BadRequest)
    .needs(&[]),
    case(
        Group::R,
        "rule/slow-head",
        Should,
        "RFC 9110 §15.5.9; RFC 6455 §10.4",
        "A head that comes byte by byte is ended: one deadline covers all of it.",
        |p| Box::pin(slow_head(p)),
    )
    .reason(Reason::BadRequest)
    .needs(&[]),
    case(
        Group::R,
        "rfc6585/5/long-head",
        Practice,
        "RFC 6585 §5; RFC 9110 §5.4",
        "A head of 256 KiB is refused.",
        |p| Box::pin(long_head(p)),
    )
    .reason(Reason::RequestTooLarge),
    case(
        Group::R,
        "rfc6585/5/many-fields",
        Practice,
        "RFC 6585 §5; RFC 9110 §5.4",
        "A head of 3,000 lines is refused.",
        |p| Box::pin(many_fields(p)),
    )
    .reason(Reason::RequestTooLarge),
    case(
        Group::R,
        "rule/nothing-before-101",
        Practice,
        "RFC 6455 §4.1, §4.2.2",
        "Frames behind a handshake that is refused are not worked on.",
        |p| Box::pin(nothing_before(p)),
    )
    .topic(Topic::BeforeAccept)
    .reason(Reason::TokenMalformed)
    .needs(&[Need::Good, Need::Token]),
    case(
        Group::R,
        "rfc6455/5.1/unmasked",
        Must,
        "RFC 6455 §5.1",
        "An unmasked frame ends the connection.",
        |p| Box::pin(ends(p, "an unmasked frame", &[1002], || Frame::text("{}").to_vec())),
    )
    .topic(Topic::Frames)
    .reason(Reason::ProtocolError),
    case(
        Group::R,
        "rfc6455/5.2/reserved-bits",
        Must,
        "RFC 6455 §5.2",
        "A reserved bit that no extension gives a meaning ends the connection.",
        |p| Box::pin(ends(p, "RSV1 set", &[1002], || odd(Opcode::Text, b"{}", |h| h.rsv = 4))),
    )
    .topic(Topic::Frames)
    .reason(Reason::ProtocolError),
    case(
        Group::R,
        "rfc6455/5.2/reserved-opcode",
        Must,
        "RFC 6455 §5.2",
        "A reserved opcode ends the connection.",
        |p| Box::pin(ends(p, "opcode 3", &[1002], || odd(Opcode::Text, b"{}", |h| h.opcode = 3))),
    )
    .topic(Topic::Frames)
    .reason(Reason::ProtocolError),
    case(
        Group::R,
        "rfc6455/5.5/long-control",
        Must,
        "RFC 6455 §5.5",
        "A control frame of more than 125 bytes ends the connection.",
        |p| Box::pin(ends(p, "a ping of 126 bytes", &[1002], || odd(Opcode::Ping, &[b'x'; 126], |_| {}))),
    )
    .topic(Topic::Frames)
    .reason(Reason::ProtocolError),
    case(
        Group::R,
        "rfc6455/5.5/fragmented-control",
        Must,
        "RFC 6455 §5.5",
        "A control frame in pieces ends the connection.",
        |p| Box::pin(ends(p, "a ping without FIN", &[1002], || odd(Opcode::Ping, b"x", |h| h.fin = false))),
    )
    .topic(Topic::Frames)
    .reason(Reason::ProtocolError),
    case(
        Group::R,
        "rfc6455/5.4/orphan",
        Must,
        "RFC 6455 §5.4",
        "A continuation of nothing ends the connection.",
        |p| {
            Box::pin(ends(p, "a continuation of nothing", &[1002], || {
                odd(Opcode::Continuation, b"x", |_| {})
            }))
        },
    )
    .topic(Topic::Frames)
    .reason(Reason::ProtocolError),
    case(
        Group::R,
        "rfc6455/8.1/utf-8",
        Must,
        "RFC 6455 §5.6, §8.1",
        "Text that is not UTF-8 ends the connection.",
        |p| {
            Box::pin(ends(p, "text that is not UTF-8", &[1007], || {
                odd(Opcode::Text, b"{\"a\":\"\xC0\xAF\"}", |_| {})
            }))
        },
    )
    .topic(Topic::Frames)
    .reason(Reason::InvalidPayload),
    case(
        Group::R,
        "rfc6455/7.4.2/close-code",
        Must,
        "RFC 6455 §7.4.1, §7.4.2",
        "A close with a code that must not be sent is not repeated.",
        |p| Box::pin(close_code(p)),
    )
    .topic(Topic::Frames)
    .reason(Reason::ProtocolError),
    case(
        Group::R,
        "rfc6455/10.4/huge-frame",
        Should,
        "RFC 6455 §10.4",
        "A frame that announces a terabyte ends the connection before it comes.",
        |p| Box::pin(ends(p, "a frame of 2^40 bytes", &[1009, 1002], huge)),
    )
    .reason(Reason::MessageTooBig),
    case(
        Group::R,
        "rfc6455/5.4/endless-fragments",
        Should,
        "RFC 6455 §10.4",
        "A message of 20,000 pieces without an end is not waited for.",
        |p| Box::pin(endless(p)),
    )
    .reason(Reason::MessageTooBig),
    case(
        Group::R,
        "rfc6455/5.4/fragments",
        Must,
        "RFC 6455 §5.4",
        "A message in pieces, with a ping between them, is one message.",
        |p| Box::pin(fragments(p)),
    )
    .topic(Topic::Frames)
    .reason(Reason::ProtocolError),
    case(
        Group::R,
        "rule/binary",
        Practice,
        "RFC 6455 §7.4.1",
        "A binary message is taken or refused, and never a server's own fault.",
        |p| Box::pin(message(p, "a binary message", || odd(Opcode::Binary, &[0, 159, 146, 150], |_| {}))),
    )
    .topic(Topic::Messages)
    .reason(Reason::UnsupportedData),
    case(
        Group::R,
        "rule/not-json",
        Practice,
        "RFC 6455 §7.4.1",
        "Text that is no message of the server's is never its own fault.",
        |p| Box::pin(message(p, "the text `{`", || odd(Opcode::Text, b"{", |_| {}))),
    )
    .topic(Topic::Messages)
    .reason(Reason::MessageMalformed),
    case(
        Group::R,
        "rule/ping-flood",
        Practice,
        "RFC 6455 §5.5.3, §10.4",
        "Five hundred pings at once do not hurt others.",
        |p| Box::pin(ping_flood(p)),
    )
    .reason(Reason::RateLimited),
    case(
        Group::R,
        "rule/survives",
        Practice,
        "RFC 6455 §10",
        "After all this a good handshake still works.",
        |p| Box::pin(survives(p)),
    )
    .reason(Reason::Internal),
];

/// A masked frame with its header bent.
fn odd(opcode: Opcode, payload: &[u8], bend: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut frame = Frame::new(opcode, payload).masked(random::bytes());
    bend(&mut frame.header);
    frame.to_vec()
}

fn huge() -> Vec<u8> {
    let mut out = Vec::new();
    let mut header = Header::new(Opcode::Binary, 1 << 40);
    header.form = LengthForm::Bits64;
    header.mask = Some(random::bytes());
    header.append_to(&mut out);
    out
}

async fn half_open(probe: &Probe) -> Found {
    let mut peer = probe.connect("half a head").await?;
    let head =
        format!("GET {} HTTP/1.1\r\nHost: {}\r\n", probe.shared.target.path, probe.shared.target.authority());
    peer.send(head.as_bytes()).await;
    let began = CLOCK.instant();
    Ok(if peer.ended_within(probe.times().patience).await {
        Outcome::pass(format!("ended after {}", Ms(CLOCK.since(began))))
    } else {
        Outcome::fail(format!("still open after {}", Ms(probe.times().patience)))
    })
}

async fn slow_head(probe: &Probe) -> Found {
    let mut peer = probe.connect("a byte now and then").await?;
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nX-Slow: ",
        probe.shared.target.path,
        probe.shared.target.authority()
    );
    peer.send(head.as_bytes()).await;
    let began = CLOCK.instant();
    while CLOCK.since(began) < probe.times().patience {
        if !peer.send(b"x").await || peer.ended_within(Duration::from_millis(400)).await {
            return Ok(Outcome::pass(format!("ended after {}", Ms(CLOCK.since(began)))));
        }
    }
    Ok(Outcome::fail(format!("still open after {}", Ms(probe.times().patience))))
}

async fn long_head(probe: &Probe) -> Found {
    let request = probe.good()?.add("X-Filler", &"x".repeat(256 * 1024));
    cut_off(must_not_upgrade(probe, "a head of 256 KiB", &request).await?)
}

async fn many_fields(probe: &Probe) -> Found {
    let request = (0..3000).fold(probe.good()?, |request, n| request.add(&format!("X-F{n}"), "1"));
    cut_off(must_not_upgrade(probe, "a head of 3,000 lines", &request).await?)
}

/// Being cut off is the usual answer to a head that goes on and on: who sends it has not read the answer yet.
#[expect(clippy::unnecessary_wraps, reason = "the end of a case")]
fn cut_off(outcome: Outcome) -> Found {
    Ok(if outcome.verdict == crate::outcome::Verdict::Warn { Outcome::pass(outcome.says) } else { outcome })
}

async fn nothing_before(probe: &Probe) -> Found {
    let message = probe.profile().probe.clone().unwrap_or_else(|| "{}".to_owned());
    let frames = Frame::text(&message).masked(random::bytes()).to_vec();
    let request = probe.with_raw("portcullis.check.bad")?.body(&frames);
    let admission = probe.attempt("a bad token, and a message right behind it", &request).await?;
    Ok(match &admission {
        Admission::Unanswered(End::Eof | End::Reset) => {
            Outcome::pass("the connection is ended without an answer")
        }
        other => judge(probe, "a bad token, and a message right behind it", other),
    })
}

/// Sends what must end a connection, and looks how it ends.
async fn ends(probe: &Probe, what: &str, codes: &[u16], bytes: fn() -> Vec<u8>) -> Found {
    let mut peer = probe.live(what).await?;
    peer.send(&bytes()).await;
    // What ends the connection ends it at once; a server that reads on shows it by its pong.
    peer.frame(Frame::ping(b"still there")).await;
    let deadline = CLOCK.instant() + probe.times().timeout;
    loop {
        match peer.event(deadline.saturating_duration_since(CLOCK.instant())).await {
            Event::Close(Some(code), _) if codes.contains(&code) => {
                return Ok(Outcome::pass(format!("{what}: closed with {code}")));
            }
            Event::Close(Some(1011), reason) => {
                return Ok(Outcome::fail(format!(
                    "{what}: closed with 1011 ({reason}), the code for a server's own fault"
                ))
                .because(Reason::Internal));
            }
            Event::Close(code, _) => {
                let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
                return Ok(Outcome::warn(format!("{what}: closed with {code} instead of {}", codes[0])));
            }
            Event::End(End::Silent) => return Ok(Outcome::fail(format!("{what}: not noticed"))),
            Event::End(_) => return Ok(Outcome::pass(format!("{what}: the connection is dropped"))),
            Event::Pong(payload) if payload == b"still there" => {
                return Ok(Outcome::fail(format!("{what}: passed over, and the server reads on")));
            }
            Event::Broken(error) => {
                return Ok(Outcome::fail(format!("{what}: answered with a broken frame: {error}")));
            }
            Event::Text(_) | Event::Binary(_) | Event::Ping | Event::Pong(_) => {}
        }
    }
}

async fn close_code(probe: &Probe) -> Found {
    for code in [1005_u16, 1006, 999] {
        let mut peer = probe.live(&format!("a close with {code}")).await?;
        peer.frame(Frame::new(Opcode::Close, code.to_be_bytes().to_vec())).await;
        match peer.ending(probe.times().timeout).await {
            Event::Broken(portcullis_frame::FrameError::CloseCode(sent)) => {
                return Ok(Outcome::fail(format!(
                    "a close with {code} is answered with {sent}, which must not be sent"
                )));
            }
            Event::End(End::Silent) => {
                return Ok(Outcome::fail(format!("a close with {code} is not answered")));
            }
            Event::Close(Some(1011), _) => {
                return Ok(Outcome::fail(format!("a close with {code} is answered with 1011"))
                    .because(Reason::Internal));
            }
            _ => {}
        }
    }
    Ok(Outcome::pass("1005, 1006 and 999 are not repeated"))
}

async fn endless(probe: &Probe) -> Found {
    let mut peer = probe.live("pieces without end").await?;
    peer.send(&odd(Opcode::Text, b"x", |header| header.fin = false)).await;
    let piece = odd(Opcode::Continuation, b"x", |header| header.fin = false);
    let batch = piece.repeat(500);
    for batches in 1..=40 {
        if !peer.send(&batch).await {
            break;
        }
        if let Some(ending) = ended(&mut peer, Duration::from_millis(5)).await {
            return Ok(limit(&ending, batches * 500));
        }
    }
    peer.frame(Frame::ping(b"still there")).await;
    Ok(match peer.pong(b"still there", probe.times().timeout).await {
        Event::Pong(_) => Outcome::fail("20,000 pieces, and the server waits for more"),
        ending => limit(&ending, 20_000),
    })
}

async fn ended(peer: &mut Peer, patience: Duration) -> Option<Event> {
    let ending = peer.ending(patience).await;
    (ending != Event::End(End::Silent)).then_some(ending)
}

fn limit(ending: &Event, pieces: usize) -> Outcome {
    match ending {
        Event::Close(Some(1011), _) => {
            Outcome::fail("closed with 1011, the code for a server's own fault").because(Reason::Internal)
        }
        Event::Close(Some(code), _) => Outcome::pass(format!("closed with {code} within {pieces} pieces")),
        Event::End(End::Silent) => Outcome::fail("the server neither reads nor closes"),
        _ => Outcome::pass(format!("dropped within {pieces} pieces")),
    }
}

async fn fragments(probe: &Probe) -> Found {
    let Some(message) = probe.profile().probe.clone() else {
        return Ok(Outcome::not_applicable("the profile has no harmless message to send"));
    };
    let greeting = probe.profile().greeting.as_deref();
    let answers = &probe.baseline()?.answers;
    if !answers.iter().any(|shape| Some(shape.as_str()) != greeting) {
        return Ok(Outcome::not_applicable("the server does not answer the profile's harmless message"));
    }
    let mut peer = probe.live("a message in three pieces").await?;
    let (first, rest) = message.as_bytes().split_at(message.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    peer.send(&odd(Opcode::Text, first, |header| header.fin = false)).await;
    peer.frame(Frame::ping(b"between")).await;
    peer.send(&odd(Opcode::Continuation, second, |header| header.fin = false)).await;
    peer.send(&odd(Opcode::Continuation, third, |_| {})).await;
    let deadline = CLOCK.instant() + probe.times().timeout;
    let (mut pong, mut answer) = (false, false);
    while !(pong && answer) {
        match peer.event(deadline.saturating_duration_since(CLOCK.instant())).await {
            Event::Pong(payload) => pong |= payload == b"between",
            Event::Text(text) => {
                let shape = probe.profile().shape(&text);
                answer |= answers.contains(&shape) && Some(shape.as_str()) != greeting;
            }
            Event::Binary(_) | Event::Ping => {}
            Event::End(End::Silent) => {
                let missing =
                    if pong { "the message is not answered" } else { "the ping between is not answered" };
                return Ok(Outcome::fail(missing));
            }
            other => return Ok(Outcome::fail(format!("the connection ends: {other:?}"))),
        }
    }
    Ok(Outcome::pass("the ping was answered on the way, and the message as one"))
}

/// Sends a message that the server does not expect.
async fn message(probe: &Probe, what: &str, bytes: fn() -> Vec<u8>) -> Found {
    let mut peer = probe.live(what).await?;
    peer.send(&bytes()).await;
    Ok(match peer.ending(probe.times().settle).await {
        Event::Close(Some(1011), reason) => {
            Outcome::fail(format!("{what}: closed with 1011 ({reason})")).because(Reason::Internal)
        }
        Event::Close(Some(code), _) => Outcome::pass(format!("{what}: closed with {code}")),
        Event::Close(None, _) => Outcome::pass(format!("{what}: closed")),
        Event::End(End::Silent) => Outcome::pass(format!("{what}: the connection goes on")),
        Event::End(_) => {
            Outcome::fail(format!("{what}: dropped without a close frame: a browser shows 1006"))
        }
        other => Outcome::fail(format!("{what}: {other:?}")),
    })
}

async fn ping_flood(probe: &Probe) -> Found {
    let mut peer = probe.live("five hundred pings").await?;
    let flood: Vec<u8> =
        (0..500_u32).flat_map(|n| Frame::ping(&n.to_be_bytes()).masked(random::bytes()).to_vec()).collect();
    let sent = peer.send(&flood).await;
    let (other, answer) = probe.ask("somebody else, meanwhile", &probe.good()?).await?;
    drop(other);
    match answer {
        Ok(response) if response.status == 101 => {}
        Ok(response) => {
            return Ok(Outcome::fail(format!("meanwhile others are refused with {}", response.status)));
        }
        Err(end) => return Ok(Outcome::fail(format!("meanwhile others find: {end}"))),
    }
    if !sent {
        return Ok(Outcome::pass("the connection is dropped, and others are served"));
    }
    Ok(match peer.pong(&499_u32.to_be_bytes(), probe.times().timeout).await {
        Event::Pong(_) => Outcome::pass("the last ping is answered, and others are served"),
        Event::Close(Some(1011), reason) => {
            Outcome::fail(format!("closed with 1011 ({reason})")).because(Reason::Internal)
        }
        Event::End(End::Silent) => Outcome::fail("the last ping is never answered"),
        Event::Close(code, _) => Outcome::pass(format!(
            "closed with {}, and others are served",
            code.map_or_else(|| "no code".to_owned(), |code| code.to_string())
        )),
        _ => Outcome::pass("the connection is dropped, and others are served"),
    })
}

async fn survives(probe: &Probe) -> Found {
    // Who connects now finds either a server or none: there is nothing inconclusive about it.
    match probe.answer("a good handshake, after all", &probe.good()?).await {
        Ok(Ok(response)) if response.status == 101 => Ok(Outcome::pass("it does")),
        Ok(Ok(response)) => Ok(Outcome::fail(format!("refused with {}", response.status))),
        Ok(Err(end)) => Ok(Outcome::fail(end.to_string()).grave(Gravity::Plain)),
        Err(outcome) => Ok(Outcome::fail(outcome.says)),
    }
}
