//! Credentials that stand in files or are printed by commands.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context as _;
use portcullis_token::Secret;

/// The secret in a file.
pub(crate) fn secret(path: &Path) -> anyhow::Result<Secret> {
    let mut bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    trim_line_break(&mut bytes);
    Ok(Secret::new(bytes))
}

/// What the command of `--token-command` prints.
pub(crate) fn printed(command: &str) -> anyhow::Result<String> {
    let output = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("--token-command cannot be started")?;
    anyhow::ensure!(
        output.status.success(),
        "--token-command failed: the token command ended with {}",
        output.status
    );
    String::from_utf8(output.stdout).context("--token-command printed something else than text")
}

/// Editors and `echo` end files with a line break that nobody means to be part of a secret.
pub(crate) fn trim_line_break(bytes: &mut Vec<u8>) {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_does_not_count() {
        for (text, expected) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("", "")] {
            let mut bytes = text.as_bytes().to_vec();
            trim_line_break(&mut bytes);
            assert_eq!(bytes, expected.as_bytes());
        }
    }

    #[test]
    fn a_secret_in_a_file_is_the_same_for_every_command() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "a secret that ends with a space \n").unwrap();
        assert_eq!(secret(file.path()).unwrap().expose(), b"a secret that ends with a space ");
        let error = secret(Path::new("no-such-file")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read no-such-file");
    }
}
