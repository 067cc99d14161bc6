//! The keys under which streams are stored, in a file of slots that are written over.
//!
//! A log-structured store lets go of bytes when it gets to it, and a journal when it is full. A slot is overwritten where it
//! stands: without its key, what is left of a stream is noise. Slots are small and of one size, so that none is ever moved.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use portcullis_units::random;

use crate::secrets::{KEY, Secret};

/// The file of keys.
pub(crate) struct Slots {
    file: File,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Whose it is: streams are numbered, and no number comes twice.
    pub(crate) serial: u64,
    /// Whether the key is still there.
    pub(crate) live: bool,
    /// How far the stream was committed at least; 0 where that is not known.
    pub(crate) tail: u64,
}

/// Why there is no key.
#[derive(Debug)]
pub(crate) enum Missing {
    /// It was destroyed.
    Destroyed,
    /// It should be there, and is not.
    Damaged,
    /// The file cannot be read.
    Unreadable(io::Error),
}

/// What takes turns in the two places for the keys of questions.
pub(crate) const GENERATIONS: u32 = 2;

impl Slots {
    /// Takes the file of a record, or makes it that.
    ///
    /// # Errors
    /// If it cannot be read or written. It is another record's, or none: what is in it then.
    pub(crate) fn open(file: File, id: u64) -> io::Result<Result<Self, String>> {
        let slots = Self { file };
        let mut head = [0; 24];
        if slots.length()? == 0 {
            head[..8].copy_from_slice(MAGIC);
            head[8..16].copy_from_slice(&id.to_be_bytes());
            let sum = sum(&head[..16]);
            head[16..20].copy_from_slice(&sum);
            slots.file.write_all_at(&head, 0)?;
            slots.file.set_len(BEGIN)?;
            slots.file.sync_all()?;
        }
        if slots.length()? < BEGIN {
            return Ok(Err("the file of keys has been cut short".to_owned()));
        }
        slots.file.read_exact_at(&mut head, 0)?;
        if head[..8] != *MAGIC || head[16..20] != sum(&head[..16]) {
            return Ok(Err("the file of keys is none".to_owned()));
        }
        if head[8..16] != id.to_be_bytes() {
            return Ok(Err("the file of keys is another record's".to_owned()));
        }
        Ok(Ok(slots))
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Calls with every slot in turn: its number and what it holds, if anything.
    pub(crate) fn each(&self, mut with: impl FnMut(u32, Option<Held>)) -> io::Result<()> {
        let mut buffer = Zeroizing::new(vec![0; 1_024 * SLOT]);
        let count = (self.length()? - BEGIN) / SLOT as u64;
        let mut slot = 0;
        while u64::from(slot) < count {
            let most = usize::try_from(count - u64::from(slot)).unwrap_or(usize::MAX).min(1_024);
            let part = &mut buffer[..most * SLOT];
            self.file.read_exact_at(part, place(slot))?;
            for bytes in part.as_chunks().0 {
                with(slot, held(bytes));
                slot += 1;
            }
        }
        Ok(())
    }

    /// Puts a new key into a slot.
    pub(crate) fn fill(&self, slot: u32, serial: u64) -> io::Result<Secret> {
        let key = Zeroizing::new(random::bytes::<KEY>());
        self.write(place(slot), LIVE, serial, &key)?;
        Ok(Secret::new(&key))
    }

    /// The key in a slot.
    pub(crate) fn key(&self, slot: u32, serial: u64) -> Result<Secret, Missing> {
        self.read(place(slot), serial)
    }

    /// Destroys the key in a slot, as far as the system goes.
    pub(crate) fn destroy(&self, slot: u32, serial: u64) -> io::Result<()> {
        self.write(place(slot), DESTROYED, serial, &[0; KEY])
    }

    /// Notes how far a stream was committed.
    pub(crate) fn note(&self, slot: u32, serial: u64, tail: u64) -> io::Result<()> {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&tail.to_be_bytes());
        bytes[8..].copy_from_slice(&tail_sum(serial, tail));
        self.file.write_all_at(&bytes, place(slot) + TAIL as u64)
    }

    /// Puts a new key for questions into its place.
    pub(crate) fn fill_generation(&self, generation: u32) -> io::Result<Secret> {
        let key = Zeroizing::new(random::bytes::<KEY>());
        self.write(generation_place(generation), LIVE, u64::from(generation), &key)?;
        Ok(Secret::new(&key))
    }

    /// The key of a generation of questions.
    pub(crate) fn generation(&self, generation: u32) -> Result<Secret, Missing> {
        self.read(generation_place(generation), u64::from(generation))
    }

    /// Destroys the key of a generation of questions, as far as the system goes.
    pub(crate) fn destroy_generation(&self, generation: u32) -> io::Result<()> {
        self.write(generation_place(generation), DESTROYED, u64::from(generation), &[0; KEY])
    }

    /// The generations of which there are keys.
    pub(crate) fn generations(&self) -> io::Result<Vec<u32>> {
        let mut found = Vec::new();
        for place in 0..GENERATIONS {
            let mut bytes = Zeroizing::new([0; SLOT]);
            self.file.read_exact_at(&mut *bytes, generation_place(place))?;
            let live = held(&bytes).filter(|held| held.live);
            found.extend(live.and_then(|held| u32::try_from(held.serial).ok()));
        }
        Ok(found)
    }

    /// Sees to it that the device has it all.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, place: u64, state: u8, serial: u64, key: &[u8; KEY]) -> io::Result<()> {
        let mut bytes = Zeroizing::new([0; SLOT]);
        bytes[0] = state;
        bytes[8..16].copy_from_slice(&serial.to_be_bytes());
        bytes[16..SUM].copy_from_slice(key);
        let sum = sum(&bytes[..SUM]);
        bytes[SUM..TAIL].copy_from_slice(&sum);
        self.file.write_all_at(&*bytes, place)
    }

    fn read(&self, place: u64, serial: u64) -> Result<Secret, Missing> {
        // It may be written meanwhile.
        for _ in 0..3 {
            let mut bytes = Zeroizing::new([0; SLOT]);
            match self.file.read_exact_at(&mut *bytes, place) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(Missing::Unreadable(error)),
            }
            let Some(held) = held(&bytes) else { continue };
            if held.serial == serial && held.live {
                return Ok(Secret::new(bytes[16..].first_chunk().expect("a slot is longer than its key")));
            }
            // A slot is given away again only once its key was destroyed, and later streams have greater numbers.
            let destroyed = held.serial >= serial;
            return Err(if destroyed { Missing::Destroyed } else { Missing::Damaged });
        }
        Err(Missing::Damaged)
    }
}

fn place(slot: u32) -> u64 {
    BEGIN + u64::from(slot) * SLOT as u64
}

fn generation_place(generation: u32) -> u64 {
    GENERATION + u64::from(generation % GENERATIONS) * DISTANCE
}

/// What a slot holds; none where it was never written, or is damaged.
fn held(bytes: &[u8; SLOT]) -> Option<Held> {
    let number = |at: usize| bytes[at..].first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    if !matches!(bytes[0], LIVE | DESTROYED) || bytes[SUM..TAIL] != sum(&bytes[..SUM]) {
        return None;
    }
    let (serial, tail) = (number(8)?, number(TAIL)?);
    let known = bytes[TAIL + 8..] == tail_sum(serial, tail);
    Some(Held { serial, live: bytes[0] == LIVE, tail: if known { tail } else { 0 } })
}

fn sum(bytes: &[u8]) -> [u8; 4] {
    *Sha256::digest(bytes).first_chunk().expect("a hash is longer than that")
}

fn tail_sum(serial: u64, tail: u64) -> [u8; 4] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&serial.to_be_bytes());
    bytes[8..].copy_from_slice(&tail.to_be_bytes());
    sum(&bytes)
}

// A slot: its state, seven bytes for nothing, the serial, the key, the sum of these; the tail, the sum of that and the serial.
const SLOT: usize = 64;
const SUM: usize = 48;
const TAIL: usize = 52;
const LIVE: u8 = 1;
const DESTROYED: u8 = 2;

/// What the file begins with.
const MAGIC: &[u8; 8] = b"PCKEYS\0\x02";
/// Where the keys of questions are, each in a block of its own.
const GENERATION: u64 = 4_096;
const DISTANCE: u64 = 4_096;
/// Where slots begin.
const BEGIN: u64 = GENERATION + GENERATIONS as u64 * DISTANCE;

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> (Slots, File) {
        let file = tempfile::tempfile().unwrap();
        (Slots::open(file.try_clone().unwrap(), 9).unwrap().unwrap(), file)
    }

    fn all(slots: &Slots) -> Vec<Option<(u64, bool, u64)>> {
        let mut found = Vec::new();
        slots.each(|_, held| found.push(held.map(|held| (held.serial, held.live, held.tail)))).unwrap();
        found
    }

    #[test]
    fn a_key_is_there_until_it_is_destroyed_and_its_bytes_are_gone_then() {
        let (slots, file) = slots();
        let mut sealed = Vec::new();
        slots.fill(0, 5).unwrap().seal(&mut crate::secrets::Nonces::new(), b"", b"words", &mut sealed);
        slots.fill(2, 6).unwrap();
        slots.note(0, 5, 12).unwrap();
        assert_eq!(all(&slots), [Some((5, true, 12)), None, Some((6, true, 0))]);
        let again = Slots::open(file.try_clone().unwrap(), 9).unwrap().unwrap();
        assert_eq!(again.key(0, 5).unwrap().open(b"", &sealed).as_deref(), Some(&b"words"[..]));

        let mut key = [0; KEY];
        file.read_exact_at(&mut key, place(0) + 16).unwrap();
        slots.destroy(0, 5).unwrap();
        assert!(matches!(slots.key(0, 5), Err(Missing::Destroyed)));
        let mut bytes = vec![0; slots.length().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(!bytes.windows(8).any(|part| key.windows(8).any(|of_key| part == of_key)));
        // Given to another stream, it is still no damage.
        slots.fill(0, 7).unwrap();
        assert!(matches!(slots.key(0, 5), Err(Missing::Destroyed)));
        assert!(matches!(slots.key(0, 8), Err(Missing::Damaged)), "an older stream's key is in its place");
        assert!(matches!(slots.key(1, 5), Err(Missing::Damaged)), "it was never written");
        assert!(matches!(slots.key(9, 5), Err(Missing::Damaged)), "it is not there");
    }

    #[test]
    fn a_damaged_slot_holds_nothing_and_a_damaged_tail_is_unknown() {
        let (slots, file) = slots();
        slots.fill(0, 5).unwrap();
        slots.note(0, 5, 12).unwrap();
        for at in 0..64 {
            let mut byte = [0];
            file.read_exact_at(&mut byte, place(0) + at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], place(0) + at).unwrap();
            let expected = if (at as usize) < TAIL { None } else { Some((5, true, 0)) };
            assert_eq!(all(&slots), [expected], "{at}");
            file.write_all_at(&byte, place(0) + at).unwrap();
        }
        assert_eq!(all(&slots), [Some((5, true, 12))]);
    }

    #[test]
    fn another_record_s_file_is_not_taken() {
        let (_, file) = slots();
        assert!(Slots::open(file.try_clone().unwrap(), 8).unwrap().is_err_and(|it| it.contains("another")));
        file.write_all_at(b"x", 3).unwrap();
        assert!(Slots::open(file.try_clone().unwrap(), 9).unwrap().is_err_and(|it| it.contains("none")));
        file.set_len(100).unwrap();
        assert!(Slots::open(file.try_clone().unwrap(), 9).unwrap().is_err_and(|it| it.contains("short")));
    }

    #[test]
    fn the_keys_of_questions_take_turns() {
        let (slots, _) = slots();
        slots.fill_generation(4).unwrap();
        slots.fill_generation(5).unwrap();
        assert_eq!(slots.generations().unwrap(), [4, 5]);
        slots.destroy_generation(4).unwrap();
        assert_eq!(slots.generations().unwrap(), [5]);
        assert!(matches!(slots.generation(4), Err(Missing::Destroyed)));
        assert!(slots.generation(5).is_ok());
    }
}
