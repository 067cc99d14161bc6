//! The binary as a process of its own.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Log, PATIENCE, Peer, Request, Response, Tokens};

/// How a server is to be started.
#[derive(Debug)]
pub struct Builder {
    binary: PathBuf,
    settings: BTreeMap<String, String>,
    secret: bool,
    data: Option<PathBuf>,
}

impl Builder {
    /// One setting of the configuration file: the key with its dots, and the value as TOML.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.insert(key.to_owned(), value.to_owned());
        self
    }

    /// No shared secret: the auth service signs with a key of its own.
    #[must_use]
    pub const fn without_secret(mut self) -> Self {
        self.secret = false;
        self
    }

    /// Its data directory is there, on another device perhaps.
    #[must_use]
    pub fn data_in(mut self, folder: &Path) -> Self {
        self.data = Some(folder.to_owned());
        self
    }

    /// Starts it, and waits until it accepts.
    #[track_caller]
    pub fn start(self) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = |name: &str| folder.path().join(name);
        let tokens = Tokens::new(KID, SECRET);
        let mut config: Vec<String> =
            self.settings.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        if self.secret {
            write_private(&path("secret.key"), SECRET);
            config.push(format!("token.secrets = [{{ kid = \"{KID}\", file = \"secret.key\" }}]\n"));
        }
        fs::write(path("config.toml"), config.concat()).expect("a file can be written");
        let data = self.data.unwrap_or_else(|| path("data"));
        Server::launch(self.binary, Arc::new(folder), data, tokens, ANYWHERE)
    }
}

impl Server {
    /// Starts the binary on what is in `folder`, and waits until it accepts.
    #[track_caller]
    fn launch(
        binary: PathBuf,
        folder: Arc<TempDir>,
        data: PathBuf,
        tokens: Tokens,
        gateway: SocketAddr,
    ) -> Self {
        let path = |name: &str| folder.path().join(name);
        let anywhere = ANYWHERE.to_string();
        let mut child = Command::new(&binary)
            .args(["serve", "--listen", &gateway.to_string()])
            .args(["--auth-listen", &anywhere, "--admin-listen", &anywhere])
            .arg("--data-dir")
            .arg(&data)
            .arg("--config")
            .arg(path("config.toml"))
            .arg("--ready-file")
            .arg(path("ready.json"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let stdout = Log::collect(child.stdout.take().expect("it is piped"));
        let log = Log::collect(child.stderr.take().expect("it is piped"));
        let pid = Pid::from_child(&child);
        let child = Mutex::new(Running { child, status: None });
        // From here on the process ends with this value, also where the next lines panic.
        let mut server = Self {
            folder,
            data,
            child,
            pid,
            log,
            stdout,
            tokens,
            binary,
            gateway: ANYWHERE,
            auth: None,
            admin: ANYWHERE,
        };
        // It is logged once the file is there, and a process that ends early ends its log.
        server.log.line(&["\"message\":\"ready\""]);
        let ready = fs::read_to_string(server.ready_file()).expect("the ready file is there");
        let ready: Value = serde_json::from_str(&ready).expect("the ready file is JSON");
        let address = |name: &str| {
            let url = ready[name].as_str()?;
            Some(url.strip_prefix("http://")?.parse().expect("an address stands in the ready file"))
        };
        server.gateway = address("gateway").expect("the gateway has an address");
        server.auth = address("auth");
        server.admin = address("admin").expect("the admin listener has an address");
        server
    }
}

/// A running server. Dropping it ends the process.
#[derive(Debug)]
pub struct Server {
    folder: Arc<TempDir>,
    data: PathBuf,
    child: Mutex<Running>,
    pid: Pid,
    log: Log,
    stdout: Log,
    tokens: Tokens,
    binary: PathBuf,
    gateway: SocketAddr,
    auth: Option<SocketAddr>,
    admin: SocketAddr,
}

#[derive(Debug)]
struct Running {
    child: Child,
    status: Option<ExitStatus>,
}

impl Server {
    /// A server for tests: `binary`, a shared secret, cheap passwords, and limits on rates that no test meets by chance.
    pub fn builder(binary: &str) -> Builder {
        let builder = Builder { binary: binary.into(), settings: BTreeMap::new(), secret: true, data: None };
        builder
            .set("environment", "\"testing\"")
            .set("auth.passwords.memory", "\"64 KiB\"")
            .set("auth.passwords.passes", "1")
            // The server's own probe would count among the connections of 127.0.0.1.
            .set("probe.interval", "\"0s\"")
            .set("limits.handshakes_per_second", "100000")
            .set("limits.handshake_burst", "100000")
            .set("limits.connections_per_address", "100000")
            .set("limits.messages_per_second", "10000")
            .set("limits.message_burst", "10000")
    }

    /// The gateway's address.
    pub const fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// The auth service's address.
    #[track_caller]
    pub const fn auth(&self) -> SocketAddr {
        self.auth.expect("the auth service is on")
    }

    /// Where `/metrics` and the dashboard are.
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    /// The log.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// What a person is told on standard output.
    pub const fn stdout(&self) -> &Log {
        &self.stdout
    }

    /// Makes tokens that this server takes.
    pub const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// A good token for `subject`.
    pub fn token(&self, subject: &str) -> String {
        self.tokens.good(subject)
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.data.clone()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    /// The ready file.
    pub fn ready_file(&self) -> PathBuf {
        self.folder.path().join("ready.json")
    }

    /// A connection to the gateway.
    #[track_caller]
    pub fn connect(&self) -> Peer {
        Peer::connect(self.gateway)
    }

    /// A connection to the gateway from 127.0.0.`host`: to the server, another address.
    #[track_caller]
    pub fn connect_from(&self, host: u8) -> Peer {
        Peer::connect_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), self.gateway)
    }

    /// Sends one request on a connection of its own and gives the answer.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Response {
        self.connect().ask(request)
    }

    /// The same, of the auth service.
    #[track_caller]
    pub fn ask_auth(&self, request: &Request) -> Response {
        Peer::connect(self.auth()).ask(&request.clone().field("Connection", "close"))
    }

    /// A live connection of `subject` at `target`, past its `connection_established`.
    #[track_caller]
    pub fn live(&self, target: &str, subject: &str) -> Peer {
        let mut peer = self.connect();
        peer.open(&Request::upgrade(target).bearer(&self.token(subject)));
        let first = peer.json();
        assert_eq!(first["type"], "connection_established", "{first}");
        peer
    }

    /// The metrics.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let request = Request::plain("GET", "/metrics").field("Connection", "close");
        Peer::connect(self.admin).ask(&request).body
    }

    /// The figure that stands in one line of the metrics: its name with its labels.
    #[track_caller]
    pub fn figure(&self, name: &str) -> u64 {
        let metrics = self.metrics();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let figure = line.unwrap_or_else(|| panic!("there is no {name} in\n{metrics}"));
        figure.parse().unwrap_or_else(|error| panic!("{name} {figure}: {error}"))
    }

    /// Runs another command of the same binary on this server's data, with `input` on its standard input.
    #[track_caller]
    pub fn command(&self, arguments: &[&str], input: &str) -> (i32, String) {
        let mut child = Command::new(&self.binary)
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data_dir())
            .arg("--config")
            .arg(self.config())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        // A command that needs no input may be gone already.
        let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("the command ends");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    /// Stops the server as an operator does, and starts another one on what it left behind.
    #[must_use]
    #[track_caller]
    pub fn restart(self) -> Self {
        self.restart_at(ANYWHERE)
    }

    /// The same, with the gateway at that address: its own, for clients that come back by themselves.
    #[must_use]
    #[track_caller]
    pub fn restart_at(self, gateway: SocketAddr) -> Self {
        let (binary, folder) = (self.binary.clone(), Arc::clone(&self.folder));
        let (data, tokens) = (self.data.clone(), self.tokens.clone());
        drop(self);
        Self::launch(binary, folder, data, tokens, gateway)
    }

    /// Ends the process as a crash does (`kill -9`), and starts another one on what it left behind.
    #[must_use]
    #[track_caller]
    pub fn crash(self) -> Self {
        self.kill();
        self.running().wait();
        self.restart()
    }

    /// Ends the process as a crash does.
    pub fn kill(&self) {
        let _ = kill_process(self.pid, Signal::KILL);
    }

    /// Asks the server to stop.
    pub fn terminate(&self) {
        // One that is gone needs no asking.
        let _ = kill_process(self.pid, Signal::TERM);
    }

    /// Waits for the server's end, and gives its exit code; none where a signal ended it.
    #[track_caller]
    pub fn exit_code(&self) -> Option<i32> {
        // Its log ends with the process, and a process that hangs would be waited for without end.
        self.log.whole();
        self.running().wait().and_then(|status| status.code())
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn wait(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.wait().ok();
        }
        self.status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.running().status.is_some() {
            return;
        }
        // Asked first, so that it stops the way it always does. What does not listen is killed.
        self.terminate();
        if !self.log.ends_within(PATIENCE / 10) {
            let _ = self.running().child.kill();
        }
        self.running().wait();
    }
}

fn write_private(path: &Path, text: &str) {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.expect("a file can be written");
}

const KID: &str = "test";

/// The shared secret of every server here: for tests alone, long and mixed enough for every environment.
pub const SECRET: &str = "Qm7-tR2x_Wz9KpL4vYc8NhD3sFgJ6bTe1UaXo5Ei0rM";

/// A free port of this machine; the address of a listener until it is known.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
