//! `/api/v1/threads`: what a user and the agents said, as far as it is kept.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use portcullis_event::{Envelope, ServerMessage, ThreadId, Timestamp};
use portcullis_log::{Page, Place, Stream, Summary};
use portcullis_reason::{Reason, Rejection};
use portcullis_router::Seat;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Duration, timeout};

use super::{authenticate_keeper, parameter, told};
use crate::{answer::Asker, gate::Gate};

/// Threads or events of one page: by default, and at most.
const PAGE: usize = 50;
const MOST: usize = 200;

/// Bytes of events of one page, as soon as which it ends, and of what is read at a time.
const PAGE_BYTES: usize = 1 << 20;
const PIECE: usize = 64 << 10;

/// Characters of an answer that are shown in a list.
const PREVIEW: usize = 120;

/// How long a deletion is waited for; runs that it ends have two seconds to end by themselves.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct ThreadPage {
    threads: Vec<Listed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    thread_id: ThreadId,
    epoch: String,
    last_seq: u64,
    updated_at: Timestamp,
    /// The type of the last event.
    last_event: &'static str,
    /// How the last answer begins, where the last event is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<String>,
}

#[derive(Serialize)]
struct EventPage<'a> {
    thread_id: &'a ThreadId,
    epoch: &'a str,
    /// The first event that is kept, and the last.
    first_seq: u64,
    last_seq: u64,
    events: Vec<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The threads, the one that moved last first.
pub(super) async fn list(
    State(gate): State<Arc<Gate>>,
    Extension(asker): Extension<Asker>,
    request: Parts,
) -> Response {
    let query = request.uri.query().unwrap_or_default();
    let answer = async {
        let seat = authenticate_keeper(&gate, &request, &asker).await?;
        let (after, limit) = (cursor(query, list_cursor)?, limit(query)?);
        let mut page = seat.threads(after, limit + 1).await?;
        let more = page.len() > limit;
        page.truncate(limit);
        let next_cursor = page.last().filter(|_| more).map(|last| list_cursor_at(&last.place));
        Ok(json(&ThreadPage { threads: page.iter().filter_map(listed).collect(), next_cursor }))
    };
    told(&gate, &request.headers, answer.await)
}

/// The events of a thread, oldest first.
pub(super) async fn events(
    State(gate): State<Arc<Gate>>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
    request: Parts,
) -> Response {
    let query = request.uri.query().unwrap_or_default();
    let answer = async {
        let seat = authenticate_keeper(&gate, &request, &asker).await?;
        let (after, limit) = (cursor(query, event_cursor)?, limit(query)?);
        let id = thread_id(&id)?;
        let stream = seat.events(&id, u64::MAX, 0).await?.stream;
        let first = behind(&stream, after)?;
        page(&seat, &id, first, limit).await
    };
    told(&gate, &request.headers, answer.await)
}

/// Deletes a thread: its events here and in the record, and what led to it. Runs that go on in it are cancelled.
pub(super) async fn forget(
    State(gate): State<Arc<Gate>>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
    request: Parts,
) -> Response {
    let answer = async {
        let seat = authenticate_keeper(&gate, &request, &asker).await?;
        let id = thread_id(&id)?;
        let gone = seat.forget(id).await?;
        match timeout(PATIENCE, gone).await {
            Ok(true) => Ok(StatusCode::NO_CONTENT.into_response()),
            Ok(false) => Err(Rejection::new(Reason::NotReady, "a thread cannot be taken out of the record")),
            // It goes once its last run has ended.
            Err(_) => Ok(StatusCode::ACCEPTED.into_response()),
        }
    };
    told(&gate, &request.headers, answer.await)
}

/// Behind which event a page begins.
fn behind(stream: &Stream, cursor: Option<(String, u64)>) -> Result<u64, Rejection> {
    match cursor {
        Some((other, _)) if other != stream.epoch.as_str() => {
            Err(Rejection::new(Reason::BadRequest, "a cursor of another epoch")
                .with_hint("the thread was begun anew since; ask without a cursor"))
        }
        // What was trimmed since is told by `first_seq`.
        Some((_, after)) => Ok(after.max(stream.first - 1)),
        None => Ok(stream.first - 1),
    }
}

/// At most `limit` events behind `after`, and about [`PAGE_BYTES`] of them.
async fn page(seat: &Seat, id: &ThreadId, after: u64, limit: usize) -> Result<Response, Rejection> {
    let (mut texts, mut bytes, mut last) = (Vec::new(), 0, after);
    let stream = loop {
        let Page { stream, events, .. } = seat.events(id, last, PIECE).await?;
        let end = events.is_empty();
        for text in events {
            if texts.len() == limit || bytes > PAGE_BYTES {
                break;
            }
            bytes += text.len();
            last += 1;
            texts.push(text);
        }
        if end || texts.len() == limit || bytes > PAGE_BYTES {
            break stream;
        }
    };
    let events: Vec<&RawValue> = texts.iter().filter_map(|text| serde_json::from_slice(text).ok()).collect();
    let next_cursor = (last < stream.tail).then(|| format!("{}:{last}", stream.epoch));
    let (epoch, first_seq, last_seq) = (stream.epoch.as_str(), stream.first, stream.tail);
    Ok(json(&EventPage { thread_id: id, epoch, first_seq, last_seq, events, next_cursor }))
}

fn listed(thread: &Summary) -> Option<Listed> {
    let event = Envelope::parse(str::from_utf8(&thread.last).ok()?).ok()?;
    let preview = match &event.message {
        ServerMessage::AgentCompleted(answer) => Some(preview(&answer.final_response)),
        _ => None,
    };
    Some(Listed {
        thread_id: thread.place.thread_id.clone(),
        epoch: thread.stream.epoch.as_str().to_owned(),
        last_seq: thread.stream.tail,
        updated_at: event.timestamp,
        last_event: event.message.kind().as_str(),
        preview,
    })
}

/// The first words of an answer, on one line and without its marks of headings and emphasis.
fn preview(answer: &str) -> String {
    let plain = answer.replace(['`', '*'], "");
    let words: Vec<&str> =
        plain.split_whitespace().map(|word| word.trim_matches('#')).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(PREVIEW) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

fn list_cursor(text: &str) -> Option<Place> {
    let (at, id) = text.split_once(':')?;
    Some(Place { at: at.parse().ok()?, thread_id: ThreadId::new(&decode(id)?).ok()? })
}

fn list_cursor_at(place: &Place) -> String {
    format!("{}:{}", place.at, encode(place.thread_id.as_str()))
}

fn event_cursor(text: &str) -> Option<(String, u64)> {
    let (epoch, seq) = text.split_once(':')?;
    Some((epoch.to_owned(), seq.parse().ok().filter(|seq| *seq < 1 << 53)?))
}

fn cursor<T>(query: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Rejection> {
    let Some(text) = parameter(query, "cursor") else { return Ok(None) };
    let text = decode(text);
    text.and_then(|text| read(&text)).map(Some).ok_or_else(|| {
        Rejection::new(Reason::BadRequest, "a cursor that is none")
            .with_hint("`cursor` is the `next_cursor` of the page before, percent-encoded")
    })
}

fn limit(query: &str) -> Result<usize, Rejection> {
    let Some(text) = parameter(query, "limit") else { return Ok(PAGE) };
    text.parse().ok().filter(|limit| (1..=MOST).contains(limit)).ok_or_else(|| {
        Rejection::new(Reason::BadRequest, "a limit out of range")
            .with_hint(format!("`limit` is a number from 1 to {MOST}"))
    })
}

fn thread_id(text: &str) -> Result<ThreadId, Rejection> {
    // A name that none can have is one that nothing has.
    ThreadId::new(text).map_err(|_| {
        Rejection::new(Reason::NotFound, "no thread can have that name")
            .with_hint("you have no thread of that name")
    })
}

fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

fn json(body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("a page has nothing that JSON cannot say");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_one_short_line() {
        assert_eq!(
            preview("# Close code\n\n**1006** is `abnormal`."),
            "Close code 1006 is `abnormal`.".replace('`', "")
        );
        let long = preview(&"wörter ".repeat(100));
        assert!(long.chars().count() <= PREVIEW + 1 && long.ends_with('…'), "{long}");
        assert_eq!(preview(""), "");
    }

    #[test]
    fn cursors_are_read_as_written_and_nothing_else_is() {
        let place = Place { at: 17, thread_id: ThreadId::new("a:b/&").unwrap() };
        assert_eq!(list_cursor(&list_cursor_at(&place)), Some(place));
        assert_eq!(event_cursor("e-1:9"), Some(("e-1".to_owned(), 9)));
        for text in ["", "x", ":", "a:b", "1", "e:-1", "e:9007199254740992"] {
            assert!(list_cursor(text).is_none() && event_cursor(text).is_none(), "{text}");
        }
    }
}
