//! The listener: connections in bounded numbers, each with deadlines, and an orderly end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{
    Error,
    app::App,
    http::{self, Connection},
    seats::Seats,
};

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
    let options = &app.options.server;
    let times = Times { header: options.header_timeout.get(), drain: options.drain_timeout.get() };
    let seats = Seats::new(options.max_connections, options.max_connections_per_address);
    let routes = http::routes(Arc::clone(&app));
    let tasks = TaskTracker::new();

    while let Some((stream, peer)) = next(&listener, &drain).await {
        let Some(seat) = seats.take(peer.ip(), app.proxies.trusts(peer.ip())) else {
            tracing::debug!(address = %peer.ip(), "a connection found no seat");
            continue;
        };
        let connection = Connection { peer: peer.ip(), seat: Arc::new(seat) };
        tasks.spawn(serve(stream, connection, routes.clone(), times, drain.clone()));
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

/// The next connection; none once draining.
async fn next(listener: &TcpListener, drain: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    let accept = async {
        let mut told = false;
        loop {
            match listener.accept().await {
                Ok(connection) => return connection,
                Err(error) => {
                    // The peer left already, or the process has no file descriptor left: neither ends the service.
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(%error, "cannot accept connections");
                    }
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

async fn serve(
    stream: TcpStream,
    connection: Connection,
    routes: Router,
    times: Times,
    drain: CancellationToken,
) {
    let Connection { peer, seat } = connection.clone();
    // Answers are one small write each; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
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
        () = seat.cut() => {
            tracing::debug!(address = %peer, "a connection made room for another one");
            return;
        }
        _ = retired => {
            connection.as_mut().graceful_shutdown();
            let Ok(ended) = timeout(times.drain, connection).await else {
                tracing::debug!(address = %peer, "cut a connection that did not end in time");
                return;
            };
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!(address = %peer, %error, "a connection ended early");
    }
}
