//! User names: what is one, and which two are the same.

use super::Error;

/// The most characters of a user name.
pub const MAX_NAME: usize = 64;

/// A user name as its owner writes it, and the form by which it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserName {
    /// For showing, in NFC.
    pub display: String,
    /// For finding: lower case, NFC (RFC 8265 §3.3.2).
    pub key: String,
}

impl UserName {
    /// Reads a name of 1 to [`MAX_NAME`] characters. Spaces around it are not part of it.
    ///
    /// # Errors
    /// [`Error::Name`] for an empty or too long name, and for one with characters that do not show: controls, line
    /// separators, and the marks that turn the direction of text or join and part letters without being seen.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        // Anything longer is refused before work is done on it; no character shrinks below a quarter of its bytes.
        if text.len() > 16 * MAX_NAME {
            return Err(Error::Name("is longer than 64 characters"));
        }
        let display = nfc(text.trim());
        if display.is_empty() {
            return Err(Error::Name("is empty"));
        }
        if display.chars().count() > MAX_NAME {
            return Err(Error::Name("is longer than 64 characters"));
        }
        if display.chars().any(is_unseen) {
            return Err(Error::Name("has a character that does not show"));
        }
        let key = nfc(&display.to_lowercase());
        Ok(Self { display, key })
    }
}

fn nfc(text: &str) -> String {
    icu_normalizer::ComposingNormalizer::new_nfc().normalize(text).into_owned()
}

/// Two names that look alike must not differ by these.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_trimmed_composed_and_found_in_any_case() {
        for (text, display, key) in [
            ("ada", "ada", "ada"),
            ("  Ada Lovelace ", "Ada Lovelace", "ada lovelace"),
            ("ADA@Example.COM", "ADA@Example.COM", "ada@example.com"),
            ("u\u{308}lo", "\u{fc}lo", "\u{fc}lo"),
            ("\u{dc}LO", "\u{dc}LO", "\u{fc}lo"),
            ("王", "王", "王"),
        ] {
            let name = UserName::parse(text).unwrap();
            assert_eq!((name.display.as_str(), name.key.as_str()), (display, key), "{text}");
        }
        assert!(UserName::parse(&"ü".repeat(64)).is_ok());
    }

    #[test]
    fn names_nobody_can_read_are_refused() {
        let long = "x".repeat(65);
        let huge = "x".repeat(100_000);
        for text in [
            "",
            "   ",
            "\t",
            &long,
            &huge,
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a\u{85}b",
            "a\u{2028}b",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{200d}b",
            "\u{feff}a",
            "a\u{a0}b",
            "a\u{ad}b",
        ] {
            assert!(matches!(UserName::parse(text), Err(Error::Name(_))), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_stable(text in "\\PC{0,80}") {
            if let Ok(name) = UserName::parse(&text) {
                let again = UserName::parse(&name.display).unwrap();
                prop_assert_eq!(&again, &name);
                prop_assert!(name.display.chars().count() <= MAX_NAME);
            }
        }
    }
}
