//! `portcullis diagnose`: a log or an archive to causes and remedies. The engine does the work; here are files and words.

mod follow;
mod input;
mod text;

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use portcullis_diagnose::{Engine, Report};

use crate::{
    args::DiagnoseArgs,
    exit::FINDINGS,
    output::{Format, Output, Usage},
};

/// Runs the command.
pub(crate) fn run(args: &DiagnoseArgs, out: Output) -> anyhow::Result<ExitCode> {
    let stdin = args.file == Path::new("-");
    if stdin && io::stdin().is_terminal() {
        let how = "give a FILE, or pipe a log in: kubectl logs … | portcullis diagnose";
        return Err(Usage(how.to_owned()).into());
    }
    // Better to say so before a large file was read.
    match (out.format(), args.follow) {
        (Format::Text | Format::Json, _) | (Format::Markdown, false) => {}
        (Format::Markdown, true) => {
            return Err(Usage("`--follow` prints text or json".to_owned()).into());
        }
        (other, _) => return Err(not_here(other).into()),
    }
    if args.follow {
        return Ok(code(&follow::run(&args.file, stdin, out)?));
    }
    let report = if stdin {
        read(io::stdin().lock()).context("cannot read standard input")?
    } else {
        let name = args.file.display();
        let file = File::open(&args.file).with_context(|| format!("cannot read {name}"))?;
        read(file).with_context(|| format!("cannot read {name}"))?
    };
    print(&report, out)?;
    Ok(code(&report))
}

/// Reads to the end.
fn read(input: impl Read + 'static) -> io::Result<Report> {
    let mut input = input::unpacked(input)?;
    let mut engine = Engine::new();
    let mut buffer = vec![0; input::BUFFER];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(engine.finish()),
            Ok(length) => engine.feed(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn print(report: &Report, out: Output) -> anyhow::Result<()> {
    match out.format() {
        Format::Markdown => Output::write(report.markdown()),
        _ => out.print(report, |palette| text::report(report, palette)),
    }
}

fn not_here(format: Format) -> Usage {
    Usage(format!(
        "`--format {}` is not one of this command: it prints text, json or markdown",
        format.name()
    ))
}

fn code(report: &Report) -> ExitCode {
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) }
}
