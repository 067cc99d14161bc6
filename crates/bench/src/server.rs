//! A server process of our own: configuration, keys, start and end.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    clock::CLOCK,
    leaving,
    tokens::{JWKS_FILE, Keys, SECRET_FILE},
};

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    /// What stands before the program: `taskset -c 0`, `valgrind --tool=callgrind`.
    pub(crate) wrapper: Vec<String>,
    /// Worker threads of its runtime; none for as many as there are cores.
    pub(crate) threads: Option<usize>,
    /// Starts it as a bare `portcullis serve` does, with auth service and first account, instead of the gate alone.
    pub(crate) bare: bool,
    /// Takes any number of messages of one connection, and never asks whether it is still there.
    pub(crate) patient: bool,
    /// Keeps threads of 20,000 events, and sends them again as fast as they are taken.
    pub(crate) long_threads: bool,
    /// Bytes that a queue may hold and a thread, where they are not the defaults.
    pub(crate) narrow: Option<usize>,
    /// The lowest level of lines that its log takes.
    pub(crate) log_level: Option<&'static str>,
}

/// A folder with a configuration and keys, for any number of servers one after the other.
pub(crate) struct Site {
    dir: TempDir,
    pub(crate) keys: Keys,
}

impl Site {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("portcullis-bench.").context("no temporary folder")?;
        leaving::folder(dir.path());
        let keys = Keys::create(dir.path())?;
        Ok(Self { dir, keys })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Starts a server and waits until it accepts.
    pub(crate) fn start(&self, bin: &Path, launch: &Launch) -> anyhow::Result<Server> {
        let path = self.path();
        let config = path.join("portcullis.toml");
        fs::write(&config, configuration(launch))?;
        let ready = path.join("ready.json");
        let mut words = launch.wrapper.iter().map(AsRef::as_ref).chain([bin.as_os_str()]);
        let mut command = Command::new(words.next().context("no program")?);
        command.args(words).args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.args(["--auth-listen", "127.0.0.1:0", "--config"]).arg(&config);
        command.arg("--data-dir").arg(path.join("data")).arg("--ready-file").arg(&ready);
        if let Some(threads) = launch.threads {
            command.env("TOKIO_WORKER_THREADS", threads.to_string());
        }
        self.launch(command, &ready)
    }

    /// Starts our own `floor`.
    pub(crate) fn start_floor(&self, launch: &Launch, answer: &str) -> anyhow::Result<Server> {
        let this = std::env::current_exe()?;
        let ready = self.path().join("floor.json");
        let mut words = launch.wrapper.iter().map(AsRef::as_ref).chain([this.as_os_str()]);
        let mut command = Command::new(words.next().context("no program")?);
        command.args(words).args(["floor", "--answer", answer, "--ready-file"]).arg(&ready);
        self.launch(command, &ready)
    }

    /// Starts a process and waits for its ready file.
    fn launch(&self, mut command: Command, ready: &Path) -> anyhow::Result<Server> {
        // One that was killed left its file.
        let _ = fs::remove_file(ready);
        // The log goes to a file as JSON, as it does in production.
        let log = self.path().join("log.json");
        let log_file = fs::OpenOptions::new().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log_file);
        let began = CLOCK.instant();
        let mut child = leaving::spawn(&mut command).with_context(|| format!("cannot start {command:?}"))?;
        loop {
            if let Some(gateway) = fs::read_to_string(ready).ok().and_then(|text| address(&text)) {
                return Ok(Server { child, gateway, startup: CLOCK.since(began) });
            }
            if child.try_wait()?.is_some() || CLOCK.since(began) > START_TIMEOUT {
                let _ = child.kill();
                leaving::ending(&child);
                bail!("the server does not start:\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            pause(Duration::from_micros(200));
        }
    }
}

/// A running server; it ends with this value.
pub(crate) struct Server {
    child: Child,
    pub(crate) gateway: SocketAddr,
    /// From the start of the process until somebody else saw that it accepts.
    pub(crate) startup: Duration,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits until it has: an instrumented one writes its counts then.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        leaving::ending(&self.child);
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        leaving::ending(&self.child);
        let _ = self.child.wait();
    }
}

/// Waits for something that gives no sign when it happens.
pub(crate) fn pause(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "another process gives no event to wait for")]
    std::thread::sleep(time);
}

fn address(ready: &str) -> Option<SocketAddr> {
    let ready: Value = serde_json::from_str(ready).ok()?;
    ready["gateway"].as_str()?.strip_prefix("http://")?.parse().ok()
}

/// Limits are lifted, since a whole crowd comes from this machine; what they cost is paid all the same.
fn configuration(launch: &Launch) -> String {
    let level = launch.log_level.unwrap_or("info");
    let log = format!("[log]\nlevel = \"{level}\"\nformat = \"json\"\n");
    if launch.bare {
        return log;
    }
    let threads = match launch.narrow {
        _ if launch.long_threads => {
            "[runs]\nretained_events = 20000\nretained_bytes = \"64 MiB\"\n".to_owned()
        }
        Some(bytes) => format!("[runs]\nretained_bytes = \"{} KiB\"\n", bytes >> 10),
        None => String::new(),
    };
    let queue =
        launch.narrow.map_or_else(String::new, |bytes| format!("queue_bytes = \"{} KiB\"\n", bytes >> 10));
    let reads =
        if launch.long_threads { "read_bytes_per_second = \"1 GiB\"\nread_burst = \"4 GiB\"\n" } else { "" };
    let (heartbeat, messages) = if launch.patient {
        ("[heartbeat]\ninterval = \"1h\"\n", "messages_per_second = 1000000\nmessage_burst = 1000000\n")
    } else {
        ("", "")
    };
    format!(
        "environment = \"production\"\n\
         {log}\
         [auth]\nenabled = false\n\
         [dev]\necho = true\n\
         [[token.secrets]]\nkid = \"shared\"\nfile = \"{SECRET_FILE}\"\n\
         [[token.jwks]]\nfile = \"{JWKS_FILE}\"\n\
         {threads}{heartbeat}\
         [limits]\n{queue}{messages}{reads}connections = 1000000\nconnections_per_address = 1000000\nconnections_per_user = 10000\n\
         handshakes_per_second = 1000000000\nhandshake_burst = 1000000\n"
    )
}

const START_TIMEOUT: Duration = Duration::from_mins(1);
