//! Where the value of a name stands, and where it ends.

use super::text::leads;

/// Where a value stands.
pub(super) struct Place {
    pub(super) from: usize,
    /// What it is enclosed in.
    pub(super) quote: Option<Quote>,
    /// It follows `=`.
    pub(super) is_assigned: bool,
    /// Where its name begins.
    pub(super) name: usize,
    /// What the whole field is enclosed in: `-H 'Cookie: …'`.
    around: Option<u8>,
}

/// A quotation mark, with the backslashes that escape it where JSON stands in a string.
#[derive(Clone, Copy)]
pub(super) struct Quote {
    pub(super) mark: u8,
    backslashes: usize,
}

impl Quote {
    /// The quotation mark that begins at `at`, and where it ends.
    pub(super) fn at(text: &str, at: usize) -> Option<(Self, usize)> {
        let bytes = &text.as_bytes()[at..];
        let backslashes = bytes.iter().take_while(|b| **b == b'\\').take(8).count();
        let mark = *bytes.get(backslashes).filter(|b| matches!(b, b'"' | b'\'' | b'`'))?;
        Some((Self { mark, backslashes }, at + backslashes + 1))
    }

    /// Where the value that begins at `from` ends: at the same mark, or with its line.
    pub(super) fn end(self, text: &str, from: usize) -> usize {
        let mut backslashes = 0;
        for (at, byte) in text.as_bytes()[from..].iter().enumerate() {
            match byte {
                b'\\' => backslashes += 1,
                b'\n' => return from + at,
                _ if *byte == self.mark && backslashes <= self.backslashes => return from + at - backslashes,
                _ => backslashes = 0,
            }
        }
        text.len()
    }
}

impl Place {
    /// Where the value of a field ends: with its line, or with what the field is enclosed in.
    pub(super) fn field_end(&self, text: &str, from: usize) -> usize {
        if let Some(quote) = self.quote {
            quote.end(text, from)
        } else {
            let ends = |b: u8| matches!(b, b'\r' | b'\n') || Some(b) == self.around;
            from + text.as_bytes()[from..].iter().take_while(|b| !ends(**b)).count()
        }
    }

    /// Where the value of the name from `name` to `end` stands, if one follows.
    pub(super) fn behind(text: &str, name: usize, end: usize) -> Option<Self> {
        let quoted = Quote::at(text, end);
        let around =
            text[..name].bytes().next_back().filter(|b| quoted.is_none() && matches!(b, b'"' | b'\'' | b'`'));
        let mut at = blank(text, quoted.map_or(end, |(_, at)| at));
        let escaped = leads(text, at, "%3D");
        let mut mark = if escaped { b'=' } else { *text.as_bytes().get(at)? };
        if mark == b',' && quoted.is_some() {
            // HAR: {"name": "…", "value": "…"}.
            let (_, value) = Quote::at(text, blank(text, at + 1))?;
            let (_, value) = Quote::at(text, value + leads(text, value, "value").then_some(5)?)?;
            at = blank(text, value);
            mark = *text.as_bytes().get(at)?;
        }
        let is_word = mark == b'i' && quoted.is_none() && at > end && text[at..].starts_with("is ");
        if !(is_word || matches!(mark, b'=' | b':')) {
            return None;
        }
        let after = at
            + match (is_word, escaped) {
                (true, _) => "is".len(),
                (_, true) => "%3D".len(),
                _ => 1,
            };
        // `==`, `=>`, `::` and `://` are something else.
        if text[after..].starts_with(['=', '>', ':']) || text[after..].starts_with("//") {
            return None;
        }
        let mut from = next_line(text, after).filter(|_| mark == b':').unwrap_or_else(|| blank(text, after));
        // Python's `f"…"`, `b'…'`, `r"…"`.
        if text[from..].starts_with(['f', 'b', 'r', 'u']) && text[from + 1..].starts_with(['"', '\'']) {
            from += 1;
        }
        let quote = Quote::at(text, from);
        Some(Self {
            from: quote.map_or(from, |(_, from)| from),
            quote: quote.map(|(quote, _)| quote),
            is_assigned: mark == b'=',
            name,
            around,
        })
    }
}

/// Browsers' tools copy the name and the value of a field on lines of their own.
fn next_line(text: &str, at: usize) -> Option<usize> {
    let line = text[at..].strip_prefix("\r\n").or_else(|| text[at..].strip_prefix('\n'))?;
    let from = text.len() - line.len();
    let line = line.lines().next().unwrap_or_default();
    (!line.contains(": ") && !line.ends_with(':')).then_some(from)
}

pub(super) fn blank(text: &str, at: usize) -> usize {
    at + text.as_bytes()[at..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count()
}

/// The end of a value without quotes.
pub(super) fn value_end(text: &str, from: usize) -> usize {
    let ends =
        |b: u8| matches!(b, b'"' | b'\'' | b'&' | b',' | b';' | b'}' | b')' | b']' | b'\\') || b <= b' ';
    from + text.as_bytes()[from..].iter().take_while(|b| !ends(**b)).count()
}
