//! Whether there is room for more on the device. What was begun has to be able to end, and what is deleted has to be
//! written as deleted, so acceptances are refused before the device is full, and a file is kept whose room can be given up.

use std::{fs, io, path::Path, sync::Arc};

use portcullis_log::Change;
use rustix::{fs::FallocateFlags, io::Errno};

use crate::folder::{Folder, own_file};

/// What there is room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Everything.
    Enough,
    /// What is under way, and no acceptance.
    Little(Arc<str>),
    /// Ends and deletions alone: what was kept for them is given up.
    None(Arc<str>),
}

/// How much is left free, and how much is kept to be given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) floor: u64,
    pub(crate) reserve: u64,
}

impl Room {
    /// Looks how much room there is. The reserve is made where it is not there and could be, and given up where there is
    /// next to nothing else.
    pub(crate) fn measure(folder: &Folder, kept: Kept) -> io::Result<Self> {
        let of_device = rustix::fs::statvfs(folder.path())?;
        let free = of_device.f_bavail * of_device.f_frsize;
        let whole = of_device.f_blocks * of_device.f_frsize;
        let floor = kept.floor.min(whole / 10);
        let reserve = kept.reserve.min(whole / 40);
        let path = folder.reserve();
        let has_reserve = match path.symlink_metadata() {
            Ok(metadata) if metadata.len() == reserve => {
                let is_needed = free < reserve / 4;
                if is_needed {
                    give_up(folder);
                }
                !is_needed
            }
            _ => free >= floor + reserve && keep(&path, reserve).is_ok(),
        };
        if has_reserve && free >= floor {
            return Ok(Self::Enough);
        }
        let (free, floor) = (free >> 20, floor >> 20);
        let cause = format!(
            "no space left for the record of events: {free} MiB are free on its device, where {floor} MiB are left \
             for what is under way; make room there"
        );
        Ok(if has_reserve { Self::Little(cause.into()) } else { Self::None(cause.into()) })
    }

    /// Why a change is not taken; none where it is.
    pub(crate) fn refuses(&self, change: &Change) -> Option<&Arc<str>> {
        match (self, change) {
            (Self::Little(cause) | Self::None(cause), Change::Accept { .. })
            | (Self::None(cause), Change::Event { ends: None, .. }) => Some(cause),
            _ => None,
        }
    }

    /// What an operator should know.
    pub(crate) const fn cause(&self) -> Option<&Arc<str>> {
        match self {
            Self::Enough => None,
            Self::Little(cause) | Self::None(cause) => Some(cause),
        }
    }
}

/// Gives up the room that was kept.
pub(crate) fn give_up(folder: &Folder) {
    // Where it is not there, it was given up before.
    let _ = fs::remove_file(folder.reserve());
}

/// Makes a file that takes up so much.
fn keep(path: &Path, size: u64) -> io::Result<()> {
    let made = own_file(path).and_then(|file| {
        file.set_len(0)?;
        if size == 0 {
            return Ok(());
        }
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP) => fill(&file, size),
            Err(error) => Err(error.into()),
        }
    });
    if made.is_err() {
        let _ = fs::remove_file(path);
    }
    made
}

/// Takes up room where the file system cannot be told to.
fn fill(mut file: &fs::File, size: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), size), &mut file)?;
    file.sync_all()
}
