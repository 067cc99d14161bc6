//! P: times, against the server's own baseline. Nothing here knows what fast is: it compares.

use std::time::Duration;

use portcullis_dial::random_key;

use crate::{
    admission::Ms,
    case::{Case, Group, Level, Need, case},
    outcome::{Found, Outcome},
    probe::Probe,
    response::End,
};

/// Times are no clause of their own: this one asks for limits.
const RATES: &str = "RFC 6455 §10.4";

pub(super) const CASES: &[Case] = &[
    case(
        Group::P,
        "rule/handshake-latency",
        Level::Should,
        RATES,
        "Handshakes take about as long each time.",
        |p| Box::pin(handshakes(p)),
    ),
    case(
        Group::P,
        "rule/refusal-latency",
        Level::Should,
        RATES,
        "A refusal costs no more than a handshake: bad tokens must not be the way to keep a server busy.",
        |p| Box::pin(refusals(p)),
    )
    .needs(&[Need::Good, Need::Token]),
    case(
        Group::P,
        "rule/no-degradation",
        Level::Should,
        RATES,
        "After all these mistakes a good handshake takes as long as before.",
        |p| Box::pin(degradation(p)),
    ),
    case(
        Group::P,
        "rule/parallel-handshakes",
        Level::Should,
        RATES,
        "Several handshakes at once all succeed.",
        |p| Box::pin(parallel(p)),
    ),
];

async fn handshakes(probe: &Probe) -> Found {
    let mut times = measure(probe, true).await?;
    let spread = Spread::of(&mut times)?;
    let limit = spread.p50 * 10 + SLACK;
    Ok(if spread.max > limit {
        Outcome::fail(format!("{spread}: the slowest takes more than ten times the median"))
    } else {
        Outcome::pass(spread.to_string())
    })
}

async fn refusals(probe: &Probe) -> Found {
    let (mut good, mut bad) = (measure(probe, true).await?, measure(probe, false).await?);
    let (good, bad) = (Spread::of(&mut good)?, Spread::of(&mut bad)?);
    Ok(if bad.p50 > good.p50 * 3 + SLACK {
        Outcome::fail(format!("refusals {bad}, handshakes {good}"))
    } else {
        Outcome::pass(format!("refusals {bad}, handshakes {good}"))
    })
}

async fn degradation(probe: &Probe) -> Found {
    let (mut before, mut now) = (probe.baseline()?.handshakes.clone(), measure(probe, true).await?);
    let (before, now) = (Spread::of(&mut before)?, Spread::of(&mut now)?);
    Ok(if now.p50 > before.p50 * 3 + SLACK {
        Outcome::fail(format!("before {before}, now {now}"))
    } else {
        Outcome::pass(format!("before {before}, now {now}"))
    })
}

async fn parallel(probe: &Probe) -> Found {
    // Connected first, and then asked all at once: however slow the pace, the handshakes are side by side.
    let count = PARALLEL.min(probe.times().connections);
    let mut peers = Vec::new();
    for _ in 0..count {
        peers.push(probe.connect("one of several at once").await?);
    }
    let request = probe.good()?;
    for peer in &mut peers {
        peer.send(&request.clone().set("Sec-WebSocket-Key", &random_key()).bytes()).await;
    }
    let mut opened = 0;
    for peer in &mut peers {
        match peer.response(probe.times().timeout).await {
            Ok(response) if response.status == 101 => opened += 1,
            Ok(response) if response.status == 429 => {
                return Ok(Outcome::inconclusive("the server limits attempts (429): raise --pace"));
            }
            _ => {}
        }
    }
    Ok(if opened == count {
        Outcome::pass(format!("all {count}"))
    } else {
        Outcome::fail(format!("{opened} of {count}"))
    })
}

/// How long good handshakes take, or refusals.
async fn measure(probe: &Probe, good: bool) -> Result<Vec<Duration>, Outcome> {
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let request = if good { probe.good()? } else { probe.with_raw("portcullis.check.bad")? };
        let (took, answer) = probe.timed(if good { "a handshake" } else { "a refusal" }, &request).await?;
        match answer {
            // One that let everybody in has no refusals, and one that limits has answers of another kind.
            Ok(response) if (response.status == 101) == good && response.status != 429 => times.push(took),
            Err(End::Silent) => times.push(took),
            _ => {}
        }
    }
    Ok(times)
}

struct Spread {
    p50: Duration,
    p90: Duration,
    max: Duration,
    count: usize,
}

impl Spread {
    fn of(times: &mut [Duration]) -> Result<Self, Outcome> {
        times.sort_unstable();
        let at = |percent: usize| {
            times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied()
        };
        match (at(50), at(90), times.last()) {
            (Some(p50), Some(p90), Some(max)) if times.len() >= FEWEST => {
                Ok(Self { p50, p90, max: *max, count: times.len() })
            }
            _ => Err(Outcome::not_applicable("too few answers of this kind to measure")),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {}, p90 {}, max {} of {}", Ms(self.p50), Ms(self.p90), Ms(self.max), self.count)
    }
}

const SAMPLES: usize = 15;
const FEWEST: usize = 3;
const PARALLEL: usize = 8;
/// Below this nobody notices, and a busy machine makes more of a difference than a server.
const SLACK: Duration = Duration::from_millis(500);
