//! `portcullis token mint|inspect|verify`.

pub(crate) mod claim;
mod input;
mod inspect;
mod mint;
mod verify;

use std::process::ExitCode;

use crate::{args::TokenCommand, output::Output};

/// Runs the command.
pub(crate) fn run(command: TokenCommand, out: Output) -> anyhow::Result<ExitCode> {
    match command {
        TokenCommand::Mint(args) => mint::run(&args, out),
        TokenCommand::Inspect(args) => inspect::run(&args, out),
        TokenCommand::Verify(args) => verify::run(&args, out),
    }
}
