//! The auth service from outside: real sockets on port 0, a hand-moved clock, cheap password hashes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod attack;
mod gate;
mod login;
mod refresh;
mod server;

use std::{net::SocketAddr, num::NonZeroU32, path::Path, time::Duration};

use portcullis_auth::{Accounts, Handle, Options, PasswordOptions, Service, Setup, User, accounts, bind};
use portcullis_token::{Identity, Issuer, KeySet, Policy, Verifier};
use portcullis_units::{ByteSize, Clock, Hand};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const NOW: u64 = 1_700_000_000;
const PAGE: &str = "http://127.0.0.1:8000";
const PASSWORD: &str = "correct horse battery";

/// A running service with one account, `ada`.
struct Server {
    address: SocketAddr,
    handle: Handle,
    clock: Hand,
    ada: User,
    drain: CancellationToken,
    done: JoinHandle<()>,
    folder: TempDir,
}

fn options() -> Options {
    Options {
        passwords: PasswordOptions {
            memory: ByteSize::from_kib(8),
            passes: NonZeroU32::MIN,
            ..PasswordOptions::default()
        },
        ..Options::default()
    }
}

fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// What another process sees of the same data directory.
fn other_process(folder: &Path) -> Accounts {
    Accounts::open_with(accounts::file(folder), &options().passwords, Clock::system()).unwrap()
}

impl Server {
    async fn start() -> Self {
        Self::with(options(), |_| {}).await
    }

    async fn with(options: Options, change: impl FnOnce(&mut Setup)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(NOW);
        let mut setup = Setup { origins: vec![PAGE.into()], clock, ..Setup::new(folder.path()) };
        change(&mut setup);
        let service = Service::new(options, setup).unwrap();
        let ada = service.handle().accounts().add("Ada", PASSWORD).unwrap();
        Self::run(service, hand, ada, folder).await
    }

    async fn run(service: Service, clock: Hand, ada: User, folder: TempDir) -> Self {
        let handle = service.handle();
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let drain = CancellationToken::new();
        let stop = drain.clone();
        let done = TaskTracker::new().spawn(async move { service.run(listener, stop).await.unwrap() });
        Self { address, handle, clock, ada, drain, done, folder }
    }

    /// Stops it and starts another on the same data directory.
    async fn restart(self) -> Self {
        self.drain.cancel();
        self.done.await.unwrap();
        drop(self.handle);
        let (clock, hand) = Clock::manual(NOW);
        let setup = Setup { origins: vec![PAGE.into()], clock, ..Setup::new(self.folder.path()) };
        Self::run(Service::new(options(), setup).unwrap(), hand, self.ada, self.folder).await
    }

    /// Sends bytes as they are and reads until the server closes.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer and close before it has read all.
        let _ = stream.write_all(bytes).await;
        read_to_end(&mut stream).await
    }

    async fn send(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        for (name, value) in fields {
            request.extend([name, ": ", value, "\r\n"]);
        }
        if !body.is_empty() {
            request.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        request.push_str("\r\n");
        request.push_str(body);
        Answer::parse(&self.raw(request.as_bytes()).await)
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let fields = [("Content-Type", "application/json"), ("Origin", PAGE)];
        self.send("POST", path, &fields, &body.to_string()).await
    }

    async fn login(&self, name: &str, password: &str) -> Answer {
        self.post("/auth/login", &json!({ "username": name, "password": password })).await
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.post("/auth/refresh", &json!({ "refresh_token": token })).await
    }

    /// Logs ada in and gives her refresh token.
    async fn refresh_token(&self) -> String {
        self.login("ada", PASSWORD).await.granted().1
    }

    /// Verifies an access token as a gateway would: with the published keys alone.
    async fn verify(&self, token: &str) -> Identity {
        let published = self.send("GET", "/.well-known/jwks.json", &[], "").await;
        let mut keys = KeySet::new();
        keys.add_jwks(published.text.as_bytes()).unwrap();
        verifier(keys).verify(token, NOW).unwrap()
    }
}

fn verifier(keys: KeySet) -> Verifier {
    let issuer = Issuer {
        audiences: vec!["portcullis".into()],
        required_claims: ["iat", "nbf", "jti", "sid", "name"].map(Into::into).to_vec(),
        required_scopes: vec!["chat".into()],
        ..Issuer::named("portcullis", keys)
    };
    let policy = Policy { types: vec!["at+jwt".into()], require_type: true, ..Policy::default() };
    Verifier::new([issuer], policy, 0)
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is the server's right where it did not read all.
    let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    let _ = read.expect("an answer within 20 s");
    String::from_utf8(answer).unwrap()
}

/// A response taken apart.
#[derive(Debug)]
struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    text: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer but {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let fields = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self { status, fields, text: body.to_owned() }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON but {:?}", self.text))
    }

    /// The reason of a refusal, after a look at its form.
    fn reason(&self) -> String {
        let problem = self.json();
        assert_eq!(self.field("content-type"), Some("application/problem+json"));
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"].as_str(), self.field("x-request-id"));
        assert_eq!(self.field("cache-control"), Some("no-store"));
        assert_eq!(self.status == 401, self.field("www-authenticate").is_some());
        assert_eq!(matches!(self.status, 429 | 503), self.field("retry-after").is_some());
        problem["reason"].as_str().unwrap().to_owned()
    }

    fn refused(&self) -> (u16, String) {
        (self.status, self.reason())
    }

    /// The access and the refresh token of a login.
    fn granted(&self) -> (String, String) {
        assert_eq!(self.status, 200, "{}", self.text);
        let text = |name: &str| self.json()[name].as_str().unwrap().to_owned();
        (text("access_token"), text("refresh_token"))
    }
}
