//! How the record stands, beside the database: what has to be known of it before it is opened.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How a record stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Which record this is: its other files have the same.
    pub(crate) id: u64,
    /// How often the end of its streams may have been lost.
    pub(crate) renewals: u32,
    /// Whether it was closed, and everything in it was on the device then.
    pub(crate) clean: bool,
    /// What the system called its run when the record was last at work; none where it does not say.
    pub(crate) boot_id: Option<String>,
    /// The number of a batch that was committed: all up to it have to be there.
    pub(crate) batch: u64,
}

/// Its file. Two places are written in turn, so that a write that was torn leaves the one before; neither grows, so that
/// it can be written where there is no room left.
pub(crate) struct StateFile {
    file: File,
    state: State,
    /// Which of the two was written last.
    turn: u64,
}

/// One of the two places.
#[derive(Default, Serialize, Deserialize)]
struct Written {
    turn: u64,
    #[serde(flatten)]
    state: State,
}

impl StateFile {
    /// Reads what was written last; none where nothing was.
    pub(crate) fn open(file: File) -> io::Result<(Self, bool)> {
        let mut last: Option<Written> = None;
        for place in 0..2 {
            let mut bytes = [0; PLACE];
            let mut read = 0;
            while let count @ 1.. = file.read_at(&mut bytes[read..], place * DISTANCE + read as u64)? {
                read += count;
            }
            let found = parse(&bytes[..read]);
            last = last.into_iter().chain(found).max_by_key(|it| it.turn);
        }
        let there = last.is_some();
        let Written { turn, state } = last.unwrap_or_default();
        Ok((Self { file, state, turn }, there))
    }

    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// Changes it; the system has it then, and it survives the process.
    pub(crate) fn note(&mut self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.state.clone();
        change(&mut state);
        if state == self.state {
            return Ok(());
        }
        let turn = self.turn + 1;
        let text = serde_json::to_vec(&Written { turn, state: state.clone() }).expect("plain data");
        let mut bytes = vec![0; PLACE];
        bytes[..HASH].copy_from_slice(&hash(&text));
        bytes[HASH..HASH + 4].copy_from_slice(&(text.len() as u32).to_be_bytes());
        bytes[HASH + 4..HASH + 4 + text.len()].copy_from_slice(&text);
        self.file.write_all_at(&bytes, turn % 2 * DISTANCE)?;
        (self.state, self.turn) = (state, turn);
        Ok(())
    }

    /// Changes it, and sees to it that the device has it.
    pub(crate) fn keep(&mut self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        self.note(change)?;
        self.file.sync_all()
    }
}

fn parse(bytes: &[u8]) -> Option<Written> {
    let (sum, rest) = bytes.split_first_chunk::<HASH>()?;
    let (length, rest) = rest.split_first_chunk()?;
    let text = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    if *sum != hash(text) {
        return None;
    }
    serde_json::from_slice(text).ok()
}

fn hash(bytes: &[u8]) -> [u8; HASH] {
    *Sha256::digest(bytes).first_chunk().expect("a hash is longer than that")
}

const HASH: usize = 16;
/// The size of a place, and how far one is from the other: in another block of any device.
const PLACE: usize = 512;
const DISTANCE: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_last_is_read_and_a_torn_write_leaves_the_one_before() {
        let file = tempfile::tempfile().unwrap();
        let open = || StateFile::open(file.try_clone().unwrap()).unwrap();
        let (mut state, there) = open();
        assert!(!there);
        state.keep(|state| state.id = 7).unwrap();
        for batch in 1..=5 {
            state.note(|state| state.batch = batch).unwrap();
            let (read, there) = open();
            assert!(there && read.state() == state.state());
        }
        // The sixth write stands in the first place; it is torn at every byte.
        let mut before = vec![0; PLACE];
        file.read_exact_at(&mut before, 0).unwrap();
        state.note(|state| state.batch = 6).unwrap();
        let mut after = vec![0; PLACE];
        file.read_exact_at(&mut after, 0).unwrap();
        for cut in 0..PLACE {
            let torn = [&after[..cut], &before[cut..]].concat();
            file.write_all_at(&torn, 0).unwrap();
            let expected = if torn == after { 6 } else { 5 };
            assert_eq!((open().0.state().batch, open().1), (expected, true), "{cut}");
        }
    }
}
