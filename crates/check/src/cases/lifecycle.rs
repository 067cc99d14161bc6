//! L: lifecycle of a connection.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis_frame::{Frame, WireCode};
use portcullis_reason::Reason;
use serde_json::json;

use crate::{
    admission::Ms,
    case::{Case, Group, Level, Need, OptIn, case},
    clock::CLOCK,
    mint::now,
    outcome::{Found, Gravity, Outcome},
    peer::{Event, Peer},
    probe::Probe,
    response::End,
};

use Level::{Must, Practice, Should};

const KEY: &[Need] = &[Need::Good, Need::Key];
const RENEWAL: &[Need] = &[Need::Good, Need::Key, Need::Renewal];

pub(super) const CASES: &[Case] = &[
    case(
        Group::L,
        "rfc6455/5.5.2/pong",
        Must,
        "RFC 6455 §5.5.2, §5.5.3",
        "A ping is answered with a pong of the same bytes.",
        |p| Box::pin(pong(p)),
    )
    .reason(Reason::ProtocolError),
    case(
        Group::L,
        "rfc6455/5.5.1/close",
        Must,
        "RFC 6455 §5.5.1",
        "A close is answered with a close.",
        |p| Box::pin(close(p)),
    )
    .reason(Reason::ProtocolError),
    case(
        Group::L,
        "rfc6455/7.1.1/tcp-end",
        Must,
        "RFC 6455 §7.1.1",
        "After both closes the server ends the TCP connection.",
        |p| Box::pin(tcp_end(p)),
    )
    .reason(Reason::ProtocolError),
    case(
        Group::L,
        "rule/again",
        Practice,
        "RFC 6455 §7.2.3",
        "The same token may connect again at once.",
        |p| Box::pin(again(p)),
    )
    .reason(Reason::TooManyConnections),
    case(
        Group::L,
        "rfc7519/4.1.4/live",
        Should,
        "RFC 7519 §4.1.4",
        "A live connection ends when its token does.",
        |p| Box::pin(live(p)),
    )
    .reason(Reason::TokenExpired)
    .needs(KEY),
    case(
        Group::L,
        "rule/expiry-code",
        Should,
        "RFC 6455 §7.4",
        "The close at the token's end has a code that tells a client to get another token: 1008 or 4xxx.",
        |p| Box::pin(expiry_code(p)),
    )
    .reason(Reason::TokenExpired)
    .needs(KEY),
    case(
        Group::L,
        "rule/renewal",
        Practice,
        "RFC 6750 §5.3",
        "A token can be renewed in a live connection, which then outlives the old one.",
        |p| Box::pin(renewal(p)),
    )
    .reason(Reason::TokenExpired)
    .needs(RENEWAL),
    case(
        Group::L,
        "rule/renewal-other-user",
        Practice,
        "RFC 6750 §5.2",
        "A live connection takes no token of another user.",
        |p| Box::pin(renewal_other(p)),
    )
    .reason(Reason::TokenRevoked)
    .needs(RENEWAL),
    case(
        Group::L,
        "rule/silence",
        Practice,
        "RFC 6455 §5.5.2",
        "A connection that is silent and answers pings stays open.",
        |p| Box::pin(silence(p)),
    )
    .reason(Reason::HeartbeatTimeout)
    .opt_in(OptIn::Silence),
    case(
        Group::L,
        "rule/heartbeat",
        Should,
        "RFC 6455 §5.5.2",
        "A peer that no longer answers is found and dropped.",
        |p| Box::pin(heartbeat(p)),
    )
    .reason(Reason::HeartbeatTimeout)
    .opt_in(OptIn::Silence),
];

async fn pong(probe: &Probe) -> Found {
    let mut peer = probe.live("a good connection").await?;
    for payload in [&b""[..], b"portcullis-check", &[0xFF; 125]] {
        peer.frame(Frame::ping(payload)).await;
        match peer.pong(payload, probe.times().timeout).await {
            Event::Pong(_) => {}
            Event::End(End::Silent) => {
                return Ok(Outcome::fail(format!(
                    "a ping of {} bytes has no pong of the same bytes",
                    payload.len()
                )));
            }
            other => return Ok(Outcome::fail(format!("a ping ends the connection: {other:?}"))),
        }
    }
    Ok(Outcome::pass("empty, text and 125 bytes"))
}

/// Says goodbye and gives what comes of it.
async fn goodbye(probe: &Probe, peer: &mut Peer) -> Event {
    peer.frame(Frame::close(WireCode::new(1000).expect("1000 is a code"), "bye")).await;
    peer.ending(probe.times().timeout).await
}

async fn close(probe: &Probe) -> Found {
    let mut peer = probe.live("a good connection").await?;
    Ok(match goodbye(probe, &mut peer).await {
        Event::Close(Some(1000), _) => Outcome::pass("answered with 1000"),
        Event::Close(Some(code), _) => Outcome::warn(format!("1000 is answered with {code}")),
        Event::Close(None, _) => Outcome::pass("answered without a code"),
        Event::End(End::Silent) => Outcome::fail("a close is not answered"),
        Event::End(_) => Outcome::fail("the connection is dropped without a close: a browser shows 1006"),
        other => Outcome::fail(format!("{other:?}")),
    })
}

async fn tcp_end(probe: &Probe) -> Found {
    let mut peer = probe.live("a good connection").await?;
    if !matches!(goodbye(probe, &mut peer).await, Event::Close(..) | Event::End(End::Eof)) {
        return Ok(Outcome::inconclusive("the close was not answered"));
    }
    let began = CLOCK.instant();
    Ok(if peer.ended_within(probe.times().timeout).await {
        Outcome::pass(format!("after {}", Ms(CLOCK.since(began))))
    } else {
        Outcome::fail(format!("still open {} after both closes", Ms(CLOCK.since(began))))
    })
}

async fn again(probe: &Probe) -> Found {
    let first = probe.live("a good connection").await?;
    // Once: whoever has to wait for a place is not let in.
    let (_, _, second) = probe.ask_once("the same token, beside it", &probe.good()?).await?;
    drop(first);
    let third = probe.answer("the same token, after it was dropped", &probe.good()?).await?;
    for (what, answer) in [("beside the first", second), ("after the first was dropped", third)] {
        match answer {
            Ok(response) if response.status == 101 => {}
            Ok(response) => return Ok(Outcome::fail(format!("{what}: refused with {}", response.status))),
            Err(end) => return Ok(Outcome::fail(format!("{what}: {end}"))),
        }
    }
    Ok(Outcome::pass("beside the first connection, and after it was dropped"))
}

/// How long after `exp` handshakes take a token, in seconds, as far as one of [`LEEWAYS`] tells. A connection may go on for
/// as long: clocks differ for both (RFC 7519 §4.1.4).
async fn leeway(probe: &Probe) -> Result<u64, Outcome> {
    let find = async || {
        // All cases share what is found, so it is on the record of none.
        let probe = &Probe::new(Arc::clone(&probe.shared));
        for leeway in LEEWAYS {
            let what = format!("a token that ended {leeway} s ago");
            // A refusal tells something only if the token was not much older when it arrived.
            for _ in 0..3 {
                let (began, request) = (CLOCK.instant(), probe.with_token(&ending(probe, now() - leeway)?)?);
                if probe.attempt(&what, &request).await?.is_admitted() {
                    return Ok(leeway);
                }
                if CLOCK.since(began) < Duration::from_secs(1) {
                    break;
                }
            }
        }
        Ok(0)
    };
    probe.shared.leeway.get_or_try_init(find).await.copied()
}

fn ending(probe: &Probe, exp: u64) -> Result<String, Outcome> {
    let token = probe.mint().minted(&json!({ "exp": exp, "iat": exp - 60 }));
    token.ok_or_else(|| Outcome::inconclusive("there is no key to sign with"))
}

/// A connection whose token is taken for [`SHORT`] seconds more, and when that is over.
async fn short_lived(probe: &Probe) -> Result<(Peer, Instant), Outcome> {
    let leeway = leeway(probe).await?;
    let until = now() + SHORT;
    let token = ending(probe, until - leeway)?;
    let (peer, _) = probe.open("a token of three seconds", &probe.with_token(&token)?).await?;
    // `exp` is a whole second, so the end is up to one earlier than it seems.
    Ok((peer, CLOCK.instant() + Duration::from_secs(until.saturating_sub(now()))))
}

/// How a connection ends whose token does, and how long after it.
async fn at_expiry(probe: &Probe) -> Result<Option<(Event, Duration)>, Outcome> {
    let (mut peer, end) = short_lived(probe).await?;
    let patience = end.saturating_duration_since(CLOCK.instant()) + probe.times().leeway + GRACE;
    let ending = peer.ending(patience).await;
    let late = CLOCK.since(end);
    Ok((ending != Event::End(End::Silent)).then_some((ending, late)))
}

async fn live(probe: &Probe) -> Found {
    let ended = at_expiry(probe).await?;
    let over = match leeway(probe).await? {
        0 => "`exp`".to_owned(),
        leeway => format!("`exp` and the {leeway} s for which handshakes take it beyond that"),
    };
    Ok(match ended {
        Some((_, late)) => Outcome::pass(format!("{} after {over}", Ms(late))),
        None => Outcome::fail(format!(
            "still open {} after {over}: raise --leeway if the server gives longer",
            Ms(probe.times().leeway + GRACE)
        )),
    })
}

async fn expiry_code(probe: &Probe) -> Found {
    Ok(match at_expiry(probe).await? {
        Some((Event::Close(Some(code @ (1008 | 3000..=4999)), reason), _)) => {
            Outcome::pass(format!("{code} ({reason})"))
        }
        Some((Event::Close(code, _), _)) => {
            let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
            Outcome::fail(format!("closed with {code}"))
        }
        Some(_) => Outcome::fail(
            "dropped without a close frame: a browser shows 1006 and tries the same token again",
        ),
        None => Outcome::not_applicable("the connection outlives its token"),
    })
}

fn renewing(probe: &Probe, token: &str) -> Result<String, Outcome> {
    let message = probe.profile().renewal.as_ref();
    Ok(message
        .ok_or_else(|| Outcome::not_applicable("the profile renews no tokens"))?
        .replace("{token}", token))
}

/// Whether the connection is open that long after `end`.
async fn outlives(probe: &Probe, peer: &mut Peer, end: Instant) -> bool {
    let patience = end.saturating_duration_since(CLOCK.instant()) + probe.times().leeway + GRACE;
    peer.ending(patience).await == Event::End(End::Silent)
}

async fn renewal(probe: &Probe) -> Found {
    let (mut peer, end) = short_lived(probe).await?;
    let fresh = probe.mint().minted(&serde_json::Value::Null);
    let fresh = fresh.ok_or_else(|| Outcome::inconclusive("there is no key to sign with"))?;
    peer.text(&renewing(probe, &fresh)?).await;
    Ok(if outlives(probe, &mut peer, end).await {
        Outcome::pass("the connection outlives the token that it began with")
    } else {
        Outcome::fail("the connection ends although its token was renewed")
    })
}

async fn renewal_other(probe: &Probe) -> Found {
    let (mut peer, end) = short_lived(probe).await?;
    let other =
        probe.mint().second().ok_or_else(|| Outcome::inconclusive("there is no token of another user"))?;
    peer.text(&renewing(probe, &other)?).await;
    Ok(if outlives(probe, &mut peer, end).await {
        Outcome::fail("another user's token prolongs the connection").grave(Gravity::Open)
    } else {
        Outcome::pass("another user's token prolongs nothing")
    })
}

async fn silence(probe: &Probe) -> Found {
    let mut peer = probe.live("a silent connection").await?;
    let silence = probe.times().silence;
    Ok(match peer.ending(silence).await {
        Event::End(End::Silent) => {
            peer.frame(Frame::ping(b"still there")).await;
            match peer.pong(b"still there", probe.times().timeout).await {
                Event::Pong(_) => Outcome::pass(format!("open after {}", Ms(silence))),
                _ => Outcome::fail("open by the looks of it, but no ping is answered"),
            }
        }
        other => Outcome::fail(format!("ended in silence: {other:?}")),
    })
}

async fn heartbeat(probe: &Probe) -> Found {
    let mut peer = probe.live("a peer that answers no ping").await?;
    peer.answers_pings = false;
    let began = CLOCK.instant();
    let silence = probe.times().silence;
    Ok(match peer.ending(silence).await {
        Event::End(End::Silent) => {
            Outcome::fail(format!("a dead peer is not noticed within {}", Ms(silence)))
        }
        _ => Outcome::pass(format!("a dead peer is dropped after {}", Ms(CLOCK.since(began)))),
    })
}

/// Life of a token that shall end, in seconds: long enough for a slow handshake.
const SHORT: u64 = 3;
/// What servers give by default, in seconds, less two: `now` has no fractions, and a handshake takes its time. The longest
/// first.
const LEEWAYS: [u64; 5] = [298, 58, 28, 8, 3];
/// Beyond the leeway, for clocks that do not tick together.
const GRACE: Duration = Duration::from_secs(2);
