//! `cargo xtask generate [--check]`: writes what is derived from the code, or says which of it is stale.
//!
//! Each module stands for one kind of output and returns its files; this file alone touches the disk.

mod reason_pages;
mod schemas;
mod typescript;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};

/// A generated file: its path from the root of the repository, and its text.
struct Output {
    path: PathBuf,
    text: String,
}

impl Output {
    fn new(path: impl Into<PathBuf>, text: String) -> Self {
        Self { path: path.into(), text }
    }
}

/// Folders in which every file is generated: one that no module claims any more is stale.
const GENERATED_FOLDERS: &[&str] = &["docs/reasons"];

fn outputs() -> Result<Vec<Output>> {
    let mut outputs = schemas::outputs()?;
    outputs.extend(reason_pages::outputs());
    outputs.extend(typescript::outputs()?);
    Ok(outputs)
}

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["generate"] => false,
        ["generate", "--check"] => true,
        _ => bail!("usage: cargo xtask generate [--check]"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?;
    let outputs = outputs()?;
    let stale = stale(root, &outputs)?;
    if !check {
        write(root, &outputs, &stale)?;
    }
    Ok(report(&stale, check))
}

/// The paths whose file differs from what would be generated, is missing, or should not exist.
fn stale(root: &Path, outputs: &[Output]) -> Result<BTreeSet<PathBuf>> {
    let mut stale: BTreeSet<_> = outputs
        .iter()
        .filter(|output| fs::read_to_string(root.join(&output.path)).ok().as_ref() != Some(&output.text))
        .map(|output| output.path.clone())
        .collect();
    for folder in GENERATED_FOLDERS.iter().map(Path::new) {
        if !root.join(folder).exists() {
            continue;
        }
        for entry in
            fs::read_dir(root.join(folder)).with_context(|| format!("reading {}", folder.display()))?
        {
            let path = folder.join(entry?.file_name());
            if !outputs.iter().any(|output| output.path == path) {
                stale.insert(path);
            }
        }
    }
    Ok(stale)
}

/// Writes the stale outputs and removes the files that nothing generates any more. Fresh files keep their times, so
/// that nothing is rebuilt for them.
fn write(root: &Path, outputs: &[Output], stale: &BTreeSet<PathBuf>) -> Result<()> {
    for path in stale {
        let target = root.join(path);
        match outputs.iter().find(|output| output.path == *path) {
            Some(output) => {
                let folder = target.parent().context("an output without a folder")?;
                fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
                fs::write(&target, &output.text).with_context(|| format!("writing {}", path.display()))?;
            }
            None => fs::remove_file(&target).with_context(|| format!("removing {}", path.display()))?,
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command line tool's result")]
fn report(stale: &BTreeSet<PathBuf>, check: bool) -> ExitCode {
    for path in stale {
        println!("{} {}", if check { "stale" } else { "wrote" }, path.display());
    }
    if stale.is_empty() {
        println!("everything generated is up to date");
    } else if check {
        println!("run `cargo xtask generate` and commit the result");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_distinct_and_relative() {
        let outputs = outputs().unwrap();
        let paths: BTreeSet<_> = outputs.iter().map(|output| &output.path).collect();
        assert_eq!(paths.len(), outputs.len());
        assert!(paths.iter().all(|path| path.is_relative()));
        assert!(outputs.iter().all(|output| output.text.ends_with('\n') && !output.text.ends_with("\n\n")));
    }

    #[test]
    fn a_run_settles_and_every_kind_of_staleness_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let outputs = [
            Output::new("docs/reasons/A.md", "a\n".to_owned()),
            Output::new("clients/b.ts", "b\n".to_owned()),
        ];
        let see = || stale(root.path(), &outputs).unwrap().into_iter().collect::<Vec<_>>();

        assert_eq!(
            see(),
            [PathBuf::from("clients/b.ts"), PathBuf::from("docs/reasons/A.md")],
            "missing files"
        );
        write(root.path(), &outputs, &see().into_iter().collect()).unwrap();
        assert!(see().is_empty(), "nothing is stale after a run");

        fs::write(root.path().join("clients/b.ts"), "edited\n").unwrap();
        fs::write(root.path().join("docs/reasons/GONE.md"), "old\n").unwrap();
        assert_eq!(see(), [PathBuf::from("clients/b.ts"), PathBuf::from("docs/reasons/GONE.md")]);
        write(root.path(), &outputs, &see().into_iter().collect()).unwrap();
        assert!(see().is_empty(), "and again");
        assert!(!root.path().join("docs/reasons/GONE.md").exists());
    }
}
