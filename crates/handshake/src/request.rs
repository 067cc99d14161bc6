//! What a checked request brings to the later steps, wherever it came from.

use crate::{Head, head::Known};

/// What finding the credential and all after it need of a request.
#[derive(Clone, Copy)]
pub(crate) struct Request<'b, R> {
    pub(crate) route: R,
    pub(crate) origin: Option<&'b str>,
    pub(crate) query: &'b str,
    pub(crate) source: Source<'b>,
}

/// Where the fields come from: a request head, or the body of a preflight.
#[derive(Clone, Copy)]
pub(crate) enum Source<'b> {
    Head(&'b Head<'b>),
    Preflight { authorization: Option<&'b str>, protocols: &'b [&'b str] },
}

impl<'b> Source<'b> {
    /// All lines of a field.
    pub(crate) fn lines(self, known: Known) -> impl Iterator<Item = &'b [u8]> {
        let (head, list, single) = match (self, known) {
            (Self::Head(head), _) => (Some(head.lines(known)), &[] as &[&str], None),
            (Self::Preflight { protocols, .. }, Known::Protocol) => (None, protocols, None),
            (Self::Preflight { authorization, .. }, Known::Authorization) => {
                (None, &[] as &[&str], authorization)
            }
            (Self::Preflight { .. }, _) => (None, &[] as &[&str], None),
        };
        let told = list.iter().copied().chain(single).map(str::as_bytes);
        head.into_iter().flatten().chain(told)
    }

    /// The elements of all `Sec-WebSocket-Protocol` lines (RFC 6455 §11.3.4); empty ones are skipped (RFC 9110 §5.6.1).
    pub(crate) fn protocols(self) -> impl Iterator<Item = &'b [u8]> {
        self.lines(Known::Protocol)
            .flat_map(|line| Elements { rest: Some(line) })
            .map(<[u8]>::trim_ascii)
            .filter(|element| !element.is_empty())
    }
}

/// A list split on its commas. A token is by far the longest element, so the search is worth a vector instruction.
struct Elements<'b> {
    rest: Option<&'b [u8]>,
}

impl<'b> Iterator for Elements<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        let list = self.rest?;
        let (element, rest) = match memchr::memchr(b',', list) {
            Some(comma) => (&list[..comma], Some(&list[comma + 1..])),
            None => (list, None),
        };
        self.rest = rest;
        Some(element)
    }
}
