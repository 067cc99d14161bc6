//! `portcullis-bench`: measures the gate from outside, against a real server process.
//!
//! `measure` tells times and memory of a server that it starts itself; `count` tells instructions under callgrind and
//! compares them with a committed baseline. What is compared and gated is only ever the instructions: times depend on
//! the machine. The client polls plain sockets without ever sleeping, so
//! that waking it is not on the server's bill; its own cost is in none of the figures.

#![expect(clippy::cast_precision_loss, reason = "figures are rounded far more than that")]

mod clock;
mod count;
mod delivery;
mod floor;
mod leaving;
mod measure;
mod operation;
mod peer;
mod report;
mod server;
mod tokens;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Measures the gate from outside: CPU time, memory and instructions for each operation.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// CPU time of each operation, memory of an idle connection, start-up time.
    Measure(measure::Args),
    /// Instructions of each operation under callgrind, compared with a baseline.
    Count(count::Args),
    /// A server that does the least, which `measure` holds the gate against.
    #[command(hide = true)]
    Floor(floor::Args),
}

/// The program that is measured.
#[derive(Clone, Debug, clap::Args)]
struct Subject {
    /// The `portcullis` binary, a release build.
    #[arg(long, value_name = "FILE")]
    bin: PathBuf,
}

/// A figure got worse than the baseline allows.
const WORSE: u8 = 1;
/// Nothing could be measured.
const COULD_NOT_RUN: u8 = 3;

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Measure(args) => measure::run(&args).map(|()| true),
        Command::Count(args) => count::run(&args),
        Command::Floor(args) => floor::run(&args).map(|()| true),
    };
    leaving::unless_told_to_end();
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(WORSE),
        Err(error) => {
            report::complain(&error);
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}
