//! A small server that does everything right, but for the one thing that it is told to do wrong.
//!
//! A defect has the id of the case that has to find it, so that no case can be without one. The right server is the
//! project's own handshake, token and frame code; defects bend the request before it gets there or the answer after it.

mod app;
mod door;
mod frames;
mod head;

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;
use portcullis_handshake::Policy;
use portcullis_token::{Algorithm, Issuer, KeySet, Secret, Verifier};
use portcullis_units::Clock;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
};

/// The secret of every bed.
pub(crate) const SECRET: &str = "nB4-wz81Kq_Vd0yTtR7cXe2MhUo9JpLa";
/// `iss` and `aud` of its tokens.
pub(crate) const NAME: &str = "bed";

/// A running server. It ends when it is dropped.
pub(crate) struct Bed {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What all connections share.
pub(crate) struct State {
    /// The case that has to find this server's defect; empty for the right one.
    defect: &'static str,
    policy: Policy<()>,
    verifier: Verifier,
    /// Takes the secret of a tutorial.
    careless: Verifier,
    /// Connections so far, refusals so far, handshakes under way.
    connections: AtomicUsize,
    refusals: AtomicUsize,
    under_way: AtomicUsize,
    /// It has seen more than it could stand.
    dead: AtomicUsize,
    users: Mutex<HashMap<u64, Member>>,
    threads: Mutex<HashMap<String, app::Thread>>,
}

/// A live connection, as others see it.
struct Member {
    user: String,
    send: mpsc::UnboundedSender<String>,
}

impl Bed {
    /// Starts one with that defect.
    pub(crate) fn start(defect: &'static str) -> Self {
        Self::with(State::new(defect, secret(SECRET)))
    }

    /// Starts the right one with other keys.
    pub(crate) fn with_keys(keys: KeySet) -> Self {
        Self::with(State::new("", keys))
    }

    fn with(state: State) -> Self {
        let (ready, address) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, Arc::new(state)) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address: address.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut tasks = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let _ = stream.set_nodelay(true);
        let number = state.connections.fetch_add(1, Ordering::Relaxed);
        tasks.spawn(connection(stream, Arc::clone(&state), number));
        while tasks.try_join_next().is_some() {}
    }
}

async fn connection(mut stream: TcpStream, state: Arc<State>, number: usize) {
    if state.dead.load(Ordering::Relaxed) > 0 {
        return;
    }
    if let Some((guest, rest)) = door::enter(&mut stream, &state, number).await {
        app::live(stream, &state, guest, rest, number as u64).await;
    }
}

impl State {
    fn new(defect: &'static str, keys: KeySet) -> Self {
        let policy = portcullis_token::Policy { leeway: 0, ..portcullis_token::Policy::default() };
        let issuer = |keys| Issuer { audiences: vec![NAME.to_owned()], ..Issuer::named(NAME, keys) };
        Self {
            defect,
            policy: Policy::builder().route("/ws", ()).build().unwrap(),
            verifier: Verifier::new([issuer(keys)], policy.clone(), 0),
            careless: Verifier::new([issuer(secret("changeme"))], policy, 0),
            connections: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            dead: AtomicUsize::new(0),
            users: Mutex::default(),
            threads: Mutex::default(),
        }
    }

    /// Whether this is what it does wrong.
    fn is(&self, case: &str) -> bool {
        self.defect == case
    }
}

/// A shared secret as the only key.
fn secret(text: &str) -> KeySet {
    let mut keys = KeySet::new().allow_short_secrets();
    keys.add_secret(None, &Secret::from(text), &[Algorithm::Hs256]).unwrap();
    keys
}

/// Seconds since 1970.
fn now() -> u64 {
    Clock::system().unix_seconds()
}

/// How long the right server waits for a head.
const HEAD: Duration = Duration::from_millis(1500);
