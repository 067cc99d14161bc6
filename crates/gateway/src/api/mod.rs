//! Plain HTTP for a user with a token: the own threads, and messages where WebSockets are blocked.
//!
//! Every request is authenticated by the core that decides on upgrades, from its `Authorization` field alone.

mod messages;
mod threads;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use portcullis_event::Mode;
use portcullis_handshake::{Caller, Head};
use portcullis_reason::{Reason, Rejection};
use portcullis_router::Seat;

use crate::{
    admission::Permit,
    answer::{Asker, foreign, head, refuse},
    door::Route,
    gate::Gate,
};

pub(crate) fn routes() -> Router<Arc<Gate>> {
    Router::new()
        .route("/api/v1/threads", get(threads::list).options(allow))
        .route("/api/v1/threads/{id}", delete(threads::forget).options(allow))
        .route("/api/v1/threads/{id}/events", get(threads::events).options(allow))
        .route("/messages", post(messages::post).options(allow))
        // Its GET never comes here: see `sse`.
        .route("/sse", axum::routing::options(allow))
}

/// Who asks, and in which mode: steps 5 to 9 of a handshake, for a request that is none.
///
/// # Errors
/// The reasons of a handshake; `UNKNOWN_MODE` for one whose connection is the world, or that speaks another format.
pub(crate) async fn authenticate(
    gate: &Gate,
    head: &Head<'_>,
    permit: &Permit,
) -> Result<(Seat, Mode), Rejection> {
    seat(gate, head, gate.door.greet(head, permit)?).await
}

async fn seat<'b>(gate: &Gate, head: &'b Head<'b>, caller: Caller<'b>) -> Result<(Seat, Mode), Rejection> {
    let offer = gate.door.claim(caller, mode_of(head.query()), &[])?;
    let Route::Mode(mode @ (Mode::Main | Mode::Factory)) = offer.route() else {
        return Err(Rejection::new(Reason::UnknownMode, "a mode that needs a WebSocket")
            .with_hint("only the modes main and factory can be used without a WebSocket"));
    };
    Ok((gate.door.seat(offer.token(), &gate.figures.metrics).await?, mode))
}

/// The same for a request to a plain route, which is one of the messages that the user may send.
async fn authenticate_asker(gate: &Gate, request: &Parts, asker: &Asker) -> Result<(Seat, Mode), Rejection> {
    let (seat, mode) = authenticate(gate, &head(&gate.door, request)?, &asker.permit).await?;
    charge(gate, &seat)?;
    Ok((seat, mode))
}

/// The same for a request about what is recorded.
async fn authenticate_keeper(gate: &Gate, request: &Parts, asker: &Asker) -> Result<Seat, Rejection> {
    let head = head(&gate.door, request)?;
    let caller = gate.door.greet_keeper(&head, &asker.permit)?;
    let (seat, _) = seat(gate, &head, caller).await?;
    charge(gate, &seat)?;
    Ok(seat)
}

fn charge(gate: &Gate, seat: &Seat) -> Result<(), Rejection> {
    let Some(rates) = &gate.rules.routed.rates else { return Ok(()) };
    seat.share().messages.take(&rates.messages, gate.clock.instant()).map_err(|wait| {
        Rejection::new(Reason::RateLimited, "a user's requests come too fast")
            .with_hint("messages and requests come too fast")
            .with_retry_after(wait.as_secs())
    })
}

/// The mode that a query names.
pub(crate) fn mode_of(query: &str) -> &str {
    parameter(query, "mode").unwrap_or(Mode::Main.as_str())
}

/// The first parameter of that name, as it stands in the query.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Answers what a browser asks before a page of another origin may ask.
async fn allow(State(gate): State<Arc<Gate>>, headers: HeaderMap) -> Response {
    let methods = (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS");
    let allowed = (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, Last-Event-ID");
    let age = (header::ACCESS_CONTROL_MAX_AGE, "600");
    readable(&gate, &headers, (StatusCode::NO_CONTENT, [methods, allowed, age]).into_response())
}

/// What is told to who asked: the answer, or why there is none.
fn told(gate: &Gate, headers: &HeaderMap, answer: Result<Response, Rejection>) -> Response {
    readable(gate, headers, answer.unwrap_or_else(|rejection| refuse(&gate.node, &rejection)))
}

/// Lets a page of an allowed origin read the answer.
pub(crate) fn readable(gate: &Gate, headers: &HeaderMap, mut response: Response) -> Response {
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(origin) = headers.get(header::ORIGIN).filter(|_| foreign(&gate.door, headers).is_none()) {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    response
}
