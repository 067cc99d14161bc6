//! Why a folder cannot be opened as a record.

use std::{io, path::PathBuf};

/// Why a record cannot be opened. Nothing in its folder was deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder has something in it that this program did not put there.
    #[error("{} is not a record of events: it has files of something else; name an empty folder", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// Others than the user of this process could have put something into the folder, or still can.
    #[error("{} cannot be trusted: {detail}", path.display())]
    Exposed {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What is wrong, and what would mend it.
        detail: String,
    },
    /// The folder was written by a later version.
    #[error("{} was written by a later version (format {found}, known is {known}); use a newer program", path.display())]
    TooNew {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The latest one known.
        known: u32,
    },
    /// Another process has it open.
    #[error("{} is in use by another process; stop that one, or name another data directory", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder or a file in it cannot be used.
    #[error("the record of events in {} cannot be used", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// What is there is damaged.
    #[error("the record of events in {} is damaged ({detail}); move it away to start without it, nothing in it was changed", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
}
