//! The record by itself: how many events it takes in a second.

use std::{collections::VecDeque, path::Path, sync::Arc};

use anyhow::Context as _;
use portcullis_event::{Epoch, ThreadId};
use portcullis_log::{Change, Commit, Durability, EventLog as _, Limits, Owner, OwnerLog, Record};
use portcullis_log_fjall::{Embedded, Options};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{clock::CLOCK, report::Figure};

/// Appends with `device` and `os`, many at a time and one by one. `folder` decides which device it is.
pub(super) fn figures(folder: &Path, rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let limits =
        Limits { events: 1 << 20, bytes: 1 << 30, threads: 256, owner_bytes: u64::MAX, all_bytes: u64::MAX };
    let owner = Owner::new(Some("https://id.example.com"), "user-00000000");
    let mut figures = Vec::new();
    for (name, durability, under_way, count) in [
        ("append_device_64", Durability::Device, 64, 20_000),
        ("append_device_1", Durability::Device, 1, 1_000),
        ("append_os_64", Durability::Os, 64, 100_000),
        ("append_os_1", Durability::Os, 1, 20_000),
    ] {
        let mut rates = Vec::new();
        for _ in 0..rounds {
            let place =
                TempDir::with_prefix_in("portcullis-bench.", folder).context("no temporary folder")?;
            let log = Embedded::open(&place.path().join("events"), Options::new(durability, limits))?;
            let own = runtime.block_on(log.open(owner))?;
            append(&runtime, &own, 0, count / 10, under_way)?;
            let began = CLOCK.instant();
            append(&runtime, &own, count / 10, count, under_way)?;
            rates.push(count as f64 / CLOCK.since(began).as_secs_f64());
            drop(log);
        }
        figures.push(Figure::rate(name, "events/s", rates));
    }
    Ok(figures)
}

/// Appends `count` events of ten threads behind the first `from`, so many of them not yet committed at a time.
fn append(
    runtime: &Runtime,
    own: &Arc<dyn OwnerLog>,
    from: u64,
    count: u64,
    under_way: usize,
) -> anyhow::Result<()> {
    let mut commits: VecDeque<Commit> = VecDeque::with_capacity(under_way);
    for number in from..from + count {
        if commits.len() == under_way
            && let Some(first) = commits.pop_front()
        {
            runtime.block_on(first)?;
        }
        commits.push_back(own.append(event(number)));
    }
    commits.into_iter().try_for_each(|commit| Ok(runtime.block_on(commit)?))
}

fn event(number: u64) -> Change {
    let thread = number % THREADS;
    Change::Event {
        record: Record {
            thread_id: ThreadId::new(&format!("thread-{thread}")).expect("it is an identifier"),
            epoch: Epoch::new("bench").expect("it is an identifier"),
            seq: number / THREADS + 1,
            at: 1_700_000_000_000 + number,
            text: vec![b'x'; EVENT].into(),
        },
        ends: None,
    }
}

const THREADS: u64 = 10;

/// The size of an event, as an answer's are.
pub(super) const EVENT: usize = 400;
