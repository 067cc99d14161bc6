//! One plain HTTP request on a line.

use std::time::Duration;

use axum::{Router, body::Body};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tower::ServiceExt as _;

use crate::line::Line;

/// Time for one request, its body and its answer included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What of a request may wait unread beside its head.
const AHEAD: usize = 8 * 1024;

/// How long and how large a head may be.
#[derive(Clone, Copy)]
pub(crate) struct HeadBounds {
    pub(crate) time: Duration,
    pub(crate) bytes: usize,
}

/// Serves one request from `line` by `routes`, for as long as it may take, and ends the connection. `known` is what the routes
/// shall know of the connection.
///
/// What comes behind the request is never read, so a refused one cannot carry a second past a proxy (RFC 9112 §11.2).
pub(crate) async fn serve_one<K>(line: impl Line, routes: &Router, known: K, head: HeadBounds)
where
    K: Clone + Send + Sync + 'static,
{
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(known.clone());
        routes.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head.time)
        .max_buf_size(head.bytes + AHEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(line), service);
    // A peer that is too slow or gone has nobody to be told.
    let _ = tokio::time::timeout(TIMEOUT, connection).await;
}

/// Reads a body of at most `most` bytes into one piece: kept as it came, a chunk of one byte would hold a whole buffer. None
/// for one that is longer, takes longer than `time`, or was not sent to its end.
pub(crate) async fn read_body(mut body: Body, most: usize, time: Duration) -> Option<Vec<u8>> {
    let read = async {
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            // What is no data is a trailer, which says nothing here.
            let Ok(piece) = frame.ok()?.into_data() else { continue };
            if piece.len() > most - whole.len() {
                return None;
            }
            whole.extend_from_slice(&piece);
        }
        Some(whole)
    };
    tokio::time::timeout(time, read).await.ok()?
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Poll},
    };

    use bytes::Bytes;
    use hyper::body::{Body as _, Frame};

    use super::*;

    /// A piece of a body that counts how many of its kind there are.
    struct Piece(Arc<AtomicUsize>);

    impl AsRef<[u8]> for Piece {
        fn as_ref(&self) -> &[u8] {
            b"x"
        }
    }

    impl Drop for Piece {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A body in pieces of one byte, none of which may be kept.
    struct Pieces {
        left: usize,
        there: Arc<AtomicUsize>,
    }

    impl hyper::body::Body for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            assert_eq!(self.there.load(Ordering::Relaxed), 0, "the piece before is still held");
            let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
            self.left = left;
            self.there.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(Piece(Arc::clone(&self.there)))))))
        }
    }

    fn pieces(left: usize) -> Body {
        Body::new(Pieces { left, there: Arc::default() })
    }

    #[tokio::test]
    async fn a_body_is_kept_in_one_piece_up_to_its_bound() {
        let time = Duration::from_mins(1);
        assert_eq!(read_body(pieces(1_000), 1_000, time).await.map(|body| body.len()), Some(1_000));
        assert_eq!(read_body(pieces(1_001), 1_000, time).await, None);
        assert_eq!(read_body(Body::empty(), 0, time).await, Some(Vec::new()));
        assert!(!pieces(1).is_end_stream());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        struct Never;
        impl hyper::body::Body for Never {
            type Data = Bytes;
            type Error = std::convert::Infallible;

            fn poll_frame(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
                Poll::Pending
            }
        }
        assert_eq!(read_body(Body::new(Never), 10, Duration::from_secs(10)).await, None);
    }
}
