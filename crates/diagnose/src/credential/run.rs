//! Runs of characters that belong together, each looked at once.

/// Which characters a run is of. All are ASCII, so a run ends between two characters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Class {
    /// What a JWT is of, base64url'd and percent-encoded ones too.
    Token,
    /// Letters and digits with `_`, `-` and `.`.
    Name,
    /// Letters and digits with `_`, `-`, `+` and `=`.
    Word,
    /// Whatever delimits nothing in code, URLs and header fields.
    Element,
}

impl Class {
    const fn has(self, byte: u8) -> bool {
        match self {
            Self::Token => is_name(byte) || matches!(byte, b'.' | b'=' | b'+' | b'%'),
            Self::Name => is_name(byte) || byte == b'.',
            Self::Word => is_name(byte) || matches!(byte, b'+' | b'='),
            Self::Element => {
                byte.is_ascii_graphic()
                    && !matches!(
                        byte,
                        b'"' | b'\''
                            | b'`'
                            | b','
                            | b';'
                            | b'<'
                            | b'>'
                            | b'('
                            | b')'
                            | b'['
                            | b']'
                            | b'{'
                            | b'}'
                            | b'|'
                            | b'\\'
                            | b'&'
                    )
            }
        }
    }
}

/// Letters and digits with `_` and `-`: what names are of.
pub(super) const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// A run from some place on, and the last place of what tells a random one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    from: usize,
    pub(super) end: usize,
    digit: Option<usize>,
    upper: Option<usize>,
    lower: Option<usize>,
}

impl Run {
    pub(super) const fn has_digit(self) -> bool {
        self.digit.is_some()
    }

    /// Whether it has digits and letters of both cases.
    pub(super) const fn is_mixed(self) -> bool {
        self.digit.is_some() && self.upper.is_some() && self.lower.is_some()
    }

    /// The same run from a later place on.
    fn since(self, from: usize) -> Self {
        let still = |place: Option<usize>| place.filter(|place| *place >= from);
        Self {
            from,
            end: self.end,
            digit: still(self.digit),
            upper: still(self.upper),
            lower: still(self.lower),
        }
    }

    fn note(&mut self, at: usize, byte: u8) {
        let place = match byte {
            b'0'..=b'9' => &mut self.digit,
            b'A'..=b'Z' => &mut self.upper,
            b'a'..=b'z' => &mut self.lower,
            _ => return,
        };
        *place = Some(at);
    }
}

/// The runs of a text. Of each class the last one is known, so asking for each of its ends costs nothing.
pub(super) struct Runs<'t> {
    pub(super) text: &'t str,
    known: [Run; 4],
}

impl<'t> Runs<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, known: [Run::default(); 4] }
    }

    /// The run of that class that begins at `from`; it may be empty.
    pub(super) fn of(&mut self, class: Class, from: usize) -> Run {
        let known = self.known[class as usize];
        let within = |at: usize| known.from <= at && at < known.end;
        if within(from) {
            return known.since(from);
        }
        let mut run = Run { from, end: from, ..Run::default() };
        for &byte in &self.text.as_bytes()[from.min(self.text.len())..] {
            if within(run.end) {
                // The rest was looked at before.
                run = Run {
                    from,
                    end: known.end,
                    digit: known.digit.or(run.digit),
                    upper: known.upper.or(run.upper),
                    lower: known.lower.or(run.lower),
                };
                break;
            }
            if !class.has(byte) {
                break;
            }
            run.note(run.end, byte);
            run.end += 1;
        }
        self.known[class as usize] = run;
        run
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// In whatever order they are asked for, runs are what they would be alone.
        #[test]
        fn what_is_known_changes_nothing(text in "[aB0._=/ é-]{0,40}", asked in prop::collection::vec(0_usize..40, 1..20)) {
            let mut runs = Runs::new(&text);
            for from in asked.into_iter().filter(|from| *from <= text.len()) {
                for class in [Class::Token, Class::Name, Class::Word, Class::Element] {
                    let (run, alone) = (runs.of(class, from), Runs::new(&text).of(class, from));
                    prop_assert_eq!(run.end, alone.end);
                    prop_assert_eq!(run.has_digit(), alone.has_digit());
                    prop_assert_eq!(run.is_mixed(), alone.is_mixed());
                }
            }
        }
    }
}
