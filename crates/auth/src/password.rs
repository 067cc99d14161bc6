//! Password hashes: argon2id (RFC 9106), the same work whether an account exists or not.

use std::sync::atomic::{AtomicU64, Ordering};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::{Output, ParamsString, Salt},
};
use zeroize::Zeroizing;

use crate::{PasswordOptions, random};

/// The fewest bytes of a password (NIST SP 800-63B §5.1.1.2 asks for eight characters).
pub const MIN_PASSWORD: usize = 8;
/// The most bytes of a password.
pub const MAX_PASSWORD: usize = 1024;

/// Why a password cannot be set or checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Shorter than [`MIN_PASSWORD`] or longer than [`MAX_PASSWORD`] bytes.
    #[error("a password has {MIN_PASSWORD} to {MAX_PASSWORD} bytes, this one has {0}")]
    Length(usize),
    /// The configured cost is outside of what argon2 takes.
    #[error("the password hash's cost is out of range: {0}")]
    Cost(argon2::Error),
    /// argon2 failed, or a stored hash cannot be read.
    #[error("cannot compute a password hash: {0}")]
    Hash(argon2::password_hash::Error),
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The password fits, and there was a hash for it to fit.
    pub matches: bool,
    /// The stored hash was made at another cost than is configured now.
    pub outdated: bool,
}

/// Makes and checks hashes at one cost.
#[derive(Debug)]
pub(crate) struct Hasher {
    argon2: Argon2<'static>,
    params: ParamsString,
    /// Stands in for the hash of an account that does not exist: well-formed, of the configured cost, of no password.
    decoy: PasswordHash,
    computed: AtomicU64,
}

impl Hasher {
    pub(crate) fn new(options: &PasswordOptions) -> Result<Self, Error> {
        let kib = u32::try_from(options.memory.get() / 1024).unwrap_or(u32::MAX);
        let params =
            Params::new(kib, options.passes.get(), options.lanes.get(), Some(32)).map_err(Error::Cost)?;
        let text = ParamsString::try_from(&params).map_err(Error::Hash)?;
        let decoy = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: text.clone(),
            salt: Some(Salt::new(&random::<16>()).map_err(|e| Error::Hash(e.into()))?),
            hash: Some(Output::new(&random::<32>()).map_err(|e| Error::Hash(e.into()))?),
        };
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        Ok(Self { argon2, params: text, decoy, computed: AtomicU64::new(0) })
    }

    /// Hashes a new password with a fresh salt, after checking its length. The result is a PHC string.
    pub(crate) fn hash(&self, password: &str) -> Result<String, Error> {
        let password = normalize(password);
        if !(MIN_PASSWORD..=MAX_PASSWORD).contains(&password.len()) {
            return Err(Error::Length(password.len()));
        }
        self.computed.fetch_add(1, Ordering::Relaxed);
        let hash = self.argon2.hash_password_with_salt(password.as_bytes(), &random::<16>());
        Ok(hash.map_err(Error::Hash)?.to_string())
    }

    /// Checks `password` against `stored`, or against the decoy where there is no account: exactly one hash either way.
    ///
    /// Any length is checked: a refusal without work would tell a short guess from a long one.
    pub(crate) fn verify(&self, password: &str, stored: Option<&str>) -> Result<Verdict, Error> {
        let password = normalize(password);
        let parsed =
            stored.map(|text| PasswordHash::new(text).map_err(|e| Error::Hash(e.into()))).transpose()?;
        let against = parsed.as_ref().unwrap_or(&self.decoy);
        self.computed.fetch_add(1, Ordering::Relaxed);
        let fits = match self.argon2.verify_password(password.as_bytes(), against) {
            Ok(()) => true,
            Err(argon2::password_hash::Error::PasswordInvalid) => false,
            Err(error) => return Err(Error::Hash(error)),
        };
        Ok(Verdict { matches: fits && parsed.is_some(), outdated: against.params != self.params })
    }

    /// How many hashes were computed so far.
    pub(crate) fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }
}

/// NFC, so that a password typed on another system is the same bytes (RFC 8265 §4.2.2 item 4).
fn normalize(password: &str) -> Zeroizing<String> {
    Zeroizing::new(icu_normalizer::ComposingNormalizer::new_nfc().normalize(password).into_owned())
}

#[cfg(test)]
mod tests {
    use portcullis_units::ByteSize;

    use super::*;

    fn cheap() -> PasswordOptions {
        PasswordOptions {
            memory: ByteSize::from_kib(8),
            passes: std::num::NonZeroU32::MIN,
            ..PasswordOptions::default()
        }
    }

    #[test]
    fn a_hash_is_argon2id_at_the_configured_cost_with_its_own_salt() {
        let hasher = Hasher::new(&PasswordOptions::default()).unwrap();
        let hash = hasher.hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let hasher = Hasher::new(&cheap()).unwrap();
        assert_ne!(hasher.hash("correct horse").unwrap(), hasher.hash("correct horse").unwrap());
    }

    #[test]
    fn lengths_are_bytes_and_both_ends_are_in() {
        let hasher = Hasher::new(&cheap()).unwrap();
        for (password, good) in [
            ("1234567".into(), false),
            ("12345678".into(), true),
            ("ü".repeat(4), true),
            ("ü".repeat(3), false),
        ] {
            let result: Result<String, Error> = hasher.hash(&password);
            assert_eq!(result.is_ok(), good, "{}", password.len());
        }
        assert!(hasher.hash(&"x".repeat(1024)).is_ok());
        assert!(matches!(hasher.hash(&"x".repeat(1025)), Err(Error::Length(1025))));
    }

    #[test]
    fn every_check_costs_one_hash() {
        let hasher = Hasher::new(&cheap()).unwrap();
        let stored = hasher.hash("correct horse").unwrap();
        let table: &[(&str, Option<&str>, bool)] = &[
            ("correct horse", Some(&stored), true),
            ("correct horsf", Some(&stored), false),
            ("", Some(&stored), false),
            ("correct horse", None, false),
            ("", None, false),
        ];
        for (password, stored, matches) in table {
            let before = hasher.computed();
            let verdict = hasher.verify(password, *stored).unwrap();
            assert_eq!(verdict, Verdict { matches: *matches, outdated: false }, "{password}");
            assert_eq!(hasher.computed() - before, 1, "{password}");
        }
    }

    #[test]
    fn composed_and_decomposed_letters_are_one_password() {
        let hasher = Hasher::new(&cheap()).unwrap();
        let stored = hasher.hash("u\u{308}berall-zuhause").unwrap();
        assert!(hasher.verify("\u{fc}berall-zuhause", Some(&stored)).unwrap().matches);
    }

    #[test]
    fn a_hash_of_another_cost_still_fits_and_is_outdated() {
        let old = Hasher::new(&cheap()).unwrap().hash("correct horse").unwrap();
        let dearer = PasswordOptions { memory: ByteSize::from_kib(16), ..cheap() };
        let verdict = Hasher::new(&dearer).unwrap().verify("correct horse", Some(&old)).unwrap();
        assert_eq!(verdict, Verdict { matches: true, outdated: true });
    }

    #[test]
    fn a_stored_hash_that_cannot_be_read_is_an_error_not_a_mismatch() {
        assert!(Hasher::new(&cheap()).unwrap().verify("correct horse", Some("garbage")).is_err());
    }
}
