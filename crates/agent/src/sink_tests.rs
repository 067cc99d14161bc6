//! The sink's promises: numbers without gaps, pairs on every way out, waiting instead of losing.

use std::{pin::pin, sync::Arc, task::Poll, time::Duration};

use futures_util::{FutureExt, future::join_all, poll};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{AgentEvent, Closed, EventSink, Events, ToolError, ToolOutput};

fn output(summary: &str) -> ToolOutput {
    ToolOutput { summary: summary.into(), result: Some(json!(1)) }
}

fn drain(reader: &mut Events) -> Vec<AgentEvent> {
    std::iter::from_fn(|| reader.try_recv()).collect()
}

fn completed(event: &AgentEvent) -> (&str, bool, &str) {
    match event {
        AgentEvent::ToolCompleted { execution_id, ok, result_summary, .. } => {
            (execution_id.as_str(), *ok, result_summary)
        }
        other => panic!("{other:?} is no completion"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_is_announced_run_and_completed() {
    let (sink, mut receiver) = EventSink::channel("run-7", 8);
    sink.thinking("first").await.unwrap();
    let tool = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        Ok(output("done"))
    };
    assert_eq!(sink.tool("look", json!({ "a": 1 }), tool).await, Ok(Ok(output("done"))));
    let failed = sink.tool("look", Value::Null, async { Err(ToolError("no luck".into())) }).await;
    assert_eq!(failed, Ok(Err(ToolError("no luck".into()))));
    sink.thinking("second").await.unwrap();

    let events = drain(&mut receiver);
    assert_eq!(events[0], AgentEvent::Thinking { content: "first".into(), step: 1 });
    assert_eq!(
        events[1],
        AgentEvent::ToolExecuting {
            execution_id: "run-7.1".parse().unwrap(),
            tool_name: "look".into(),
            tool_args: json!({ "a": 1 })
        }
    );
    assert_eq!(
        events[2],
        AgentEvent::ToolCompleted {
            execution_id: "run-7.1".parse().unwrap(),
            tool_name: "look".into(),
            ok: true,
            result_summary: "done".into(),
            result: Some(json!(1)),
            duration_ms: 1500,
        }
    );
    assert_eq!(completed(&events[4]), ("run-7.2", false, "no luck"));
    assert_eq!(events[5], AgentEvent::Thinking { content: "second".into(), step: 2 });
}

#[tokio::test]
async fn a_dropped_tool_is_completed_though_the_channel_is_full() {
    let (sink, mut receiver) = EventSink::channel("r", 8);
    {
        let mut tool = pin!(sink.tool("slow", Value::Null, std::future::pending()));
        assert!(matches!(poll!(&mut tool), Poll::Pending));
        for _ in 0..7 {
            sink.delta("x").await.unwrap();
        }
        // All places are taken; a completion needs none.
        assert!(sink.delta("y").now_or_never().is_none());
    }
    let events = drain(&mut receiver);
    assert_eq!(completed(events.last().unwrap()), ("r.1", false, "The tool was stopped."));
    assert_eq!(events.len(), 9);
}

#[tokio::test]
async fn a_panicking_tool_is_completed() {
    let (sink, mut receiver) = EventSink::channel("r", 8);
    let tool = sink.tool("broken", Value::Null, async { panic!("as planned") });
    assert!(std::panic::AssertUnwindSafe(tool).catch_unwind().await.is_err());
    let events = drain(&mut receiver);
    assert_eq!(completed(&events[1]), ("r.1", false, "The tool failed."));
}

#[tokio::test]
async fn a_full_channel_makes_the_agent_wait_and_loses_nothing() {
    let (sink, mut receiver) = EventSink::channel("r", 8);
    for _ in 0..8 {
        sink.delta("x").now_or_never().unwrap().unwrap();
    }
    let mut waiting = pin!(sink.delta("y"));
    assert!(matches!(poll!(&mut waiting), Poll::Pending));
    receiver.recv().await;
    assert!(matches!(poll!(&mut waiting), Poll::Ready(Ok(()))));
    assert_eq!(drain(&mut receiver).len(), 8);
}

#[tokio::test]
async fn without_a_reader_nothing_is_run() {
    let (sink, receiver) = EventSink::channel("r", 8);
    drop(receiver);
    assert_eq!(sink.thinking("x").await, Err(Closed));
    assert_eq!(sink.delta("x").await, Err(Closed));
    assert_eq!(sink.tool("t", Value::Null, async { panic!("never polled") }).await, Err(Closed));
}

#[tokio::test]
async fn who_waits_for_a_place_hears_that_the_reader_left() {
    let (sink, reader) = EventSink::channel("r", 1);
    sink.delta("x").await.unwrap();
    let tool = sink.begin_tool("t", Value::Null, None);
    let mut tool = pin!(tool);
    assert!(matches!(poll!(&mut tool), Poll::Pending));
    drop(reader);
    assert!(matches!(poll!(&mut tool), Poll::Ready(Err(Closed))));
}

#[tokio::test]
async fn tools_overlap_in_any_number_and_end_in_any_order() {
    let (sink, mut reader) = EventSink::channel("r", 1);
    let mut open = Vec::new();
    for _ in 0..40 {
        open.push(sink.begin_tool("t", Value::Null, None).now_or_never().expect("there is a place").unwrap());
        assert!(matches!(reader.recv().await, Some(AgentEvent::ToolExecuting { .. })));
    }
    sink.delta("x").now_or_never().expect("open tools hold no place").unwrap();
    for (at, tool) in open.into_iter().rev().enumerate() {
        let id = tool.id().clone();
        if at % 2 == 0 {
            tool.finish(Ok(output("done")));
        } else {
            drop(tool);
        }
        let events = drain(&mut reader);
        assert_eq!(completed(events.last().unwrap()).0, id.as_str());
    }
}

#[tokio::test]
async fn a_tool_outlives_its_reader() {
    let (sink, mut reader) = EventSink::channel("r", 1);
    let tool = sink.begin_tool("t", Value::Null, None).await.unwrap();
    reader.recv().await.unwrap();
    drop(reader);
    tool.finish(Err(ToolError("nobody hears it".into())));
}

#[tokio::test]
async fn ids_from_elsewhere_stay_what_they_are_while_they_can() {
    let longest = "x".repeat(128);
    let too_long = "x".repeat(129);
    let table = [
        (Some("call_1"), "call_1"),
        (None, "r.1"),
        // A model that counts from 0 in each of its answers.
        (Some("call_1"), "call_1.2"),
        (Some("call_1"), "call_1.3"),
        (Some("call_1.4"), "call_1.4"),
        (Some("call_1"), "call_1.5"),
        // What the sink itself would have said next.
        (Some("r.6"), "r.6"),
        (None, "r.7"),
        (Some(""), "r.8"),
        (Some("two words"), "r.9"),
        (Some("crlf\r\n"), "r.10"),
        (Some("naïve"), "r.11"),
        (Some(&too_long), "r.12"),
        (Some(&longest), &longest),
        (Some(&longest), "tool.13"),
        (Some("tool.14"), "tool.14"),
        (Some(&longest), "tool.15"),
    ];
    let (sink, mut reader) = EventSink::channel("r", table.len());
    for (wanted, expected) in table {
        let tool = sink.begin_tool("t", Value::Null, wanted).await.unwrap();
        assert_eq!(tool.id().as_str(), expected, "{wanted:?}");
        drop(tool);
        let events = drain(&mut reader);
        assert!(
            matches!(&events[0], AgentEvent::ToolExecuting { execution_id, .. } if execution_id.as_str() == expected)
        );
        assert_eq!(completed(&events[1]), (expected, false, "The tool was stopped."));
    }
    // A run without a name that could be an identifier has tools all the same.
    let (sink, _reader) = EventSink::channel(too_long.as_str(), 1);
    assert_eq!(sink.begin_tool("t", Value::Null, None).await.unwrap().id().as_str(), "tool.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clones_on_many_tasks_number_their_steps_in_order_of_arrival() {
    let (sink, mut receiver) = EventSink::channel("r", 8);
    let think = |sink: EventSink| async move {
        for _ in 0..50 {
            sink.thinking("x").await.unwrap();
            sink.tool("t", Value::Null, async { Ok(output("o")) }).await.unwrap().unwrap();
        }
    };
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        tasks.spawn(think(sink.clone()));
    }
    drop(sink);
    let (mut steps, mut open) = (0, std::collections::HashSet::new());
    while let Some(event) = receiver.recv().await {
        match event {
            AgentEvent::Thinking { step, .. } => {
                steps += 1;
                assert_eq!(step, steps);
            }
            AgentEvent::ToolExecuting { execution_id, .. } => assert!(open.insert(execution_id)),
            AgentEvent::ToolCompleted { execution_id, .. } => assert!(open.remove(&execution_id)),
            AgentEvent::Heard(_) | AgentEvent::PartialResult { .. } => unreachable!(),
        }
    }
    assert!(open.is_empty());
    assert_eq!(steps, 200);
    tasks.join_all().await;
}

proptest! {
    /// However tools are mixed, polled and dropped, each one that was announced is completed once.
    #[test]
    fn every_announced_tool_is_completed_once(polls in prop::collection::vec(0u8..4, 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (sink, mut receiver) = EventSink::channel("r", 16);
            let tools = polls.iter().map(|polls| {
                let sink = sink.clone();
                async move {
                    let work = async {
                        for _ in 0..2 {
                            tokio::task::yield_now().await;
                        }
                        Ok(output("o"))
                    };
                    let mut tool = pin!(sink.tool("t", Value::Null, work));
                    for _ in 0..*polls {
                        if poll!(&mut tool).is_ready() {
                            return true;
                        }
                    }
                    false
                }
            });
            let finished = join_all(tools).await.into_iter().filter(|done| *done).count();
            let events = drain(&mut receiver);
            let ids = |executing: bool| {
                let mut ids: Vec<_> = events.iter().filter_map(|event| match event {
                    AgentEvent::ToolExecuting { execution_id, .. } if executing => Some(Arc::<str>::from(execution_id.as_str())),
                    AgentEvent::ToolCompleted { execution_id, .. } if !executing => Some(execution_id.as_str().into()),
                    _ => None,
                }).collect();
                ids.sort();
                ids
            };
            assert_eq!(ids(true), ids(false));
            assert_eq!(ids(true).len(), polls.iter().filter(|polls| **polls > 0).count());
            let ok = events.iter().filter(|event| matches!(event, AgentEvent::ToolCompleted { ok: true, .. })).count();
            assert_eq!(ok, finished);
        });
    }
}
