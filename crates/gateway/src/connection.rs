//! One live connection: a short loop around its [`Session`], a line and an outbox.
//!
//! It is a future written by hand rather than an `async` function because its size is what an idle connection costs:
//! no buffer is held between messages, and the read buffer belongs to the thread.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use portcullis_event::{Command, MessageId, Reauthenticate, Resume, message_id_of, resume_from_query};
use portcullis_frame::Frame;
use portcullis_handshake::Negotiated;
use portcullis_reason::{Reason, Rejection};
use portcullis_router::{Attachment, Delivery, Outbox, Outgoing, Seat};
use portcullis_session::{self as session, Notice, Received, Session, Spent, Transmit};
use tokio::{
    io::ReadBuf,
    time::{Sleep, sleep_until},
};

use crate::{
    admission::Permit,
    door::Route,
    figures::metrics::Kind,
    gate::Gate,
    line::Line,
    member::{Member, draining, established, warn_of_expiry},
    renewal::Renewal,
    rules::Rules,
};

/// Bytes that one read may bring.
const READ_BUFFER: usize = 64 * 1024;

/// Bytes waiting to be written above which nothing more is read: a peer that does not read is not listened to.
const WRITE_BACKLOG: usize = 256 * 1024;

/// Frames handed to the system in one call.
const WRITE_BATCH: usize = 32;

/// How long a peer that broke the rules may take to read why.
const LINGER: Duration = Duration::from_secs(1);

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER].into_boxed_slice());
}

/// A connection whose user was verified and whose 101 is on its way.
pub(crate) struct Connection<L> {
    line: L,
    member: Member,
    session: Session,
    backend: Backend,
    writing: VecDeque<Delivery>,
    /// Whether the first frame to write is half written, so that nothing may come before its rest.
    partial: bool,
    phase: Phase,
    timer: Pin<Box<Sleep>>,
    /// When the oldest of the frames that are being written was queued.
    since: Option<Instant>,
    renewal: Renewal,
}

/// What else is known of an accepted handshake.
pub(crate) struct Opening<'h> {
    /// The query of the request.
    pub(crate) query: &'h str,
    /// The 101.
    pub(crate) greeting: Vec<u8>,
    /// Bytes that came behind the request.
    pub(crate) ahead: &'h mut [u8],
    /// Whether it was our own probe.
    pub(crate) probe: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The session decides.
    Live,
    /// The session is over; what waits is written until the timer ends it.
    Flushing,
    /// All is written and our side is shut. Closing now would reset the connection if bytes of the peer are still
    /// unread, and the reset could overtake our close frame; so what comes is thrown away until the timer ends it.
    Lingering,
}

/// What lies behind the connection.
enum Backend {
    Routed(Attachment),
    /// `/ws/echo`: the seat keeps its place among the user's connections.
    Echo(#[expect(dead_code, reason = "held for what its drop does")] Seat),
}

impl Backend {
    const fn rules<'r>(&self, rules: &'r Rules) -> &'r session::Options {
        match self {
            Self::Routed(_) => &rules.routed,
            Self::Echo(_) => &rules.echo,
        }
    }

    /// Takes from what the user may say with all of their connections; false where nothing is left.
    fn spend(&self, rules: &session::Options, what: Spent, now: Instant) -> bool {
        let (Self::Routed(attachment), Some(rates)) = (self, &rules.rates) else { return true };
        let share = attachment.share();
        let taken = match what {
            Spent::Message => share.messages.take(&rates.messages, now),
            Spent::Control => share.controls.take(&rates.controls, now),
        };
        taken.is_ok()
    }
}

impl<L: Line> Connection<L> {
    /// Registers the connection.
    pub(crate) fn new(
        gate: Arc<Gate>,
        line: L,
        permit: Permit,
        negotiated: Negotiated<Seat, Route>,
        opening: Opening<'_>,
    ) -> Self {
        let Opening { query, greeting, ahead, probe } = opening;
        let now = gate.clock.instant();
        let parts = negotiated.into_parts();
        let identity = parts.identity.identity().clone();
        let (warn_at, ends_at) = gate.door.tokens.token_times(identity.expires_at(), now);
        let outbox = Arc::new(Outbox::new(gate.options.limits.queue_bytes.as_usize()));
        let (backend, kind) = match parts.route {
            Route::Echo => (Backend::Echo(parts.identity), Kind::Echo),
            Route::Mode(mode) => {
                let (resume, fault) = match resume_from_query(query) {
                    Ok(threads) => (Resume { threads }, None),
                    Err(rejection) => (Resume { threads: Vec::new() }, Some(rejection)),
                };
                let hello = |id| established(&gate, id, mode, parts.subprotocol, &identity);
                let (seat, kind) = if probe {
                    (parts.identity.unobserved(), Kind::Probe)
                } else {
                    (parts.identity, Kind::User(mode))
                };
                let attachment = seat.attach(mode, mode.wire(), Arc::clone(&outbox), hello, &resume);
                if let Some(rejection) = fault {
                    attachment.refuse(&rejection, None);
                }
                (Backend::Routed(attachment), kind)
            }
        };
        let member = Member::enter(gate, permit, outbox, &identity, kind);
        let rules = backend.rules(&member.gate.rules);
        let session = Session::new(rules, now, warn_at, ends_at);
        let first = session.poll_timeout(rules).unwrap_or(now);
        let mut connection = Self {
            line,
            member,
            session,
            backend,
            writing: VecDeque::from([Bytes::from(greeting).into()]),
            // Nothing may come before the 101.
            partial: true,
            phase: Phase::Live,
            timer: Box::pin(sleep_until(first.into())),
            since: None,
            renewal: Renewal::default(),
        };
        // What greets the client leaves with the 101, in one write.
        let nobody = Context::from_waker(Waker::noop());
        let _ = connection.member.outbox.poll_take(&nobody, &mut connection.writing);
        if !ahead.is_empty() {
            connection.receive(now, ahead);
        }
        connection
    }

    /// Acts on bytes that were read.
    fn receive(&mut self, now: Instant, mut input: &mut [u8]) {
        let rules = self.backend.rules(&self.member.gate.rules);
        loop {
            let backend = &self.backend;
            let spend = |what| backend.spend(rules, what, now);
            let Some(received) = self.session.receive(rules, now, &mut input, spend) else { break };
            match (&mut self.backend, received) {
                (Backend::Routed(attachment), Received::Text(text)) => {
                    if let Some(fresh) = command(attachment, &text) {
                        self.renewal.begin(&self.member, attachment, &mut self.session, fresh, now);
                    }
                }
                (Backend::Routed(attachment), Received::TooFast) => attachment.refuse(
                    &Rejection::new(Reason::RateLimited, "messages come too fast")
                        .with_hint("messages come too fast; this one was dropped"),
                    None,
                ),
                (Backend::Echo(_), Received::Text(text)) => {
                    self.writing.push_back(Frame::text(&text).to_bytes().into());
                }
                (Backend::Echo(_), Received::Binary(bytes)) => {
                    self.writing.push_back(Frame::binary(&bytes).to_bytes().into());
                }
                // The rules of routed connections take no binary, and those of echo know no rate.
                (Backend::Routed(_), Received::Binary(_)) | (Backend::Echo(_), Received::TooFast) => {}
            }
        }
    }

    /// Does what is due, and sets the timer for what is due next. Ready when the connection's time is up.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(context).is_ready() {
            if self.phase != Phase::Live {
                return Poll::Ready(());
            }
            let rules = self.backend.rules(&self.member.gate.rules);
            if let Some(Notice::TokenExpiring) =
                self.session.handle_timeout(rules, self.member.gate.clock.instant())
                && let Backend::Routed(attachment) = &self.backend
            {
                warn_of_expiry(&self.member.gate, attachment);
            }
            // A session that is ending waits for nothing; the timer is set again when it is over.
            let Some(next) = self.session.poll_timeout(rules) else { break };
            self.timer.as_mut().reset(next.into());
        }
        Poll::Pending
    }

    /// Gives the rest of the connection's life to `phase`.
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.timer.as_mut().reset((self.member.gate.clock.instant() + LINGER).into());
    }

    /// Makes sure that the timer is not later than what the session waits for. One that is too early is harmless.
    fn arm(&mut self) {
        if let Some(next) = self.session.poll_timeout(self.backend.rules(&self.member.gate.rules))
            && self.timer.deadline() > next.into()
        {
            self.timer.as_mut().reset(next.into());
        }
    }

    /// Takes what the router queued. Only with nothing left to write, so that the outbox' bound is the bound.
    fn take(&mut self, context: &mut Context<'_>) {
        while self.session.is_open() {
            if !self.writing.is_empty() {
                if self.member.outbox.poll_overflow(context).is_ready() {
                    self.session.end(Reason::SlowConsumer);
                }
                return;
            }
            match self.member.outbox.poll_take(context, &mut self.writing) {
                Poll::Pending => return,
                Poll::Ready(Outgoing::Frames { since }) => self.since = Some(since),
                Poll::Ready(Outgoing::Behind) => {
                    if let Backend::Routed(attachment) = &self.backend {
                        attachment.catch_up();
                    }
                }
                Poll::Ready(Outgoing::Drain(reconnect_after_ms)) => {
                    if let Backend::Routed(attachment) = &self.backend {
                        self.writing.push_back(draining(attachment, reconnect_after_ms).into());
                    }
                }
                Poll::Ready(Outgoing::End(reason)) => self.session.end(reason),
            }
        }
    }

    /// Takes the session's control frames.
    fn transmit(&mut self) {
        let rules = self.backend.rules(&self.member.gate.rules);
        // Ahead of the data that waits, and in their own order.
        let mut soon = usize::from(self.partial);
        loop {
            let ending = self.session.ending_for();
            let now = || self.member.gate.clock.instant();
            match self.session.poll_transmit(rules, now) {
                None => break,
                Some(Transmit::Soon(frame)) => {
                    self.writing.insert(soon, frame.into());
                    soon += 1;
                }
                Some(Transmit::Last { frame, code }) => {
                    if ending == Some(Reason::SlowConsumer) {
                        // It would wait behind what the peer does not read: keep only what is half written.
                        self.writing.truncate(usize::from(self.partial));
                    } else {
                        // Answers that were queued before the end go out before it.
                        let _ = self
                            .member
                            .outbox
                            .poll_take(&Context::from_waker(Waker::noop()), &mut self.writing);
                    }
                    if !self.member.is_probe() {
                        self.member.gate.figures.metrics.closed(code, ending);
                    }
                    if let (Some(reason), Backend::Routed(attachment)) = (ending, &self.backend) {
                        tracing::info!(connection = %attachment.connection_id(), %reason, code, "connection ended");
                    }
                    self.writing.push_back(frame.into());
                }
            }
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writing.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.writing.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_BATCH];
            let mut count = 0;
            for (slice, Delivery { frame, .. }) in slices.iter_mut().zip(&self.writing) {
                *slice = IoSlice::new(frame);
                count += 1;
            }
            let line = Pin::new(&mut self.line);
            let mut written = match &slices[..count] {
                [one] => ready!(line.poll_write(context, one))?,
                many => ready!(line.poll_write_vectored(context, many))?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.partial = false;
            while let Some(Delivery { frame, .. }) = self.writing.front_mut()
                && written > 0
            {
                if written < frame.len() {
                    frame.advance(written);
                    self.partial = true;
                    break;
                }
                written -= frame.len();
                self.writing.pop_front();
            }
        }
        if let Some(since) = self.since.take()
            && !self.member.is_probe()
        {
            let gate = &self.member.gate;
            gate.figures.metrics.delivery_latency.observe(gate.clock.since(since));
        }
        // An idle connection keeps no room for frames.
        self.writing = VecDeque::new();
        Poll::Ready(Ok(()))
    }

    /// Reads once and acts on it; false at the peer's end of stream.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        READ.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.line).poll_read(context, &mut read))?;
            if self.phase == Phase::Live {
                self.receive(self.member.gate.clock.instant(), read.filled_mut());
            }
            Poll::Ready(Ok(!read.filled().is_empty()))
        })
    }

    /// Drives the connection to its end. In each round: what is due, what is to be sent, then what came.
    fn poll_all(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.poll_timer(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if self.phase == Phase::Live {
                if self.renewal.is_pending()
                    && let Backend::Routed(attachment) = &mut self.backend
                {
                    self.renewal.poll(context, &self.member, attachment, &mut self.session);
                }
                self.take(context);
                self.transmit();
                if self.session.is_over() {
                    self.enter(Phase::Flushing);
                    continue;
                }
            }
            let flushed = self.poll_flush(context)?.is_ready();
            match self.phase {
                // What was queued while the last batch was written.
                Phase::Live if flushed && self.session.is_open() && !self.member.outbox.is_quiet() => {
                    continue;
                }
                Phase::Live if self.backlog() > WRITE_BACKLOG => {
                    self.arm();
                    return Poll::Pending;
                }
                Phase::Flushing if flushed => {
                    ready!(Pin::new(&mut self.line).poll_shutdown(context))?;
                    if self.session.peer_closed() {
                        return Poll::Ready(Ok(()));
                    }
                    self.enter(Phase::Lingering);
                    continue;
                }
                Phase::Flushing => return Poll::Pending,
                Phase::Live | Phase::Lingering => {}
            }
            if !ready!(self.poll_read(context))? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn backlog(&self) -> usize {
        self.writing.iter().map(|delivery| delivery.frame.len()).sum()
    }
}

impl<L: Line> Future for Connection<L> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let connection = self.get_mut();
        let outcome = connection.poll_all(context);
        if outcome.is_pending() {
            connection.arm();
        }
        // What a broken socket has to say is that the peer is gone, as an end of stream does.
        outcome.map(drop)
    }
}

/// Hands a message to the router, except for a fresh token, which is verified here: that one is given back, with the
/// message's id.
fn command(attachment: &Attachment, text: &str) -> Option<(Reauthenticate, Option<MessageId>)> {
    match portcullis_event::decode(text) {
        Err(rejection) => attachment.refuse(&rejection, message_id_of(text)),
        Ok(message) => match message.command {
            Command::Reauthenticate(fresh) => return Some((fresh, message.id)),
            _ => attachment.handle(message),
        },
    }
    None
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    /// A connection's task is this future and some hundred bytes of the runtime's, rounded up by the allocator to 512
    /// bytes: more here costs every idle connection 128 bytes at once. `scripts/measure.sh --only idle` tells the whole.
    #[test]
    fn an_idle_connection_fits_its_task() {
        let sizes = [
            ("TcpStream", size_of::<TcpStream>()),
            ("Session", size_of::<Session>()),
            ("Backend", size_of::<Backend>()),
            ("Outbox", size_of::<Outbox>()),
            ("Sleep", size_of::<Sleep>()),
            ("Member", size_of::<Member>()),
        ];
        let size = size_of::<Connection<TcpStream>>();
        assert!(size <= MOST, "a connection takes {size} bytes, with {sizes:?}");
        assert!(size_of::<Outbox>() <= 80, "with its counters an outbox is to fit 96 bytes: {sizes:?}");
    }

    const MOST: usize = 400;
}
