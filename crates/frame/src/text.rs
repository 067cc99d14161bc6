//! UTF-8 that arrives in pieces cut anywhere (RFC 6455 §8.1).

use crate::FrameError;

/// A text message under way: everything so far is UTF-8, up to a character whose end has not arrived.
///
/// Each byte is looked at once, and the first that cannot belong to UTF-8 is noticed when it arrives. The text is kept
/// as a `String` from the start, so nothing is validated again when the message ends.
#[derive(Default)]
pub(crate) struct TextAssembly {
    text: String,
    /// The first bytes of a character that was cut, `cut_len` of them.
    cut: [u8; 4],
    cut_len: u8,
}

impl TextAssembly {
    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.text.len() + usize::from(self.cut_len)
    }

    /// Heap bytes held.
    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Makes room for exactly so many bytes more than [`len`](Self::len).
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.text.reserve_exact(usize::from(self.cut_len) + additional);
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, mut piece: &[u8]) -> Result<(), FrameError> {
        while self.cut_len > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            self.cut[usize::from(self.cut_len)] = byte;
            self.cut_len += 1;
            match Progress::of(&self.cut[..usize::from(self.cut_len)])? {
                Progress::Complete(character) => {
                    self.text.push_str(character);
                    self.cut_len = 0;
                }
                Progress::Cut => {}
            }
        }
        let (whole, cut) = piece.split_at(piece.len() - cut_at_end(piece));
        self.text.push_str(simdutf8::basic::from_utf8(whole).map_err(|_| FrameError::TextNotUtf8)?);
        if !cut.is_empty() {
            // Also tells lead bytes whose second byte is out of range, such as a surrogate's.
            Progress::of(cut)?;
            self.cut[..cut.len()].copy_from_slice(cut);
            self.cut_len = cut.len() as u8;
        }
        Ok(())
    }

    /// The whole text; an error if it ends within a character.
    pub(crate) fn finish(self) -> Result<String, FrameError> {
        if self.cut_len == 0 { Ok(self.text) } else { Err(FrameError::TextNotUtf8) }
    }
}

/// What the bytes of one character come to so far.
enum Progress<'a> {
    Complete(&'a str),
    Cut,
}

impl<'a> Progress<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, FrameError> {
        match str::from_utf8(bytes) {
            Ok(character) => Ok(Self::Complete(character)),
            Err(error) if error.error_len().is_none() => Ok(Self::Cut),
            Err(_) => Err(FrameError::TextNotUtf8),
        }
    }
}

/// How many bytes at the end, 0 to 3, look like the start of a character that goes on.
fn cut_at_end(bytes: &[u8]) -> usize {
    for (back, &byte) in bytes.iter().rev().take(3).enumerate() {
        let width = match byte {
            0x80..=0xBF => continue,
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        return if width > back + 1 { back + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds the pieces; the whole text, or after how many bytes the fault was noticed.
    fn assemble<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, usize> {
        let mut assembly = TextAssembly::default();
        let mut fed = 0;
        for piece in pieces {
            fed += piece.len();
            assembly.push(piece).map_err(|_| fed)?;
            assert_eq!(assembly.len(), fed);
        }
        assembly.finish().map_err(|_| fed)
    }

    #[test]
    fn notices_the_first_impossible_byte() {
        // Bytes one at a time, and after how many of them the text is lost.
        let cases: &[(&str, &[u8], usize)] = &[
            ("continuation first", b"\x80a", 1),
            ("overlong of two", b"\xC0\x80", 1),
            ("overlong of three", b"\xE0\x80\x80", 2),
            ("overlong of four", b"\xF0\x80\x80\x80", 2),
            ("surrogate", b"a\xED\xA0\x80", 3),
            ("past U+10FFFF", b"\xF4\x90\x80\x80", 2),
            ("lead past F4", b"\xF5\x80", 1),
            ("FE", b"ab\xFE", 3),
            ("FF", b"\xFF", 1),
            ("cut by ASCII", b"\xE2\x82a", 3),
            ("cut by a lead byte", b"\xF0\x9F\x98\xE2", 4),
            ("cut by the end", b"\xF0\x9F\x98", 3),
        ];
        for &(name, bytes, noticed) in cases {
            assert_eq!(assemble(bytes.chunks(1)), Err(noticed), "{name}");
            assert!(assemble([bytes]).is_err(), "{name}, in one piece");
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_text(text in "(.|[éß€ह😀]){0,40}", size in 1_usize..9) {
            prop_assert_eq!(assemble(text.as_bytes().chunks(size)), Ok(text));
        }

        #[test]
        fn agrees_with_the_standard_library_at_every_byte(
            text in "(.|[éß€ह😀]){0,12}", at: prop::sample::Index, byte: u8, size in 1_usize..6,
        ) {
            let mut bytes = text.into_bytes();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let expected = str::from_utf8(&bytes).map(str::to_owned);
            match assemble(bytes.chunks(size)) {
                Ok(text) => prop_assert_eq!(Ok(text), expected),
                Err(noticed) => {
                    let fault = expected.expect_err("only what is not UTF-8 is refused");
                    // Noticed in the very piece that holds the first impossible byte, or at the end if it is cut.
                    let bad = match fault.error_len() {
                        Some(length) => fault.valid_up_to() + length + 1,
                        None => bytes.len(),
                    };
                    let bad = bad.min(bytes.len()).next_multiple_of(size).min(bytes.len());
                    prop_assert!(noticed <= bad, "{noticed} > {bad}");
                }
            }
        }
    }
}
