//! The folder of a record: whose it is, of which format, and the files in it that are ours.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};

use crate::Error;

/// The format that is written.
pub(crate) const FORMAT: u32 = 2;

/// The folder of a record, for one process alone.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// The state's file, locked for as long as it is open.
    state: File,
}

/// What there was in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or a record of format 2, begun or not.
    Current,
    /// A record of format 1, whole.
    First,
}

impl Folder {
    /// Makes sure that the folder is ours alone: made by this program, of a format that it knows, or empty; with no way for
    /// another user to put something into it, and no other process at work in it.
    pub(crate) fn claim(path: &Path) -> Result<(Self, Found), Error> {
        let unusable = |source| Error::Unusable { path: path.to_owned(), source };
        // Readable by its owner alone, wherever it stands.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let metadata = fs::metadata(path).map_err(unusable)?;
        ours(path, &metadata)?;
        closed(path, &metadata)?;
        let found = match marked(path)? {
            Some(FORMAT) => Found::Current,
            Some(_) => Found::First,
            None => {
                mark(path).map_err(unusable)?;
                Found::Current
            }
        };
        let state = own_file(&path.join(STATE)).map_err(unusable)?;
        state.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => Error::InUse { path: path.to_owned() },
            fs::TryLockError::Error(source) => unusable(source),
        })?;
        let folder = Self { path: path.to_owned(), state };
        Ok((folder, found))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn state(&self) -> &File {
        &self.state
    }

    /// The file of keys, made if it is not there.
    pub(crate) fn keys(&self) -> io::Result<File> {
        own_file(&self.path.join(KEYS))
    }

    pub(crate) fn has_keys(&self) -> bool {
        self.path.join(KEYS).symlink_metadata().is_ok()
    }

    /// The folder of the database.
    pub(crate) fn tables(&self) -> PathBuf {
        self.path.join(TABLES)
    }

    /// The database of format 1.
    pub(crate) fn first(&self) -> PathBuf {
        self.path.join(FIRST)
    }

    /// Lets go of what was written of the current format before the folder was marked.
    pub(crate) fn clear(&self) -> io::Result<()> {
        for path in [self.tables(), self.path.join(KEYS)] {
            remove(&path)?;
        }
        self.state.set_len(0)
    }

    /// Lets go of the database of format 1.
    pub(crate) fn clear_first(&self) -> io::Result<()> {
        remove(&self.first())
    }

    /// Says that what is in the folder is of the current format.
    pub(crate) fn mark(&self) -> io::Result<()> {
        mark(&self.path)
    }

    /// The file whose room is given up where there is none.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.path.join(RESERVE)
    }

    /// Makes the database's folder, and lets nobody else look into it: its files are made with the mode of the process.
    pub(crate) fn close_off(&self) -> io::Result<()> {
        let tables = self.tables();
        DirBuilder::new().recursive(true).mode(0o700).create(&tables)?;
        fs::set_permissions(&tables, Permissions::from_mode(0o700))
    }

    /// Sees to it that what was made in the folder stays there.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// Removes a file or a folder, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The format that the folder says it has; none where it is empty, or where a first start was cut off before it said so.
fn marked(path: &Path) -> Result<Option<u32>, Error> {
    let unusable = |source| Error::Unusable { path: path.to_owned(), source };
    let mut entries = fs::read_dir(path).map_err(unusable)?;
    let mut others = 0;
    while let Some(entry) = entries.next().transpose().map_err(unusable)? {
        let found = entry.path();
        let metadata = found.symlink_metadata().map_err(unusable)?;
        let is_one_of = |names: &[&str]| names.iter().any(|name| entry.file_name() == *name);
        if is_one_of(&[MARKER, MARKER_NEW, STATE, KEYS, RESERVE, TABLES, FIRST]) {
            all_ours(&found, &metadata)?;
        }
        if is_one_of(&[STATE, KEYS, RESERVE, TABLES]) {
            closed(&found, &metadata)?;
        }
        others += usize::from(entry.file_name() != MARKER && entry.file_name() != MARKER_NEW);
    }
    let marker = path.join(MARKER);
    if marker.symlink_metadata().is_err() {
        return if others == 0 { Ok(None) } else { Err(Error::Foreign { path: path.to_owned() }) };
    }
    let mut text = String::new();
    let read = own_file(&marker).and_then(|file| file.take(64).read_to_string(&mut text));
    read.map_err(unusable)?;
    if text.is_empty() && others == 0 {
        return Ok(None);
    }
    match text.trim().parse() {
        Ok(found @ 1..=FORMAT) => Ok(Some(found)),
        Ok(found) if found > FORMAT => Err(Error::TooNew { path: path.to_owned(), found, known: FORMAT }),
        _ => Err(Error::Damaged {
            path: path.to_owned(),
            detail: format!("{MARKER} does not hold the number of a format"),
        }),
    }
}

/// Puts the mark on the folder, and sees to it that a loss of power leaves that: what is recorded later is of no use in a
/// folder that nobody knows any more.
fn mark(path: &Path) -> io::Result<()> {
    let new = path.join(MARKER_NEW);
    let mut marker = own_file(&new)?;
    marker.set_len(0)?;
    writeln!(marker, "{FORMAT}")?;
    marker.sync_all()?;
    fs::rename(&new, path.join(MARKER))?;
    File::open(path)?.sync_all()?;
    // The folders on the way to it may be new as well. Not every one of them can be synced, or has to be.
    for folder in path.canonicalize()?.ancestors().skip(1) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// Opens one of our own files for reading and writing, or makes it, for nobody else to read. A link is not followed.
pub(crate) fn own_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other(format!("{} is no plain file", path.display())));
    }
    if metadata.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// That what is at `path`, and everything in it, belongs to the user of this process, and is no link.
fn all_ours(path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    ours(path, metadata)?;
    if metadata.is_dir() {
        let unusable = |source| Error::Unusable { path: path.to_owned(), source };
        for entry in fs::read_dir(path).map_err(unusable)? {
            let entry = entry.map_err(unusable)?;
            match entry.metadata() {
                Ok(metadata) => all_ours(&entry.path(), &metadata)?,
                // Another process may be at work here, which is told later.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unusable(error)),
            }
        }
    }
    Ok(())
}

fn ours(path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    let exposed = |detail: String| Err(Error::Exposed { path: path.to_owned(), detail });
    if metadata.is_symlink() {
        return exposed("it is a link, and links are not followed; put the file itself there".to_owned());
    }
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user {
        return exposed(format!(
            "it belongs to user {owner} and this is user {user}; chown it, or name another"
        ));
    }
    Ok(())
}

/// That nobody but its owner can write to it.
fn closed(path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        let detail = format!("others may write to it (mode {mode:03o}); chmod it to 700, or name another");
        return Err(Error::Exposed { path: path.to_owned(), detail });
    }
    Ok(())
}

/// The file that says whose the folder is, and of which format.
const MARKER: &str = "portcullis-events";
/// The same, not yet in its place.
const MARKER_NEW: &str = "portcullis-events.new";
/// How the record stands.
const STATE: &str = "state";
/// The keys of what is stored.
const KEYS: &str = "keys";
/// Room for what must go on where there is no other.
const RESERVE: &str = "reserve";
/// The database.
const TABLES: &str = "tables";
/// The database of format 1.
const FIRST: &str = "store";
