//! What a checked request brings to the later steps, wherever it came from.

use portcullis_reason::{Reason, Rejection};

use crate::{
    Head, Policy,
    head::{Known, Repeated},
};

/// What finding the credential and all after it need of a request.
#[derive(Clone, Copy)]
pub(crate) struct Request<'b, R> {
    pub(crate) route: R,
    pub(crate) origin: Option<&'b str>,
    pub(crate) query: &'b str,
    pub(crate) source: Source<'b>,
}

/// The origin of the page that sent a request, if that one may connect; none for a client that is no browser.
pub(crate) fn origin<'b, R>(head: &Head<'b>, policy: &Policy<R>) -> Result<Option<&'b str>, Rejection> {
    let foreign = |detail| Rejection::new(Reason::OriginNotAllowed, detail);
    let Some(origin) =
        head.single(Known::Origin).map_err(|Repeated| foreign("more than one Origin field"))?
    else {
        return Ok(None);
    };
    policy.origins.check(origin, head.authority()).map_err(foreign)?;
    // An origin that passed is ASCII.
    Ok(str::from_utf8(origin).ok())
}

/// Where the fields come from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'b> {
    /// A handshake.
    Head(&'b Head<'b>),
    /// A request that tells of a handshake: its own fields, with the subprotocols that the other would offer.
    Preflight { head: &'b Head<'b>, protocols: &'b [&'b str] },
    /// A handshake that is told in words.
    Told { authorization: Option<&'b str>, protocols: &'b [&'b str] },
}

impl<'b> Source<'b> {
    /// All lines of a field.
    pub(crate) fn lines(self, known: Known) -> impl Iterator<Item = &'b [u8]> {
        let (head, list, single): (_, &[&str], _) = match (self, known) {
            (Self::Preflight { protocols, .. } | Self::Told { protocols, .. }, Known::Protocol) => {
                (None, protocols, None)
            }
            (Self::Head(head) | Self::Preflight { head, .. }, _) => (Some(head.lines(known)), &[], None),
            (Self::Told { authorization, .. }, Known::Authorization) => (None, &[], authorization),
            (Self::Told { .. }, _) => (None, &[], None),
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
