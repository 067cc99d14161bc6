//! The plain HTTP routes beside the WebSockets, put together, and how one request meets them.
//!
//! Each connection serves one request. What comes behind it is never read, so a refused request cannot carry a second
//! one past a proxy (RFC 9112 §11.2), and every upgrade meets the gate's own reading of its head.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::Method,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use portcullis_reason::{Reason, Rejection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    admission::Permit,
    answer::{Asker, refuse},
    api, docs,
    gate::Gate,
    http::{self, HeadBounds},
    line::Line,
    page, plain,
};

/// Serves plain requests. Clones are cheap.
#[derive(Clone)]
pub(crate) struct Plain {
    routes: Router,
    head: HeadBounds,
}

impl Plain {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        // The head was read already, by these bounds.
        let head =
            HeadBounds { time: gate.options.handshake.timeout.get(), bytes: gate.door.head_limits.bytes };
        let routes = Router::new()
            .merge(plain::routes())
            .merge(docs::routes())
            .merge(api::routes())
            .fallback(page::serve)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(DefaultBodyLimit::disable())
            .layer(from_fn_with_state(Arc::clone(&gate), admitted))
            .with_state(gate);
        Self { routes, head }
    }

    /// Serves the one request whose head is at the start of `read`.
    pub(crate) async fn serve(&self, line: impl Line, read: Vec<u8>, peer: SocketAddr, permit: Arc<Permit>) {
        let line = Replay { read, at: 0, line };
        http::serve_one(line, &self.routes, Asker { permit, peer }, self.head).await;
    }
}

/// A socket whose first bytes were read already.
struct Replay<L> {
    read: Vec<u8>,
    at: usize,
    line: L,
}

impl<L: Line> AsyncRead for Replay<L> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.read[self.at..];
        if rest.is_empty() {
            return Pin::new(&mut self.line).poll_read(context, buffer);
        }
        let size = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..size]);
        self.at += size;
        Poll::Ready(Ok(()))
    }
}

impl<L: Line> AsyncWrite for Replay<L> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.line).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.line).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.line.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(context)
    }
}

/// Lets a request through unless its address has too much open, or asks too often.
async fn admitted(
    State(gate): State<Arc<Gate>>,
    Extension(asker): Extension<Asker>,
    request: Request,
    next: Next,
) -> Response {
    // A machine in front asks this one, under an address that may be everybody's.
    let exempt = request.uri().path() == plain::HEALTH;
    match asker.permit.admit_plain(gate.clock.instant()) {
        Err(rejection) if !exempt => api::readable(&gate, request.headers(), refuse(&gate.node, &rejection)),
        _ => next.run(request).await,
    }
}

async fn method_not_allowed(State(gate): State<Arc<Gate>>, method: Method) -> Response {
    let detail = format!("{method} on a route that does not take it");
    refuse(&gate.node, &Rejection::new(Reason::MethodNotAllowed, detail))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::testing::{Reply, start};

    const HALF: &str = "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{";

    #[tokio::test]
    async fn a_preflight_is_judged_before_its_body() {
        let server = start(|_| {}, None);
        let request =
            format!("POST /ws/preflight HTTP/1.1\r\nHost: h\r\nOrigin: https://evil.example\r\n{HALF}");
        let told = server.exchange(&request).await;
        assert_eq!(told.json()["reason"], "ORIGIN_NOT_ALLOWED");
        let full = start(|options| options.limits.connections_per_address = 0, None);
        let request = format!("POST /ws/preflight HTTP/1.1\r\nHost: h\r\n{HALF}");
        assert_eq!(full.exchange(&request).await.json()["reason"], "TOO_MANY_CONNECTIONS");
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_refused() {
        let time = portcullis_units::Duration::from_secs(2);
        let server = start(|options| options.handshake.timeout = time, None);
        let told = server.exchange(&format!("POST /ws/preflight HTTP/1.1\r\nHost: h\r\n{HALF}")).await;
        assert_eq!((told.status(), told.json()["reason"].clone()), (400, Value::from("BAD_REQUEST")));
    }

    #[tokio::test]
    async fn plain_requests_are_capped_and_health_is_not() {
        let server = start(|options| options.limits.connections_per_address = 0, None);
        for path in ["/", "/ws/config", "/reasons/NO_TOKEN", "/docs/", "/api/v1/threads", "/nothing"] {
            let told: Reply = server.ask_gateway("GET", path, &[], "").await;
            assert_eq!(told.status(), 429, "{path}");
            assert_eq!(told.json()["reason"], "TOO_MANY_CONNECTIONS", "{path}");
        }
        assert_eq!(server.ask_gateway("GET", super::plain::HEALTH, &[], "").await.status(), 200);
    }
}
