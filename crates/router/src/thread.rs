//! One thread: its stream as far as it was numbered and seen, the runs in it, and its turns.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use portcullis_agent::{Keeps, Letterbox};
use portcullis_event::{AgentStarted, Epoch, RunId, ThreadId};
use portcullis_log::{OpenRun, Stream};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{StreamName, StreamPosition, agents::Chosen, ids, shared::Shared, turn::Turn};

/// Most turns that an agent is shown, and most bytes of them.
pub(crate) const HISTORY_TURNS: usize = 20;
const HISTORY_BYTES: usize = 64 * 1024;

/// A thread of one world. Its events are in the record alone.
pub(crate) struct Thread {
    stream: Arc<StreamName>,
    /// The last number that was given.
    last_seq: u64,
    /// The last event that may be seen: the record has it.
    tail: u64,
    /// Messages whose acceptance is on its way into the record.
    pub(crate) accepting: usize,
    /// The runs that go on: one, or with the policy `parallel` any number.
    pub(crate) active: Vec<Active>,
    pub(crate) waiting: VecDeque<Run>,
    /// The turns so far, oldest first; none while they have not been read from the record.
    turns: Option<VecDeque<Turn>>,
    /// Who waits for the thread to be gone; it goes when its runs have ended and the record has let go of it, and takes
    /// nothing new until then.
    pub(crate) doomed: Vec<oneshot::Sender<()>>,
    pub(crate) last_used: Instant,
}

/// A run that is going on.
pub(crate) struct Active {
    pub(crate) id: RunId,
    pub(crate) cancel: CancellationToken,
    /// The way to its agent, once that has begun.
    pub(crate) letterbox: Option<Letterbox>,
    /// Its last event was seen: there is nothing left to cancel, though its place is still to be cleared.
    ended: bool,
}

/// Where a run's events go.
#[derive(Clone)]
pub(crate) struct Place {
    /// The opening of the record in which the run was accepted or taken up; in a later one it has no place.
    pub(crate) term: u64,
    pub(crate) thread_id: ThreadId,
    pub(crate) run_id: RunId,
}

/// A run that was accepted.
pub(crate) struct Run {
    pub(crate) place: Place,
    pub(crate) user_id: Arc<str>,
    pub(crate) chosen: Chosen,
    pub(crate) content: String,
    pub(crate) context: Option<serde_json::Value>,
    /// The thread's turns are shown to the agent, and this one is added to them.
    pub(crate) remembers: bool,
    pub(crate) cancel: CancellationToken,
    pub(crate) accepted: Instant,
    /// What the record has of it where it was accepted before this opening of the record.
    pub(crate) again: Option<Box<Again>>,
}

/// A run that a crash cut off, or kept from beginning.
pub(crate) struct Again {
    /// The record of it from its new beginning on: without the question.
    pub(crate) open: OpenRun,
    /// It had begun.
    pub(crate) began: bool,
}

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

    /// What of the user's words is written down, as the agent says.
    pub(crate) fn kept(&self, shared: &Shared, words: &str) -> Option<String> {
        match self.chosen.agent.keeps() {
            Keeps::Nothing => None,
            Keeps::Redacted => shared.options.redact.map(|redact| redact(words)),
            Keeps::All => Some(words.to_owned()),
        }
    }

    /// Whether clients may have seen some of an attempt before this one.
    pub(crate) fn is_second(&self) -> bool {
        self.again.as_ref().is_some_and(|again| again.began)
    }
}

impl Thread {
    /// A new one.
    pub(crate) fn new(id: &ThreadId, now: Instant) -> Self {
        Self { turns: Some(VecDeque::new()), ..Self::at(id, ids::epoch(), 0, now) }
    }

    /// One that the record has.
    pub(crate) fn recorded(id: &ThreadId, stream: Stream, now: Instant) -> Self {
        Self::at(id, stream.epoch, stream.tail, now)
    }

    fn at(id: &ThreadId, epoch: Epoch, tail: u64, now: Instant) -> Self {
        Self {
            stream: Arc::new(StreamName { thread_id: id.clone(), epoch }),
            last_seq: tail,
            tail,
            accepting: 0,
            active: Vec::new(),
            waiting: VecDeque::new(),
            turns: None,
            doomed: Vec::new(),
            last_used: now,
        }
    }

    /// The stream's life.
    pub(crate) fn epoch(&self) -> &Epoch {
        &self.stream.epoch
    }

    /// The last event that may be seen.
    pub(crate) const fn tail(&self) -> u64 {
        self.tail
    }

    /// Notes that a run goes on.
    pub(crate) fn begin(&mut self, run: &Run) {
        let (id, cancel) = (run.place.run_id.clone(), run.cancel.clone());
        self.active.push(Active { id, cancel, letterbox: None, ended: false });
    }

    /// Opens the way to the agent of a run that goes on.
    pub(crate) fn listen(&mut self, run_id: &RunId, letterbox: Letterbox) {
        if let Some(active) = self.active.iter_mut().find(|active| active.id == *run_id) {
            active.letterbox = Some(letterbox);
        }
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

    /// Whether a run is going on, waits, or is about to be accepted.
    pub(crate) fn is_busy(&self) -> bool {
        self.accepting > 0 || !self.active.is_empty() || !self.waiting.is_empty()
    }

    /// Whether memory needs it no more: what the record has of it is all there is.
    pub(crate) fn is_at_rest(&self) -> bool {
        !self.is_busy() && self.doomed.is_empty() && self.last_seq == self.tail
    }

    /// The place of the next event.
    pub(crate) fn advance(&mut self) -> StreamPosition {
        self.last_seq += 1;
        StreamPosition { stream: Arc::clone(&self.stream), seq: self.last_seq }
    }

    /// Notes that the event behind the tail may be seen from now on.
    pub(crate) const fn committed(&mut self) {
        self.tail += 1;
    }

    /// The turns so far, oldest first; none while they have not been read from the record.
    pub(crate) fn turns(&self) -> Option<Vec<Turn>> {
        self.turns.as_ref().map(|turns| turns.iter().cloned().collect())
    }

    /// Takes the turns that the record has, oldest first.
    pub(crate) fn set_turns(&mut self, turns: impl IntoIterator<Item = Turn>) {
        self.turns = Some(VecDeque::new());
        turns.into_iter().for_each(|turn| self.remember(turn));
    }

    /// Adds a turn, and forgets the oldest ones beyond the bounds. While the earlier ones have not been read, it is among
    /// those that will be.
    pub(crate) fn remember(&mut self, turn: Turn) {
        let Some(turns) = &mut self.turns else { return };
        turns.push_back(turn);
        let mut bytes: usize = turns.iter().map(Turn::bytes).sum();
        while turns.len() > HISTORY_TURNS || (bytes > HISTORY_BYTES && turns.len() > 1) {
            let Some(oldest) = turns.pop_front() else { break };
            bytes -= oldest.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_units::Clock;

    use super::*;

    #[test]
    fn a_run_whose_end_was_seen_cannot_be_cancelled_any_more() {
        let mut thread = Thread::new(&ThreadId::new("t").unwrap(), Clock::system().instant());
        let id = RunId::new("r").unwrap();
        thread.active.push(Active {
            id: id.clone(),
            cancel: CancellationToken::new(),
            letterbox: None,
            ended: false,
        });
        assert!(thread.going_on(&id).is_some());
        // Its task has not heard of that yet, so its place is still there.
        thread.seen_to_end(&id);
        assert!(thread.going_on(&id).is_none() && thread.is_busy());
    }

    #[test]
    fn history_is_bounded_in_turns_and_bytes_but_keeps_the_last() {
        let mut thread = Thread::new(&ThreadId::new("t").unwrap(), Clock::system().instant());
        let turn = |size: usize| Turn::asked("q".repeat(size));
        (0..50).for_each(|_| thread.remember(turn(1)));
        assert_eq!(thread.turns().unwrap().len(), HISTORY_TURNS);
        thread.remember(turn(HISTORY_BYTES + 1));
        assert_eq!(thread.turns().unwrap().len(), 1);
    }
}
