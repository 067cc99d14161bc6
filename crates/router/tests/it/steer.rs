//! What a user says to a run that is going on.

use std::sync::Arc;

use portcullis_agent::{Agent, Answer, Failure, Message, RunContext, RunFuture, Task, ToolOutput};
use portcullis_event::{Mode, RunId, ServerMessage};
use portcullis_log::{EventLog, Memory};
use portcullis_reason::Reason;
use portcullis_router::{Agents, Options, Router};
use serde_json::json;

use crate::world::{Device, LIMITS, recording, recording_with, roomy, settle};

/// Hears so many messages as it was asked to, one while a tool goes on, and answers what it was shown and heard.
struct Listener;

impl Agent for Listener {
    fn id(&self) -> &'static str {
        "listener"
    }

    fn kind(&self) -> &'static str {
        "test"
    }

    fn run(&self, task: Task, run: RunContext) -> RunFuture<'_> {
        Box::pin(async move {
            let RunContext { events, mut inbox, cancel } = run;
            let mut words: Vec<_> = task.messages.iter().map(shape).collect();
            for number in 0..task.question().parse().unwrap_or(0) {
                let tool = events.begin_tool("listen", json!(number), None).await?;
                let said = cancel.run_until_cancelled(inbox.hear()).await.ok_or_else(Failure::cancelled)?;
                let said = said.expect("the way in stays while the run goes on");
                tool.finish(Ok(ToolOutput { summary: String::new(), result: None }));
                words.push(format!("heard {}", said.content));
            }
            Ok(Answer { final_response: words.join("; "), usage: None })
        })
    }
}

fn shape(message: &Message) -> String {
    match message {
        Message::User { .. } => format!("user {}", message.text()),
        Message::Assistant { tool_calls, .. } if tool_calls.is_empty() => "answer".to_owned(),
        Message::Assistant { .. } => "call".to_owned(),
        Message::Tool { .. } => "result".to_owned(),
    }
}

fn listening(options: Options, log: Arc<dyn EventLog>) -> Router {
    recording_with(options, Agents::new(|| Arc::new(Listener)), log)
}

/// The run that goes on.
async fn started(device: &mut Device) -> RunId {
    device.read().await;
    let runs = device.events().filter(|event| matches!(event.message, ServerMessage::AgentStarted(_)));
    runs.last().unwrap().run_id.clone().unwrap()
}

fn answers(device: &Device) -> Vec<&str> {
    let answer = |message: &'_ ServerMessage| matches!(message, ServerMessage::AgentCompleted(_));
    let ends = device.events().filter(|event| answer(&event.message));
    ends.map(|end| match &end.message {
        ServerMessage::AgentCompleted(end) => end.final_response.as_str(),
        _ => "",
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn an_agent_hears_what_is_said_meanwhile_and_so_do_all_devices() {
    let log: Arc<dyn EventLog> = Arc::new(Memory::new(LIMITS));
    let router = listening(roomy(), Arc::clone(&log));
    let mut phone = Device::connect(&router, "ann", Mode::Main).await;
    let mut desk = Device::connect(&router, "ann", Mode::Main).await;
    phone.say(Some("m1"), "t", "2").await;
    let run = started(&mut phone).await;
    // From another device than the one that asked.
    desk.steer(Some("m2"), &run, "a secret word").await;
    desk.steer(None, &run, "and more").await;
    assert_eq!(settle(&router).await, 0);
    for device in [&mut phone, &mut desk] {
        device.read().await;
        assert_eq!(answers(device), ["user 2; heard a secret word; heard and more"]);
        let said: Vec<_> = device
            .events()
            .filter_map(|event| match &event.message {
                ServerMessage::UserMessage(said) => Some((said.message_id.as_str(), said.content.as_deref())),
                _ => None,
            })
            .collect();
        assert_eq!(said[..2], [("m1", Some("2")), ("m2", Some("a [redacted] word"))], "as it may be kept");
        assert!(said[2].0.starts_with("message-") && said.len() == 3, "{said:?}");
        let kinds: Vec<_> = device.events().map(|event| event.message.kind().as_str()).collect();
        let heard = ["tool_executing", "user_message", "tool_completed"];
        assert_eq!(kinds[2..8], [heard, heard].concat(), "{kinds:?}");
        assert!(device.errors().is_empty());
    }
    // Later runs are shown it: what memory has, and what is read from the record.
    phone.say(Some("m4"), "t", "0").await;
    assert_eq!(settle(&router).await, 0);
    drop((phone, desk));
    let after = listening(roomy(), log);
    let mut ann = Device::connect(&after, "ann", Mode::Main).await;
    ann.say(Some("m5"), "t", "0").await;
    assert_eq!(settle(&after).await, 0);
    ann.read().await;
    let turn = "user 2; call; result; user a SECRET word; call; result; user and more; answer; user 0";
    let recorded = turn.replace("SECRET", "[redacted]");
    assert_eq!(answers(&ann), [format!("{recorded}; answer; user 0")]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_heard_is_refused() {
    let options = Options { redact: None, ..roomy() };
    let router = listening(options, Arc::new(Memory::new(LIMITS)));
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    let mut bob = Device::connect(&router, "bob", Mode::Main).await;
    ann.say(Some("m1"), "t", "1").await;
    ann.say(Some("m2"), "t", "0").await;
    let (run, waiting) = (started(&mut ann).await, ann.accepted().last().unwrap().1.clone());
    assert_ne!(run, waiting);
    // Another user's, and one that has not begun.
    bob.steer(None, &run, "from a stranger").await;
    ann.steer(None, &waiting, "too early").await;
    bob.read().await;
    ann.read().await;
    assert_eq!((ann.errors(), bob.errors()), (vec![Reason::UnknownRun], vec![Reason::UnknownRun]));
    ann.steer(None, &run, "in time").await;
    assert_eq!(settle(&router).await, 0);
    ann.steer(None, &run, "too late").await;
    ann.read().await;
    assert_eq!(ann.errors(), [Reason::UnknownRun; 2]);
    assert_eq!(answers(&ann).len(), 2);
    assert!(answers(&ann)[0].ends_with("heard in time"), "{:?}", answers(&ann));
}

#[tokio::test(start_paused = true)]
async fn who_speaks_faster_than_the_agent_hears_is_told() {
    let router = listening(roomy(), Arc::new(Memory::new(LIMITS)));
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    ann.say(Some("m1"), "t", "8").await;
    let run = started(&mut ann).await;
    ann.burst(&run, 20);
    assert_eq!(settle(&router).await, 0);
    ann.read().await;
    assert_eq!(ann.errors(), [Reason::RateLimited; 12], "an inbox is bounded");
    assert_eq!(answers(&ann).len(), 1, "and what fits is heard");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_listen_says_so() {
    let router = recording(roomy(), Arc::new(Memory::new(LIMITS)));
    let mut ann = Device::connect(&router, "ann", Mode::Main).await;
    ann.say(Some("m1"), "t", "wait:50").await;
    let run = started(&mut ann).await;
    ann.steer(Some("m2"), &run, "hello").await;
    ann.read().await;
    assert_eq!(ann.errors(), [Reason::UnknownRun]);
    assert_eq!(settle(&router).await, 0);
}
