//! `portcullis token mint|inspect|verify`.

mod inspect;
mod mint;
mod verify;

use std::{
    io::{self, IsTerminal as _, Read as _},
    process::ExitCode,
};

use anyhow::Context as _;
use portcullis_token::Zeroizing;
use serde_json::{Value, json};

use crate::{
    args::TokenCommand,
    output::{self, Output, Usage},
};

/// Runs the command.
pub(crate) fn run(command: TokenCommand, out: Output) -> anyhow::Result<ExitCode> {
    match command {
        TokenCommand::Mint(args) => mint::run(&args, out),
        TokenCommand::Inspect(args) => inspect::run(&args, out),
        TokenCommand::Verify(args) => verify::run(&args, out),
    }
}

/// The token: the argument, or standard input for `-`, which leaves no trace in a shell's history.
fn read(argument: &str) -> anyhow::Result<Zeroizing<String>> {
    if argument != "-" {
        return Ok(Zeroizing::new(argument.trim().to_owned()));
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        output::note("Paste the token, then press Enter and Ctrl-D.");
    }
    let mut bytes = Zeroizing::new(Vec::new());
    stdin
        .lock()
        .take(MAX_INPUT)
        .read_to_end(&mut bytes)
        .context("cannot read the token from standard input")?;
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).trim().to_owned()))
}

/// A claim of the command line: JSON where it can be read as such, else text.
pub(crate) fn claim(text: &str) -> Result<(String, Value), Usage> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| Usage(format!("`{text}` is not a claim: write --claim name=value")))?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| json!(value))))
}

/// More than any token; what a pipe sends beyond it is not read.
const MAX_INPUT: u64 = 1 << 20;
