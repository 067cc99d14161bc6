//! base64url as JWS wants it: no padding, no white space, one spelling for each value (RFC 7515 §2, RFC 4648 §3.5).

use std::sync::LazyLock;

use base64::{
    Engine as _,
    engine::{Simd, general_purpose::NO_PAD},
};

/// Why a text is not base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A byte outside of the alphabet, at this index.
    Character(usize),
    /// `=` at this index.
    Padding(usize),
    /// A length that no number of bytes has (4n + 1).
    Length,
    /// The last character carries bits that belong to no byte, so that two spellings would decode alike.
    TrailingBits,
}

impl Fault {
    /// A clause that completes "the text …".
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Character(_) => "has a character outside of base64url",
            Self::Padding(_) => "has base64 padding (=)",
            Self::Length => "has a length that base64url never has",
            Self::TrailingBits => "ends in a character that carries stray bits",
        }
    }
}

/// The decoded length of `len` characters.
pub const fn decoded_len(len: usize) -> usize {
    len / 4 * 3 + len % 4 * 3 / 4
}

/// Decodes into `out`, which has room for at least [`decoded_len`] bytes.
///
/// # Errors
///
/// The text is not base64url.
pub fn decode_into<'o>(text: &[u8], out: &'o mut [u8]) -> Result<&'o [u8], Fault> {
    match ENGINE.decode_slice_unchecked(text, out) {
        Ok(len) => Ok(&out[..len]),
        Err(_) => Err(fault(text)),
    }
}

/// Decodes into memory of its own.
///
/// # Errors
///
/// The text is not base64url.
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, Fault> {
    let text = text.as_ref();
    ENGINE.decode(text).map_err(|_| fault(text))
}

/// The one way to write `bytes`.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    ENGINE.encode(bytes)
}

/// Decodes with vectors where the processor has them: a token goes through here in every handshake.
static ENGINE: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));

/// Says what is wrong with a text that did not decode: the first bad byte, else its length, else its last character.
fn fault(text: &[u8]) -> Fault {
    let bad = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'-' && *byte != b'_';
    match text.iter().position(bad) {
        Some(at) if text[at] == b'=' => Fault::Padding(at),
        Some(at) => Fault::Character(at),
        None if text.len() % 4 == 1 => Fault::Length,
        None => Fault::TrailingBits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_one_spelling_only() {
        let table: [(&str, Result<&[u8], Fault>); 12] = [
            ("", Ok(b"")),
            ("Zg", Ok(b"f")),
            ("Zm8", Ok(b"fo")),
            ("Zm9v", Ok(b"foo")),
            ("-_-_", Ok(&[0xfb, 0xff, 0xbf])),
            ("Zh", Err(Fault::TrailingBits)),
            ("Zm9", Err(Fault::TrailingBits)),
            ("Z", Err(Fault::Length)),
            ("Zg==", Err(Fault::Padding(2))),
            ("Zm+v", Err(Fault::Character(2))),
            ("Zm9\n", Err(Fault::Character(3))),
            (" Zg", Err(Fault::Character(0))),
        ];
        for (text, expected) in table {
            let mut room = [0; 16];
            assert_eq!(decode_into(text.as_bytes(), &mut room), expected, "{text}");
            assert_eq!(decode(text.as_bytes()).as_deref(), expected.as_ref().map(|bytes| *bytes), "{text}");
            if let Ok(bytes) = expected {
                assert_eq!(decoded_len(text.len()), bytes.len());
                assert_eq!(encode(bytes), text);
            }
        }
    }
}
