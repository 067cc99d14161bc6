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
    Router,
    extract::{DefaultBodyLimit, State},
    http::Method,
    response::Response,
};
use portcullis_reason::{Reason, Rejection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    admission::Permit,
    answer::{Asker, refuse},
    api, docs,
    gate::Gate,
    http,
    line::Line,
    page, plain,
};

/// The longest body: a preflight with the longest list of protocols.
const BODY: usize = 64 * 1024;

/// Serves plain requests. Clones are cheap.
#[derive(Clone)]
pub(crate) struct Plain {
    routes: Router,
}

impl Plain {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        let routes = Router::new()
            .merge(plain::routes())
            .merge(docs::routes())
            .merge(api::routes())
            .fallback(page::serve)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(gate);
        Self { routes }
    }

    /// Serves the one request whose head is at the start of `read`.
    pub(crate) async fn serve(&self, line: impl Line, read: Vec<u8>, peer: SocketAddr, permit: Arc<Permit>) {
        let line = Replay { read, at: 0, line };
        // The head is there.
        http::serve_one(line, &self.routes, Asker { permit, peer }, http::TIMEOUT).await;
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

async fn method_not_allowed(State(gate): State<Arc<Gate>>, method: Method) -> Response {
    let detail = format!("{method} on a route that does not take it");
    refuse(&gate.node, &Rejection::new(Reason::MethodNotAllowed, detail))
}
