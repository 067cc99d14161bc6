//! `GET /sse`: a user's events as Server-Sent Events, where WebSockets are blocked (HTML standard, "server-sent events").
//!
//! The same core decides, the same envelope comes, and the stream goes on where the client left it: each event's `id` is a
//! cursor over all threads that the stream has touched, and comes back in `Last-Event-ID`. What the client says goes to
//! `POST /messages`.
//!
//! The answer is written to the socket by hand: a stream lives as long as a WebSocket, and a reader that stops reading has
//! to be noticed while a write to it waits.

use std::{collections::VecDeque, fmt::Write as _, future::poll_fn, sync::Arc};

use portcullis_event::{Epoch, Mode, Resume, ResumePoint, resume_from_query};
use portcullis_handshake::Head;
use portcullis_reason::{Reason, Rejection};
use portcullis_router::{Attachment, Delivery, Outbox, Outgoing, Seat, StreamPosition};
use portcullis_session::{Due, Life};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Duration, sleep_until, timeout},
};

use crate::{
    admission::Permit,
    api,
    figures::metrics::Kind,
    gate::Gate,
    line::Line,
    member::{Member, draining, established, warn_of_expiry},
};

/// Threads that a cursor tells of: more than one person follows at once, and few enough for a header.
const THREADS: usize = 16;

/// A request that is to become a stream, and what it may hear.
pub(crate) struct Admitted {
    seat: Seat,
    mode: Mode,
    resume: Resume,
    /// The page's origin, which may read the stream.
    origin: Option<String>,
}

/// Whether this request is for the stream.
pub(crate) fn is_for(head: &Head<'_>) -> bool {
    head.path() == "/sse" && head.method() == "GET"
}

/// Steps 5 to 9 of a handshake, for a request that is none.
///
/// # Errors
/// The reasons of a handshake.
pub(crate) async fn decide(gate: &Gate, head: &Head<'_>, permit: &Permit) -> Result<Admitted, Rejection> {
    let (seat, mode) = api::authenticate(gate, head, permit).await?;
    // The place that the client came to last: a browser that comes back repeats the address that it began with.
    let threads = match last_event_id(head)?.filter(|id| !id.is_empty()) {
        Some(cursor) => resume_from_query(&format!("resume={}", cursor.replace(',', "&resume="))),
        None => resume_from_query(head.query()),
    };
    let threads = threads.map_err(|rejection| {
        Rejection::new(Reason::BadRequest, rejection.detail.to_string()).with_hint(
            "Last-Event-ID is the id of an event of this stream; the address takes resume=THREAD:EPOCH:SEQ",
        )
    })?;
    // One that came this far may read, and is ASCII.
    let origin = head.field("Origin").map(|origin| String::from_utf8_lossy(origin).into_owned());
    Ok(Admitted { seat, mode, resume: Resume { threads }, origin })
}

/// What `Last-Event-ID` says, where it is there.
fn last_event_id<'h>(head: &'h Head<'_>) -> Result<Option<&'h str>, Rejection> {
    let mut lines = head.fields().iter().filter(|field| field.name.eq_ignore_ascii_case("Last-Event-ID"));
    let first = lines.next();
    if lines.next().is_some() {
        return Err(Rejection::new(Reason::BadRequest, "a header field stands twice"));
    }
    let text = |value| {
        str::from_utf8(value).map_err(|_| Rejection::new(Reason::BadRequest, "a header field is not UTF-8"))
    };
    first.map(|field| text(field.value)).transpose()
}

/// Serves the stream to its end.
pub(crate) async fn serve(gate: Arc<Gate>, mut line: impl Line, admitted: Admitted, permit: Permit) {
    let Admitted { seat, mode, resume, origin } = admitted;
    let mut text = String::from(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-store, no-transform\r\n\
         X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\nVary: Origin\r\n",
    );
    if let Some(origin) = origin {
        let _ = write!(text, "Access-Control-Allow-Origin: {origin}\r\n");
    }
    text.push_str("\r\n");
    if line.write_all(text.as_bytes()).await.is_err() {
        return;
    }
    let identity = seat.identity().clone();
    let now = gate.clock.instant();
    let (warn_at, ends_at) = gate.door.tokens.token_times(identity.expires_at(), now);
    let outbox = Arc::new(Outbox::new(gate.options.limits.queue_bytes.as_usize()));
    let hello = |id| established(&gate, id, mode, None, &identity);
    let attachment = seat.attach(mode, mode.wire(), Arc::clone(&outbox), hello, &resume);
    let member = Member::enter(gate, permit, outbox, &identity, Kind::User(mode));
    let cursor = Cursor::new(resume.threads);
    let started = Life::new(member.gate.clock.instant(), warn_at, ends_at);
    let mut stream = Stream { line, member, life: started, attachment, cursor };
    if let Some(reason) = stream.run().await {
        tracing::info!(connection = %stream.attachment.connection_id(), %reason, "stream ended");
        stream.farewell(reason).await;
    }
}

struct Stream<L> {
    line: L,
    member: Member,
    /// A sign of life is that bytes were taken: there is no answer to wait for.
    life: Life,
    attachment: Attachment,
    cursor: Cursor,
}

impl<L: Line> Stream<L> {
    /// Sends what there is to send, until one of the two ends it. None where the client is gone.
    async fn run(&mut self) -> Option<Reason> {
        let mut frames = VecDeque::new();
        let mut sink = [0; 512];
        let mut text = String::new();
        let mut ahead = 0;
        loop {
            text.clear();
            let due_at = due_at(&self.life, &self.member);
            tokio::select! {
                outgoing = poll_fn(|context| self.member.outbox.poll_take(context, &mut frames)) => match outgoing {
                    Outgoing::Frames { .. } => {
                        for delivery in frames.drain(..) {
                            self.cursor.write(&delivery, &mut text);
                        }
                    }
                    Outgoing::Behind => self.attachment.catch_up(),
                    Outgoing::Drain(reconnect_after_ms) => {
                        // EventSource comes back by itself, after this time.
                        let _ = write!(text, "retry: {reconnect_after_ms}\n\n");
                        let frame = draining(&self.attachment, reconnect_after_ms);
                        self.cursor.write(&frame.into(), &mut text);
                    }
                    Outgoing::End(reason) => return Some(reason),
                },
                () = sleep_until(due_at) => match handle_due(&mut self.life, &self.member, &self.attachment) {
                    // Proves to the client and to every proxy between that the stream lives.
                    Some(Due::Heartbeat) => text.push_str(":\n\n"),
                    Some(Due::End(reason)) => return Some(reason),
                    Some(Due::TokenExpiring) | None => {}
                },
                read = self.line.read(&mut sink) => match read {
                    // What comes behind the request is nobody's, and much of it is no mistake.
                    Ok(count) if count > 0 => {
                        ahead += count;
                        if ahead > MOST_AHEAD {
                            return Some(Reason::ProtocolError);
                        }
                    }
                    _ => return None,
                },
            }
            if !text.is_empty()
                && let Err(reason) = self.write(&text).await
            {
                return reason;
            }
        }
    }

    /// Writes, as long as the reader keeps up: not with a full queue behind it, and not for longer than it may live.
    async fn write(&mut self, text: &str) -> Result<(), Option<Reason>> {
        let Self { line, member, life, attachment, .. } = self;
        let writing = line.write_all(text.as_bytes());
        tokio::pin!(writing);
        loop {
            let due_at = due_at(life, member);
            tokio::select! {
                // In this order: what could be written was in time.
                biased;
                written = &mut writing => {
                    life.heard(member.gate.clock.instant());
                    return written.map_err(|_| None);
                }
                () = poll_fn(|context| member.outbox.poll_overflow(context)) => {
                    return Err(Some(Reason::SlowConsumer));
                }
                // What is being written asks for a sign of life already.
                () = sleep_until(due_at) => if let Some(Due::End(reason)) = handle_due(life, member, attachment) {
                    return Err(Some(reason));
                },
            }
        }
    }

    /// Says why, as a close frame would, to whoever still reads.
    async fn farewell(&mut self, reason: Reason) {
        let code = reason.close_code(self.member.gate.rules.routed.close_profile).unwrap_or(1011);
        self.member.gate.figures.metrics.closed(Some(code), Some(reason));
        let told = serde_json::json!({ "code": code, "reason": format!("{reason}: {}", reason.title()) });
        let text = format!("event: close\ndata: {told}\n\n");
        let _ = timeout(FAREWELL, async {
            self.line.write_all(text.as_bytes()).await?;
            self.line.shutdown().await
        })
        .await;
    }
}

fn due_at(life: &Life, member: &Member) -> tokio::time::Instant {
    life.poll_timeout(&member.gate.rules.routed.heartbeat).into()
}

/// Does what is due, and says what it was.
fn handle_due(life: &mut Life, member: &Member, attachment: &Attachment) -> Option<Due> {
    let due = life.handle_timeout(&member.gate.rules.routed.heartbeat, member.gate.clock.instant());
    if due == Some(Due::TokenExpiring) {
        warn_of_expiry(&member.gate, attachment);
    }
    due
}

/// Bytes behind the request that are thrown away before the stream ends.
const MOST_AHEAD: usize = 8 * 1024;

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where a stream stands in the threads that moved last.
struct Cursor {
    threads: VecDeque<ResumePoint>,
}

impl Cursor {
    fn new(threads: Vec<ResumePoint>) -> Self {
        Self { threads: threads.into() }
    }

    /// Writes one message, with the cursor behind it if it has a place in a thread.
    fn write(&mut self, delivery: &Delivery, out: &mut String) {
        let message = portcullis_frame::payload_of(&delivery.frame);
        let Ok(message) = str::from_utf8(&message) else { return };
        if let Some(StreamPosition { stream, seq }) = &delivery.position {
            let (thread_id, epoch) = (stream.thread_id.clone(), Some(stream.epoch.clone()));
            self.threads.retain(|point| point.thread_id != thread_id);
            self.threads.push_back(ResumePoint { thread_id, epoch, after_seq: *seq });
            if self.threads.len() > THREADS {
                self.threads.pop_front();
            }
            out.push_str("id: ");
            for (index, ResumePoint { thread_id, epoch, after_seq }) in self.threads.iter().enumerate() {
                let thread = percent_encoding::utf8_percent_encode(
                    thread_id.as_str(),
                    percent_encoding::NON_ALPHANUMERIC,
                );
                let epoch = epoch.as_ref().map_or("", Epoch::as_str);
                let _ = write!(out, "{}{thread}:{epoch}:{after_seq}", if index == 0 { "" } else { "," });
            }
            out.push('\n');
        }
        // JSON has no line end outside its escapes, so a message is one line.
        out.extend(["data: ", message, "\n\n"]);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_event::ThreadId;
    use portcullis_frame::Frame;
    use portcullis_router::StreamName;
    use tokio::{
        io::{DuplexStream, duplex},
        time::Instant,
    };

    use super::*;
    use crate::testing::{Still, mint};

    /// Heartbeats that come often and are waited for long.
    fn still() -> Still {
        Still::new(|options| {
            options.heartbeat.interval = portcullis_units::Duration::from_secs(1);
            options.heartbeat.timeout = portcullis_units::Duration::from_secs(60 * 60);
        })
    }

    /// Asks for the stream, and reads until it is there.
    async fn open(client: &mut DuplexStream, token: &str) {
        let request =
            format!("GET /sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut read = String::new();
        while !(read.contains("connection_established") && read.ends_with("\n\n")) {
            let mut bytes = [0; 64];
            let count = client.read(&mut bytes).await.unwrap();
            read.push_str(str::from_utf8(&bytes[..count]).unwrap());
            assert!(count > 0, "{read}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_proves_that_it_lives() {
        let server = still();
        let (mut client, line) = duplex(4096);
        tokio_util::task::TaskTracker::new().spawn(server.serve(line));
        open(&mut client, &mint(&server.signer)).await;
        let began = Instant::now();
        let mut proof = [0; 6];
        client.read_exact(&mut proof).await.unwrap();
        assert_eq!((&proof[..], began.elapsed()), (&b":\n\n:\n\n"[..], Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_takes_little_behind_its_request() {
        let server = still();
        let (mut client, line) = duplex(4096);
        tokio_util::task::TaskTracker::new().spawn(server.serve(line));
        open(&mut client, &mint(&server.signer)).await;
        client.write_all(&[b'x'; MOST_AHEAD]).await.unwrap();
        // The stream goes on, and ends with the next byte.
        let mut told = String::new();
        let mut heartbeat = [0; 3];
        client.read_exact(&mut heartbeat).await.unwrap();
        client.write_all(b"x").await.unwrap();
        client.read_to_string(&mut told).await.unwrap();
        assert!(told.contains("event: close") && told.contains("PROTOCOL_ERROR"), "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_its_reader_ends_with_its_token() {
        let server = still();
        let (mut client, line) = duplex(256);
        let task = tokio_util::task::TaskTracker::new().spawn(server.serve(line));
        open(&mut client, &mint(&server.signer)).await;
        // Nothing is read any more: the line is full after some heartbeats, and the token is good for ten minutes.
        timeout(Duration::from_mins(30), task).await.unwrap().unwrap();
        let metrics = server.gate.figures.metrics.render();
        assert!(metrics.contains("portcullis_closes_sent_total{code=\"1008\"} 1\n"), "{metrics}");
        assert!(metrics.contains("portcullis_heartbeat_timeouts_total 0\n"), "{metrics}");
    }

    fn event(thread: &str, seq: u64) -> Delivery {
        let (thread_id, epoch) = (ThreadId::new(thread).unwrap(), Epoch::new("e").unwrap());
        let position = StreamPosition { stream: Arc::new(StreamName { thread_id, epoch }), seq };
        // What it says is not looked at.
        Delivery { frame: Frame::text("{\"seq\":99}").to_bytes(), position: Some(position) }
    }

    fn written(cursor: &mut Cursor, message: &Delivery) -> String {
        let mut out = String::new();
        cursor.write(message, &mut out);
        out
    }

    #[test]
    fn an_event_bears_a_cursor_that_can_be_resumed_from() {
        let mut cursor = Cursor::new(Vec::new());
        written(&mut cursor, &event("a:b,c&d", 3));
        let text = written(&mut cursor, &event("t", 1));
        let id = text.lines().next().unwrap().strip_prefix("id: ").unwrap();
        assert_eq!(id, "a%3Ab%2Cc%26d:e:3,t:e:1");
        let points = resume_from_query(&format!("resume={}", id.replace(',', "&resume="))).unwrap();
        assert_eq!(points, Vec::from(cursor.threads));
        assert!(text.ends_with("\ndata: {\"seq\":99}\n\n"), "{text}");
    }

    #[test]
    fn a_control_message_moves_no_cursor_and_the_threads_that_rest_are_left_out() {
        let mut cursor = Cursor::new(Vec::new());
        assert_eq!(
            written(&mut cursor, &Frame::text("{\"type\":\"pong\"}").to_bytes().into()),
            "data: {\"type\":\"pong\"}\n\n"
        );
        (0..40).for_each(|n| drop(written(&mut cursor, &event(&format!("t{n}"), 1))));
        let text = written(&mut cursor, &event("t30", 2));
        assert_eq!(text.lines().next().unwrap().split(',').count(), THREADS);
        assert!(text.lines().next().unwrap().ends_with("t30:e:2"), "{text}");
    }
}
