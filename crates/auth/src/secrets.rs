//! Opaque secrets that we hand out: refresh tokens and link codes. Only their SHA-256 is kept.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// What marks a refresh token, so that people and secret scanners know one when they see it.
pub(crate) const REFRESH_PREFIX: &str = "pcr_";
/// What marks a link's code.
pub(crate) const LINK_PREFIX: &str = "pcl_";

/// The SHA-256 of a secret's 32 bytes. They are random, so neither salt nor slow hash adds anything; and because the
/// hash is what is looked up, how long the lookup takes tells nothing about the secret.
pub(crate) type SecretHash = [u8; 32];

/// A fresh secret of 256 random bits as text, and its hash.
pub(crate) fn generate(prefix: &str) -> (Zeroizing<String>, SecretHash) {
    let bytes = Zeroizing::new(crate::random::<32>());
    // Sized at once: growing would leave parts behind in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + 43));
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
    (text, Sha256::digest(bytes.as_slice()).into())
}

/// The hash of a secret as presented, or none where the text cannot be one.
pub(crate) fn parse(prefix: &str, text: &str) -> Option<SecretHash> {
    let encoded = text.strip_prefix(prefix)?;
    if encoded.len() != 43 {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 33]);
    let length = URL_SAFE_NO_PAD.decode_slice(encoded, bytes.as_mut_slice()).ok()?;
    (length == 32).then(|| Sha256::digest(&bytes[..32]).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_parses_to_its_own_hash_and_no_other_kind() {
        let (text, hash) = generate(REFRESH_PREFIX);
        assert_eq!(text.len(), 47);
        assert_eq!(parse(REFRESH_PREFIX, &text), Some(hash));
        assert_eq!(parse(LINK_PREFIX, &text), None);
        assert_ne!(generate(REFRESH_PREFIX).1, hash);
    }

    #[test]
    fn malformed_texts_are_none() {
        let (text, _) = generate(LINK_PREFIX);
        let mut tail = text.to_string();
        tail.pop();
        for bad in [
            "",
            "pcl_",
            "pcl_====",
            &tail,
            &format!("{}=", *text),
            &format!("{tail}!"),
            &format!(" {}", *text),
        ] {
            assert_eq!(parse(LINK_PREFIX, bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            prop_assert_eq!(parse(REFRESH_PREFIX, &text), None);
            let _ = parse("", &text);
        }
    }
}
