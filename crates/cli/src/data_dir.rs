//! The data directory: keys and accounts, readable by their owner alone.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use portcullis_auth::Accounts;
use portcullis_units::Clock;

use crate::output;

/// A data directory that exists.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    created: bool,
}

impl DataDir {
    /// Opens the directory, or makes it with mode 0700.
    pub(crate) fn open_or_create(path: &Path) -> anyhow::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot make the folder {}", parent.display()))?;
        }
        match builder.create(path) {
            Ok(()) => Ok(Self { path: path.to_owned(), created: true }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::open(path),
            Err(error) => Err(error)
                .with_context(|| format!("cannot make the data directory {}; {ELSEWHERE}", path.display())),
        }
    }

    /// Makes sure that something can be written, so that a server does not find out in the middle of its start.
    pub(crate) fn ensure_writable(&self) -> anyhow::Result<()> {
        let probe = self.path.join(".writable");
        fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)).with_context(|| {
            format!("cannot write to the data directory {}; {ELSEWHERE}", self.path.display())
        })
    }

    /// Opens a directory that a server has used.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let metadata = fs::metadata(path).with_context(|| {
            format!(
                "there is no data directory {}; name it with --data-dir, or start `portcullis serve` once",
                path.display()
            )
        })?;
        anyhow::ensure!(metadata.is_dir(), "{} is not a folder", path.display());
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            output::warn(format_args!(
                "{0} has mode {mode:03o}: others on this machine may read it; run `chmod 700 {0}`",
                path.display()
            ));
        }
        Ok(Self { path: path.to_owned(), created: false })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this process made it.
    pub(crate) const fn created(&self) -> bool {
        self.created
    }

    /// The accounts, also while a server uses them.
    pub(crate) fn accounts(&self, options: &portcullis_auth::Options) -> anyhow::Result<Accounts> {
        let file = portcullis_auth::accounts::file(&self.path);
        Accounts::open_with(&file, &options.passwords, Clock::system())
            .with_context(|| format!("cannot open the accounts in {}", file.display()))
    }
}

/// What to do about one that is no good.
const ELSEWHERE: &str = "make it writable for this user, or name another one with --data-dir";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_for_its_owner_alone_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        assert!(DataDir::open(&path).is_err());
        let made = DataDir::open_or_create(&path).unwrap();
        assert!(made.created());
        assert_eq!(fs::metadata(made.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(!DataDir::open_or_create(&path).unwrap().created());
        let found = DataDir::open(&path).unwrap();
        assert_eq!(found.path(), path);
        found.ensure_writable().unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "nothing is left of the look");
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(DataDir::open_or_create(file.path()).is_err());
    }
}
