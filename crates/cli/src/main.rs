//! The `portcullis` command.
//!
//! One module per command; `config` owns every setting, `keys` turns settings into keys, and `output` prints. Exit
//! codes are stable: 0 fine, 1 findings, 2 usage, 3 could not run.

mod args;
mod bench;
mod check;
mod config;
mod credential;
mod data_dir;
mod descriptors;
mod diagnose;
mod escape;
mod exit;
mod explain;
mod keys;
mod log;
mod operator;
mod output;
mod reference;
mod serve;
mod suggest;
mod surroundings;
mod time;
mod token;
mod users;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    args::{Args, Command},
    output::Output,
};

// An idle connection costs the least memory with it (ARCHITECTURE.md has the figures).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = Args::try_parse().unwrap_or_else(|error| output::refuse(&error));
    let out = Output::new(args.format);
    run(args.command, out).unwrap_or_else(|error| {
        // The reader of a pipe has left, as in `portcullis explain --list | head`.
        if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
        {
            return ExitCode::SUCCESS;
        }
        output::complain(&error);
        let code = if error.is::<output::Usage>() { exit::USAGE } else { exit::COULD_NOT_RUN };
        ExitCode::from(code)
    })
}

fn run(command: Command, out: Output) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => {
            let loaded = config::load(args.config.clone(), args.overrides())?;
            log::init(&loaded.config.log)?;
            serve::run(args, loaded.config, loaded.warnings)
        }
        Command::Check(args) => check::run(&args, out),
        Command::Explain(args) => explain::run(&args, out),
        Command::Diagnose(args) => diagnose::run(&args, out),
        Command::Bench(args) => bench::run(&args, out),
        Command::Token(command) => token::run(command, out),
        Command::Config(command) => config::command::run(command, out),
        Command::Users(command) => users::run(command, out),
        Command::Reference(args) => reference::run(args.page, out),
    }
}
