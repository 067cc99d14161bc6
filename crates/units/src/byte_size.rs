//! Numbers of bytes.

use std::{borrow::Cow, fmt, str::FromStr};

use crate::split_digits;

/// A number of bytes, written with its unit: `"512 B"`, `"64 KiB"`, `"16 MiB"`, `"1 GiB"`, or decimal: `"64 kB"`, `"1 MB"`.
///
/// [`Display`](fmt::Display) prints the largest binary unit that leaves no remainder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many times 1024 bytes.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1 << 10))
    }

    /// So many times 1024² bytes.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// So many times 1024³ bytes.
    pub const fn from_gib(gib: u64) -> Self {
        Self(gib.saturating_mul(1 << 30))
    }

    /// In bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// In bytes, for lengths in memory; a size that this machine cannot address becomes the largest that it can.
    pub const fn as_usize(self) -> usize {
        if self.0 > usize::MAX as u64 { usize::MAX } else { self.0 as usize }
    }
}

/// The text is not a number of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseByteSizeError {
    /// Whether the fault is only that the unit is missing.
    unit_missing: bool,
    text: String,
}

impl fmt::Display for ParseByteSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit_missing, text } = self;
        if *unit_missing {
            write!(
                f,
                "`{text}` has no unit: write `{text} B` for bytes or `{text} KiB` for units of 1024 bytes"
            )
        } else {
            write!(
                f,
                "`{text}` is not a size: write a whole number with B, KiB, MiB or GiB, such as `64 KiB`"
            )
        }
    }
}

impl std::error::Error for ParseByteSizeError {}

impl FromStr for ByteSize {
    type Err = ParseByteSizeError;

    fn from_str(text: &str) -> Result<Self, ParseByteSizeError> {
        let text = text.trim();
        let (digits, unit) = split_digits(text);
        let unit = unit.trim_start();
        let error = || ParseByteSizeError {
            unit_missing: unit.is_empty() && !digits.is_empty(),
            text: text.to_owned(),
        };
        let number: u64 = digits.parse().map_err(|_| error())?;
        if number == 0 && unit.is_empty() {
            return Ok(Self(0));
        }
        let bytes = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?.1;
        number.checked_mul(bytes).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        let binary = UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
        match binary.rev().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size)) {
            Some((unit, size)) => write!(f, "{} {unit}", bytes / size),
            None => write!(f, "{bytes} B"),
        }
    }
}

impl serde::Serialize for ByteSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ByteSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size with its unit, such as \"64 KiB\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl schemars::JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A number of bytes with its unit: B, KiB, MiB, GiB, TiB, or kB, MB, GB, TB.",
            "pattern": r"^\s*(0|[0-9]+\s*(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB))\s*$",
            "examples": ["512 B", "64 KiB", "1 MiB"],
        })
    }
}

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [
            ("0", 0),
            ("512 B", 512),
            ("512B", 512),
            ("64 KiB", 65_536),
            (" 64KiB ", 65_536),
            ("16 MiB", 16_777_216),
            ("1 GiB", 1_073_741_824),
            ("1 TiB", 1_099_511_627_776),
            ("64 kB", 64_000),
            ("1 MB", 1_000_000),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize::from_bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn refuses_what_has_two_readings() {
        for text in [
            "",
            "KiB",
            "-1 B",
            "1.5 MiB",
            "64 kib",
            "64K",
            "64 KB",
            "1 B 2 B",
            "99999999999999999999 B",
            "99999999 TiB",
        ] {
            let error = text.parse::<ByteSize>().unwrap_err().to_string();
            assert!(error.contains("is not a size"), "{text}: {error}");
        }
        let error = "64".parse::<ByteSize>().unwrap_err().to_string();
        assert_eq!(error, "`64` has no unit: write `64 B` for bytes or `64 KiB` for units of 1024 bytes");
    }

    #[test]
    fn prints_the_largest_exact_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_000, "1000 B"),
            (1_024, "1 KiB"),
            (1_536, "1536 B"),
            (65_536, "64 KiB"),
            (1 << 20, "1 MiB"),
        ] {
            assert_eq!(ByteSize::from_bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn a_bare_number_is_refused_by_serde() {
        let error = serde_json::from_str::<ByteSize>("64").unwrap_err().to_string();
        assert!(error.contains("expected a size with its unit"), "{error}");
    }

    proptest! {
        #[test]
        fn printed_reads_back(bytes in any::<u64>()) {
            let size = ByteSize::from_bytes(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn any_text_is_an_answer(text in "\\PC{0,20}") {
            let _ = text.parse::<ByteSize>();
        }
    }
}
