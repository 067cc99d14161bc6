//! What a user may see of what was said, and what an agent is shown of it.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use bytes::Bytes;
use portcullis_agent::ToolCall;
use portcullis_event::{Envelope, RunId, ServerMessage, ThreadId};
use portcullis_log::{self as log, OwnerLog, Page, Summary};
use portcullis_reason::{Reason, Rejection};
use portcullis_units::Wait;

use super::{World, open::unreadable};
use crate::{
    shared::Shared,
    thread::{HISTORY_TURNS, Place},
    turn::Turn,
};

/// Why a user has to wait who read much of the record.
fn read_too_much(wait: Wait) -> Rejection {
    Rejection::new(Reason::RateLimited, "a user reads the record too fast")
        .with_hint("too much of your threads was asked for in a short time")
        .with_retry_after(wait.as_secs())
}

/// Bytes of a stream that are read at a time.
const PIECE: usize = 64 * 1024;

impl World {
    /// The threads behind a place, the one that moved last first.
    ///
    /// # Errors
    /// [`Reason::NotReady`] if the record cannot be read.
    pub(crate) async fn threads(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        after: Option<log::Place>,
        most: usize,
    ) -> Result<Vec<Summary>, Rejection> {
        let share = self.share();
        share.may_read(shared).map_err(read_too_much)?;
        let record = self.record_for(shared).await?;
        let threads = record.threads(after, most).await.map_err(|error| unreadable(&error))?;
        share.read(shared, threads.iter().map(|thread| thread.last.len()).sum());
        Ok(threads)
    }

    /// A thread's events behind `after`, as far as they are kept and come to `most` bytes.
    ///
    /// # Errors
    /// [`Reason::NotReady`] if the record cannot be read, [`Reason::NotFound`].
    pub(crate) async fn events(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        id: &ThreadId,
        after: u64,
        most: usize,
    ) -> Result<Page, Rejection> {
        let share = self.share();
        share.may_read(shared).map_err(read_too_much)?;
        let record = self.record_for(shared).await?;
        let page = record.read(id, after, most).await.map_err(|error| unreadable(&error))?;
        let page = page.ok_or_else(no_such_thread)?;
        share.read(shared, page.events.iter().map(Bytes::len).sum());
        Ok(page)
    }

    /// The turns that a run's agent is shown.
    pub(crate) async fn history(&self, run: &Place) -> Vec<Turn> {
        let (record, turns) = {
            let state = self.state.lock();
            let talk = state.talk.as_ref().filter(|talk| talk.term == run.term);
            let thread = talk.and_then(|talk| talk.threads.get(&run.thread_id));
            (talk.and_then(|talk| talk.record.clone()), thread.and_then(crate::thread::Thread::turns))
        };
        let (None, Some(record)) = (&turns, record) else { return turns.unwrap_or_default() };
        let read = match read_turns(&*record, &run.thread_id).await {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "the turns of a thread cannot be read; its agent is shown none");
                return Vec::new();
            }
        };
        let mut state = self.state.lock();
        let talk = state.talk.as_mut().filter(|talk| talk.term == run.term);
        let Some(thread) = talk.and_then(|talk| talk.threads.get_mut(&run.thread_id)) else {
            return Vec::new();
        };
        if thread.turns().is_none() {
            thread.set_turns(read);
        }
        thread.turns().unwrap_or_default()
    }
}

/// What was asked, done and answered in a thread, as far as it is kept; of runs that failed nothing.
async fn read_turns(record: &dyn OwnerLog, id: &ThreadId) -> Result<Vec<Turn>, log::ReadError> {
    let (mut open, mut turns): (HashMap<RunId, Turn>, Vec<Turn>) = (HashMap::new(), Vec::new());
    let mut after = 0;
    while let Some(Page { from, events, .. }) = record.read(id, after, PIECE).await?
        && !events.is_empty()
    {
        after = from - 1 + events.len() as u64;
        for event in events.iter().filter_map(told) {
            let Some(run) = event.run_id else { continue };
            match event.message {
                ServerMessage::UserMessage(said) => {
                    // The first one of a run is its question.
                    match (open.entry(run), said.content) {
                        (Entry::Vacant(new), words) => {
                            new.insert(words.map(Turn::asked).unwrap_or_default());
                        }
                        (Entry::Occupied(mut turn), Some(words)) => turn.get_mut().said(words),
                        (Entry::Occupied(_), None) => {}
                    }
                }
                ServerMessage::ToolExecuting(tool) => {
                    let (id, name) = (tool.execution_id.to_string(), tool.tool_name.to_string());
                    let call = ToolCall { id, name, arguments: tool.tool_args.to_string() };
                    open.entry(run).or_default().tool_began(call);
                }
                ServerMessage::ToolCompleted(tool) => open.entry(run).or_default().tool_completed(&tool),
                ServerMessage::AgentCompleted(end) => {
                    let mut turn = open.remove(&run).unwrap_or_default();
                    turn.answer(end.final_response);
                    turns.push(turn);
                }
                ServerMessage::AgentFailed(_) => drop(open.remove(&run)),
                _ => {}
            }
        }
        turns.drain(..turns.len().saturating_sub(HISTORY_TURNS));
    }
    Ok(turns)
}

/// An event of which agents are told later.
fn told(text: &Bytes) -> Option<Envelope> {
    // Its type stands first: of the others no more need be read.
    const KINDS: [&[u8]; 4] = [
        br#"{"type":"user_message""#,
        br#"{"type":"tool_"#,
        br#"{"type":"agent_completed""#,
        br#"{"type":"agent_failed""#,
    ];
    let is_one = KINDS.iter().any(|kind| text.starts_with(kind));
    is_one.then(|| Envelope::parse(str::from_utf8(text).ok()?).ok())?
}

pub(super) fn no_such_thread() -> Rejection {
    Rejection::new(Reason::NotFound, "the user has no such thread")
        .with_hint("you have no thread of that name")
}
