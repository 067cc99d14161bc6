//! What went wrong while the record was at work, and what an operator can do about it.

use std::{any::Any, io, panic::AssertUnwindSafe, path::Path, sync::Arc};

use portcullis_log::{AppendError, ReadError};

use crate::store::system_error;

/// Why the writer cannot go on with what it has open.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The system refused something.
    System(io::Error),
    /// The database takes nothing more since something failed in it, and does not say what.
    Poisoned,
    /// Another has the database open, or we have it ourselves and cannot let go of it.
    Locked,
    /// What is there is not what was written.
    Damaged(String),
    /// A fault of this program.
    Fault(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<fjall::Error> for Failure {
    fn from(error: fjall::Error) -> Self {
        match system_error(error) {
            Ok(error) => Self::System(error),
            Err(fjall::Error::Poisoned) => Self::Poisoned,
            Err(fjall::Error::Locked) => Self::Locked,
            Err(other) => Self::Damaged(format!("{other:?}")),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(cause) => Self::System(io::Error::other(cause.to_string())),
            ReadError::Damaged(detail) => Self::Damaged(detail.to_string()),
        }
    }
}

impl Failure {
    /// Asks the system where the database does not say what failed.
    pub(crate) fn explained(self, folder: &Path) -> Self {
        match self {
            Self::Poisoned => match probe(folder) {
                Ok(()) => Self::Poisoned,
                Err(error) => Self::System(error),
            },
            other => other,
        }
    }

    /// In words that an operator can act on. They name no folder, since strangers may read them too.
    pub(crate) fn cause(&self) -> Arc<str> {
        match self {
            Self::System(error) if is_full(error) => {
                "no space left for the record of events: make room on its device".into()
            }
            Self::System(error) if is_out_of_files(error) => {
                "too many open files: raise the limit of descriptors (LimitNOFILE, ulimit -n), or lower the \
                 number of connections"
                    .into()
            }
            Self::System(error) => format!("the device of the record of events failed: {error}").into(),
            Self::Poisoned => {
                "a write to the record of events failed, and the system does not say why".into()
            }
            Self::Locked => "the record of events is still in use".into(),
            Self::Damaged(detail) => format!("the record of events is damaged: {detail}").into(),
            Self::Fault(detail) => format!("a fault of this program: {detail}").into(),
        }
    }

    /// Whether what the system took before may have been lost with it.
    pub(crate) fn loses(&self) -> bool {
        match self {
            Self::System(error) => !is_full(error) && !is_out_of_files(error),
            Self::Poisoned | Self::Damaged(_) => true,
            Self::Locked | Self::Fault(_) => false,
        }
    }

    /// Whether there was no room for something.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::System(error) if is_full(error))
    }

    /// Whether trying again does not help.
    pub(crate) const fn lasts(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Locked | Self::Fault(_))
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE))
}

/// Whether a file can be made in the folder, written and synced.
fn probe(folder: &Path) -> io::Result<()> {
    use std::io::Write as _;
    let path = folder.join("probe");
    let mut file = crate::folder::own_file(&path)?;
    let outcome = file.write_all(&vec![1; 1 << 16]).and_then(|()| file.sync_all());
    std::fs::remove_file(&path).and(outcome)
}

/// Does something, and makes a failure of a panic in it.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // What was under way is not looked at again: it is closed, and opened anew from the disk.
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Failure::Fault(said(&*panic))))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked ({})", text.unwrap_or("without a word"))
}

/// Why a change is not put into a batch.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It alone is refused, and what comes behind it from the same handle.
    Change(AppendError),
    /// Nothing can be written.
    Store(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        match failure {
            // Others are not to suffer for what is damaged of one.
            Failure::Damaged(detail) => {
                Self::Change(AppendError::Failed(format!("the record is damaged: {detail}").into()))
            }
            other => Self::Store(other),
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Failure::from(error).into()
    }
}

impl From<fjall::Error> for Refused {
    fn from(error: fjall::Error) -> Self {
        Failure::from(error).into()
    }
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        Failure::from(error).into()
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Self {
        Self::Change(error)
    }
}
