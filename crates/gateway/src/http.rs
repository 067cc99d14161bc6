//! One plain HTTP request on a line.

use std::time::Duration;

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tower::ServiceExt;

use crate::line::Line;

/// Time for one request, its body and its answer included.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Serves one request from `line` by `routes`, for as long as it may take, and ends the connection. `known` is what the routes
/// shall know of the connection, `head` how long its head may take.
///
/// What comes behind the request is never read, so a refused one cannot carry a second past a proxy (RFC 9112 §11.2).
pub(crate) async fn serve_one<K>(line: impl Line, routes: &Router, known: K, head: Duration)
where
    K: Clone + Send + Sync + 'static,
{
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(known.clone());
        routes.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .keep_alive(false)
        .serve_connection(TokioIo::new(line), service);
    // A peer that is too slow or gone has nobody to be told.
    let _ = tokio::time::timeout(TIMEOUT, connection).await;
}
