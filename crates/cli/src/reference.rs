//! `portcullis reference check|cli|metrics`: the pages of the documentation that are made from the code.

use std::{fmt::Write as _, process::ExitCode};

use clap::{Command, CommandFactory as _};
use serde_json::json;

use crate::{
    args::{Args, ReferencePage},
    output::Output,
};

/// Prints the page.
pub(crate) fn run(page: ReferencePage, out: Output) -> anyhow::Result<ExitCode> {
    let text = match page {
        ReferencePage::Check => portcullis_check::formats::reference(),
        ReferencePage::Cli => command_line(),
        ReferencePage::Metrics => portcullis_gateway::metrics_reference(),
    };
    out.print(&json!({ "markdown": text }), |_| text.clone())?;
    Ok(ExitCode::SUCCESS)
}

/// Each command with its help as the program prints it.
fn command_line() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut command = Args::command().term_width(100);
    // Gives every subcommand its full name and the global flags.
    command.build();
    describe(&command, &mut page);
    page
}

fn describe(command: &Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let help = command.clone().render_long_help().to_string();
    // Lines that only separate carry spaces.
    let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    let _ = write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", help.trim_end());
    for subcommand in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        if subcommand.get_name() != "help" {
            describe(subcommand, page);
        }
    }
}

const INTRODUCTION: &str = "\
# Command line

<!-- Generated: cargo run -p portcullis-cli -- reference cli > docs/cli.md -->

Every command takes `--format json`, and prints one document then. Exit codes are stable: 0 fine, 1 findings, 2 usage, 3 could not run, 4 `serve` stopped since its record of events had failed. Colour is left \
away without a terminal and with `NO_COLOR`.
";
