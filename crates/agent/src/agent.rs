//! The contract between the router and whatever answers.

use std::pin::Pin;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    inbox::Inbox,
    sink::EventSink,
    task::{Answer, Failure, Task},
};

/// What ties a run to the world while it goes on.
#[derive(Debug)]
pub struct RunContext {
    /// Where the run tells what it does, in the order in which it happens.
    pub events: EventSink,
    /// Where the run hears what its user says meanwhile. To be dropped by an agent that does not listen.
    pub inbox: Inbox,
    /// Fires when the run is to stop.
    pub cancel: CancellationToken,
}

/// A run in progress.
pub type RunFuture<'a> = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send + 'a>>;

/// What of a user's words may be written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing of them.
    Nothing,
    /// All but credentials, for each of which its kind and a fingerprint stand.
    #[default]
    Redacted,
    /// All of them, as they came.
    All,
}

/// Something that answers tasks.
///
/// One value serves every user and run, so a run keeps its state in its own future. An agent looks at
/// [`RunContext::cancel`] at every point where it could go on for long, and returns [`Failure::cancelled`] soon after it
/// fires; a caller may also drop the future at any point, and the tools that were going on are still completed.
pub trait Agent: Send + Sync + 'static {
    /// The name by which messages choose it (`agent` in `user_message`), unique within a server.
    fn id(&self) -> &str;

    /// The kind of agent: `builtin`, `openai`, `http` and so on (`agent_type` in `agent_started`).
    fn kind(&self) -> &str;

    /// Whether this may be asked again by itself where a crash cuts the answer off, and be kept on the disk until it is
    /// answered: it holds nothing that must not be written down, and to answer it twice does no harm. Asked for every
    /// message before it is accepted, so it answers soon.
    fn may_repeat(&self, question: &str, context: Option<&Value>) -> bool {
        let _ = (question, context);
        false
    }

    /// What of the user's words may be written down where a record is kept.
    fn keeps(&self) -> Keeps {
        Keeps::default()
    }

    /// Answers one task.
    fn run(&self, task: Task, run: RunContext) -> RunFuture<'_>;
}
