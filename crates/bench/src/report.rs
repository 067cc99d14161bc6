//! What was measured, for people and for programs.

use std::{fmt::Write as _, fs, io::Write as _, path::Path, process::Command};

use anyhow::Context as _;
use serde::Serialize;

/// A report of `measure`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// How it was measured, a sentence each.
    pub(crate) method: Vec<String>,
    pub(crate) figures: Vec<Figure>,
}

/// The machine and the versions.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    #[serde(flatten)]
    pub(crate) hardware: portcullis_load::Machine,
    pub(crate) server: String,
    pub(crate) bench: &'static str,
}

/// One figure, measured in several rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) median: f64,
    pub(crate) best: f64,
    pub(crate) rounds: Vec<f64>,
    /// What the project wants to reach: at most that, or at least where more is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reach: Option<f64>,
}

impl Machine {
    /// Asks the system and the program.
    pub(crate) fn of(bin: &Path) -> anyhow::Result<Self> {
        let output = Command::new(bin).arg("--version").output();
        let version = output.with_context(|| format!("cannot run {}", bin.display()))?.stdout;
        Ok(Self {
            hardware: portcullis_load::Machine::here(),
            server: String::from_utf8_lossy(&version).trim().to_owned(),
            bench: env!("CARGO_PKG_VERSION"),
        })
    }
}

impl Figure {
    /// A figure of which less is better.
    pub(crate) fn new(name: &'static str, unit: &'static str, rounds: Vec<f64>) -> Self {
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        Self { name, unit, median: at(sorted.len() / 2), best: at(0), rounds, reach: None }
    }

    /// A figure of which more is better.
    pub(crate) fn rate(name: &'static str, unit: &'static str, rounds: Vec<f64>) -> Self {
        let best = rounds.iter().copied().fold(f64::NAN, f64::max);
        Self { best, ..Self::new(name, unit, rounds) }
    }

    pub(crate) fn reach(mut self, reach: f64) -> Self {
        self.reach = Some(reach);
        self
    }
}

impl Report {
    /// The report as text.
    pub(crate) fn text(&self) -> String {
        let Machine { hardware, server, bench } = &self.machine;
        let mut text = format!("{hardware}; {server}; portcullis-bench {bench}\n");
        for line in &self.method {
            let _ = writeln!(text, "- {line}");
        }
        let _ =
            writeln!(text, "\n{:<28}{:>12}{:>12}{:>12}  unit", "figure", "median", "best of all", "reach");
        for Figure { name, unit, median, best, reach, .. } in &self.figures {
            let reach = reach.map_or_else(String::new, |reach| format!("{reach:.1}"));
            let _ = writeln!(text, "{name:<28}{median:>12.1}{best:>12.1}{reach:>12}  {unit}");
        }
        text
    }
}

/// Prints to standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Writes a value as JSON, a line for each member.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Tells on standard error why nothing came of it.
pub(crate) fn complain(error: &anyhow::Error) {
    // Where even that fails there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "portcullis-bench: {error:#}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_least_or_for_a_rate_the_most() {
        let rounds = vec![3.0, 1.0, 2.0];
        let time = Figure::new("t", "µs", rounds.clone());
        assert!((time.median, time.best) == (2.0, 1.0));
        let rate = Figure::rate("r", "1/s", rounds);
        assert!((rate.median, rate.best) == (2.0, 3.0));
    }
}
