//! What a connection missed is sent to it from the record, in pieces, one thread after the other.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use portcullis_event::{
    Envelope, Epoch, GapReason, ResumeGap, ResumePoint, Resumed, ResumedThread, ThreadId, Wire,
};
use portcullis_frame::{Frame, Opcode};
use portcullis_log::{OwnerLog, Page, ReadError, Stream};
use portcullis_reason::Rejection;
use portcullis_units::Wait;

use super::{
    World,
    open::unreadable,
    sockets::Socket,
    talk::{Behind, Talk},
};
use crate::{
    Delivery, Outbox, StreamName, StreamPosition,
    shared::{Shared, encode},
};

impl World {
    /// Says what can be resumed, and begins to send it; a thread that cannot be resumed has its own `resume_gap`.
    pub(super) async fn resume(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        outbox: &Arc<Outbox>,
        wire: Wire,
        points: Vec<ResumePoint>,
    ) {
        if let Err(rejection) = self.begin_resume(shared, outbox, wire, points).await {
            self.refuse(shared, outbox, wire, &rejection, None);
            // What it missed cannot be had now, and it must not hear what comes after it.
            outbox.end(rejection.reason);
        }
    }

    async fn begin_resume(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        outbox: &Arc<Outbox>,
        wire: Wire,
        points: Vec<ResumePoint>,
    ) -> Result<(), Rejection> {
        let record = self.record(shared).await?;
        let mut resumed = Resumed::default();
        let mut behind = Vec::new();
        for point in points {
            match self.resumable(&*record, &point).await? {
                Ok(thread) => {
                    behind.push(Behind {
                        thread_id: point.thread_id,
                        epoch: Some(thread.epoch.clone()),
                        next_seq: thread.from_seq,
                    });
                    resumed.threads.push(thread);
                }
                Err(gap) => {
                    let mut state = self.state.lock();
                    self.talk(&mut state, shared).caught_up(outbox, &point.thread_id);
                    self.reply(shared, outbox, wire, gap.into());
                }
            }
        }
        if resumed.threads.is_empty() {
            return Ok(());
        }
        {
            let mut state = self.state.lock();
            self.talk(&mut state, shared).set_behind(outbox, behind);
            self.reply(shared, outbox, wire, resumed.into());
        }
        self.send_missed(shared, &*record, &Socket { wire, outbox: Arc::clone(outbox) }).await
    }

    /// What is to be sent again after the client's place, or why it cannot be had.
    async fn resumable(
        &self,
        record: &dyn OwnerLog,
        point: &ResumePoint,
    ) -> Result<Result<ResumedThread, ResumeGap>, Rejection> {
        let id = &point.thread_id;
        if !self.retains {
            return Ok(Err(nothing(id, GapReason::NotResumable)));
        }
        let recorded = record.stream(id).await.map_err(|error| unreadable(&error))?;
        let state = self.state.lock();
        let at_hand = state.talk.as_ref().and_then(|talk| talk.threads.get(id));
        // Of a thread at hand, no more than what everybody may have seen.
        let stream = match (recorded, at_hand) {
            (None, None) => return Ok(Err(nothing(id, GapReason::UnknownThread))),
            (Some(stream), None) => stream,
            (recorded, Some(thread)) => Stream {
                epoch: thread.epoch().clone(),
                first: recorded.map_or(1, |stream| stream.first),
                tail: thread.tail(),
            },
        };
        Ok(resumable(&stream, point))
    }

    /// Queues the next piece of what a connection missed. With the last one it is level, and hears what happens.
    pub(super) async fn catch_up(self: &Arc<Self>, shared: &Arc<Shared>, outbox: &Arc<Outbox>, wire: Wire) {
        let sent = match self.record(shared).await {
            Ok(record) => {
                self.send_missed(shared, &*record, &Socket { wire, outbox: Arc::clone(outbox) }).await
            }
            Err(rejection) => Err(rejection),
        };
        if let Err(rejection) = sent {
            outbox.end(rejection.reason);
        }
    }

    /// Queues what a connection missed, one thread after the other, until there is no room for more.
    async fn send_missed(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        record: &dyn OwnerLog,
        socket: &Socket,
    ) -> Result<(), Rejection> {
        let Socket { wire, outbox } = socket;
        loop {
            let behind = self.state.lock().talk.as_mut().and_then(|talk| talk.behind(outbox).cloned());
            let Some(Behind { thread_id, epoch: Some(epoch), next_seq }) = behind else { return Ok(()) };
            let room = outbox.room();
            if room == 0 {
                outbox.set_behind();
                return Ok(());
            }
            let share = self.share();
            if let Err(wait) = share.may_read(shared) {
                catch_up_later(shared, outbox, wait);
                return Ok(());
            }
            let page = record.read(&thread_id, next_seq - 1, room).await;
            let page = page.map_err(|error: ReadError| unreadable(&error))?;
            share.read(shared, page.iter().flat_map(|page| &page.events).map(Bytes::len).sum());
            let mut state = self.state.lock();
            let talk = self.talk(&mut state, shared);
            match send(talk, socket, &thread_id, &epoch, next_seq, page, shared.clock.instant()) {
                Ok(true) => {}
                Ok(false) => {
                    outbox.set_behind();
                    return Ok(());
                }
                Err(gap) => {
                    talk.caught_up(outbox, &thread_id);
                    self.reply(shared, outbox, *wire, gap.into());
                }
            }
        }
    }
}

/// Goes on with what a connection missed once its user may read on.
fn catch_up_later(shared: &Arc<Shared>, outbox: &Arc<Outbox>, wait: Wait) {
    let (outbox, router) = (Arc::downgrade(outbox), Arc::clone(shared));
    shared.tasks.spawn(async move {
        let waited = router.stop.run_until_cancelled(tokio::time::sleep(wait.get())).await;
        if let Some(outbox) = waited.and_then(|()| outbox.upgrade()) {
            outbox.set_behind();
        }
    });
}

/// Queues a page for a connection, as far as everybody may have seen it and there is room. Says whether it all went.
fn send(
    talk: &mut Talk,
    Socket { wire, outbox }: &Socket,
    thread_id: &ThreadId,
    epoch: &Epoch,
    next_seq: u64,
    page: Option<Page>,
    now: Instant,
) -> Result<bool, ResumeGap> {
    let page = page.ok_or_else(|| nothing(thread_id, GapReason::UnknownThread))?;
    let at_hand = talk.threads.get(thread_id);
    // What is committed but was not shown yet comes as it happens.
    let last = at_hand.map_or(page.stream.tail, crate::thread::Thread::tail);
    let live = at_hand.map_or(&page.stream.epoch, crate::thread::Thread::epoch);
    if *live != *epoch || page.stream.epoch != *epoch {
        return Err(gap(&page.stream, thread_id, GapReason::EpochChanged));
    }
    if page.from > next_seq {
        return Err(gap(&page.stream, thread_id, GapReason::Trimmed));
    }
    let Some(behind) = talk.behind(outbox).filter(|behind| behind.thread_id == *thread_id) else {
        // The connection has gone.
        return Ok(true);
    };
    if page.events.is_empty() && next_seq <= last {
        return Err(gap(&page.stream, thread_id, GapReason::Trimmed));
    }
    let may_be_seen = (page.from..=last).zip(page.events);
    let stream = Arc::new(StreamName { thread_id: thread_id.clone(), epoch: epoch.clone() });
    let mut missed = may_be_seen.map(|(seq, text)| (seq, kept(&text, *wire))).peekable();
    outbox.refill(now, |room| {
        loop {
            let fits = |frame: &Option<Bytes>| frame.as_ref().is_none_or(|frame| frame.len() <= room);
            let (seq, frame) = missed.next_if(|(_, frame)| fits(frame))?;
            behind.next_seq = seq + 1;
            if let Some(frame) = frame {
                let position = StreamPosition { stream: Arc::clone(&stream), seq };
                return Some(Delivery { frame, position: Some(position) });
            }
        }
    });
    let (full, level) = (missed.peek().is_some(), behind.next_seq > last);
    if level {
        talk.caught_up(outbox, thread_id);
    }
    Ok(!full)
}

/// The frame of an event that is kept, as a wire has it; none where that has no form for it.
fn kept(text: &[u8], wire: Wire) -> Option<Bytes> {
    if wire == Wire::V1 {
        // It is kept so.
        return Some(Frame::new(Opcode::Text, text).to_bytes());
    }
    let envelope = Envelope::parse(str::from_utf8(text).ok()?).ok()?;
    wire.has(envelope.message.kind()).then(|| encode(&envelope, wire))
}

/// What is to be sent again of a stream after the client's place, or why it cannot be had.
fn resumable(stream: &Stream, point: &ResumePoint) -> Result<ResumedThread, ResumeGap> {
    let fault = match &point.epoch {
        Some(epoch) if *epoch != stream.epoch => Some(GapReason::EpochChanged),
        None if point.after_seq != 0 => Some(GapReason::EpochChanged),
        _ if point.after_seq > stream.tail => Some(GapReason::Ahead),
        _ if point.after_seq + 1 < stream.first => Some(GapReason::Trimmed),
        _ => None,
    };
    match fault {
        Some(reason) => Err(gap(stream, &point.thread_id, reason)),
        None => Ok(ResumedThread {
            thread_id: point.thread_id.clone(),
            epoch: stream.epoch.clone(),
            from_seq: point.after_seq + 1,
            to_seq: stream.tail,
        }),
    }
}

fn gap(stream: &Stream, thread_id: &ThreadId, reason: GapReason) -> ResumeGap {
    ResumeGap {
        thread_id: thread_id.clone(),
        epoch: Some(stream.epoch.clone()),
        first_available_seq: (stream.first <= stream.tail).then_some(stream.first),
        last_seq: stream.tail,
        reason,
    }
}

/// A gap of which no more is known.
pub(crate) fn nothing(thread_id: &ThreadId, reason: GapReason) -> ResumeGap {
    ResumeGap { thread_id: thread_id.clone(), epoch: None, first_available_seq: None, last_seq: 0, reason }
}

#[cfg(test)]
mod tests {
    use portcullis_event::{
        EventId, MessageId, PartialResult, Position, RunId, ServerMessage, Timestamp, UserSaid,
    };
    use proptest::prelude::*;

    use super::*;

    fn stream(first: u64, tail: u64) -> Stream {
        Stream { epoch: Epoch::new("e").unwrap(), first, tail }
    }

    fn resume(stream: &Stream, epoch: Option<&str>, after_seq: u64) -> Result<(u64, u64), GapReason> {
        let epoch = epoch.map(|epoch| Epoch::new(epoch).unwrap());
        let point = ResumePoint { thread_id: ThreadId::new("t").unwrap(), epoch, after_seq };
        resumable(stream, &point).map(|it| (it.from_seq, it.to_seq)).map_err(|gap| gap.reason)
    }

    /// So what was missed is to be had in whatever form a connection has.
    #[test]
    fn what_is_kept_is_sent_again_as_it_was_sent() {
        let (id, thread, run) =
            (EventId::new("e-7").unwrap(), ThreadId::new("t").unwrap(), RunId::new("r").unwrap());
        let position = || Position { epoch: Epoch::new("e").unwrap(), seq: 7 };
        let event = |message: ServerMessage| {
            let at = Timestamp::from_unix_ms(1_700_000_000_000);
            Envelope::event(id.clone(), position(), thread.clone(), run.clone(), at, message)
        };
        let piece = event(PartialResult { delta: "é \"quoted\"\n".repeat(40) }.into());
        let said = UserSaid { message_id: MessageId::new("m").unwrap(), run_id: run.clone(), content: None };
        let text = portcullis_frame::payload_of(&encode(&piece, Wire::V1));
        for wire in [Wire::V1, Wire::Legacy] {
            assert_eq!(kept(&text, wire), Some(encode(&piece, wire)), "{wire:?}");
        }
        let text = portcullis_frame::payload_of(&encode(&event(said.into()), Wire::V1));
        assert_eq!(kept(&text, Wire::Legacy), None, "as it is not sent when it happens");
    }

    #[test]
    fn a_gap_is_named() {
        let stream = stream(7, 10);
        assert_eq!(resume(&stream, Some("e"), 6), Ok((7, 10)));
        assert_eq!(resume(&stream, Some("e"), 10), Ok((11, 10)));
        assert_eq!(resume(&stream, Some("e"), 5), Err(GapReason::Trimmed));
        assert_eq!(resume(&stream, Some("e"), 11), Err(GapReason::Ahead));
        assert_eq!(resume(&stream, Some("other"), 6), Err(GapReason::EpochChanged));
        assert_eq!(
            resume(&stream, None, 6),
            Err(GapReason::EpochChanged),
            "a place without an epoch means nothing"
        );
        assert_eq!(resume(&stream, None, 0), Err(GapReason::Trimmed));
    }

    proptest! {
        #[test]
        fn resuming_neither_skips_nor_repeats(first in 1u64..60, count in 0u64..60, after in 0u64..130) {
            let stream = stream(first, first + count - 1);
            match resume(&stream, Some("e"), after) {
                Ok(range) => prop_assert_eq!(range, (after + 1, stream.tail)),
                Err(GapReason::Ahead) => prop_assert!(after > stream.tail),
                Err(reason) => {
                    prop_assert_eq!(reason, GapReason::Trimmed);
                    prop_assert!(after + 1 < stream.first);
                }
            }
        }
    }
}
