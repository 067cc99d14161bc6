//! The operator's side, on a listener of its own: `/metrics` and a health check for machines, without a login; the
//! dashboard for people, behind one.
//!
//! The listener is on loopback by default. That keeps strangers away and not hostile pages: a page in the operator's
//! browser can send requests here, under a name of its own that it points at loopback if need be. So the dashboard
//! answers only under names that are its own, takes what changes something only from its own origin, and its cookie
//! goes along with requests of its own site alone. Whoever reaches it can hold a few connections, each for one request and
//! a short time, so that neither the process' descriptors nor its end depend on them.

mod context;
mod guard;
mod login;
mod middleware;
mod page;
mod sessions;
mod snapshot;

#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::header,
    middleware::from_fn_with_state,
    response::IntoResponse,
    routing::{get, post},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use context::Admin;

use crate::{
    gate::Gate,
    http::{self, HeadBounds},
};

/// Serves until `stop` fires. Without an `admin` there is no dashboard.
pub(crate) async fn serve(
    gate: Arc<Gate>,
    admin: Option<Arc<Admin>>,
    listener: TcpListener,
    stop: CancellationToken,
) {
    let head = HeadBounds { time: gate.options.handshake.timeout.get(), bytes: HEAD };
    let mut routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(|| async { "ok\n" }))
        .with_state(gate);
    if let Some(admin) = admin {
        routes = routes.merge(dashboard(admin));
    }
    let (connections, room, over) =
        (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS)), CancellationToken::new());
    while let Some((place, accepted)) = stop.run_until_cancelled(next(&listener, &room)).await {
        let (line, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!(%error, "a connection to the admin listener could not be accepted");
                // Out of file descriptors, most likely: wait for some to come back instead of spinning.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (routes, over) = (routes.clone(), over.clone());
        connections.spawn(async move {
            over.run_until_cancelled(http::serve_one(line, &routes, ConnectInfo(peer), head)).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if timeout(GRACE, connections.wait()).await.is_err() {
        over.cancel();
        connections.wait().await;
    }
}

/// The next connection, once there is room for it.
async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (OwnedSemaphorePermit, io::Result<(TcpStream, SocketAddr)>) {
    let place = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
    (place, listener.accept().await)
}

/// How long requests that are going on may take when the server stops.
const GRACE: Duration = Duration::from_secs(1);

/// The dashboard's routes, from the inside out: a login, then the guard around everything.
fn dashboard(admin: Arc<Admin>) -> Router {
    let behind_login = Router::new()
        .route("/admin/logout", post(login::logout))
        .route("/admin/snapshot", get(snapshot::snapshot))
        .route("/admin/refusals", get(snapshot::refusals))
        .route_layer(from_fn_with_state(Arc::clone(&admin), middleware::logged_in));
    let open = Router::new()
        .route("/", get(page::root))
        .route("/dashboard", get(page::dashboard))
        .route("/assets/{name}", get(page::asset))
        .route("/admin/session", get(login::session))
        .route("/admin/login", post(login::login));
    open.merge(behind_login)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn_with_state(Arc::clone(&admin), middleware::guarded))
        .with_state(admin)
}

/// Connections at a time. One more waits in the system's queue until another has ended.
const CONNECTIONS: usize = 128;

/// The longest head.
const HEAD: usize = 32 * 1024;

/// The longest body is a login's.
const BODY: usize = 4 * 1024;

async fn metrics(State(gate): State<Arc<Gate>>) -> impl IntoResponse {
    let gauges = gate.gauges();
    let metrics = &gate.figures.metrics;
    let figure = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    metrics.queue_bytes.set(figure(gauges.queue_bytes));
    metrics.queue_bytes_largest.set(figure(gauges.queue_bytes_largest));
    metrics.runs_active.set(i64::try_from(gauges.runs_going + gauges.runs_waiting).unwrap_or(i64::MAX));
    metrics.connections_open.set(figure(gauges.open));
    metrics.uptime.set(gate.node.uptime().as_secs_f64());
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")], metrics.render())
}
