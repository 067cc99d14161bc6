//! Text of others on a terminal: what tokens, servers, logs and files say is shown, and steers nothing.
//!
//! Everything that a command prints goes through [`printable`]. Control characters but line breaks and tabs, and those that
//! turn the direction of text or break lines unseen, are written as `\u001b`: that is what JSON writes, so a document
//! stays the same document. Our own colours are marked by a number that is new in each process, so that no text of others
//! can pass for them.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    sync::LazyLock,
};

use portcullis_units::random;

/// What begins a colour of ours; nobody else knows it.
static MARK: LazyLock<String> = LazyLock::new(|| format!("\u{1b}{}", random::hex::<8>()));

/// Writes the colour of that code (ECMA-48 §8.3.117), for [`printable`] to let through.
pub(crate) fn colour(f: &mut fmt::Formatter<'_>, code: &str) -> fmt::Result {
    write!(f, "{}{code}m", *MARK)
}

/// `text` without anything that steers a terminal but our own colours.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    for (index, piece) in text.split(MARK.as_str()).enumerate() {
        if index > 0 {
            out.push_str("\x1b[");
        }
        for c in piece.chars() {
            push(&mut out, c);
        }
    }
    Cow::Owned(out)
}

/// The same on one line: for names of others among lines of ours.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c => push(&mut out, c),
        }
    }
    out
}

fn push(out: &mut String, c: char) {
    if steers(c) {
        // All of them are within the basic plane.
        let _ = write!(out, "\\u{:04x}", u32::from(c));
    } else {
        out.push(c);
    }
}

fn steers(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_as_json_writes_it() {
        for (text, shown) in [
            ("plain, with\ttabs\nand lines: ä 漢 🙂", "plain, with\ttabs\nand lines: ä 漢 🙂"),
            ("\x1b]52;c;eA==\x07", "\\u001b]52;c;eA==\\u0007"),
            ("\r\x7f\u{9b}2J", "\\u000d\\u007f\\u009b2J"),
            ("a\u{202e}b\u{2066}c\u{2028}d\u{61c}", "a\\u202eb\\u2066c\\u2028d\\u061c"),
            ("\x1b[31mred\x1b[0m", "\\u001b[31mred\\u001b[0m"),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert_eq!(one_line("a\nb\tc\x1b"), "a\\nb\\tc\\u001b");
    }

    #[test]
    fn a_document_stays_the_same() {
        let value = serde_json::json!({ "a\u{9b}": "\u{7f}\u{202e}\x1b\n" });
        let printed = serde_json::to_string_pretty(&value).unwrap();
        let escaped = printable(&printed);
        assert_ne!(escaped, printed);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }

    #[test]
    fn our_own_colours_pass() {
        struct Red;
        impl fmt::Display for Red {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                colour(f, "31;1")?;
                f.write_str("\x1b]0;x")?;
                colour(f, "0")
            }
        }
        assert_eq!(printable(&Red.to_string()), "\x1b[31;1m\\u001b]0;x\x1b[0m");
    }
}
