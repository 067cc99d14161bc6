//! Shared secrets: kept out of sight, wiped when dropped, and judged.

use std::fmt;

use portcullis_units::random;
use zeroize::Zeroizing;

use crate::base64url;

/// A shared secret. `Debug` does not show it, and its memory is wiped when it goes.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the secret's bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A fresh one: 32 random bytes as 43 characters of base64url, which are the secret as they stand.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random::fill(bytes.as_mut_slice());
        Self::new(base64url::encode(bytes.as_slice()).into_bytes())
    }

    /// The bytes, for whoever has to write or use them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a secret is weak. `Display` says it without telling anything of the secret but its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Nothing at all.
    #[error("is empty; set 32 random bytes, for instance from `openssl rand -base64 32`")]
    Empty,
    /// A value out of examples and templates.
    #[error(
        "is a sample value that everybody knows; set 32 random bytes, for instance from `openssl rand -base64 32`"
    )]
    Sample,
    /// Fewer than 32 bytes.
    #[error("has {bytes} bytes; at least 32 are needed (RFC 7518 §3.2)")]
    Short {
        /// How many it has.
        bytes: usize,
    },
    /// Few different characters, or a short piece over and over, or a run such as `abcdef`.
    #[error(
        "repeats itself so much that it can be guessed; set 32 random bytes, for instance from `openssl rand -base64 32`"
    )]
    LowEntropy,
}

/// What is weak about `secret`, if anything is.
///
/// It finds carelessness, not cleverness: too short, known samples (also as the beginning of a longer value), repeated
/// pieces, few different characters, runs. 64 hex digits from a random source pass.
pub fn weakness(secret: &[u8]) -> Option<Weakness> {
    let trimmed = secret.trim_ascii();
    if trimmed.is_empty() {
        return Some(Weakness::Empty);
    }
    if is_sample(trimmed) {
        return Some(Weakness::Sample);
    }
    if secret.len() < MIN_BYTES {
        return Some(Weakness::Short { bytes: secret.len() });
    }
    (entropy_bits(secret) < MIN_ENTROPY_BITS || smallest_period(secret) <= secret.len() / 2 || is_run(secret))
        .then_some(Weakness::LowEntropy)
}

/// Whether the letters and digits of `secret` are those of a sample, alone, repeated, or with a few digits behind
/// (`changeme123`).
fn is_sample(secret: &[u8]) -> bool {
    let plain: Zeroizing<Vec<u8>> = Zeroizing::new(
        secret.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect(),
    );
    if plain.is_empty() {
        return false;
    }
    SAMPLES.iter().any(|sample| {
        let sample = sample.as_bytes();
        let repeated =
            plain.chunks(sample.len()).all(|chunk| sample.starts_with(chunk)) && plain.len() >= sample.len();
        let numbered = plain.strip_prefix(sample).is_some_and(|rest| rest.iter().all(u8::is_ascii_digit));
        repeated || numbered
    }) || TELLING.iter().any(|phrase| plain.windows(phrase.len()).any(|window| window == phrase.as_bytes()))
}

/// Shannon's entropy of the byte frequencies, times the length, in bits.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn entropy_bits(secret: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in secret {
        counts[usize::from(*byte)] += 1;
    }
    let len = secret.len() as f64;
    let of = |count: &u32| f64::from(*count) * (len / f64::from(*count)).log2();
    counts.iter().filter(|count| **count > 0).map(of).sum()
}

/// The length of the shortest piece that, written over and over, gives `secret`.
fn smallest_period(secret: &[u8]) -> usize {
    (1..=secret.len())
        .find(|period| secret.iter().zip(&secret[*period..]).all(|(a, b)| a == b))
        .unwrap_or(secret.len())
}

/// Whether most neighbours differ by exactly one, as in `abcdefgh…` or `0123456789…`.
fn is_run(secret: &[u8]) -> bool {
    let steps = secret.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
    steps * 4 >= secret.len() * 3
}

const MIN_BYTES: usize = 32;

/// 32 random hex digits, the least of what counts as careful, score 85 to 120; a sentence of 32 letters scores about as
/// much, which is why this catches the careless alone.
const MIN_ENTROPY_BITS: f64 = 80.0;

/// Letters and digits of values that stand in examples, lower case.
const SAMPLES: &[&str] = &[
    "secret",
    "secretkey",
    "mysecret",
    "mysecretkey",
    "supersecret",
    "supersecretkey",
    "topsecret",
    "jwtsecret",
    "jwtsecretkey",
    "jwtkey",
    "sharedsecret",
    "appsecret",
    "keyboardcat",
    "changeme",
    "changethis",
    "changeit",
    "replaceme",
    "todo",
    "fixme",
    "password",
    "passw0rd",
    "letmein",
    "qwerty",
    "admin",
    "test",
    "testing",
    "testsecret",
    "testkey",
    "testsecretkey",
    "dev",
    "devsecret",
    "devsecretkey",
    "devkey",
    "development",
    "default",
    "defaultsecret",
    "example",
    "examplesecret",
    "examplekey",
    "placeholder",
    "none",
    "null",
    "undefined",
    "foobar",
    "foo",
    "bar",
    "abc",
    "abcdef",
    "hello",
    "helloworld",
    "insecure",
    "shhhhh",
    "shhhhhh",
    "your256bitsecret",
    "your384bitsecret",
    "your512bitsecret",
    "yoursecret",
    "yoursecretkey",
    "yoursecretkeyhere",
    "yourjwtsecret",
    "yourjwtsecretkey",
    "asecretkey",
    "astringsecretatleast256bitslong",
    "deadbeef",
    "0123456789abcdef",
    "0123456789",
    "1234567890",
    "12345678",
    "123456",
    "xxx",
];

/// What no random value says of itself, and placeholders do. Long enough never to turn up by chance.
const TELLING: &[&str] = &[
    "changeme",
    "changethis",
    "changeinproduction",
    "replaceme",
    "replacewith",
    "secretkeyhere",
    "yoursecret",
    "yourjwtsecret",
    "yoursuper",
    "supersecret",
    "atleast256bit",
    "atleast32",
    "256bitsecret",
    "notforproduction",
    "donotuse",
    "developmentonly",
    "placeholder",
    "insecuresecret",
    "examplesecret",
    "samplesecret",
    "defaultsecret",
    "jwtsecretkey",
    "mysecretkey",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_careless_secrets() {
        let table: &[(&str, Weakness)] = &[
            ("", Weakness::Empty),
            ("   \n", Weakness::Empty),
            ("secret", Weakness::Sample),
            ("your-256-bit-secret", Weakness::Sample),
            ("a-string-secret-at-least-256-bits-long", Weakness::Sample),
            ("Change_Me!", Weakness::Sample),
            ("changeme123", Weakness::Sample),
            ("secretsecretsecretsecretsecretsecret", Weakness::Sample),
            ("please-change-this-in-production-0001", Weakness::Sample),
            ("my-super-secret-jwt-key-for-the-service", Weakness::Sample),
            ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", Weakness::Sample),
            ("0123456789abcdef0123456789abcdef", Weakness::Sample),
            ("k9f2mW7q", Weakness::Short { bytes: 8 }),
            ("q8Zr1xVb5nTc3yWm7uKe9oLp2aSd4fG", Weakness::Short { bytes: 31 }),
            ("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", Weakness::LowEntropy),
            ("k9f2mW7qk9f2mW7qk9f2mW7qk9f2mW7q", Weakness::LowEntropy),
            ("ababababbbaaabababababababbbabababa", Weakness::LowEntropy),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", Weakness::LowEntropy),
        ];
        for (secret, expected) in table {
            assert_eq!(weakness(secret.as_bytes()), Some(*expected), "{secret}");
        }
    }

    #[test]
    fn passes_random_ones_in_every_spelling() {
        for careful in [
            "6f1ed002ab5595859014ebf0951522d9",
            "9b74c9897bac770ffc029102a200c5de9b74c9897bac770ffc029102a2011c5e",
            "Zx3v9QmT0sLr8KjW2yUn5BcH7eAf1DgP",
            "pP5k+J7Zr3XyqT0bM1o4uFvWc2sLh8dNQe6RgAiKtYw=",
        ] {
            assert_eq!(weakness(careful.as_bytes()), None, "{careful}");
        }
        for _ in 0..200 {
            assert_eq!(weakness(Secret::generate().expose()), None);
        }
    }

    #[test]
    fn says_nothing_of_the_secret() {
        assert_eq!(format!("{:?}", Secret::from("hunter2hunter2")), "Secret(..)");
        let said = weakness(b"hunter2hunter2").unwrap().to_string();
        assert_eq!(said, "has 14 bytes; at least 32 are needed (RFC 7518 §3.2)");
    }

    #[test]
    fn generates_different_ones() {
        assert_ne!(Secret::generate().expose(), Secret::generate().expose());
        assert_eq!(Secret::generate().expose().len(), 43);
    }
}
