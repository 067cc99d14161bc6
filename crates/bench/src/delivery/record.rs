//! The record by itself: how many events it takes in a second.

use std::{path::Path, sync::mpsc};

use anyhow::Context as _;
use portcullis_event::{Epoch, ThreadId};
use portcullis_log::{Change, Durability, Embedded, EventLog as _, Owner, Record};
use tempfile::TempDir;

use crate::{clock::CLOCK, report::Figure};

/// Appends with `device` and `os`, many at a time and one by one. `folder` decides which device it is.
pub(super) fn figures(folder: &Path, rounds: usize) -> anyhow::Result<Vec<Figure>> {
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
            let log = Embedded::open(&place.path().join("events"), durability)?;
            append(&log, 0, count / 10, under_way)?;
            let began = CLOCK.instant();
            append(&log, count / 10, count, under_way)?;
            rates.push(count as f64 / CLOCK.since(began).as_secs_f64());
            drop(log);
        }
        figures.push(Figure::rate(name, "events/s", rates));
    }
    Ok(figures)
}

/// Appends `count` events of ten threads behind the first `from`, so many of them not yet acknowledged at a time.
fn append(log: &Embedded, from: u64, count: u64, under_way: u64) -> anyhow::Result<()> {
    let (told, acknowledged) = mpsc::channel();
    let wait = || -> anyhow::Result<()> {
        let outcome: Result<(), String> = acknowledged.recv().context("the record has ended")?;
        outcome.map_err(anyhow::Error::msg)
    };
    for number in from..from + count {
        if number - from >= under_way {
            wait()?;
        }
        let told = told.clone();
        log.append(
            event(number),
            // Nobody hears it once a round has failed.
            Box::new(move |outcome| drop(told.send(outcome.map_err(ToString::to_string)))),
        );
    }
    (0..under_way.min(count)).try_for_each(|_| wait())
}

fn event(number: u64) -> Change {
    let thread = number % THREADS;
    Change::Event {
        record: Record {
            owner: Owner::new(Some("https://id.example.com"), "user-00000000"),
            thread_id: ThreadId::new(&format!("thread-{thread}")).expect("it is an identifier"),
            epoch: Epoch::new("bench").expect("it is an identifier"),
            seq: number / THREADS + 1,
            at: 1_700_000_000_000 + number,
            text: vec![b'x'; EVENT].into(),
        },
        trim: 0..0,
        ends: None,
    }
}

const THREADS: u64 = 10;

/// The size of an event, as an answer's are.
pub(super) const EVENT: usize = 400;
