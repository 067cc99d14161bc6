//! An agent that takes its time, so that a person can watch it and a test can act in the middle.

use std::time::Duration;

use portcullis_agent::{Agent, EventSink, Failure, RunFuture, Task};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// Another agent, slowed down: before each step and each piece of the answer it waits.
#[derive(Clone, Debug)]
pub struct Paced<A> {
    agent: A,
    pause: Duration,
}

impl<A: Agent> Paced<A> {
    /// `agent` with so long a pause; with none it is as it was.
    pub const fn new(agent: A, pause: Duration) -> Self {
        Self { agent, pause }
    }
}

impl<A: Agent> Agent for Paced<A> {
    fn id(&self) -> &str {
        self.agent.id()
    }

    fn kind(&self) -> &str {
        self.agent.kind()
    }

    fn may_repeat(&self, question: &str, context: Option<&Value>) -> bool {
        self.agent.may_repeat(question, context)
    }

    fn run(&self, task: Task, events: EventSink, cancel: CancellationToken) -> RunFuture<'_> {
        let run = self.agent.run(task, events.paced(self.pause), cancel.clone());
        if self.pause.is_zero() {
            return run;
        }
        Box::pin(async move {
            tokio::select! {
                outcome = run => outcome,
                // In the middle of a pause too.
                () = cancel.cancelled() => Err(Failure::cancelled()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_agent::{AgentEvent, Answer};
    use portcullis_reason::Reason;
    use tokio::time::Instant;

    struct Talker;

    impl Agent for Talker {
        fn id(&self) -> &'static str {
            "talker"
        }

        fn kind(&self) -> &'static str {
            "test"
        }

        fn may_repeat(&self, question: &str, context: Option<&Value>) -> bool {
            question == "b" && context.is_none()
        }

        fn run(&self, _: Task, events: EventSink, _: CancellationToken) -> RunFuture<'_> {
            Box::pin(async move {
                let _ = events.thinking("a").await;
                let _ = events.delta("b").await;
                Ok(Answer { final_response: "b".to_owned(), usage: None })
            })
        }
    }

    fn task() -> Task {
        Task {
            run_id: "r".into(),
            thread_id: "t".into(),
            user_id: "ann".into(),
            content: String::new(),
            context: None,
            history: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_step_and_piece_waits_and_nothing_else_does() {
        for (pause, total) in [(0, 0), (50, 100)] {
            let agent = Paced::new(Talker, Duration::from_millis(pause));
            let (sink, mut events) = EventSink::channel("r", 8);
            let began = Instant::now();
            assert!(agent.run(task(), sink, CancellationToken::new()).await.is_ok());
            assert_eq!(began.elapsed(), Duration::from_millis(total));
            assert!(matches!(events.recv().await, Some(AgentEvent::Thinking { step: 1, .. })));
            assert!(matches!(events.recv().await, Some(AgentEvent::PartialResult { .. })));
        }
    }

    #[test]
    fn what_may_be_asked_again_is_the_agent_s_to_say() {
        let agent = Paced::new(Talker, Duration::from_millis(50));
        assert!(agent.may_repeat("b", None));
        assert!(!agent.may_repeat("b", Some(&Value::Null)) && !agent.may_repeat("c", None));
    }

    #[tokio::test(start_paused = true)]
    async fn it_can_be_stopped_in_the_middle_of_a_pause() {
        let agent = Paced::new(Talker, Duration::from_hours(1));
        let (sink, _events) = EventSink::channel("r", 8);
        let cancel = CancellationToken::new();
        let began = Instant::now();
        let stop = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancel.cancel();
        };
        let (outcome, ()) = tokio::join!(agent.run(task(), sink, cancel.clone()), stop);
        assert_eq!(outcome.unwrap_err().reason, Reason::RunCancelled);
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }
}
