//! An agent that does what the message says, word by word.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use portcullis_agent::{
    Agent, Answer, EventSink, Failure, Message, RunContext, RunFuture, Task, ToolError, ToolOutput,
};
use portcullis_reason::Reason;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Follows scripts such as `think tool wait:50 delta`.
#[derive(Debug)]
pub struct Scripted {
    instance: usize,
}

impl Scripted {
    /// Makes instances that know their number: one is shared, each run in the mode `factory` has its own.
    pub fn maker() -> impl Fn() -> Arc<dyn Agent> + Send + Sync + 'static {
        let instances = AtomicUsize::new(0);
        move || Arc::new(Self { instance: instances.fetch_add(1, Ordering::Relaxed) })
    }
}

impl Scripted {
    async fn follow(
        &self,
        task: &Task,
        events: &EventSink,
        cancel: &CancellationToken,
    ) -> Result<Answer, Failure> {
        // Whatever is said bears the mark of whom it is for.
        let mark = format!("{}|{}|{}", task.user_id, self.instance, earlier_turns(task));
        for word in task.question().split(' ') {
            let (word, number) = word.split_once(':').unwrap_or((word, "0"));
            let number: u64 = number.parse().expect("a number stands behind the colon");
            let pause = Duration::from_millis(number);
            match word {
                "think" => events.thinking(&*mark).await?,
                "delta" => events.delta(format!("{mark};")).await?,
                "flood" => events.delta("x".repeat(number as usize)).await?,
                // Goes round in circles, a tool within a tool, and never comes to an answer.
                "circle" => loop {
                    let round = async {
                        let _ = events.tool("inner", json!({}), async { Err(ToolError(mark.clone())) }).await;
                        let _ = events.thinking(&*mark).await;
                        Ok(ToolOutput { summary: mark.clone(), result: None })
                    };
                    let _ = events.tool("outer", json!({}), round).await?;
                },
                // Thinks so often, without letting anybody look in between.
                "thoughts" => {
                    for _ in 0..number {
                        events.thinking(&*mark).await?;
                    }
                }
                "wait" => tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = cancel.cancelled() => return Err(Failure::cancelled()),
                },
                // Does not listen to anybody who says stop.
                "deaf" => tokio::time::sleep(pause).await,
                "tool" => {
                    let job = async {
                        tokio::time::sleep(pause).await;
                        Ok(ToolOutput { summary: mark.clone(), result: None })
                    };
                    let _ = events.tool("work", json!({ "mark": mark }), job).await?;
                }
                "broken" => {
                    let job = async { Err(ToolError(mark.clone())) };
                    let _ = events.tool("broken", json!({}), job).await?;
                }
                "panic" => surprise(),
                "panicking" => {
                    let job = async { surprise() };
                    let _ = events.tool("panicking", json!({}), job).await?;
                }
                // Not to be written down.
                "private" => {}
                "fail" => return Err(Failure::new(Reason::AgentError, mark)),
                other => panic!("no such word: {other}"),
            }
        }
        Ok(Answer { final_response: mark, usage: None })
    }
}

/// How many turns of the thread the agent is shown: questions, and answers whose question is not known any more.
fn earlier_turns(task: &Task) -> usize {
    let (mut turns, mut asked) = (0, false);
    for message in task.messages.iter().take(task.messages.len() - 1) {
        match message {
            Message::User { .. } => {
                turns += 1;
                asked = true;
            }
            Message::Assistant { tool_calls, .. } if tool_calls.is_empty() => {
                turns += usize::from(!asked);
                asked = false;
            }
            Message::Assistant { .. } | Message::Tool { .. } => {}
        }
    }
    turns
}

/// A panic that is meant: the hook that would report it is left alone.
fn surprise() -> ! {
    std::panic::resume_unwind(Box::new("as the script says"))
}

impl Agent for Scripted {
    fn id(&self) -> &'static str {
        "scripted"
    }

    fn kind(&self) -> &'static str {
        "test"
    }

    fn may_repeat(&self, question: &str, context: Option<&Value>) -> bool {
        context.is_none() && !question.contains("private")
    }

    fn run(&self, task: Task, run: RunContext) -> RunFuture<'_> {
        let RunContext { events, inbox, cancel } = run;
        // What the script says is settled.
        drop(inbox);
        Box::pin(async move { self.follow(&task, &events, &cancel).await })
    }
}
