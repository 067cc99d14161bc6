//! What an agent is shown of its thread: questions, tools with their results, answers.

use std::sync::Arc;

use portcullis_agent::{Agent, Answer, Keeps, Message, RunContext, RunFuture, Task, ToolError, ToolOutput};
use portcullis_event::{Mode, ServerMessage};
use portcullis_log::Memory;
use portcullis_router::{Agents, Options, Router};
use serde_json::json;

use crate::world::{Device, End, LIMITS, assert_order, recording_with, roomy, settle};

/// Uses two tools at once, leaves a third, and answers what it was shown.
struct Witness;

impl Agent for Witness {
    fn id(&self) -> &'static str {
        "witness"
    }

    fn kind(&self) -> &'static str {
        "test"
    }

    fn run(&self, task: Task, run: RunContext) -> RunFuture<'_> {
        Box::pin(async move {
            let first = run.events.begin_tool("look", json!({ "at": 1 }), Some("call_0")).await?;
            let second = run.events.begin_tool("ask", json!({}), Some("call_0")).await?;
            second.finish(Err(ToolError("nobody is there".to_owned())));
            first.finish(Ok(ToolOutput { summary: "seen".to_owned(), result: Some(json!([1])) }));
            let left = run.events.begin_tool("wait", json!(null), None).await?;
            run.events.thinking("this takes too long").await?;
            drop(left);
            let shown: Vec<_> = task.messages.iter().map(shape).collect();
            Ok(Answer { final_response: shown.join("\n"), usage: None })
        })
    }
}

fn shape(message: &Message) -> String {
    match message {
        Message::User { .. } => format!("user: {}", message.text()),
        Message::Assistant { tool_calls, .. } if tool_calls.is_empty() => {
            format!("assistant: {}", message.text().lines().count())
        }
        Message::Assistant { tool_calls, .. } => {
            let call = |call: &portcullis_agent::ToolCall| {
                let id = call.id.split_once('.').map_or("call_0", |(_, number)| number);
                format!("{}({}) {id}", call.name, call.arguments)
            };
            format!("calls: {}", tool_calls.iter().map(call).collect::<Vec<_>>().join(", "))
        }
        Message::Tool { call_id, ok, .. } => {
            let id = call_id.split_once('.').map_or("call_0", |(_, number)| number);
            format!("{}: {} {id}", if *ok { "result" } else { "error" }, message.text())
        }
    }
}

/// The answers to `questions` on one thread.
async fn ask(router: &Router, mode: Mode, questions: &[&str]) -> Vec<String> {
    let mut ann = Device::connect(router, "ann", mode).await;
    for (number, question) in questions.iter().enumerate() {
        ann.say(Some(&format!("m{number}")), "t", question).await;
        assert_eq!(settle(router).await, 0);
    }
    ann.read().await;
    let ends = assert_order(ann.events());
    ann.accepted()
        .map(|(_, run, _)| match &ends[run] {
            End::Answer(answer) => answer.clone(),
            End::Failure(reason) => panic!("{reason}"),
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_agent_is_shown_questions_tools_and_answers() {
    let router = recording_with(roomy(), Agents::new(|| Arc::new(Witness)), Arc::new(Memory::new(LIMITS)));
    let answers = ask(&router, Mode::Main, &["first", "second"]).await;
    assert_eq!(answers[0], "user: first");
    assert_eq!(
        answers[1].lines().collect::<Vec<_>>(),
        [
            "user: first",
            "calls: look({\"at\":1}) call_0, ask({}) 1",
            "error: nobody is there 1",
            "result: [1] call_0",
            "calls: wait(null) 2",
            "error: The tool was stopped. 2",
            "assistant: 1",
            "user: second",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_of_its_own_is_shown_its_question_alone() {
    let router = recording_with(roomy(), Agents::new(|| Arc::new(Witness)), Arc::new(Memory::new(LIMITS)));
    assert_eq!(ask(&router, Mode::Factory, &["first", "second"]).await, ["user: first", "user: second"]);
}

/// Lets so much of what it is asked be written down.
struct Keeper(Keeps);

impl Agent for Keeper {
    fn id(&self) -> &'static str {
        "keeper"
    }

    fn kind(&self) -> &'static str {
        "test"
    }

    fn keeps(&self) -> Keeps {
        self.0
    }

    fn run(&self, _: Task, _: RunContext) -> RunFuture<'_> {
        Box::pin(async { Ok(Answer { final_response: "noted".to_owned(), usage: None }) })
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_says_what_of_the_words_is_written_down() {
    for (keeps, redacts, expected) in [
        (Keeps::Nothing, true, None),
        (Keeps::Redacted, true, Some("a [redacted] word")),
        // Nothing that replaces credentials, so nothing that may be written down.
        (Keeps::Redacted, false, None),
        (Keeps::All, false, Some("a secret word")),
    ] {
        let options = Options { redact: roomy().redact.filter(|_| redacts), ..roomy() };
        let agents = Agents::new(move || Arc::new(Keeper(keeps)));
        let router = recording_with(options, agents, Arc::new(Memory::new(LIMITS)));
        let mut ann = Device::connect(&router, "ann", Mode::Main).await;
        ann.say(Some("m"), "t", "a secret word").await;
        assert_eq!(settle(&router).await, 0);
        ann.read().await;
        let said: Vec<_> = ann
            .events()
            .filter_map(|event| match &event.message {
                ServerMessage::UserMessage(said) => Some(said.content.as_deref()),
                _ => None,
            })
            .collect();
        assert_eq!(said, [expected], "{keeps:?}");
    }
}
