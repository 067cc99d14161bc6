//! What may stand for a token in a log.

use std::fmt;

use aws_lc_rs::digest;
use serde::{Serialize, Serializer};

/// The first four bytes of a token's SHA-256, shown as 8 hex digits: enough to find a token's traces, of no use as one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 4]);

/// The fingerprint of `token` as given, be it valid or not.
pub fn fingerprint(token: &str) -> Fingerprint {
    Fingerprint::of(&sha256(token.as_bytes()))
}

impl Fingerprint {
    pub(crate) const fn of(hash: &[u8; 32]) -> Self {
        Self([hash[0], hash[1], hash[2], hash[3]])
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_start_of_the_sha_256() {
        // FIPS 180-2 appendix B.1: SHA-256("abc") starts with ba7816bf.
        assert_eq!(fingerprint("abc").to_string(), "ba7816bf");
        assert_eq!(serde_json::to_string(&fingerprint("abc")).unwrap(), "\"ba7816bf\"");
    }
}
