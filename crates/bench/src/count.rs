//! `count`: instructions of the server in user space, and their comparison with a committed baseline.
//!
//! Each operation runs twice under callgrind, with some number of repetitions and with twice as many; the difference
//! is the cost of the repetitions without start, end and first use. Instructions depend on the compiler and the
//! libraries but hardly on the machine or its load, which is why they can fail a build and times cannot.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use portcullis_load::process::raise_file_limit;
use serde::{Deserialize, Serialize};

use crate::{
    Subject, leaving,
    operation::{Operation, Repeater, Style},
    report::{print, write_json},
    server::{Launch, Site},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// The committed counts to compare with.
    #[arg(long, value_name = "FILE")]
    baseline: PathBuf,
    /// Write what is counted to the baseline instead.
    #[arg(long)]
    update: bool,
    /// Count only the operations whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Keep callgrind's profiles in this folder, for `callgrind_annotate`.
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
}

/// The committed file.
#[derive(Debug, Deserialize, Serialize)]
struct Baseline {
    /// How far a count may lie from the baseline, in percent. Only more than that above it is a failure.
    tolerance_percent: f64,
    /// Instructions of one repetition.
    instructions: BTreeMap<String, u64>,
    /// What the project wants to reach.
    reach: BTreeMap<String, u64>,
}

/// Counts; true if nothing costs more than the baseline allows.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    raise_file_limit()?;
    leaving::watch()?;
    let site = Site::new()?;
    // What a first start makes, such as random keys, takes a different number of instructions each time.
    site.start(&args.subject.bin, &Launch::default())?.stop()?;
    let mut counted = BTreeMap::new();
    for (operation, repetitions) in OPERATIONS {
        if args.only.as_ref().is_none_or(|only| operation.name().contains(only.as_str())) {
            let once = count(&site, args, operation, repetitions)?;
            let twice = count(&site, args, operation, 2 * repetitions)?;
            let each = twice.saturating_sub(once) / repetitions as u64;
            ensure!(each > 0, "{} costs nothing: the counts cannot be right", operation.name());
            counted.insert(operation.name().to_owned(), each);
        }
    }
    let mut baseline: Baseline = match fs::read(&args.baseline) {
        Ok(text) => serde_json::from_slice(&text).context("the baseline cannot be read")?,
        Err(_) if args.update => Baseline {
            tolerance_percent: 5.0,
            instructions: BTreeMap::new(),
            reach: BTreeMap::from([(Operation::Hs256.name().to_owned(), 60_000)]),
        },
        Err(error) => return Err(error).context("there is no baseline; --update makes one"),
    };
    let (text, good) = compare(&counted, &baseline);
    print(&text)?;
    if args.update {
        baseline.instructions.extend(counted);
        write_json(&args.baseline, &baseline)?;
        return Ok(true);
    }
    Ok(good)
}

/// Instructions of a whole server process that saw so many repetitions.
fn count(site: &Site, args: &Args, operation: Operation, repetitions: usize) -> anyhow::Result<u64> {
    let folder = args.profiles.as_deref().unwrap_or_else(|| site.path());
    let profile = folder.join(format!("callgrind.{}.{repetitions}", operation.name()));
    let launch = Launch {
        patient: false,
        long_threads: false,
        narrow: None,
        wrapper: vec![
            "valgrind".into(),
            "--quiet".into(),
            "--tool=callgrind".into(),
            format!("--callgrind-out-file={}", profile.display()),
        ],
        threads: Some(1),
        // How many refusals are logged depends on the time they take, which is none of ours here.
        log_level: Some("error"),
        bare: false,
    };
    let server = site.start(&args.subject.bin, &launch)?;
    // One after the other, and each step by itself: how events fall together would depend on the machine. Refusals come
    // slowly enough that each is written down, which is bounded for a second.
    let pause = Duration::from_millis(if operation == Operation::Refusal { 6 } else { 2 });
    let style = Style { window: 1, pause, users: 20, raw: false };
    let mut client = Repeater::new(operation, server.gateway, &site.keys, repetitions, style)?;
    client.run(repetitions)?;
    drop(client);
    server.stop()?;
    total(&profile)
}

fn total(profile: &Path) -> anyhow::Result<u64> {
    let text = fs::read_to_string(profile).context("callgrind wrote no profile")?;
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    Ok(line.context("the profile has no total")?.trim().parse()?)
}

/// A table of all counts, and whether they may pass.
fn compare(counted: &BTreeMap<String, u64>, baseline: &Baseline) -> (String, bool) {
    let mut text =
        format!("{:<24}{:>12}{:>12}{:>9}{:>12}\n", "instructions", "counted", "baseline", "change", "reach");
    let mut good = true;
    for (name, &count) in counted {
        let before = baseline.instructions.get(name).copied();
        let change = before.map(|before| 100.0 * (count as f64 - before as f64) / before as f64);
        let verdict = match change {
            None => "new",
            Some(change) if change > baseline.tolerance_percent => {
                good = false;
                "MORE THAN ALLOWED"
            }
            Some(change) if change < -baseline.tolerance_percent => "better: update the baseline",
            Some(_) => "",
        };
        let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
        let change = change.map_or_else(String::new, |change| format!("{change:+.1}%"));
        let (before, reach) = (number(before), number(baseline.reach.get(name).copied()));
        let _ = writeln!(text, "{name:<24}{count:>12}{before:>12}{change:>9}{reach:>12}  {verdict}");
    }
    (text, good)
}

const OPERATIONS: [(Operation, usize); 5] = [
    (Operation::Hs256, 600),
    (Operation::Es256Hit, 600),
    (Operation::Es256Miss, 200),
    (Operation::Refusal, 400),
    (Operation::Echo128, 4_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, u64)]) -> BTreeMap<String, u64> {
        entries.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn only_what_costs_more_than_the_tolerance_fails() {
        let baseline = Baseline {
            tolerance_percent: 5.0,
            instructions: map(&[("a", 1_000)]),
            reach: map(&[("a", 900)]),
        };
        for (count, good, verdict) in [
            (1_051, false, "MORE THAN ALLOWED"),
            (1_050, true, "+5.0%"),
            (1_000, true, "+0.0%"),
            (500, true, "better"),
        ] {
            let (text, passes) = compare(&map(&[("a", count)]), &baseline);
            assert_eq!(passes, good, "{count}");
            assert!(text.contains(verdict), "{count}: {text}");
        }
        assert!(compare(&map(&[("b", 7)]), &baseline).0.contains("new"));
    }
}
