//! A whole gateway on real sockets, for the tests of this crate: the smallest agent, one key, no auth service.

use std::{net::SocketAddr, sync::Arc};

use portcullis_agent::{Agent, Answer, Failure, RunContext, RunFuture, Task};
use portcullis_event::AgentId;
use portcullis_handshake::{ClientRequest, encode_key};
use portcullis_log::{Limits, Memory};
use portcullis_router::{Agents, Alone, Homes};
use portcullis_test::runtime_clock;
use portcullis_token::{Authority, Issuer, KeySet, Policy, Secret, Signer, Verifier};
use portcullis_units::Clock;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Handle, Listeners, Options, ProbeAccount, Service, Setup, accept, gate::Gate, line::Line, routes::Plain,
    service,
};

/// The key of the dashboard.
pub(crate) const KEY: &str = "a key for the operator of this test";

/// A running gateway; it ends when it is dropped.
pub(crate) struct Running {
    pub(crate) gateway: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) signer: Signer,
    pub(crate) handle: Handle,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Has the server stop, and waits until it has.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts a gateway whose agent answers at once, or fails with `fails`.
pub(crate) fn start(
    change: impl FnOnce(&mut Options),
    probe: Option<&dyn Fn(&Signer) -> ProbeAccount>,
) -> Running {
    let signer = Signer::generate_es256().unwrap();
    let setup = setup(verifier(&signer));
    launch(change, setup, signer, probe)
}

/// Starts one that has its tokens verified by an authority, which is made of a verifier of the signer's tokens.
pub(crate) fn start_with<A: Authority>(
    change: impl FnOnce(&mut Options),
    authority: impl FnOnce(Verifier) -> A,
) -> Running {
    let signer = Signer::generate_es256().unwrap();
    let setup = setup(authority(verifier(&signer)));
    launch(change, setup, signer, None)
}

/// Starts one that asks where users' worlds are.
pub(crate) fn start_homed(change: impl FnOnce(&mut Options), homes: Arc<dyn Homes>) -> Running {
    let signer = Signer::generate_es256().unwrap();
    let setup = Setup { homes, ..setup(verifier(&signer)) };
    launch(change, setup, signer, None)
}

fn launch(
    change: impl FnOnce(&mut Options),
    setup: Setup,
    signer: Signer,
    probe: Option<&dyn Fn(&Signer) -> ProbeAccount>,
) -> Running {
    let mut options = Options::default();
    options.gateway.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    options.gateway.admin_listen = SocketAddr::from(([127, 0, 0, 1], 0));
    change(&mut options);
    let listeners = Listeners::bind(&options).unwrap();
    let (gateway, admin) = (listeners.gateway(), listeners.admin());
    let mut service =
        Service::new(options, setup, listeners).unwrap().with_operator(&Secret::from(KEY)).unwrap();
    if let Some(account) = probe {
        service = service.with_probe(account(&signer), AgentId::new("doctor").unwrap());
    }
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let handle = service.handle();
    tasks.spawn(service.run(stop.clone()));
    Running { gateway, admin, signer, handle, stop, tasks }
}

/// A gateway without listeners, and how to bring it a connection.
pub(crate) struct Still {
    pub(crate) gate: Arc<Gate>,
    pub(crate) signer: Signer,
}

impl Still {
    pub(crate) fn new(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::default();
        change(&mut options);
        let signer = Signer::generate_es256().unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
        let gate = service::gate(options, setup(verifier(&signer)), listen).unwrap();
        Self { gate: Arc::new(gate), signer }
    }

    /// Serves a line to its end.
    pub(crate) fn serve<L: Line>(&self, line: L) -> impl Future<Output = ()> + use<L> {
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        let permit = self.gate.door.enter(peer.ip()).unwrap();
        let (gate, plain) = (Arc::clone(&self.gate), Plain::new(Arc::clone(&self.gate)));
        let tasks = TaskTracker::new();
        async move {
            accept::serve(gate, plain, tasks.clone(), line, peer, permit).await;
            tasks.close();
            tasks.wait().await;
        }
    }
}

fn verifier(signer: &Signer) -> Verifier {
    let mut keys = KeySet::new();
    keys.add_signer(signer).unwrap();
    Verifier::new([Issuer::unnamed(keys)], Policy::default(), 10)
}

fn setup(authority: impl Authority) -> Setup {
    Setup {
        authority: Arc::new(authority),
        agents: Agents::new(|| Arc::new(Parrot)),
        log: Arc::new(Memory::new(Limits {
            events: 1_000,
            bytes: 1 << 20,
            threads: 256,
            owner_bytes: u64::MAX,
            all_bytes: u64::MAX,
        })),
        homes: Arc::new(Alone),
        redact: None,
        auth_url: None,
        own_refusals: crate::OwnRefusals::default(),
        clock: runtime_clock(Clock::system().unix_seconds()),
    }
}

/// Repeats the question, with no other event.
struct Parrot;

impl Agent for Parrot {
    fn id(&self) -> &'static str {
        "doctor"
    }

    fn kind(&self) -> &'static str {
        "test"
    }

    fn run(&self, task: Task, _: RunContext) -> RunFuture<'_> {
        Box::pin(async move {
            Ok::<_, Failure>(Answer { final_response: task.question().into_owned(), usage: None })
        })
    }
}

impl Running {
    /// A token that this gateway takes.
    pub(crate) fn token(&self) -> String {
        mint(&self.signer)
    }

    /// Asks for an upgrade with these subprotocols; gives the whole answer.
    pub(crate) async fn upgrade(&self, target: &str, protocols: &[&str], fields: &[(&str, &str)]) -> String {
        let (host, key) = (self.gateway.to_string(), encode_key(&[7; 16]));
        let mut request = Vec::new();
        let client = ClientRequest { protocols, fields, ..ClientRequest::new(target, &host, &key) };
        client.write(&mut request).unwrap();
        exchange(self.gateway, &request, true).await
    }

    /// Asks the admin listener; `fields` are whole lines beside `Host`, which they may replace.
    pub(crate) async fn ask(&self, method: &str, path: &str, fields: &[&str], body: &str) -> Reply {
        Self::request(self.admin, method, path, fields, body).await
    }

    /// Asks a plain route of the gateway.
    pub(crate) async fn ask_gateway(&self, method: &str, path: &str, fields: &[&str], body: &str) -> Reply {
        Self::request(self.gateway, method, path, fields, body).await
    }

    /// Writes a request as it stands, and reads the answer to its end.
    pub(crate) async fn exchange(&self, request: &str) -> Reply {
        Reply(exchange(self.gateway, request.as_bytes(), false).await)
    }

    async fn request(address: SocketAddr, method: &str, path: &str, fields: &[&str], body: &str) -> Reply {
        let host = format!("Host: {address}");
        let host = if fields.iter().any(|field| field.starts_with("Host:")) { "" } else { &host };
        let lines = [host].into_iter().chain(fields.iter().copied()).filter(|line| !line.is_empty());
        let lines = lines.collect::<Vec<_>>().join("\r\n");
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{lines}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        Reply(exchange(address, request.as_bytes(), false).await)
    }

    /// Logs in, and gives the cookie as a request carries it.
    pub(crate) async fn log_in(&self) -> String {
        let body = json!({ "key": KEY }).to_string();
        let reply = self.ask("POST", "/admin/login", &["Content-Type: application/json"], &body).await;
        let cookie = reply.field("set-cookie").expect("the login sets a cookie");
        format!("Cookie: {}", cookie.split(';').next().unwrap())
    }
}

/// A token of that signer.
pub(crate) fn mint(signer: &Signer) -> String {
    mint_for(signer, "ada")
}

pub(crate) fn mint_for(signer: &Signer, subject: &str) -> String {
    let claims = json!({ "sub": subject, "exp": Clock::system().unix_seconds() + 600 });
    signer.sign(claims.as_object().unwrap())
}

/// An HTTP answer.
pub(crate) struct Reply(pub(crate) String);

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.0.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next()?;
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(crate) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap_or_else(|error| panic!("{error} in {}", self.0))
    }
}

/// Writes a request and reads the answer: to its end, or to the end of its head where it switches protocols.
async fn exchange(address: SocketAddr, request: &[u8], may_switch: bool) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut read = Vec::new();
    while stream.read_buf(&mut read).await.unwrap() > 0 {
        if may_switch && read.starts_with(b"HTTP/1.1 101") {
            break;
        }
    }
    String::from_utf8(read).unwrap()
}
