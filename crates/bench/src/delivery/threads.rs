//! Resuming many full threads at once, and what that is to somebody else meanwhile.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, ensure};
use portcullis_load::process::cpu_time;
use serde_json::json;

use super::{Delivery, QUESTION, SETTLE, crowd::Socket, open};
use crate::{
    clock::CLOCK,
    report::Figure,
    server::{Launch, pause},
    tokens::Algorithm,
};

/// Threads of the user who resumes.
pub(super) const THREADS: usize = 100;

/// Bytes of events in each of them, as many as are kept by default.
pub(super) const BYTES: usize = 256 << 10;

/// Of how many of them the work is held against that of all.
const FEW: usize = 10;

/// Questions of the other user, of whose latencies the 99th of a hundred counts.
pub(super) const ASKED: usize = 400;

/// Connections that resume again and again meanwhile.
const RESUMING: usize = 2;

/// Questions under way at once while threads are filled.
const TOGETHER: usize = 8;

/// A thread, and the number of its last event.
type Ends = HashMap<String, u64>;

pub(super) fn figures(delivery: &Delivery<'_>) -> anyhow::Result<Vec<Figure>> {
    let [user, other] = [0, 1].map(|number| delivery.site.keys.mint(Algorithm::Hs256, number, 0));
    let server = delivery.start()?;
    let ends = fill(&mut open(server.gateway, &user, 0)?)?;
    let (few, all): (Ends, &Ends) = (ends.clone().into_iter().take(FEW).collect(), &ends);
    let once = |ends: &Ends| -> anyhow::Result<(f64, f64, f64)> {
        let mut socket = open(server.gateway, &user, 1)?;
        pause(SETTLE);
        let before = cpu_time(server.pid())?;
        let (began, received) = (CLOCK.instant(), socket.received());
        resume(&mut socket, ends)?;
        let took = CLOCK.since(began).as_secs_f64() * 1e3;
        let mib = (socket.received() - received) as f64 / f64::from(1 << 20);
        pause(SETTLE);
        let spent = cpu_time(server.pid())?.saturating_sub(before).as_secs_f64() * 1e3;
        Ok((took, spent / mib, mib))
    };
    let (mut took, mut each, mut few_each, mut sent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..delivery.rounds {
        few_each.push(once(&few)?.1);
        let (time, work, mib) = once(all)?;
        took.push(time);
        each.push(work);
        sent.push(mib);
    }
    server.stop()?;
    // What one user may read in a second is for the others.
    let launch = Launch { long_threads: false, ..delivery.launch.clone() };
    let server = delivery.site.start(delivery.bin, &launch)?;
    let (mut quiet, mut ratio) = (Vec::new(), Vec::new());
    for _ in 0..delivery.rounds {
        let alone = slowest(&mut open(server.gateway, &other, 2)?)?;
        let beside = beside(server.gateway, &user, &other, &ends)?;
        quiet.push(alone);
        ratio.push(beside / alone);
    }
    server.stop()?;
    Ok(vec![
        Figure::new("resume_threads_100", "ms", took),
        Figure::new("resume_threads_100_sent", "MiB", sent),
        Figure::new("resume_threads_100_cpu", "ms CPU a MiB", each),
        Figure::new("resume_threads_10_cpu", "ms CPU a MiB", few_each),
        Figure::new("resume_threads_other_quiet", "ms, p99 of an answer", quiet),
        Figure::new("resume_threads_other_beside", "times the quiet p99", ratio).reach(2.0),
    ])
}

/// Fills the threads, and gives their ends.
fn fill(socket: &mut Socket) -> anyhow::Result<Ends> {
    let question = format!("{QUESTION} {}", "And then it happened once more. ".repeat(500));
    let mut ends = Ends::new();
    let mut next: Vec<_> = (0..THREADS).map(|number| format!("full-{number}")).collect();
    let mut left: HashMap<String, usize> = next.iter().map(|id| (id.clone(), BYTES)).collect();
    while !next.is_empty() {
        for together in next.chunks(TOGETHER) {
            together.iter().try_for_each(|id| socket.put(id, &question))?;
            for _ in together {
                let received = socket.received();
                let end = socket.answer()?;
                let id = end["thread_id"].as_str().context("an event without a thread")?.to_owned();
                let seq = end["seq"].as_u64().context("an event without a number")?;
                let left = left.get_mut(&id).context("an event of another thread")?;
                *left = left.saturating_sub(socket.received() - received);
                ends.insert(id, seq);
            }
        }
        next.retain(|id| left[id] > 0);
    }
    Ok(ends)
}

/// Resumes threads from their beginning, and reads to their ends.
fn resume(socket: &mut Socket, ends: &Ends) -> anyhow::Result<()> {
    let points = ends.keys().map(|id| json!({ "thread_id": id, "after_seq": 0 }));
    let request = json!({ "type": "resume", "payload": { "threads": points.collect::<Vec<_>>() } });
    socket.send(&request.to_string())?;
    socket.until_all(ends.clone())
}

/// The 99th of a hundred latencies of answers, in milliseconds.
fn slowest(socket: &mut Socket) -> anyhow::Result<f64> {
    let mut latencies = Vec::with_capacity(ASKED);
    for number in 0..ASKED {
        let began = CLOCK.instant();
        socket.ask(&format!("other-{}", number % 20), QUESTION)?;
        latencies.push(CLOCK.since(began).as_secs_f64() * 1e3);
    }
    latencies.sort_by(f64::total_cmp);
    latencies.get(ASKED * 99 / 100).copied().context("nobody asked")
}

/// The same while another user resumes all of their threads again and again.
fn beside(gateway: SocketAddr, user: &str, other: &str, ends: &Ends) -> anyhow::Result<f64> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let resuming: Vec<_> = (0..RESUMING)
            .map(|number| {
                let over = &over;
                scope.spawn(move || -> anyhow::Result<usize> {
                    let mut times = 0;
                    while !over.load(Ordering::Relaxed) {
                        resume(&mut open(gateway, user, 3 + number)?, ends)?;
                        times += 1;
                    }
                    Ok(times)
                })
            })
            .collect();
        let latency = open(gateway, other, 2).and_then(|mut socket| slowest(&mut socket));
        over.store(true, Ordering::Relaxed);
        for thread in resuming {
            let times = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
            ensure!(times > 0, "nothing was resumed");
        }
        latency
    })
}
