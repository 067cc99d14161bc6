//! What is done to any text before anything is made of it.

use std::ops::Range;

/// `text` cut to at most `most` bytes, between two characters.
pub(crate) fn clip(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// `text` with the ranges blanked out, so that a token's characters are not read as numbers or words.
pub(crate) fn blank<'r>(text: &str, ranges: impl Iterator<Item = &'r Range<usize>>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        out.push_str(&text[at..range.start.max(at)]);
        out.push(' ');
        at = range.end.max(at);
    }
    out.push_str(&text[at..]);
    out
}

/// The words of a text: letters and digits, with `-`, `_`, `.` and `'` inside. Scripts without spaces end a word.
pub(crate) fn words(lower: &str) -> impl Iterator<Item = &str> {
    lower
        .split(|c: char| !(c.is_alphanumeric() || "-_.'".contains(c)) || is_unspaced(c))
        .map(|word| word.trim_matches(['.', '\'', '-']))
        .filter(|word| !word.is_empty())
}

/// Whether a character belongs to a script whose words stand without spaces between them, or to its punctuation.
pub(crate) const fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}')
}

/// Text from a token or a configuration, made fit to stand in an answer: short, on one line, without Markdown's
/// marks for code, and never another token.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    if text.contains("eyJ") || text.contains("ZXlK") {
        return "(not shown)".to_owned();
    }
    // Marks that turn the direction of text, or take no room, could make a name look like another.
    let invisible = |c: char| {
        c.is_control()
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{00AD}')
    };
    let mut out: String = text.chars().filter(|c| !invisible(*c) && *c != '`').take(MOST).collect();
    if text.chars().count() > MOST {
        out.push('…');
    }
    out
}
