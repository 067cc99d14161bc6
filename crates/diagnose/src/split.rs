//! Bytes to lines and JSON objects, however they are cut into pieces, in bounded memory.
//!
//! A line that is a JSON object is one item. So is each element of a top-level array, and of the arrays `log.entries` (HAR) and
//! `entries` (Cloud Logging's answers), which may run over many lines, or be one line of any length. What begins like a
//! document and turns out to be none is read as lines again.

/// The most of a line that is kept; the rest is left out.
pub(crate) const MAX_LINE: usize = 64 * 1024;
/// The most of one JSON object, of which long strings keep their beginning alone.
const MAX_OBJECT: usize = 1024 * 1024;
const MAX_STRING: usize = 32 * 1024;
const MAX_DEPTH: usize = 64;

/// One thing to be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'b> {
    /// A line without its end.
    Line(&'b [u8]),
    /// A JSON object.
    Object(&'b [u8]),
    /// So many lines that began like a document and are none.
    Broken(u64),
}

/// Where an item stands, and whether some of it was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Counted from 1.
    pub(crate) line: u64,
    pub(crate) cut: bool,
}

/// Splits what it is fed.
#[derive(Debug)]
pub(crate) struct Splitter {
    mode: Mode,
    /// The line that is read, as far as it is kept; in a document, too, in case it is none.
    line: Vec<u8>,
    cut: bool,
    number: u64,
    document: Document,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// At the start of a line, before anything but white space.
    Start,
    /// In a line of text.
    Text,
    /// In a JSON document.
    Document,
    /// Behind a document, on its last line.
    Behind,
}

impl Splitter {
    pub(crate) fn new() -> Self {
        Self { mode: Mode::Start, line: Vec::new(), cut: false, number: 1, document: Document::default() }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8], sink: &mut impl FnMut(Item<'_>, Place)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = match self.mode {
                Mode::Start => self.start(rest, sink),
                Mode::Text => self.text(rest, sink),
                Mode::Document => self.document(rest, sink),
                Mode::Behind => self.behind(rest, sink),
            };
            rest = &rest[taken..];
        }
    }

    /// Ends the input.
    pub(crate) fn finish(&mut self, sink: &mut impl FnMut(Item<'_>, Place)) {
        match self.mode {
            Mode::Start if self.line.is_empty() => {}
            Mode::Start | Mode::Text => self.end_line(sink),
            Mode::Document => self.give_up(sink),
            Mode::Behind => self.emit_root(sink),
        }
        if self.mode == Mode::Text && !self.line.is_empty() {
            self.end_line(sink);
        }
    }

    fn place(&self) -> Place {
        Place { line: self.number, cut: self.cut }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
    }

    fn start(&mut self, rest: &[u8], sink: &mut impl FnMut(Item<'_>, Place)) -> usize {
        match rest[0] {
            b'\n' => self.end_line(sink),
            b' ' | b'\t' | b'\r' => self.keep(&rest[..1]),
            b'{' | b'[' => {
                self.mode = Mode::Document;
                self.document = Document { first_line: self.number, ..Document::default() };
                return 0;
            }
            _ => {
                self.mode = Mode::Text;
                return 0;
            }
        }
        1
    }

    fn text(&mut self, rest: &[u8], sink: &mut impl FnMut(Item<'_>, Place)) -> usize {
        if let Some(end) = memchr::memchr(b'\n', rest) {
            self.keep(&rest[..end]);
            self.end_line(sink);
            end + 1
        } else {
            self.keep(rest);
            rest.len()
        }
    }

    fn end_line(&mut self, sink: &mut impl FnMut(Item<'_>, Place)) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        sink(Item::Line(line), self.place());
        self.next_line();
    }

    fn next_line(&mut self) {
        self.line.clear();
        self.cut = false;
        self.number += 1;
        self.mode = Mode::Start;
    }

    fn document(&mut self, rest: &[u8], sink: &mut impl FnMut(Item<'_>, Place)) -> usize {
        // Where what has not been kept of the line begins.
        let mut line = 0;
        for (at, &byte) in rest.iter().enumerate() {
            if byte == b'\n' && self.document.in_string {
                self.keep(&rest[line..at]);
                self.give_up(sink);
                return at;
            }
            match self.document.step(byte, self.number) {
                Step::On => {}
                Step::Element => {
                    let place = Place { line: self.document.element_line, cut: self.document.cut };
                    if self.document.too_big {
                        sink(Item::Broken(1), place);
                    } else {
                        sink(Item::Object(&self.document.kept), place);
                    }
                    self.document.let_go();
                }
                Step::End => {
                    self.keep(&rest[line..=at]);
                    self.mode = Mode::Behind;
                    return at + 1;
                }
                Step::Invalid => {
                    self.keep(&rest[line..at]);
                    self.give_up(sink);
                    return at;
                }
            }
            if byte == b'\n' {
                self.line.clear();
                self.cut = false;
                self.number += 1;
                line = at + 1;
            }
        }
        self.keep(&rest[line..]);
        rest.len()
    }

    /// It was no document: the line that is read now is text, and the lines before it are lost.
    fn give_up(&mut self, sink: &mut impl FnMut(Item<'_>, Place)) {
        let lost = self.number - self.document.first_line;
        if lost > 0 && !self.document.is_container {
            sink(Item::Broken(lost), Place { line: self.document.first_line, cut: true });
        }
        self.document = Document::default();
        self.mode = Mode::Text;
    }

    fn behind(&mut self, rest: &[u8], sink: &mut impl FnMut(Item<'_>, Place)) -> usize {
        match rest[0] {
            b'\n' => {
                self.emit_root(sink);
                self.next_line();
            }
            b' ' | b'\t' | b'\r' | b',' => self.keep(&rest[..1]),
            // `{…} and more` is a sentence.
            _ if self.document.first_line == self.number && !self.document.is_container => {
                self.document = Document::default();
                self.mode = Mode::Text;
                return 0;
            }
            _ => {
                self.emit_root(sink);
                self.line.clear();
                self.mode = Mode::Start;
                return 0;
            }
        }
        1
    }

    fn emit_root(&mut self, sink: &mut impl FnMut(Item<'_>, Place)) {
        let document = std::mem::take(&mut self.document);
        if !document.is_container {
            let place = Place { line: document.first_line, cut: document.cut };
            if document.too_big {
                sink(Item::Broken(1), place);
            } else {
                sink(Item::Object(&document.kept), place);
            }
        }
        self.mode = Mode::Start;
        self.line.clear();
    }
}

/// How far a byte brought the document.
enum Step {
    On,
    /// An element of a container ended.
    Element,
    /// The document ended.
    End,
    Invalid,
}

/// A JSON document that is read byte by byte, as strictly as it takes to know where things end.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact about the byte that comes next")]
struct Document {
    first_line: u64,
    /// For each open bracket: whether it is an array's.
    open: Vec<bool>,
    in_string: bool,
    escaped: bool,
    /// The string that is read is a key.
    in_key: bool,
    expects_key: bool,
    /// Only white space has come since the last bracket was opened.
    fresh: bool,
    /// The keys that lead to the place, as far as containers need them.
    root_key: Key,
    second_key: Key,
    key: Vec<u8>,
    root_keys: u32,
    /// The depth of the array whose elements are the items; 0 where there is none.
    container: usize,
    is_container: bool,
    /// What is kept of the object that is read.
    kept: Vec<u8>,
    string: usize,
    dropping: bool,
    cut: bool,
    too_big: bool,
    element_line: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    #[default]
    Other,
    Log,
    Entries,
}

impl Document {
    fn step(&mut self, byte: u8, line: u64) -> Step {
        if self.in_string {
            return self.string_byte(byte);
        }
        let fresh = std::mem::take(&mut self.fresh);
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => self.fresh = fresh,
            b'{' | b'[' => return self.opens(byte, line),
            b'}' | b']' => return self.closes(byte),
            b'"' => {
                self.in_string = true;
                self.string = 0;
                self.in_key = self.expects_key;
                self.key.clear();
                self.keep(byte);
            }
            b',' => {
                self.expects_key = self.open.last() == Some(&false);
                self.keep(byte);
            }
            b':' => {
                if self.open.last() != Some(&false) {
                    return Step::Invalid;
                }
                self.expects_key = false;
                self.keep(byte);
            }
            b'0'..=b'9' | b'-' | b'+' | b'.' | b'E' | b't' | b'r' | b'u' | b'e' | b'f' | b'a' | b'l' | b's'
            | b'n'
                // A name comes first in an object, and the arrays that matter hold objects.
                if !fresh || self.open.len() > 1 && self.open.last() == Some(&true) =>
            {
                self.keep(byte);
            }
            _ => return Step::Invalid,
        }
        Step::On
    }

    fn opens(&mut self, byte: u8, line: u64) -> Step {
        if self.open.len() == MAX_DEPTH || self.expects_key {
            return Step::Invalid;
        }
        let is_array = byte == b'[';
        let depth = self.open.len() + 1;
        let is_element = self.container > 0 && self.open.len() == self.container && !is_array;
        if is_element {
            self.let_go();
            self.element_line = line;
        }
        self.open.push(is_array);
        self.expects_key = !is_array;
        self.fresh = true;
        if self.container == 0 && is_array {
            let leads = match depth {
                1 => true,
                2 => self.root_key == Key::Entries && self.root_keys == 1,
                3 => self.root_key == Key::Log && self.second_key == Key::Entries && !self.open[1],
                _ => false,
            };
            if leads {
                self.container = depth;
                self.is_container = true;
                self.let_go();
                return Step::On;
            }
        }
        self.keep(byte);
        Step::On
    }

    fn closes(&mut self, byte: u8) -> Step {
        if self.open.pop() != Some(byte == b']') {
            return Step::Invalid;
        }
        self.expects_key = false;
        self.keep(byte);
        if self.open.is_empty() {
            return Step::End;
        }
        if self.container > 0 && self.open.len() == self.container && byte == b'}' {
            return Step::Element;
        }
        if self.container > self.open.len() {
            // The container has ended; what else the document has is of no use.
            self.container = usize::MAX;
        }
        Step::On
    }

    fn string_byte(&mut self, byte: u8) -> Step {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
            self.dropping = false;
            self.keep(byte);
            if self.in_key {
                self.key_ends();
            }
            return Step::On;
        } else if self.string > MAX_STRING && byte.is_ascii_alphanumeric() && !self.after_escape() {
            // Between two characters, and not between the halves of a pair of surrogates.
            self.dropping = true;
        }
        self.string += 1;
        if self.in_key && self.key.len() <= 8 {
            self.key.push(byte);
        }
        if self.dropping {
            self.cut = true;
        } else {
            self.keep(byte);
        }
        Step::On
    }

    /// Whether the last bytes that were kept are of an escape, which must not be torn.
    fn after_escape(&self) -> bool {
        self.kept.iter().rev().take(6).any(|byte| *byte == b'\\')
    }

    fn key_ends(&mut self) {
        let key = match self.key.as_slice() {
            b"log" => Key::Log,
            b"entries" => Key::Entries,
            _ => Key::Other,
        };
        match self.open.len() {
            1 => {
                self.root_key = key;
                self.root_keys += 1;
            }
            2 => self.second_key = key,
            _ => {}
        }
    }

    /// Keeps a byte, unless it is outside of what is kept.
    fn keep(&mut self, byte: u8) {
        let outside = self.is_container
            && self.open.len() <= self.container
            && !(byte == b'}' && self.open.len() == self.container);
        if outside || self.container == usize::MAX || self.too_big {
            return;
        }
        if self.kept.len() == MAX_OBJECT {
            self.too_big = true;
            return;
        }
        self.kept.push(byte);
    }

    fn let_go(&mut self) {
        self.kept.clear();
        self.cut = false;
        self.too_big = false;
    }
}

#[cfg(test)]
mod tests;
