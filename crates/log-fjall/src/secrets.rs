//! What is stored is sealed under keys that can be destroyed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// The bytes of a key.
pub(crate) const KEY: usize = 32;
/// What sealing adds to a text.
const TAG: usize = 16;

/// A key in use.
pub(crate) struct Secret(LessSafeKey);

/// Gives each use of a key a nonce of its own: some random bytes for each opening of the store, and a number.
///
/// A number alone would come twice, since what was not committed is written anew with other words.
pub(crate) struct Nonces {
    random: [u8; 8],
    next: u32,
}

impl Nonces {
    pub(crate) fn new() -> Self {
        Self { random: portcullis_units::random::bytes(), next: 0 }
    }

    fn next(&mut self) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&self.random);
        nonce[8..].copy_from_slice(&self.next.to_be_bytes());
        match self.next.checked_add(1) {
            Some(next) => self.next = next,
            None => *self = Self::new(),
        }
        nonce
    }
}

impl Secret {
    pub(crate) fn new(key: &[u8; KEY]) -> Self {
        Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of this length")))
    }

    /// Appends `text` to `out`, sealed: its nonce, the text, the tag. It opens beside the same `bound` alone.
    pub(crate) fn seal(&self, nonces: &mut Nonces, bound: &[u8], text: &[u8], out: &mut Vec<u8>) {
        let nonce = nonces.next();
        out.reserve(NONCE_LEN + text.len() + TAG);
        out.extend_from_slice(&nonce);
        let begin = out.len();
        out.extend_from_slice(text);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(bound), &mut out[begin..]);
        out.extend_from_slice(tag.expect("a text is shorter than what a nonce is good for").as_ref());
    }

    /// The text of what was sealed beside `bound` under this key; none of anything else.
    pub(crate) fn open(&self, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_first_chunk()?;
        let (text, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
        let mut out = vec![0; text.len()];
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.0.open_separate_gather(nonce, Aad::from(bound), text, tag, &mut out).ok()?;
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_under_its_key_and_beside_what_it_is_bound_to() {
        let (secret, mut nonces) = (Secret::new(&[7; KEY]), Nonces::new());
        let mut sealed = Vec::new();
        secret.seal(&mut nonces, b"place", b"words", &mut sealed);
        assert_eq!(secret.open(b"place", &sealed).as_deref(), Some(&b"words"[..]));
        assert_eq!(secret.open(b"other", &sealed), None);
        assert_eq!(Secret::new(&[8; KEY]).open(b"place", &sealed), None);
        for end in 0..sealed.len() {
            assert_eq!(secret.open(b"place", &sealed[..end]), None, "{end}");
        }
        let mut again = Vec::new();
        secret.seal(&mut nonces, b"place", b"words", &mut again);
        assert_ne!(sealed, again, "no nonce comes twice");
    }

    #[test]
    fn nonces_begin_anew_where_their_number_is_used_up() {
        let mut nonces = Nonces { random: [1; 8], next: u32::MAX };
        assert_eq!(nonces.next(), [1, 1, 1, 1, 1, 1, 1, 1, 255, 255, 255, 255]);
        let next = nonces.next();
        assert!(next[..8] != [1; 8] && next[8..] == [0; 4]);
    }
}
