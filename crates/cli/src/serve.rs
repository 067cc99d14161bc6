//! `portcullis serve`: the gateway and the auth service in one process.

use std::process::ExitCode;

use crate::{args::ServeArgs, config::Config};

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(args: ServeArgs, config: Config, warnings: Vec<String>) -> anyhow::Result<ExitCode> {
    let _ = (args, config, warnings);
    anyhow::bail!("the server is not part of this build")
}
