//! What a crash left open is ended before anybody is served.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
};

use bytes::Bytes;
use portcullis_event::{
    AgentFailed, AgentId, AgentStarted, Envelope, Epoch, EventId, ExecutionId, Format, Position, RunError,
    RunId, ServerMessage, ThreadId, Timestamp, ToolCompleted,
};
use portcullis_log::{Change, Error, EventLog, OpenRun, Owner, Record};
use portcullis_reason::Reason;

use crate::random_hex;

/// Ends every run that the log has as open, with `agent_failed`, after its open tools; returns how many. A run that is
/// ended so may be asked for again. Blocks on the disk; to be called before connections are taken.
///
/// # Errors
/// If the log cannot be read or written.
pub fn recover(log: &dyn EventLog, clock: fn() -> Timestamp) -> Result<usize, Error> {
    let mut streams: HashMap<_, Vec<OpenRun>> = HashMap::new();
    for run in log.open_runs()? {
        streams.entry((run.owner, run.thread_id.clone())).or_default().push(run);
    }
    let ended = streams.values().map(Vec::len).sum();
    let (told, outcomes) = mpsc::channel();
    for ((owner, thread_id), mut runs) in streams {
        let mut stream = Stream::read(log, &owner, &thread_id)?;
        // The one that was going on first: those that waited for it come behind its end, as they would have.
        runs.sort_by_cached_key(|run| (stream.began(&run.run_id), run.accepted_at));
        for run in &runs {
            stream.end(run, clock(), &mut |change| {
                let told = told.clone();
                // Nobody listens any more only where an earlier change failed.
                log.append(
                    change,
                    Box::new(move |outcome| drop(told.send(outcome.map_err(ToString::to_string)))),
                );
            })?;
        }
    }
    drop(told);
    outcomes.iter().try_for_each(|outcome| outcome.map_err(Error::Failed))?;
    Ok(ended)
}

/// The end of a stream, to be written on.
struct Stream {
    epoch: Epoch,
    tail: u64,
    events: Vec<Envelope>,
}

impl Stream {
    fn read(log: &dyn EventLog, owner: &Owner, thread_id: &ThreadId) -> Result<Self, Error> {
        let Some(stored) = log.thread(owner, thread_id)? else {
            let epoch = Epoch::new(&random_hex::<8>()).expect("hexadecimal digits are an epoch");
            return Ok(Self { epoch, tail: 0, events: Vec::new() });
        };
        let parse = |text: &Bytes| Envelope::parse(str::from_utf8(text).ok()?).ok();
        let events = stored.texts.iter().filter_map(parse).collect();
        Ok(Self { epoch: stored.epoch.clone(), tail: stored.tail(), events })
    }

    /// Where a run began; behind everything if it did not.
    fn began(&self, run_id: &RunId) -> usize {
        let of_run = |event: &Envelope| event.run_id.as_ref() == Some(run_id);
        self.events.iter().position(of_run).unwrap_or(usize::MAX)
    }

    /// Writes what a run lacks: its beginning, the ends of its tools, and its own.
    fn end(&mut self, run: &OpenRun, now: Timestamp, write: &mut dyn FnMut(Change)) -> Result<(), Error> {
        let mut started = false;
        let mut tools: Vec<(ExecutionId, Arc<str>)> = Vec::new();
        for event in self.events.iter().filter(|event| event.run_id.as_ref() == Some(&run.run_id)) {
            started = true;
            match &event.message {
                ServerMessage::ToolExecuting(tool) => {
                    tools.push((tool.execution_id.clone(), Arc::clone(&tool.tool_name)));
                }
                ServerMessage::ToolCompleted(tool) => tools.retain(|(id, _)| *id != tool.execution_id),
                _ => {}
            }
        }
        let agent_id = AgentId::new(&run.agent_id)
            .map_err(|_| Error::Failed("an open run names no agent".to_owned()))?;
        let mut missing: Vec<ServerMessage> = Vec::new();
        if !started {
            let (agent_type, user_id) = (run.agent_type.as_str().into(), run.user_id.as_str().into());
            missing.push(AgentStarted { agent_id: agent_id.clone(), agent_type, user_id }.into());
        }
        missing.extend(tools.into_iter().map(|(execution_id, tool_name)| {
            let result_summary = "The server stopped while the tool ran.".to_owned();
            ToolCompleted { execution_id, tool_name, ok: false, result_summary, result: None, duration_ms: 0 }
                .into()
        }));
        let error = RunError {
            reason: Reason::Internal,
            message: "The server stopped before the answer was whole; ask again.".to_owned(),
            retryable: true,
        };
        missing.push(AgentFailed { agent_id, error }.into());
        let last = missing.len() - 1;
        for (index, message) in missing.into_iter().enumerate() {
            self.tail += 1;
            let position = Position { epoch: self.epoch.clone(), seq: self.tail };
            let id =
                EventId::numbered(self.epoch.as_str(), self.tail).expect("an epoch and a number are an id");
            let envelope =
                Envelope::event(id, position, run.thread_id.clone(), run.run_id.clone(), now, message);
            let record = Record {
                owner: run.owner,
                thread_id: run.thread_id.clone(),
                epoch: self.epoch.clone(),
                seq: self.tail,
                at: now.unix_ms().unsigned_abs(),
                text: envelope.encode(Format::V1),
            };
            write(Change::Event { record, trim: 0..0, ends: (index == last).then(|| run.run_id.clone()) });
        }
        Ok(())
    }
}
