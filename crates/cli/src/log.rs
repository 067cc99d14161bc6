//! Setting up the log: on standard error, text on a terminal and JSON otherwise.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::{
    env,
    settings::{LogFormat, LogOptions},
};

/// What `log.level` lets through. The store of events tells of its own housekeeping only where that is asked for by name.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(format!("fjall=warn,lsm_tree=warn,{level}"))
}

/// Starts logging. Once a process.
pub(crate) fn init(options: &LogOptions) -> anyhow::Result<()> {
    let terminal = io::stderr().is_terminal();
    let json = match options.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_env_filter(filter(&options.level).context("log.level")?)
        .with_ansi(terminal && env::colour());
    let started = if json {
        // Fields beside the message, as log collectors expect them.
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.with_target(false).try_init()
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot start: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_housekeeping_is_told_where_it_is_asked_for() {
        for (level, told) in
            [("info", "lsm_tree=warn"), ("debug", "fjall=warn"), ("info,fjall=debug", "fjall=debug")]
        {
            let shown = filter(level).unwrap().to_string();
            assert!(shown.contains(told), "{level}: {shown}");
        }
        assert!(filter("a=b=c").is_err());
    }
}
