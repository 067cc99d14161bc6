//! The listener: connections in bounded numbers, each with deadlines, and an orderly end.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{Error, app::App, http, limiter::AddressKey};

/// The most bytes of a request's head; hyper answers 431 over it.
const MAX_HEAD: usize = 16 * 1024;
/// The most header fields of a request; hyper answers 431 over it.
const MAX_FIELDS: usize = 64;
/// How long a connection lasts; the request under way then is its last.
const LIFETIME: Duration = Duration::from_mins(2);
/// How long to wait when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on `address`; port 0 takes any free port.
///
/// # Errors
/// [`Error::Listen`] names the address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// Serves until `drain`, then waits for the connections to end; each does within the drain timeout.
pub(crate) async fn run(app: Arc<App>, listener: TcpListener, drain: CancellationToken) {
    let options = app.options.server.clone();
    let routes = http::routes(app);
    let slots = Arc::new(Semaphore::new(options.max_connections.get() as usize));
    let addresses =
        Arc::new(Addresses { open: Mutex::default(), most: options.max_connections_per_address.get() });
    let tasks = TaskTracker::new();
    let times = Times { header: options.header_timeout.get(), drain: options.drain_timeout.get() };

    while let Some((stream, peer, slot)) = next(&listener, &slots, &drain).await {
        let Some(place) = addresses.enter(peer.ip()) else {
            tracing::debug!(address = %peer.ip(), "too many connections from one address");
            continue;
        };
        let (routes, drain) = (routes.clone(), drain.clone());
        tasks.spawn(async move {
            serve(stream, peer, routes, times, drain).await;
            drop((slot, place));
        });
    }

    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// The deadlines of a connection.
#[derive(Clone, Copy)]
struct Times {
    header: Duration,
    drain: Duration,
}

/// The next connection with its slot; none once draining. Over the cap, connections wait in the kernel's queue.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    drain: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let accept = async {
        let slot = Arc::clone(slots).acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, slot),
                Err(error) => {
                    // The peer left already, or the process has no file descriptor left: neither ends the service.
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = drain.cancelled() => None,
        connection = accept => Some(connection),
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, routes: Router, times: Times, drain: CancellationToken) {
    // Answers are one small write each; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        routes.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(times.header)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A peer that sends requests and reads no answer would otherwise keep its place for ever.
    let retired = timeout(LIFETIME, drain.cancelled());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = retired => {
            connection.as_mut().graceful_shutdown();
            let Ok(ended) = timeout(times.drain, connection).await else {
                tracing::debug!(address = %peer.ip(), "cut a connection that did not end in time");
                return;
            };
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!(address = %peer.ip(), %error, "a connection ended early");
    }
}

/// How many connections each address has open.
struct Addresses {
    open: Mutex<HashMap<AddressKey, u32>>,
    most: u32,
}

impl Addresses {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let key = AddressKey::from(address);
        let mut open = self.open.lock();
        let count = open.entry(key).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { addresses: Arc::clone(self), key })
    }
}

struct Place {
    addresses: Arc<Addresses>,
    key: AddressKey,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock();
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}
