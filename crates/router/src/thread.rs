//! One thread's stream: its epoch, its events as far as they are kept, its turns, and the runs that wait for it.

use std::{collections::VecDeque, mem, ops::Range, sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::future::Shared;
use portcullis_event::{
    AgentStarted, Envelope, Epoch, GapReason, Position, ResumeGap, ResumePoint, ResumedThread, RunId,
    ServerMessage, ThreadId,
};
use portcullis_frame::Opcode;
use portcullis_log::{OpenRun, Owner, Repeat, Stored};
use portcullis_units::random;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{agents::Chosen, turn::Turn, world::Place};

/// Most turns that an agent is shown, and most bytes of them.
const HISTORY_TURNS: usize = 20;
const HISTORY_BYTES: usize = 64 * 1024;

/// A thread of one world.
pub(crate) struct Thread {
    epoch: Epoch,
    /// The last number that was given.
    last_seq: u64,
    /// The last event that may be seen: with a record, the last that it acknowledged.
    tail: u64,
    /// The last events as v1 frames, oldest first; their numbers end with `tail`.
    kept: VecDeque<Bytes>,
    /// The first event that the record still has.
    recorded_from: u64,
    kept_bytes: usize,
    /// The runs that go on: one, or with the policy `parallel` any number.
    pub(crate) active: Vec<Active>,
    pub(crate) waiting: VecDeque<Run>,
    history: VecDeque<Turn>,
    /// Who waits for the thread to be gone; it goes when its runs have ended and the record has let go of it, and takes
    /// nothing new until then.
    pub(crate) doomed: Vec<oneshot::Sender<()>>,
    pub(crate) last_used: Instant,
}

/// The run that is going on.
pub(crate) struct Active {
    pub(crate) id: RunId,
    pub(crate) cancel: CancellationToken,
    /// Its last event was seen: there is nothing left to cancel, though its place is still to be cleared.
    ended: bool,
}

/// A run that was accepted.
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) thread_id: ThreadId,
    pub(crate) user_id: Arc<str>,
    pub(crate) chosen: Chosen,
    pub(crate) content: String,
    pub(crate) context: Option<serde_json::Value>,
    /// The thread's turns are shown to the agent, and this one is added to them.
    pub(crate) remembers: bool,
    pub(crate) cancel: CancellationToken,
    pub(crate) accepted: Instant,
    /// Whose it is, in the record.
    pub(crate) owner: Owner,
    /// Whether a crash has it run again: on its way into the record.
    pub(crate) repeat: Repeat,
    /// Whether its acceptance was recorded, once that is known; it begins no sooner. None without a record.
    pub(crate) recorded: Option<Recorded>,
    /// What the record has of it where it was accepted before the start of this process.
    pub(crate) again: Option<Box<Again>>,
}

/// A run that a crash cut off, or kept from beginning.
pub(crate) struct Again {
    /// The record of it from its new beginning on: without the question.
    pub(crate) open: OpenRun,
    /// It had begun.
    pub(crate) began: bool,
}

/// Whether something was recorded, once that is known. An end without a word means no.
pub(crate) type Recorded = Shared<oneshot::Receiver<bool>>;

impl Run {
    /// Its first event, or where it begins anew.
    pub(crate) fn started(&self) -> AgentStarted {
        AgentStarted {
            agent_id: self.chosen.id.clone(),
            agent_type: Arc::clone(&self.chosen.kind),
            user_id: Arc::clone(&self.user_id),
            attempt: self.is_second().then_some(2),
        }
    }

    /// Whether clients may have seen some of an attempt before this one.
    pub(crate) fn is_second(&self) -> bool {
        self.again.as_ref().is_some_and(|again| again.began)
    }

    /// Where its events go.
    pub(crate) fn place(&self) -> Place {
        Place { owner: self.owner, thread_id: self.thread_id.clone(), run_id: self.id.clone() }
    }
}

impl Thread {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            epoch: Epoch::new(&random::hex::<8>()).expect("hexadecimal digits are an epoch"),
            last_seq: 0,
            tail: 0,
            kept: VecDeque::new(),
            recorded_from: 1,
            kept_bytes: 0,
            active: Vec::new(),
            waiting: VecDeque::new(),
            history: VecDeque::new(),
            doomed: Vec::new(),
            last_used: now,
        }
    }

    /// A thread as the record has it.
    pub(crate) fn recorded(stored: &Stored, now: Instant) -> Self {
        let kept: VecDeque<Bytes> = stored
            .texts
            .iter()
            .map(|text| portcullis_frame::Frame::new(Opcode::Text, &text[..]).to_bytes())
            .collect();
        let mut thread = Self {
            epoch: stored.epoch.clone(),
            last_seq: stored.tail(),
            tail: stored.tail(),
            kept_bytes: kept.iter().map(Bytes::len).sum(),
            kept,
            recorded_from: stored.first,
            ..Self::new(now)
        };
        // What was answered is known; what was asked is not written down.
        let answers = stored.texts.iter().rev().filter_map(answer).take(HISTORY_TURNS);
        for answer in answers.collect::<Vec<_>>().into_iter().rev() {
            thread.remember(Turn::answered(answer));
        }
        thread
    }

    /// What is kept, as the record would have it; none if that is nothing.
    pub(crate) fn stored(&self) -> Option<Stored> {
        let texts: Vec<Bytes> = self.kept.iter().map(portcullis_frame::payload_of).collect();
        (!texts.is_empty()).then(|| Stored { epoch: self.epoch.clone(), first: self.first_kept(), texts })
    }

    /// The events that the record need not keep any more; they are asked for once.
    pub(crate) fn take_trimmed(&mut self) -> Range<u64> {
        let to = self.first_kept();
        mem::replace(&mut self.recorded_from, to)..to
    }

    fn first_kept(&self) -> u64 {
        self.tail + 1 - self.kept.len() as u64
    }

    /// Notes that a run goes on.
    pub(crate) fn begin(&mut self, run: &Run) {
        self.active.push(Active { id: run.id.clone(), cancel: run.cancel.clone(), ended: false });
    }

    /// Notes that a run's last event was seen.
    pub(crate) fn seen_to_end(&mut self, run_id: &RunId) {
        self.active.iter_mut().filter(|active| active.id == *run_id).for_each(|active| active.ended = true);
    }

    /// The run of that name that goes on and can be cancelled.
    pub(crate) fn going_on(&self, run_id: &RunId) -> Option<&Active> {
        self.active.iter().find(|active| active.id == *run_id && !active.ended)
    }

    /// Notes that a run has ended, and gives the one that waited for it.
    pub(crate) fn end(&mut self, run_id: &RunId) -> Option<Run> {
        self.active.retain(|active| active.id != *run_id);
        let next = self.active.is_empty().then(|| self.waiting.pop_front()).flatten()?;
        self.begin(&next);
        Some(next)
    }

    /// Whether a run is going on or waits.
    pub(crate) fn is_busy(&self) -> bool {
        !self.active.is_empty() || !self.waiting.is_empty()
    }

    /// The place of the next event.
    pub(crate) fn advance(&mut self) -> Position {
        self.last_seq += 1;
        Position { epoch: self.epoch.clone(), seq: self.last_seq }
    }

    /// Keeps the event behind the tail, which may be seen from now on, and forgets the oldest ones beyond the bounds.
    pub(crate) fn keep(&mut self, frame: Bytes, most_events: usize, most_bytes: usize) {
        self.tail += 1;
        self.kept_bytes += frame.len();
        self.kept.push_back(frame);
        while self.kept.len() > most_events || self.kept_bytes > most_bytes {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_bytes -= oldest.len();
        }
    }

    /// What is to be sent again after the client's place, or why it cannot be had.
    pub(crate) fn resume(&self, point: &ResumePoint) -> Result<ResumedThread, ResumeGap> {
        let fault = match &point.epoch {
            Some(epoch) if *epoch != self.epoch => Some(GapReason::EpochChanged),
            None if point.after_seq != 0 => Some(GapReason::EpochChanged),
            _ if point.after_seq > self.tail => Some(GapReason::Ahead),
            _ if point.after_seq + 1 < self.first_kept() => Some(GapReason::Trimmed),
            _ => None,
        };
        match fault {
            Some(reason) => Err(self.gap(&point.thread_id, reason)),
            None => Ok(ResumedThread {
                thread_id: point.thread_id.clone(),
                epoch: self.epoch.clone(),
                from_seq: point.after_seq + 1,
                to_seq: self.tail,
            }),
        }
    }

    fn gap(&self, thread_id: &ThreadId, reason: GapReason) -> ResumeGap {
        ResumeGap {
            thread_id: thread_id.clone(),
            epoch: Some(self.epoch.clone()),
            first_available_seq: (!self.kept.is_empty()).then(|| self.first_kept()),
            last_seq: self.tail,
            reason,
        }
    }

    /// The event of that number: none at the end of what may be seen.
    ///
    /// # Errors
    /// The gap, if it is kept no longer or the stream is another one by now.
    pub(crate) fn event(
        &self,
        thread_id: &ThreadId,
        epoch: &Epoch,
        seq: u64,
    ) -> Result<Option<&Bytes>, ResumeGap> {
        if *epoch != self.epoch {
            return Err(self.gap(thread_id, GapReason::EpochChanged));
        }
        let Some(place) = seq.checked_sub(self.first_kept()) else {
            return Err(self.gap(thread_id, GapReason::Trimmed));
        };
        Ok(usize::try_from(place).ok().and_then(|place| self.kept.get(place)))
    }

    /// The turns so far, oldest first.
    pub(crate) fn history(&self) -> Vec<Turn> {
        self.history.iter().cloned().collect()
    }

    /// Adds a turn, and forgets the oldest ones beyond the bounds.
    pub(crate) fn remember(&mut self, turn: Turn) {
        self.history.push_back(turn);
        let mut bytes: usize = self.history.iter().map(Turn::bytes).sum();
        while self.history.len() > HISTORY_TURNS || (bytes > HISTORY_BYTES && self.history.len() > 1) {
            let Some(oldest) = self.history.pop_front() else { break };
            bytes -= oldest.bytes();
        }
    }
}

/// The answer that an event tells, where it ends a run with one.
fn answer(text: &Bytes) -> Option<String> {
    // Its type stands first: the rest need not be read.
    let is_one = text.starts_with(br#"{"type":"agent_completed""#);
    let event = is_one.then(|| Envelope::parse(str::from_utf8(text).ok()?).ok())??;
    match event.message {
        ServerMessage::AgentCompleted(end) => Some(end.final_response),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn thread(events: u64, most_events: usize, most_bytes: usize) -> Thread {
        let mut thread = Thread::new(Instant::now());
        for _ in 0..events {
            let place = thread.advance();
            thread.keep(Bytes::from(place.seq.to_string()), most_events, most_bytes);
        }
        thread
    }

    fn resume(thread: &Thread, epoch: Option<Epoch>, after_seq: u64) -> Result<Vec<u64>, GapReason> {
        let point = ResumePoint { thread_id: ThreadId::new("t").unwrap(), epoch, after_seq };
        let resumed = thread.resume(&point).map_err(|gap| gap.reason)?;
        let frames = (resumed.from_seq..)
            .map_while(|seq| thread.event(&resumed.thread_id, &resumed.epoch, seq).expect("it is kept"));
        Ok(frames.map(|frame| str::from_utf8(frame).unwrap().parse().unwrap()).collect())
    }

    #[test]
    fn a_gap_is_named() {
        let thread = thread(10, 4, 1_000);
        let epoch = || Some(thread.epoch.clone());
        assert_eq!(resume(&thread, epoch(), 6), Ok(vec![7, 8, 9, 10]));
        assert_eq!(resume(&thread, epoch(), 10), Ok(vec![]));
        assert_eq!(resume(&thread, epoch(), 5), Err(GapReason::Trimmed));
        assert_eq!(resume(&thread, epoch(), 11), Err(GapReason::Ahead));
        assert_eq!(resume(&thread, Some(Epoch::new("other").unwrap()), 6), Err(GapReason::EpochChanged));
        assert_eq!(
            resume(&thread, None, 6),
            Err(GapReason::EpochChanged),
            "a place without an epoch means nothing"
        );
        assert_eq!(resume(&thread, None, 0), Err(GapReason::Trimmed));
    }

    proptest! {
        #[test]
        fn resuming_neither_skips_nor_repeats(
            events in 0u64..60, most_events in 0usize..40, most_bytes in 0usize..80, after in 0u64..70,
        ) {
            let thread = thread(events, most_events, most_bytes);
            prop_assert!(thread.kept.len() <= most_events && thread.kept_bytes <= most_bytes);
            match resume(&thread, Some(thread.epoch.clone()), after) {
                Ok(seqs) => prop_assert_eq!(seqs, (after + 1..=events).collect::<Vec<_>>()),
                Err(GapReason::Ahead) => prop_assert!(after > events),
                Err(reason) => {
                    prop_assert_eq!(reason, GapReason::Trimmed);
                    prop_assert!(after + 1 < events + 1 - thread.kept.len() as u64);
                }
            }
        }
    }

    #[test]
    fn history_is_bounded_in_turns_and_bytes_but_keeps_the_last() {
        let mut thread = thread(0, 1, 1);
        let turn = |size: usize| Turn::asked("q".repeat(size));
        (0..50).for_each(|_| thread.remember(turn(1)));
        assert_eq!(thread.history().len(), HISTORY_TURNS);
        thread.remember(turn(HISTORY_BYTES + 1));
        assert_eq!(thread.history().len(), 1);
    }
}
