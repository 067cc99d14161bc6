//! The engine: from bytes to a report.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Map, Value};

use crate::{
    correlate::{Correlator, Moment},
    evidence::Evidence,
    format::{Format, Outcome, Parsed, Paths, context::Context, har, json, plain},
    keys::Keys,
    redact::redact,
    report::{Counts, Incidents, Report},
    signal::{Finding, Symptom},
    split::{Item, Place, Splitter},
    time::Millis,
    trace::{self, Trace},
};

/// Reads a log or an archive in pieces.
///
/// The same input gives the same report, however it is cut into pieces. Takes time linear in the input.
#[derive(Debug)]
pub struct Engine {
    encoding: Encoding,
    splitter: Splitter,
    reader: Reader,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine that has read nothing.
    pub fn new() -> Self {
        Self { encoding: Encoding::Unknown(Vec::new()), splitter: Splitter::new(), reader: Reader::default() }
    }

    /// Reads the next piece of the input. A line that is not ended yet is looked at when it is.
    pub fn feed(&mut self, bytes: &[u8]) {
        let reader = &mut self.reader;
        let bytes = self.encoding.decode(bytes);
        self.splitter.feed(&bytes, &mut |item, place| reader.item(&item, place));
    }

    /// Begins another file of the same log, as rotation makes one: the last line of the one before is looked at, ended or
    /// not, and lines are counted from 1 again.
    pub fn next_file(&mut self) {
        self.end_file();
        (self.encoding, self.splitter) = (Encoding::Unknown(Vec::new()), Splitter::new());
    }

    /// What was found so far; lines that wait for the next one are left out.
    pub fn report(&self) -> Report {
        self.reader.clone().end()
    }

    /// Ends the input.
    pub fn finish(mut self) -> Report {
        self.end_file();
        self.reader.end()
    }

    /// Reads all of `text`.
    pub fn read(text: &str) -> Report {
        let mut engine = Self::new();
        engine.feed(text.as_bytes());
        engine.finish()
    }

    fn end_file(&mut self) {
        let reader = &mut self.reader;
        if let Encoding::Unknown(held) = &self.encoding {
            self.splitter.feed(held, &mut |item, place| reader.item(&item, place));
        }
        self.splitter.finish(&mut |item, place| reader.item(&item, place));
    }
}

/// What the bytes are. Windows' shell writes what it redirects as UTF-16; of that the ASCII is read, in which logs are written.
#[derive(Debug)]
enum Encoding {
    /// Fewer than two bytes have come.
    Unknown(Vec<u8>),
    /// UTF-8, or something near it.
    Utf8,
    /// UTF-16, little-endian, after its mark.
    Utf16,
}

impl Encoding {
    fn decode<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        match self {
            Self::Utf8 => Cow::Borrowed(bytes),
            Self::Utf16 => Cow::Owned(bytes.iter().copied().filter(|byte| *byte != 0).collect()),
            Self::Unknown(held) => {
                held.extend_from_slice(bytes);
                if held.len() < 2 {
                    return Cow::Borrowed(&[]);
                }
                let held = std::mem::take(held);
                if let Some(rest) = held.strip_prefix(b"\xff\xfe") {
                    *self = Self::Utf16;
                    return Cow::Owned(self.decode(rest).into_owned());
                }
                *self = Self::Utf8;
                Cow::Owned(held)
            }
        }
    }
}

/// What is known of the input so far.
#[derive(Clone, Debug, Default)]
struct Reader {
    counts: Counts,
    formats: BTreeMap<Format, u64>,
    from: Option<Millis>,
    to: Option<Millis>,
    paths: Paths,
    correlator: Correlator,
    incidents: Incidents,
    /// A line that says no more than that an exception was raised: the traceback may follow.
    held: Option<Told>,
    trace: Option<Box<Raised>>,
    /// The item at which a traceback of no concern was seen with its last line first: its header is still to come.
    aside: Option<u64>,
    /// The line before was of a stack trace.
    in_stack: bool,
    /// The last time that a line had.
    clock: Option<Millis>,
    /// The items that told something, or nothing: distances in lines are counted in them.
    item: u64,
}

/// A finding with all that it needs to become an event.
#[derive(Clone, Debug)]
struct Told {
    finding: Finding,
    keys: Keys,
    moment: Moment,
    evidence: Evidence,
}

/// A traceback that is read.
#[derive(Clone, Debug)]
struct Raised {
    trace: Trace,
    header: Option<Told>,
    context: Context,
    line: u64,
}

impl Reader {
    fn item(&mut self, item: &Item<'_>, place: Place) {
        match item {
            Item::Line(bytes) => {
                if bytes.trim_ascii().is_empty() {
                    return;
                }
                self.begin(place);
                let text = clean(String::from_utf8_lossy(bytes));
                self.line(&text, place.line, &Context::default(), true);
            }
            Item::Object(bytes) => {
                self.begin(place);
                match serde_json::from_slice::<Map<String, Value>>(bytes) {
                    Ok(object) => self.object(&object, place.line),
                    Err(_) => self.counts.unknown += 1,
                }
            }
            Item::Broken(lines) => {
                self.begin(place);
                self.counts.lines += lines - 1;
                self.counts.unknown += lines;
            }
        }
    }

    fn begin(&mut self, place: Place) {
        self.counts.lines += 1;
        self.counts.cut += u64::from(place.cut);
    }

    fn object(&mut self, object: &Map<String, Value>, line: u64) {
        if har::is_entry(object) {
            self.end_trace();
            let parsed = har::read(object);
            self.take(&parsed, line, true);
            return;
        }
        match json::read(object, &mut self.paths) {
            json::Read::Entry(parsed) => {
                self.end_trace();
                self.take(&parsed, line, true);
            }
            json::Read::Text(text, context, request) => {
                let alone = text.trim_end().lines().count() <= 1;
                if !alone {
                    self.end_trace();
                }
                let before = self.counts.failing;
                if let Some(request) = request {
                    self.take(&request, line, false);
                }
                for text in text.lines().filter(|text| !text.trim().is_empty()) {
                    self.line(&clean(Cow::Borrowed(text)), line, &context, false);
                }
                // A traceback that came in one entry ends with it. One that came line by line goes on in the next.
                if !alone {
                    self.end_trace();
                }
                // However many lines it held, it is one entry.
                let told = self.counts.failing > before;
                self.counts.failing = before + u64::from(told);
                self.count(context.format, context.at);
            }
        }
    }

    /// Reads a line of text; `counts` says whether it is an item of its own.
    fn line(&mut self, text: &str, line: u64, context: &Context, counts: bool) {
        if let Some(raised) = &mut self.trace {
            if raised.trace.take(text) {
                return;
            }
            self.end_trace();
        }
        if Trace::begins(text) {
            let mut trace = Trace::default();
            trace.take(text);
            let header = self.held.take();
            self.trace = Some(Box::new(Raised { trace, header, context: context.clone(), line }));
            return;
        }
        if is_frame(text) || self.in_stack && text.starts_with("    ") {
            self.in_stack = true;
            if text.contains("/protocols/http/") {
                self.aside = Some(self.item);
            }
            return;
        }
        self.in_stack = trace::is_exception(text);
        if trace::is_of_someone_leaving(text) {
            self.aside = Some(self.item + 1);
        }
        let parsed = plain::read(text, context, &mut self.paths);
        self.take(&parsed, line, counts);
    }

    fn take(&mut self, parsed: &Parsed<'_>, line: u64, counts: bool) {
        self.release();
        self.item += 1;
        self.clock = parsed.at.or(self.clock);
        if counts {
            self.count(parsed.format, parsed.at);
        }
        let finding = match parsed.outcome {
            Outcome::Found(finding) => finding,
            Outcome::Unknown => {
                self.counts.unknown += u64::from(counts);
                return;
            }
            Outcome::Ordinary => return,
            Outcome::Accepted => {
                self.counts.accepted += 1;
                return;
            }
            Outcome::Suppressed(count) => {
                self.counts.suppressed += count;
                return;
            }
        };
        let raised = finding.symptom == Some(Symptom::ServerError) && finding.reason.is_none();
        if raised && self.aside.is_some_and(|item| self.item - item.min(self.item) <= 3) {
            return;
        }
        self.counts.failing += 1;
        let told = Told {
            finding,
            keys: parsed.keys,
            moment: Moment { at: parsed.at, clock: self.clock, item: self.item },
            evidence: Evidence { line, at: parsed.at, text: redact(&parsed.shown) },
        };
        if raised {
            self.held = Some(told);
        } else {
            self.tell(told);
        }
    }

    fn count(&mut self, format: Option<Format>, at: Option<Millis>) {
        if let Some(format) = format {
            *self.formats.entry(format).or_default() += 1;
        }
        if let Some(at) = at {
            self.from = Some(self.from.map_or(at, |from| from.min(at)));
            self.to = Some(self.to.map_or(at, |to| to.max(at)));
        }
    }

    fn tell(&mut self, told: Told) {
        let incidents = &mut self.incidents;
        self.correlator
            .add(&told.finding, told.keys, told.moment, told.evidence, &mut |event| incidents.add(event));
    }

    /// Lets the held line speak for itself.
    fn release(&mut self) {
        if let Some(told) = self.held.take() {
            self.tell(told);
        }
    }

    fn end_trace(&mut self) {
        let Some(raised) = self.trace.take() else { return };
        let Raised { trace, header, context, line } = *raised;
        let none_of_ours = trace.is_of_no_concern();
        self.item += 1;
        match trace.end() {
            Some((finding, text)) => {
                self.counts.failing += 1;
                let evidence = Evidence { line, at: context.at, text: redact(&text) };
                let moment = Moment { at: context.at, clock: self.clock, item: self.item };
                let (keys, moment) = header.as_ref().map_or((context.keys, moment), |header| {
                    (header.keys.or(&context.keys), Moment { at: header.moment.at, ..moment })
                });
                let finding = if header.is_some() { trace::raised(finding) } else { finding };
                self.tell(Told { finding, keys, moment, evidence });
            }
            None if none_of_ours => self.counts.failing -= u64::from(header.is_some()),
            None => {
                if let Some(header) = header {
                    self.tell(header);
                }
            }
        }
    }

    fn end(mut self) -> Report {
        self.end_trace();
        self.release();
        let incidents = &mut self.incidents;
        self.correlator.finish(&mut |event| incidents.add(event));
        let (incidents, other_failures) = self.incidents.report(self.from, self.to);
        self.counts.ordinary = self.counts.lines.saturating_sub(self.counts.failing + self.counts.unknown);
        Report {
            read: self.counts,
            formats: self.formats,
            from: self.from,
            to: self.to,
            incidents,
            other_failures,
        }
    }
}

/// Whether a line is of a stack trace: of another language, or of one whose lines are logged one by one, the last one first. The
/// code in it has the texts of errors that did not happen.
fn is_frame(text: &str) -> bool {
    const STARTS: [&str; 7] = ["at ", "File \"", "raise ", "return ", "await ", "^", "~"];
    let code = text.trim_start_matches([' ', '\t']);
    let indent = &text[..text.len() - code.len()];
    (indent.len() >= 2 || indent == "\t") && STARTS.iter().any(|start| code.starts_with(start))
}

/// A line without the colours that programs write for terminals.
fn clean(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('\u{1b}') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(sequence) = rest.strip_prefix('[') {
            let end = sequence.find(|c: char| c.is_ascii_alphabetic()).map_or(sequence.len(), |end| end + 1);
            rest = &sequence[end..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}
