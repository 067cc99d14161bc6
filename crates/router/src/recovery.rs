//! What a crash left open, before anybody is served: run again where the agent allows it, else ended.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use bytes::Bytes;
use portcullis_agent::Failure;
use portcullis_event::{
    AgentFailed, AgentId, AgentStarted, Envelope, ExecutionId, RunError, RunId, ServerMessage, ToolCompleted,
};
use portcullis_log::{Error, OpenRun, Question, Repeat, Stored};
use portcullis_reason::Reason;

use crate::{
    Router,
    agents::Chosen,
    run,
    thread::{Again, Run},
    world::{Place, Submitted, World, cancellation},
};

/// What became of the runs that the last process left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Those that are run again, or for the first time where they had not begun.
    pub repeated: usize,
    /// Those that ended with `agent_failed`.
    pub ended: usize,
}

impl Router {
    /// Takes up every run that the log has as open: its open tools end, then it is put back in its thread, in the old
    /// order, or ended with `agent_failed`. Blocks on the disk until the ends are recorded; to be called once, within a
    /// runtime, before connections are taken.
    ///
    /// # Errors
    /// If the log cannot be read or written.
    pub fn recover(&self) -> Result<Recovered, Error> {
        let shared = &self.shared;
        let Some(log) = shared.log.as_deref() else { return Ok(Recovered::default()) };
        // In an order that is the same each time.
        let mut threads: BTreeMap<_, Vec<OpenRun>> = BTreeMap::new();
        for run in log.open_runs()? {
            threads.entry((run.owner, run.thread_id.clone())).or_default().push(run);
        }
        let mut recovered = Recovered::default();
        let mut first = Vec::new();
        // Each event holds a sender until it is recorded.
        let (held, all_recorded) = mpsc::channel::<()>();
        for ((owner, thread_id), mut runs) in threads {
            let stored = log.thread(&owner, &thread_id)?;
            let mut begun = CutOff::read(stored.as_ref());
            runs.sort_by_cached_key(|run| {
                (begun.get(&run.run_id).map_or(usize::MAX, |run| run.place), run.accepted_at)
            });
            let mut restored = shared.restored.lock();
            let world = Arc::clone(restored.entry(owner).or_insert_with(|| Arc::new(World::shared())));
            drop(restored);
            world.take_in(thread_id, stored.as_ref());
            for run in runs {
                let cut_off = begun.remove(&run.run_id);
                match self.take_up(&world, run, cut_off, &held)? {
                    None => recovered.ended += 1,
                    Some(submitted) => {
                        recovered.repeated += 1;
                        if let Submitted::Start(run) = submitted {
                            first.push((Arc::clone(&world), run));
                        }
                    }
                }
            }
        }
        drop(held);
        let _ = all_recorded.recv();
        shared.ready().map_err(|_| Error::Failed("what a crash left open cannot be ended".to_owned()))?;
        for (world, run) in first {
            run::start(self, &world, *run);
        }
        Ok(recovered)
    }

    /// Ends a run's open tools, and puts it back in its thread or ends it too: none then.
    fn take_up(
        &self,
        world: &Arc<World>,
        mut open: OpenRun,
        cut_off: Option<CutOff>,
        held: &mpsc::Sender<()>,
    ) -> Result<Option<Submitted>, Error> {
        let shared = &self.shared;
        let agent_id = AgentId::new(&open.agent_id)
            .map_err(|_| Error::Failed("an open run names no agent".to_owned()))?;
        let place =
            Place { owner: open.owner, thread_id: open.thread_id.clone(), run_id: open.run_id.clone() };
        let tell = |message: ServerMessage| world.emit(shared, &place, message, held.clone());
        let began = cut_off.is_some();
        for (execution_id, tool_name) in cut_off.into_iter().flat_map(|cut_off| cut_off.tools) {
            let result_summary = "The server stopped while the tool ran.".to_owned();
            let (ok, result, duration_ms) = (false, None, 0);
            tell(ToolCompleted { execution_id, tool_name, ok, result_summary, result, duration_ms }.into());
        }
        match self.question(&agent_id, &mut open) {
            Ok((chosen, question)) => {
                shared.observer.repeated();
                let run = self.again(chosen, question, Again { open, began });
                Ok(Some(world.put_back(shared, run)))
            }
            Err(Failure { reason, message, retryable }) => {
                if !began {
                    let (agent_type, user_id) = (open.agent_type.into(), open.user_id.into());
                    let agent_id = agent_id.clone();
                    tell(AgentStarted { agent_id, agent_type, user_id, attempt: None }.into());
                }
                let error = RunError { reason, message, retryable };
                tell(AgentFailed { agent_id, error }.into());
                shared.observer.run_ended(Some(reason), self.since(open.accepted_at));
                Ok(None)
            }
        }
    }

    /// What is to be asked again and whom, taken out of the record's entry; or how the run ends.
    fn question(&self, agent_id: &AgentId, open: &mut OpenRun) -> Result<(Chosen, Question), Failure> {
        let cut_off = || Failure {
            reason: Reason::Internal,
            message: "The server stopped before the answer was whole; ask again.".to_owned(),
            retryable: true,
        };
        let question = match mem::replace(&mut open.repeat, Repeat::Done) {
            Repeat::Once(question) if self.shared.options.repeat_runs => question,
            Repeat::Once(_) | Repeat::Never => return Err(cut_off()),
            Repeat::Done => {
                return Err(Failure {
                    message: "The server stopped twice before the answer was whole.".to_owned(),
                    retryable: false,
                    ..cut_off()
                });
            }
        };
        let chosen = self.shared.agents.choose(Some(agent_id), question.fresh).map_err(|_| {
            Failure::new(Reason::UnknownAgent, "The server was restarted without the agent that was asked.")
        })?;
        // It may be another one under the same name.
        let may = chosen.agent.may_repeat(&question.content, question.context.as_ref());
        if may { Ok((chosen, question)) } else { Err(cut_off()) }
    }

    /// How long ago that was, by the clock of events.
    fn since(&self, at: u64) -> Duration {
        Duration::from_millis((self.shared.clock)().unix_ms().unsigned_abs().saturating_sub(at))
    }

    fn again(&self, chosen: Chosen, question: Question, again: Again) -> Run {
        let Question { content, context, fresh } = question;
        let open = &again.open;
        let now = Instant::now();
        Run {
            id: open.run_id.clone(),
            thread_id: open.thread_id.clone(),
            user_id: open.user_id.as_str().into(),
            chosen,
            content,
            context,
            remembers: !fresh,
            cancel: cancellation(&self.shared),
            accepted: now.checked_sub(self.since(open.accepted_at)).unwrap_or(now),
            owner: open.owner,
            repeat: Repeat::Never,
            recorded: None,
            again: Some(Box::new(again)),
        }
    }
}

/// A run that had begun.
struct CutOff {
    /// Its place among the thread's beginnings.
    place: usize,
    /// The tools that have not ended.
    tools: Vec<(ExecutionId, Arc<str>)>,
}

impl CutOff {
    /// The runs of a thread that have begun.
    fn read(stored: Option<&Stored>) -> HashMap<RunId, Self> {
        let mut begun: HashMap<RunId, Self> = HashMap::new();
        let parse = |text: &Bytes| Envelope::parse(str::from_utf8(text).ok()?).ok();
        for event in stored.into_iter().flat_map(|stored| stored.texts.iter().filter_map(parse)) {
            let Some(run_id) = event.run_id else { continue };
            let place = begun.len();
            let run = begun.entry(run_id).or_insert_with(|| Self { place, tools: Vec::new() });
            match event.message {
                ServerMessage::ToolExecuting(tool) => run.tools.push((tool.execution_id, tool.tool_name)),
                ServerMessage::ToolCompleted(tool) => run.tools.retain(|(id, _)| *id != tool.execution_id),
                _ => {}
            }
        }
        begun
    }
}
