//! Who comes back gets what they missed at their own pace: through a queue that is never fuller than it may be, whatever
//! else happens meanwhile.

use std::{collections::HashMap, sync::Arc, time::Duration};

use portcullis_event::{Epoch, GapReason, Mode, Resume, ResumePoint, ServerMessage, ThreadId};
use portcullis_log::{Limits, Memory};
use portcullis_router::{Options, Router};
use proptest::prelude::*;

use crate::world::{Device, LIMITS, assert_order, recording, roomy, router, settle};

const QUEUE: usize = 16 * 1024;

fn from_the_start(threads: &[String]) -> Resume {
    let point = |thread: &String| {
        let thread_id = ThreadId::new(thread).unwrap();
        ResumePoint { thread_id, epoch: None::<Epoch>, after_seq: 0 }
    };
    Resume { threads: threads.iter().map(point).collect() }
}

/// Answers of some hundred kilobytes on each thread.
async fn fill(router: &Router, threads: &[String]) {
    let device = Device::connect(router, "ann", Mode::Main).await;
    for thread in threads {
        device.say(None, thread, &["flood:1000"; 200].join(" ")).await;
        device.say(None, thread, "flood:30000 think tool delta").await;
    }
    assert_eq!(settle(router).await, 0);
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("t{n}")).collect()
}

/// The numbers that came of each thread.
fn seqs(device: &Device) -> HashMap<String, Vec<u64>> {
    let mut seqs: HashMap<String, Vec<u64>> = HashMap::new();
    for event in device.events() {
        let thread = event.thread_id.as_ref().unwrap().to_string();
        seqs.entry(thread).or_default().push(event.position.as_ref().unwrap().seq);
    }
    seqs
}

fn assert_whole(device: &Device, threads: &[String]) {
    assert_order(device.events());
    let seqs = seqs(device);
    for thread in threads {
        let seqs = &seqs[thread];
        assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{thread}: {seqs:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_stream_comes_through_a_narrow_queue_while_it_grows() {
    let router = router(roomy());
    let threads = names(2);
    fill(&router, &threads).await;
    let mut late = Device::narrow(&router, "ann", Mode::Main, &from_the_start(&threads), QUEUE).await;
    let other = Device::connect(&router, "ann", Mode::Main).await;
    let (mut pieces, mut largest) = (0, 0);
    loop {
        largest = largest.max(late.queued_bytes());
        if !late.read_piece().await {
            break;
        }
        if pieces % 10 == 0 && pieces < 100 {
            // The stream that is being sent grows, and so does another one.
            other.say(None, "t0", "think tool delta").await;
            other.say(None, "new", "think").await;
            assert_eq!(settle(&router).await, 0);
        }
        pieces += 1;
    }
    assert!(pieces > 20, "in pieces, not at once: {pieces}");
    assert!(largest <= 31 * 1024, "one frame of 30,000 bytes is the most that waits: {largest}");
    assert_eq!(late.ended, None);
    let mut threads = threads;
    threads.push("new".to_owned());
    assert_whole(&late, &threads);
    // From here on what happens is heard at once.
    let heard = late.events().count();
    other.say(None, "t1", "think").await;
    assert_eq!(settle(&router).await, 0);
    late.read().await;
    assert_eq!(late.events().count(), heard + 4);
}

#[tokio::test(start_paused = true)]
async fn who_is_overtaken_by_what_is_kept_is_told_of_the_gap() {
    let router = recording(roomy(), Arc::new(Memory::new(Limits { events: 50, ..LIMITS })));
    let threads = names(1);
    let other = Device::connect(&router, "ann", Mode::Main).await;
    other.say(None, "t0", &["flood:1000"; 40].join(" ")).await;
    assert_eq!(settle(&router).await, 0);
    let mut late = Device::narrow(&router, "ann", Mode::Main, &from_the_start(&threads), QUEUE).await;
    late.read_piece().await;
    let seen = late.events().count() as u64;
    assert!(seen < 40, "more is to come");
    other.say(None, "t0", &["flood:1000"; 100].join(" ")).await;
    assert_eq!(settle(&router).await, 0);
    late.read().await;
    let gap = late.seen.iter().find_map(|envelope| match &envelope.message {
        ServerMessage::ResumeGap(gap) => Some(gap),
        _ => None,
    });
    let gap = gap.expect("what is gone is told");
    assert_eq!(gap.reason, GapReason::Trimmed);
    assert_eq!(gap.first_available_seq, Some(gap.last_seq - 49));
    assert!(gap.first_available_seq.unwrap() > seen + 1);
}

/// The pieces of the answers that came.
fn pieces(device: &Device) -> Vec<&str> {
    let messages = device.seen.iter().map(|envelope| &envelope.message);
    messages
        .filter_map(|message| match message {
            ServerMessage::PartialResult(it) => Some(&*it.delta),
            _ => None,
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn for_a_slow_reader_pieces_of_an_answer_are_joined_and_none_is_lost() {
    let router = router(roomy());
    let nothing = Resume { threads: Vec::new() };
    let mut slow = Device::narrow(&router, "ann", Mode::Main, &nothing, QUEUE).await;
    let mut fast = Device::connect(&router, "ann", Mode::Main).await;
    // A thousand events would be twenty times what the slow one's queue holds.
    let said = ["delta"; 1_000].join(" ");
    fast.say(None, "t", &said).await;
    assert_eq!(settle(&router).await, 0);
    slow.read().await;
    fast.read().await;
    assert_eq!(slow.ended, None);
    assert_eq!(pieces(&slow).concat(), "ann|0|0;".repeat(1_000));
    assert!(pieces(&slow).len() < 100, "{}", pieces(&slow).len());
    assert_eq!(pieces(&fast), pieces(&slow), "all see the same stream");
    // With nobody slow each piece is told as it comes.
    fast.say(None, "t", "delta delta delta").await;
    let before = pieces(&fast).len();
    assert_eq!(settle(&router).await, 0);
    fast.read().await;
    assert_eq!(pieces(&fast).len(), before + 3);
}

#[tokio::test(start_paused = true)]
async fn a_piece_that_waits_for_more_does_not_wait_for_long() {
    let router = router(roomy());
    let nothing = Resume { threads: Vec::new() };
    let slow = Device::narrow(&router, "ann", Mode::Main, &nothing, QUEUE).await;
    let mut fast = Device::connect(&router, "ann", Mode::Main).await;
    fast.say(None, "t", "flood:6000 delta delta wait:1000 delta").await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    fast.read().await;
    assert_eq!(pieces(&fast).len(), 1, "two wait");
    tokio::time::sleep(Duration::from_millis(100)).await;
    fast.read().await;
    assert_eq!(pieces(&fast)[1..], ["ann|0|0;ann|0|0;"]);
    assert_eq!(settle(&router).await, 0);
    fast.read().await;
    assert_order(fast.events());
    assert_eq!(pieces(&fast).len(), 3);
    assert_eq!(slow.ended, None);
}

#[tokio::test(start_paused = true)]
async fn more_threads_than_memory_holds_are_resumed_from_the_record() {
    let router = router(Options { threads_per_user: 2, ..roomy() });
    let threads = names(6);
    for thread in &threads {
        fill(&router, std::slice::from_ref(thread)).await;
    }
    let mut late = Device::narrow(&router, "ann", Mode::Main, &from_the_start(&threads), QUEUE).await;
    late.read().await;
    assert_whole(&late, &threads);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn however_it_is_read_it_is_the_whole_stream(
        reads in prop::collection::vec(prop_oneof![Just(None), (0..3_usize).prop_map(Some)], 1..40),
        queue in 16 * 1024..80 * 1024_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let router = router(roomy());
            let threads = names(3);
            fill(&router, &threads).await;
            let other = Device::connect(&router, "ann", Mode::Main).await;
            let mut late = Device::narrow(&router, "ann", Mode::Main, &from_the_start(&threads), queue).await;
            for step in reads {
                match step {
                    None => drop(late.read_piece().await),
                    Some(thread) => {
                        other.say(None, &threads[thread], "think delta").await;
                        assert_eq!(settle(&router).await, 0);
                    }
                }
            }
            late.read().await;
            assert_eq!(late.ended, None);
            assert_whole(&late, &threads);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_thread_is_resumed_though_memory_is_full_of_busy_ones() {
    let router = router(Options { threads_per_user: 1, ..roomy() });
    let threads = names(1);
    fill(&router, &threads).await;
    let mut busy = Device::connect(&router, "ann", Mode::Main).await;
    busy.say(None, "busy", "think wait:60000").await;
    while busy.events().count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        busy.read().await;
    }
    let mut late = Device::narrow(&router, "ann", Mode::Main, &from_the_start(&threads), QUEUE).await;
    late.read().await;
    assert!(late.events().count() > 200);
    assert!(!late.seen.iter().any(|it| matches!(it.message, ServerMessage::ResumeGap(_))));
    let seqs = &seqs(&late)["t0"];
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64));
}
