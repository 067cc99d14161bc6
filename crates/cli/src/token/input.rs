//! The token that a command is given.

use std::io::{self, IsTerminal as _, Read as _};

use anyhow::Context as _;
use portcullis_token::Zeroizing;

use crate::output;

/// The token: the argument, or standard input for `-`, which leaves no trace in a shell's history.
pub(super) fn read(argument: &str) -> anyhow::Result<Zeroizing<String>> {
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

/// More than any token; what a pipe sends beyond it is not read.
const MAX_INPUT: u64 = 1 << 20;
