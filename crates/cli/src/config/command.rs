//! `portcullis config check|show|schema`.

use std::{fmt::Write as _, process::ExitCode};

use serde::Serialize;

use super::{
    load::load,
    loaded::Loaded,
    problem::{Error, Origin, Problem},
    reference,
    settings::Config,
};
use crate::{
    args::ConfigCommand,
    descriptors::Descriptors,
    exit::FINDINGS,
    keys,
    output::{Output, Palette},
};

/// Runs the command.
pub(crate) fn run(command: ConfigCommand, out: Output) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Check(args) => check(load(args.file, Vec::new()), out),
        ConfigCommand::Show(args) => show(&load(args.file, Vec::new())?, out),
        ConfigCommand::Schema(args) => {
            let schema = schemars::schema_for!(Config).to_value();
            let markdown = args.markdown.then(|| reference::markdown(&schema));
            out.print(&schema, |_| markdown.unwrap_or_else(|| format!("{schema:#}")))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    /// What a server that is started from here does with open files.
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptors: Option<Descriptors>,
}

fn check(loaded: Result<Loaded, Error>, out: Output) -> anyhow::Result<ExitCode> {
    let report = match loaded {
        Ok(loaded) => {
            let keys = keys::load(&loaded.config).map_err(keys::Faults)?;
            let descriptors = Descriptors::of(&loaded.config);
            let mut warnings = [loaded.warnings, keys.warnings].concat();
            warnings.extend(descriptors.warning(&loaded.config));
            Report { ok: true, problems: Vec::new(), warnings, descriptors: Some(descriptors) }
        }
        Err(Error::Problems(problems)) => {
            Report { ok: false, problems, warnings: Vec::new(), descriptors: None }
        }
        Err(error @ Error::Unreadable { .. }) => return Err(error.into()),
    };
    out.print(&report, |palette| text(&report, palette))?;
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

fn text(report: &Report, palette: Palette) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        let _ = writeln!(text, "{} {problem}", palette.red("✗"));
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "{} {warning}", palette.yellow("!"));
    }
    if report.ok {
        let _ = writeln!(text, "{} the configuration is good", palette.green("✓"));
    }
    if let Some(descriptors) = &report.descriptors {
        let _ = writeln!(text, "  {descriptors}");
    }
    text
}

/// The settings in force. Secrets are references in the configuration, so none can be shown.
fn show(loaded: &Loaded, out: Output) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Shown<'a> {
        config: &'a Config,
        sources: std::collections::BTreeMap<String, Origin>,
        warnings: &'a [String],
    }

    let mut settings = Vec::new();
    flatten("", &toml::Value::try_from(&loaded.config)?, &mut settings);
    let sources = settings
        .iter()
        .map(|(key, _)| (key.clone(), loaded.origin(key)))
        .filter(|(_, origin)| *origin != Origin::Default)
        .collect();
    let shown = Shown { config: &loaded.config, sources, warnings: &loaded.warnings };
    out.print(&shown, |palette| {
        let width = settings
            .iter()
            .map(|(key, value)| key.len() + value.len() + 3)
            .filter(|width| *width <= 60)
            .max();
        let mut text = String::new();
        for (key, value) in &settings {
            let setting = format!("{key} = {value}");
            let origin = format!("# {}", loaded.origin(key));
            let _ = writeln!(text, "{setting:<width$}  {}", palette.dim(origin), width = width.unwrap_or(0));
        }
        for warning in &loaded.warnings {
            let _ = writeln!(text, "# {}: {warning}", palette.yellow("warning"));
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Dotted keys, which are TOML and can be searched for.
fn flatten(prefix: &str, value: &toml::Value, settings: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, settings);
            }
        }
        value => settings.push((prefix.to_owned(), value.to_string())),
    }
}
