//! Events on their way: the record, resuming, fan-out, and readers that stand still.

mod crowd;
mod encoded;
mod record;
mod threads;

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use portcullis_load::process::{cpu_time, memory};
use serde_json::json;

use self::crowd::Socket;
use crate::{
    clock::CLOCK,
    peer::Dial,
    report::Figure,
    server::{Launch, Server, Site, pause},
    tokens::Algorithm,
};

/// What these figures are measured with.
pub(crate) struct Delivery<'b> {
    pub(crate) site: &'b Site,
    pub(crate) bin: &'b Path,
    pub(crate) launch: Launch,
    pub(crate) rounds: usize,
}

type Measure = fn(&Delivery<'_>) -> anyhow::Result<Vec<Figure>>;

/// The names of the figures, with what makes them.
pub(crate) const FIGURES: &[(&str, Measure)] = &[
    ("append", |delivery| delivery.append()),
    ("resume_10000", |delivery| delivery.resume()),
    ("resume_threads", threads::figures),
    ("fan_out_1000", |delivery| delivery.fan_out()),
    ("allocations", |_| encoded::figures()),
    ("stalled_1000", |delivery| delivery.stalled()),
    ("stalled_users", |delivery| delivery.stalled_users()),
];

/// How it was done, a sentence each.
pub(crate) fn method() -> Vec<String> {
    vec![
        format!(
            "append: the record by itself, in a folder beside the server's binary; events of {} bytes",
            record::EVENT
        ),
        format!(
            "resume: one thread of {RESUMED} events of the built-in agent, from its first event to its last; disk: the first time after a restart"
        ),
        format!(
            "resume of threads: {} threads of one user with {} KiB of events each, from their beginning; meanwhile another one asks {} questions, and two connections resume without pause",
            threads::THREADS,
            threads::BYTES >> 10,
            threads::ASKED
        ),
        format!("fan-out: {SOCKETS} sockets of one user, each of which reads every event of {ASKED} answers"),
        format!(
            "allocations: the router in this process, one event of {} bytes to a number of sockets",
            encoded::EVENT
        ),
        format!(
            "stalled: {SOCKETS} sockets of one user that read nothing, while {} MiB of events are sent to another",
            STALLED_BYTES >> 20
        ),
        format!(
            "stalled users: {SOCKETS} users with a socket each that reads nothing, while {} KiB of its events are sent to a second one; queues and threads hold {} KiB each",
            OWN_BYTES >> 10,
            NARROW >> 10
        ),
    ]
}

impl Delivery<'_> {
    /// Events that the record takes in a second.
    fn append(&self) -> anyhow::Result<Vec<Figure>> {
        let folder = self.bin.parent().context("the binary stands in a folder")?;
        record::figures(folder, self.rounds)
    }

    /// From the request to resume until the last of ten thousand events is there.
    fn resume(&self) -> anyhow::Result<Vec<Figure>> {
        let server = self.start()?;
        let token = self.site.keys.mint(Algorithm::Hs256, 0, 0);
        let (epoch, last) = {
            let mut socket = open(server.gateway, &token, 0)?;
            loop {
                let end = socket.ask(THREAD, QUESTION)?;
                let seq = end["seq"].as_u64().context("an event without a number")?;
                if seq >= RESUMED {
                    let epoch = end["epoch"].as_str().context("an event without an epoch")?;
                    break (epoch.to_owned(), seq);
                }
            }
        };
        let request = json!({
            "type": "resume",
            "payload": { "threads": [{ "thread_id": THREAD, "epoch": epoch, "after_seq": last - RESUMED }] },
        });
        let request = request.to_string();
        let once = |server: &Server| -> anyhow::Result<(f64, f64)> {
            let mut socket = open(server.gateway, &token, 1)?;
            pause(SETTLE);
            let before = cpu_time(server.pid())?;
            let began = CLOCK.instant();
            socket.send(&request)?;
            let got = socket.events_until(THREAD, last)?;
            let took = CLOCK.since(began);
            ensure!(got == RESUMED, "{got} events came instead of {RESUMED}");
            pause(SETTLE);
            let spent = cpu_time(server.pid())?.saturating_sub(before);
            Ok((took.as_secs_f64() * 1e3, spent.as_secs_f64() * 1e3))
        };
        let memory: Vec<_> = (0..self.rounds).map(|_| once(&server)).collect::<Result<_, _>>()?;
        server.stop()?;
        // The first one after a start reads the disk.
        let mut disk = Vec::new();
        for _ in 0..self.rounds {
            let server = self.start()?;
            disk.push(once(&server)?);
            server.stop()?;
        }
        let of = |pairs: &[(f64, f64)], which: fn(&(f64, f64)) -> f64| pairs.iter().map(which).collect();
        Ok(vec![
            Figure::new("resume_10000", "ms", of(&memory, |pair| pair.0)),
            Figure::new("resume_10000_cpu", "ms CPU", of(&memory, |pair| pair.1)),
            Figure::new("resume_10000_disk", "ms", of(&disk, |pair| pair.0)),
            Figure::new("resume_10000_disk_cpu", "ms CPU", of(&disk, |pair| pair.1)),
        ])
    }

    /// One event to a thousand sockets.
    fn fan_out(&self) -> anyhow::Result<Vec<Figure>> {
        let server = self.start()?;
        let token = self.site.keys.mint(Algorithm::Hs256, 0, 0);
        let mut sockets =
            (0..SOCKETS).map(|number| open(server.gateway, &token, number)).collect::<Result<Vec<_>, _>>()?;
        let (mut each, mut last) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            pause(SETTLE);
            let before = cpu_time(server.pid())?;
            let mut delivered = 0;
            let mut slowest = Duration::ZERO;
            for question in 0..ASKED {
                let thread = format!("fan-{round}-{question}");
                let began = CLOCK.instant();
                let end = sockets[0].ask(&thread, QUESTION)?;
                let seq = end["seq"].as_u64().context("an event without a number")?;
                delivered += seq;
                for socket in &mut sockets[1..] {
                    delivered += socket.events_until(&thread, seq)?;
                }
                slowest += CLOCK.since(began);
            }
            pause(SETTLE);
            let spent = cpu_time(server.pid())?.saturating_sub(before);
            each.push(spent.as_secs_f64() * 1e6 / delivered as f64);
            last.push(slowest.as_secs_f64() * 1e3 / ASKED as f64);
        }
        drop(sockets);
        server.stop()?;
        Ok(vec![
            Figure::new("fan_out_1000", "µs CPU a delivery", each),
            Figure::new("fan_out_1000_answer", "ms to the last socket", last),
        ])
    }

    /// What a thousand readers that stand still cost the server's process while events go on: its growth with them, less
    /// its growth without them.
    fn stalled(&self) -> anyhow::Result<Vec<Figure>> {
        let (mut each, mut with, mut without, mut ended) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rounds.div_ceil(2) {
            let (alone, _) = self.growth(0)?;
            let (crowded, too_slow) = self.growth(SOCKETS)?;
            each.push((crowded - alone) / SOCKETS as f64);
            without.push(alone / f64::from(1 << 20));
            with.push(crowded / f64::from(1 << 20));
            ended.push(too_slow as f64);
        }
        Ok(vec![
            Figure::new("stalled_1000", "bytes resident each", each),
            Figure::new("stalled_1000_growth", "MiB resident", with),
            Figure::new("stalled_none_growth", "MiB resident", without),
            Figure::new("stalled_1000_ended", "ended as too slow", ended),
        ])
    }

    /// The most that resident memory grows while a reader is sent its events and so many others of the same user do not
    /// read theirs; and how many of those were ended.
    fn growth(&self, stalled: usize) -> anyhow::Result<(f64, usize)> {
        let launch = Launch { long_threads: false, ..self.launch.clone() };
        let server = self.site.start(self.bin, &launch)?;
        let token = self.site.keys.mint(Algorithm::Hs256, 0, 0);
        let crowd = |count| -> anyhow::Result<Vec<Socket>> {
            (1..=count).map(|number| open(server.gateway, &token, number)).collect()
        };
        let mut reader = open(server.gateway, &token, 0)?;
        // What is made once is there before counting begins: answers, and as many connections.
        for _ in 0..20 {
            reader.ask("warm", QUESTION)?;
        }
        drop(crowd(stalled)?);
        pause(Duration::from_secs(1));
        let crowd = crowd(stalled)?;
        pause(SETTLE);
        let before = memory(server.pid())?.resident;
        let (mut peak, mut question) = (before, 0);
        let owed = reader.received() + STALLED_BYTES;
        while reader.received() < owed {
            reader.ask(&format!("stalled-{}", question / 50), QUESTION)?;
            question += 1;
            peak = peak.max(memory(server.pid())?.resident);
        }
        let ended = crowd.iter().filter(|socket| socket.was_ended()).count();
        drop((crowd, reader));
        server.stop()?;
        Ok((peak.saturating_sub(before) as f64, ended))
    }

    /// What a thousand readers that stand still cost where each is another user, with events of their own that nobody shares:
    /// the growth for each of them. Without anybody who stands still, threads alone are kept. In one round, of a
    /// thousand users.
    fn stalled_users(&self) -> anyhow::Result<Vec<Figure>> {
        let (without, _) = self.growth_of_users(false)?;
        let (with, ended) = self.growth_of_users(true)?;
        let each = |growth: f64| vec![growth / SOCKETS as f64];
        Ok(vec![
            Figure::new("stalled_users", "bytes resident each", each(with)),
            Figure::new("stalled_users_none", "bytes resident each", each(without)),
            Figure::new("stalled_users_ended", "ended as too slow", vec![ended as f64]),
        ])
    }

    /// The most that resident memory grows while each user is sent events, with a socket beside that does not read if
    /// `stalled`; and how many of those were ended.
    fn growth_of_users(&self, stalled: bool) -> anyhow::Result<(f64, usize)> {
        let launch = Launch { long_threads: false, narrow: Some(NARROW), ..self.launch.clone() };
        let server = self.site.start(self.bin, &launch)?;
        let tokens: Vec<_> =
            (0..=SOCKETS).map(|user| self.site.keys.mint(Algorithm::Hs256, user, 0)).collect();
        let mut crowd = Vec::new();
        for (user, token) in tokens.iter().enumerate().skip(1).filter(|_| stalled) {
            crowd.push(Socket::open(&Dial { narrow: true, ..dial(server.gateway, token, user) })?);
        }
        // What is made once is there before counting begins.
        let mut warm = open(server.gateway, &tokens[0], 0)?;
        for _ in 0..20 {
            warm.ask("warm", QUESTION)?;
        }
        pause(Duration::from_secs(1));
        let before = memory(server.pid())?.resident;
        let mut peak = before;
        // Many at a time: pieces of an answer wait a while for each other where a reader is slow.
        for first in (1..=SOCKETS).step_by(TOGETHER) {
            let mut readers = (first..first + TOGETHER)
                .map(|user| open(server.gateway, &tokens[user], user))
                .collect::<Result<Vec<_>, _>>()?;
            while readers.iter().any(|reader| reader.received() < OWN_BYTES) {
                readers.iter_mut().try_for_each(|reader| reader.put("own", QUESTION))?;
                readers.iter_mut().try_for_each(|reader| reader.answer().map(drop))?;
                peak = peak.max(memory(server.pid())?.resident);
            }
        }
        let ended = crowd.iter().filter(|socket| socket.was_ended()).count();
        drop((crowd, warm));
        server.stop()?;
        Ok((peak.saturating_sub(before) as f64, ended))
    }

    fn start(&self) -> anyhow::Result<Server> {
        self.site.start(self.bin, &self.launch)
    }
}

fn open(gateway: SocketAddr, token: &str, number: usize) -> anyhow::Result<Socket> {
    Socket::open(&dial(gateway, token, number))
}

fn dial(gateway: SocketAddr, token: &str, number: usize) -> Dial<'_> {
    Dial { gateway, target: "/ws", token, number, pause: Duration::ZERO, narrow: false }
}

/// Answered by the built-in agent with some ten events.
const QUESTION: &str = "What does close code 1006 mean?";

const THREAD: &str = "long";

/// Events that are resumed.
const RESUMED: u64 = 10_000;

/// Sockets of the crowd.
const SOCKETS: usize = 1_000;

/// Questions for each figure of a fan-out.
const ASKED: usize = 10;

/// Bytes of events that readers who stand still are owed: several times what a queue and a socket's buffers hold.
const STALLED_BYTES: usize = 8 << 20;

/// Bytes that a queue may hold, and a thread, where each reader is another user.
const NARROW: usize = 64 << 10;

/// Bytes of events that each of those users is owed: several times what a queue and a narrow socket hold.
const OWN_BYTES: usize = 192 << 10;

/// Users who ask at the same time.
const TOGETHER: usize = 50;

/// Time for the server to come to rest.
const SETTLE: Duration = Duration::from_millis(50);
