//! Whose a stream is.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// An issuer and a subject, as 16 bytes of their SHA-256: one length for every key, and no name on the disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner([u8; 16]);

impl Owner {
    /// The owner for a verified subject of an issuer. Two issuers' subjects of one name are two owners.
    pub fn new(issuer: Option<&str>, subject: &str) -> Self {
        let mut hash = Sha256::new();
        // The length keeps `ab` + `c` from being `a` + `bc`; a missing issuer is none of any length.
        hash.update(issuer.map_or(u64::MAX, |issuer| issuer.len() as u64).to_be_bytes());
        hash.update(issuer.unwrap_or_default());
        hash.update(subject);
        let (head, _) =
            hash.finalize().split_first_chunk().map(|(head, rest)| (*head, rest.len())).expect("32 bytes");
        Self(head)
    }

    /// The bytes, by which a store knows the owner.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The owner whose bytes these are.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuer_and_subject_are_apart() {
        let all = [
            Owner::new(None, "ab"),
            Owner::new(Some(""), "ab"),
            Owner::new(Some("a"), "b"),
            Owner::new(Some("ab"), ""),
            Owner::new(None, "b"),
        ];
        for (index, owner) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == owner), Some(index));
        }
    }
}
