//! How often memory is asked for when one event goes to many sockets: the proof that it is encoded once.
//!
//! The router runs in this process, in one thread, without a record on the disk; each socket's queue is emptied after
//! each event, as a connection does. What a socket costs is its queue's own place for a shared event, whatever the event's
//! size.

use std::{
    num::NonZeroU32,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use anyhow::Context as _;
use portcullis_agent::{Agent, Answer, Failure, RunContext, RunFuture, Task};
use portcullis_event::{
    ClientMessage, Command, ConnectionEstablished, Mode, Resume, ServerMessage, ThreadId, UserMessage,
};
use portcullis_log::{Limits, Memory};
use portcullis_router::{
    Agents, Alone, Attachment, Options, Outbox, Outgoing, Router, ThreadPolicy, Unheard,
};
use portcullis_token::{Identity, Issuer, KeySet, Policy, Secret, Signer, Verifier};
use portcullis_units::{Clock, Rate};
use serde_json::json;
use tokio::{runtime::Runtime, sync::Notify};

use crate::report::Figure;

/// The events of one run, each when it is told to.
struct Teller {
    next: Arc<Notify>,
}

impl Agent for Teller {
    fn id(&self) -> &'static str {
        "teller"
    }

    fn kind(&self) -> &'static str {
        "bench"
    }

    fn run(&self, _: Task, run: RunContext) -> RunFuture<'_> {
        Box::pin(async move {
            loop {
                tokio::select! {
                    () = self.next.notified() => {}
                    () = run.cancel.cancelled() => return Err(Failure::cancelled()),
                }
                if run.events.thinking("x".repeat(EVENT)).await.is_err() {
                    return Ok(Answer { final_response: String::new(), usage: None });
                }
            }
        })
    }
}

/// Allocations and bytes of one event, to one socket and to a thousand.
pub(super) fn figures() -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let one = event(&runtime, 1)?;
    let crowd = event(&runtime, 1_000)?;
    let figure = |name, unit, value: f64| Figure::new(name, unit, vec![value]);
    Ok(vec![
        figure("allocations_1_socket", "an event", one.0),
        figure("allocations_1000_sockets", "an event", crowd.0),
        figure("allocations_1_socket_bytes", "bytes an event", one.1),
        figure("allocations_1000_sockets_bytes", "bytes an event", crowd.1),
    ])
}

/// What one event to so many sockets asks for: allocations, and bytes.
fn event(runtime: &Runtime, sockets: usize) -> anyhow::Result<(f64, f64)> {
    // The router's own tasks need it.
    let _inside = runtime.enter();
    let next = Arc::new(Notify::new());
    let teller = Arc::new(Teller { next: Arc::clone(&next) });
    let agents = Agents::new(move || Arc::clone(&teller) as Arc<dyn Agent>);
    let (clock, _) = Clock::manual(1_700_000_000);
    // Few events are kept, so that what keeps them does not grow while counting.
    let log = Arc::new(Memory::new(Limits {
        events: WARM_UP / 2,
        bytes: 64 << 20,
        threads: 10,
        owner_bytes: u64::MAX,
        all_bytes: u64::MAX,
    }));
    let router =
        Router::new(options(), agents, Arc::new(Unheard), log, Arc::new(Alone), Arc::from("node"), clock);
    let crowd = (0..sockets).map(|_| attach(runtime, &router)).collect::<anyhow::Result<Vec<_>>>()?;
    crowd[0].1.handle(ClientMessage {
        id: None,
        thread_id: Some(ThreadId::new("t").context("an identifier")?),
        command: Command::UserMessage(UserMessage { content: "go".into(), agent: None, context: None }),
    });
    let mut frames = std::collections::VecDeque::with_capacity(64);
    let mut take = || {
        let mut taken = 0;
        for (outbox, _) in &crowd {
            while let Poll::Ready(Outgoing::Frames { .. }) =
                outbox.poll_take(&Context::from_waker(Waker::noop()), &mut frames)
            {
                taken += frames.len();
                frames.clear();
            }
        }
        taken
    };
    let mut tell = |times: usize| {
        runtime.block_on(async {
            let mut taken = 0;
            for _ in 0..times {
                next.notify_one();
                settle().await;
                taken += take();
            }
            taken
        })
    };
    // The run has to be there first, and then has begun.
    tell(2);
    // What grows once has grown: the run's channel, the thread's list of events.
    tell(WARM_UP);
    let mut taken = 0;
    let counted = allocation_counter::measure(|| taken = tell(COUNTED));
    anyhow::ensure!(taken == sockets * COUNTED, "{taken} events came to {sockets} sockets");
    drop(crowd);
    Ok((counted.count_total as f64 / COUNTED as f64, counted.bytes_total as f64 / COUNTED as f64))
}

/// Lets every task go as far as it comes.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn attach(runtime: &Runtime, router: &Router) -> anyhow::Result<(Arc<Outbox>, Attachment)> {
    let seat = runtime.block_on(router.admit(identity()?, u32::MAX));
    let seat = seat.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    let outbox = Arc::new(Outbox::new(1 << 20));
    let established = |connection_id| {
        ServerMessage::from(ConnectionEstablished {
            connection_id,
            user_id: "ann".into(),
            mode: Mode::Main,
            protocol: None,
            heartbeat_interval_ms: 0,
            max_message_bytes: 0,
            token_expires_at: None,
            node: "node".into(),
        })
    };
    let resume = Resume { threads: Vec::new() };
    let attachment = seat.attach(Mode::Main, Mode::Main.wire(), Arc::clone(&outbox), established, &resume);
    Ok((outbox, attachment))
}

/// A verified user; there is no other way to one than through a verifier.
fn identity() -> anyhow::Result<Identity> {
    let signer = Signer::hs256(None, &Secret::from("a secret for this measurement, long enough"))?;
    let mut keys = KeySet::new();
    keys.add_signer(&signer)?;
    let claims = json!({ "sub": "ann", "exp": 2_000_000_000 });
    let token = signer.sign(claims.as_object().context("claims are an object")?);
    Verifier::new([Issuer::unnamed(keys)], Policy::default(), 0)
        .verify(&token, 1)
        .map_err(|rejection| anyhow::anyhow!("the token is refused: {}", rejection.reason))
}

fn options() -> Options {
    Options {
        runs_per_user: 1,
        runs: 1,
        thread_policy: ThreadPolicy::Queue,
        run_timeout: Duration::from_mins(10),
        run_steps: usize::MAX,
        run_output_bytes: 64 << 20,
        threads_per_user: 10,
        reads: Rate::per_second(NonZeroU32::MAX, NonZeroU32::MAX),
        repeat_runs: false,
        redact: None,
        retention: Duration::from_hours(1),
    }
}

/// The size of an event: large, so that a copy for each socket would show.
pub(super) const EVENT: usize = 16 << 10;

const WARM_UP: usize = 64;

const COUNTED: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand sockets share one event: what each costs does not depend on its size.
    #[test]
    fn an_event_is_encoded_once_for_all_sockets() {
        let figures = figures().unwrap();
        let [one, crowd, one_bytes, crowd_bytes] = [0, 1, 2, 3].map(|index| figures[index].median);
        let each = (crowd - one) / 999.0;
        let each_bytes = (crowd_bytes - one_bytes) / 999.0;
        assert!(one_bytes >= EVENT as f64, "the event itself is among them: {one_bytes}");
        assert!(each <= 2.0, "{each} allocations a socket");
        assert!(each_bytes < 1_024.0, "{each_bytes} bytes a socket for an event of {EVENT}");
    }
}
