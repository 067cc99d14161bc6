//! `POST /messages`: what a client says where WebSockets are blocked. It hears events over `/sse`, or not at all.

use std::{collections::VecDeque, future::poll_fn, sync::Arc, task::Poll};

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use portcullis_event::{Command, Envelope, ServerMessage, message_id_of};
use portcullis_reason::{Reason, Rejection};
use portcullis_router::{Attachment, Outbox, Outgoing};
use tokio::time::{Duration, timeout};

use super::{authenticate_asker, told};
use crate::{answer::Asker, gate::Gate, http::read_body};

/// How long the record may take to acknowledge a message.
const PATIENCE: Duration = Duration::from_secs(15);

/// Room for the one answer, which quotes nothing of the message.
const ANSWER: usize = 16 * 1024;

pub(super) async fn post(
    State(gate): State<Arc<Gate>>,
    Extension(asker): Extension<Asker>,
    request: Parts,
    body: Body,
) -> Response {
    let answer = async {
        // Who it is comes before what they say: nothing of a stranger is read.
        let (seat, mode) = authenticate_asker(&gate, &request, &asker).await?;
        let most = gate.options.limits.message_bytes.as_usize();
        let time = gate.options.handshake.timeout.get();
        let body = read_body(body, most, time).await.ok_or_else(|| {
            Rejection::new(
                Reason::BadRequest,
                "a message that is too long, or was not sent to its end in time",
            )
            .with_hint(format!("a message has at most {most} bytes"))
        })?;
        let text = str::from_utf8(&body).map_err(|_| {
            Rejection::new(Reason::BadRequest, "a message that is not UTF-8")
                .with_hint("the body is one message as JSON, in UTF-8")
        })?;
        let outbox = Arc::new(Outbox::new(ANSWER));
        let attachment = seat.correspond(mode, mode.wire(), Arc::clone(&outbox));
        Ok(match act(&attachment, &outbox, text).await? {
            Some(answer) => answered(answer),
            None => StatusCode::ACCEPTED.into_response(),
        })
    };
    told(&gate, &request.headers, answer.await)
}

/// Acts on a message; gives the server's answer as its v1 text, where there is one.
async fn act(attachment: &Attachment, outbox: &Outbox, text: &str) -> Result<Option<Bytes>, Rejection> {
    let mut waits = false;
    match portcullis_event::decode(text) {
        Err(rejection) => attachment.refuse(&rejection, message_id_of(text)),
        Ok(message) => match message.command {
            Command::Resume(_) | Command::Reauthenticate(_) => {
                return Err(Rejection::new(Reason::BadRequest, "a command that is about a connection")
                    .with_hint("there is no connection here: resume by the stream's Last-Event-ID, and send a fresh token in Authorization"));
            }
            _ => {
                waits = matches!(message.command, Command::UserMessage(_));
                attachment.handle(message);
            }
        },
    }
    let mut frames = VecDeque::new();
    let next = poll_fn(|context| match outbox.poll_take(context, &mut frames) {
        // All other answers are there at once, and success has none.
        Poll::Pending if !waits => Poll::Ready(None),
        polled => polled.map(Some),
    });
    match timeout(PATIENCE, next).await {
        Ok(None) => Ok(None),
        Ok(Some(Outgoing::Frames { .. })) => {
            Ok(frames.front().map(|answer| portcullis_frame::payload_of(&answer.frame)))
        }
        Ok(Some(Outgoing::End(reason))) => Err(Rejection::new(reason, "the message was not recorded")),
        Ok(Some(Outgoing::Behind | Outgoing::Drain(_))) | Err(_) => {
            Err(Rejection::new(Reason::NotReady, "the record took too long"))
        }
    }
}

fn answered(text: Bytes) -> Response {
    let error = str::from_utf8(&text).ok().and_then(|text| match Envelope::parse(text).ok()?.message {
        ServerMessage::Error(error) => Some(error.reason),
        _ => None,
    });
    (error.map_or(StatusCode::OK, status), [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The status of a message that was not taken. On a WebSocket such a reason has none.
fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::MessageMalformed => StatusCode::BAD_REQUEST,
        Reason::UnknownAgent | Reason::UnknownRun => StatusCode::NOT_FOUND,
        Reason::TooManyRuns => StatusCode::TOO_MANY_REQUESTS,
        Reason::QuotaReached => StatusCode::FORBIDDEN,
        other => other
            .status()
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or(StatusCode::CONFLICT),
    }
}
