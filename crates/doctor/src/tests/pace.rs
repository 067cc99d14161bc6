//! A doctor that takes its time.

use std::{sync::Arc, time::Duration};

use portcullis_agent::{Agent as _, AgentEvent, EventSink, Inbox, RunContext};
use portcullis_reason::Reason;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::support::{Fixed, task};
use crate::Doctor;

#[tokio::test(start_paused = true)]
async fn each_step_and_piece_waits_and_nothing_else_does() {
    for pause in [Duration::ZERO, Duration::from_millis(50)] {
        let doctor = Doctor::new(Arc::new(Fixed)).paced(pause);
        let (events, mut reader) = EventSink::channel("r", 1024);
        let began = Instant::now();
        let run =
            RunContext { inbox: Inbox::channel(&events, 1).1, events, cancel: CancellationToken::new() };
        assert!(doctor.run(task("why 1006?"), run).await.is_ok());
        let waited = began.elapsed();
        let events: Vec<_> = std::iter::from_fn(|| reader.try_recv()).collect();
        let paced = |event: &&AgentEvent| {
            matches!(event, AgentEvent::Thinking { .. } | AgentEvent::PartialResult { .. })
        };
        let steps = events.iter().filter(paced).count();
        assert!((4..events.len()).contains(&steps), "{events:?}");
        assert_eq!(waited, pause * u32::try_from(steps).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn it_can_be_stopped_in_the_middle_of_a_pause() {
    let doctor = Doctor::new(Arc::new(Fixed)).paced(Duration::from_hours(1));
    let (events, _reader) = EventSink::channel("r", 8);
    let cancel = CancellationToken::new();
    let began = Instant::now();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cancel.cancel();
    };
    let run = RunContext { inbox: Inbox::channel(&events, 1).1, events, cancel: cancel.clone() };
    let (outcome, ()) = tokio::join!(doctor.run(task("why 1006?"), run), stop);
    assert_eq!(outcome.unwrap_err().reason, Reason::RunCancelled);
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}
