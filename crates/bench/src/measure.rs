//! `measure`: times and memory of a server on one core, with the client on another.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use portcullis_load::process::{cpu_time, memory, raise_file_limit};

use crate::{
    Subject,
    delivery::{self, Delivery},
    leaving,
    operation::{Operation, Repeater, Style},
    peer::{Dial, Peer, messages, receive},
    report::{Figure, Machine, Report, print, write_json},
    server::{Launch, Server, Site, pause},
    tokens::Algorithm,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Write the report here as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What is put before the server's command line, to keep it on one core.
    #[arg(long, value_name = "COMMAND", default_value = "taskset -c 0")]
    pin: String,
    /// Rounds of each figure. The report has median and best.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Idle connections for the figure of memory.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Measure only the figures whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    raise_file_limit()?;
    leaving::watch()?;
    let site = Site::new()?;
    let bench = Bench { args, site: &site };
    let mut figures = Vec::new();
    for (operation, repetitions, reach) in [
        (Operation::Hs256, 10_000, Some(20.0)),
        (Operation::Hs256Echo, 10_000, None),
        (Operation::Es256Hit, 10_000, Some(21.0)),
        (Operation::Es256Miss, 5_000, Some(92.0)),
        (Operation::Refusal, 10_000, Some(18.0)),
        (Operation::Echo128, 20_000, Some(5.0)),
        (Operation::Echo16K, 10_000, Some(7.5)),
    ] {
        if bench.wants(operation.name()) {
            let figure = Figure::new(operation.name(), "µs CPU", bench.cpu(operation, repetitions, None)?);
            figures.push(Figure { reach, ..figure });
        }
    }
    for (name, operation, answer, repetitions) in [
        ("floor_handshake", Operation::Hs256, "greet", 10_000),
        ("floor_refusal", Operation::Refusal, "refuse", 10_000),
        ("floor_echo_128", Operation::Echo128, "echo", 20_000),
        ("floor_echo_16k", Operation::Echo16K, "echo", 10_000),
    ] {
        if bench.wants(name) {
            figures.push(Figure::new(name, "µs CPU", bench.cpu(operation, repetitions, Some(answer))?));
        }
    }
    if bench.wants("burst_128") {
        figures.push(Figure::rate("burst_128", "messages/s CPU", bench.bursts()?).reach(2e6));
    }
    if bench.wants("idle_connection") {
        figures.extend(bench.idle()?);
    }
    if bench.wants("startup") {
        figures.extend(bench.startup()?);
    }
    let delivery = Delivery {
        site: &site,
        bin: &args.subject.bin,
        launch: Launch { patient: true, long_threads: true, ..bench.launch() },
        rounds: args.rounds,
    };
    for (name, measure) in delivery::FIGURES {
        let one_of_them = args.only.as_ref().is_some_and(|only| only.starts_with(name));
        if bench.wants(name) || one_of_them {
            figures.extend(measure(&delivery)?);
        }
    }
    let report = Report { machine: Machine::of(&args.subject.bin)?, method: bench.method(), figures };
    if let Some(path) = &args.json {
        write_json(path, &report)?;
    }
    print(&report.text())
}

struct Bench<'a> {
    args: &'a Args,
    site: &'a Site,
}

impl Bench<'_> {
    fn wants(&self, name: &str) -> bool {
        self.args.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    fn launch(&self) -> Launch {
        let wrapper = self.args.pin.split_whitespace().map(ToOwned::to_owned).collect();
        // Its runtime sees one core, and so has one worker.
        Launch { wrapper, ..Launch::default() }
    }

    fn start(&self, launch: &Launch) -> anyhow::Result<Server> {
        self.site.start(&self.args.subject.bin, launch)
    }

    fn method(&self) -> Vec<String> {
        let log = self.site.path().join("log.json");
        let mut method = vec![
            format!("server: `{} portcullis serve`, one process of its own for each figure", self.args.pin),
            format!("log: JSON at level info, appended to a file ({})", parent(&log)),
            format!("{} rounds of each figure after a warm-up of one tenth of a round", self.args.rounds),
            format!(
                "CPU: user and system time of all the server's threads (schedstat), {WINDOW} connections begun"
            ),
            "floor: one thread with epoll that checks nothing, on the same core: what this machine asks for sockets".into(),
            "client: on another core, polling without sleeping, so that the server never pays for waking it".into(),
            "handshake: connect, browser's head with Origin, 101, connection_established, close; 500 users"
                .into(),
            "delivery: the same server without a limit on messages and without heartbeats; for resume and fan-out, with threads of 20,000 events".into(),
            format!("idle: {} users with a connection each on /ws, resident memory", self.args.connections),
        ];
        method.extend(delivery::method());
        method
    }

    /// CPU time of one repetition in each round, in microseconds.
    /// `floor` measures the server that does the least instead, with that answer.
    fn cpu(&self, operation: Operation, repetitions: usize, floor: Option<&str>) -> anyhow::Result<Vec<f64>> {
        let server = match floor {
            None => self.start(&self.launch())?,
            Some(answer) => self.site.start_floor(&self.launch(), answer)?,
        };
        let style = Style { window: WINDOW, pause: Duration::ZERO, users: USERS, raw: floor.is_some() };
        let mut rounds = Vec::new();
        for _ in 0..self.args.rounds {
            let warm_up = repetitions / 10;
            let keys = &self.site.keys;
            let mut client = Repeater::new(operation, server.gateway, keys, repetitions + warm_up, style)?;
            client.run(warm_up)?;
            pause(SETTLE);
            let before = cpu_time(server.pid())?;
            client.run(repetitions)?;
            pause(SETTLE);
            rounds.push(microseconds(cpu_time(server.pid())?.saturating_sub(before)) / repetitions as f64);
        }
        Ok(rounds)
    }

    /// Messages that the server echoes in a second of its CPU time, sent without waiting.
    fn bursts(&self) -> anyhow::Result<Vec<f64>> {
        const BLOCK: usize = 500;
        const BLOCKS: usize = 1_000;
        let server = self.start(&self.launch())?;
        let token = self.site.keys.mint(Algorithm::Hs256, 0, 0);
        let dial = Dial {
            gateway: server.gateway,
            target: "/ws/echo",
            token: &token,
            number: 0,
            pause: Duration::ZERO,
            narrow: false,
        };
        let mut peer = Peer::connect(&dial)?;
        peer.established(false)?;
        let mut reader = peer.into_stream()?;
        let mut writer = reader.try_clone()?;
        let (block, answer) = messages(BLOCK, 128);
        let mut room = vec![0; 256 * 1024];
        let mut round = |blocks: usize| -> anyhow::Result<f64> {
            let before = cpu_time(server.pid())?;
            thread::scope(|scope| -> anyhow::Result<()> {
                let written = scope.spawn(|| (0..blocks).try_for_each(|_| writer.write_all(&block)));
                receive(&mut reader, blocks * answer, &mut room)?;
                Ok(written.join().ok().context("the writer failed")??)
            })?;
            let spent = cpu_time(server.pid())?.saturating_sub(before);
            Ok((blocks * BLOCK) as f64 / spent.as_secs_f64())
        };
        round(BLOCKS / 10)?;
        let rounds = (0..self.args.rounds).map(|_| round(BLOCKS)).collect();
        drop((reader, writer));
        server.stop()?;
        rounds
    }

    /// Memory of the server's own process for one idle connection, as resident and as dirty bytes.
    fn idle(&self) -> anyhow::Result<[Figure; 2]> {
        let mut resident = Vec::new();
        let mut dirty = Vec::new();
        for _ in 0..self.args.rounds.div_ceil(2) {
            let server = self.start(&self.launch())?;
            let token = |user| self.site.keys.mint(Algorithm::Hs256, user, 0);
            let connect = |user: usize| -> anyhow::Result<Peer> {
                let token = token(user);
                let dial = Dial {
                    gateway: server.gateway,
                    target: "/ws",
                    token: &token,
                    number: user,
                    pause: Duration::ZERO,
                    narrow: false,
                };
                let mut peer = Peer::connect(&dial)?;
                peer.established(true)?;
                Ok(peer)
            };
            // What is made once is there before counting begins.
            drop((0..100).map(connect).collect::<anyhow::Result<Vec<_>>>()?);
            pause(SETTLE);
            let before = memory(server.pid())?;
            let peers = (0..self.args.connections).map(connect).collect::<anyhow::Result<Vec<_>>>()?;
            // The allocator gives back what the handshakes needed within some seconds. Heartbeats begin after that.
            let mut after = memory(server.pid())?;
            for _ in 0..10 {
                pause(Duration::from_secs(1));
                let now = memory(server.pid())?;
                if now.resident < after.resident {
                    after = now;
                }
            }
            let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / peers.len() as f64;
            resident.push(each(after.resident, before.resident));
            dirty.push(each(after.dirty, before.dirty));
            drop(peers);
            server.stop()?;
        }
        Ok([
            Figure::new("idle_connection", "bytes resident", resident).reach(1_000.0),
            Figure::new("idle_connection_dirty", "bytes dirty", dirty),
        ])
    }

    /// From the start of the process until its ready file is there: first with an empty data directory, then again.
    fn startup(&self) -> anyhow::Result<[Figure; 4]> {
        let launch = Launch { bare: true, ..self.launch() };
        let milliseconds = |time: Duration| microseconds(time) / 1e3;
        let (mut first, mut again, mut cpu, mut resident) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.args.rounds {
            let site = Site::new()?;
            let start = || site.start(&self.args.subject.bin, &launch);
            let server = start()?;
            first.push(milliseconds(server.startup));
            server.stop()?;
            let server = start()?;
            again.push(milliseconds(server.startup));
            cpu.push(milliseconds(cpu_time(server.pid())?));
            pause(SETTLE);
            resident.push(memory(server.pid())?.resident as f64 / f64::from(1 << 20));
            server.stop()?;
        }
        Ok([
            Figure::new("startup_first", "ms", first),
            Figure::new("startup_again", "ms", again),
            Figure::new("startup_again_cpu", "ms CPU", cpu),
            Figure::new("startup_memory", "MiB resident", resident),
        ])
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn parent(path: &Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}

/// Connections that the client has begun before it finishes the oldest, so that the server is never out of work.
const WINDOW: usize = 16;

/// Different users, in turns.
const USERS: usize = 500;

/// Time for the server to see that a connection has ended.
const SETTLE: Duration = Duration::from_millis(50);
