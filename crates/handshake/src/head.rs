//! The request head: finding its end as bytes arrive, and one strict reading of it (RFC 9112).

use std::{fmt, mem::MaybeUninit};

use memchr::{memchr_iter, memchr3_iter};
use portcullis_reason::{Reason, Rejection};

use crate::{
    origin::Authority,
    policy::is_token_byte,
    target::{self, Target},
};

/// The most fields that [`HeadLimits::fields`] can allow.
pub const MAX_FIELDS: usize = 128;

/// How much of a request head is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head in bytes, the empty line included.
    pub bytes: usize,
    /// Field lines; at most [`MAX_FIELDS`].
    pub fields: usize,
    /// The request target in bytes. At least 8000 should be taken (RFC 9110 §4.1).
    pub target: usize,
}

impl Default for HeadLimits {
    /// 32 KiB, 64 fields, a target of 8 KiB.
    fn default() -> Self {
        Self { bytes: 32 * 1024, fields: 64, target: 8 * 1024 }
    }
}

/// Finds the end of a request head while its bytes arrive.
///
/// It looks at each byte once, however the input is split, and refuses as soon as a line shows that no good head can
/// come of it. The bytes stay with the caller.
#[derive(Clone, Debug)]
pub struct HeadReader {
    limits: HeadLimits,
    scanned: usize,
    line_start: usize,
    lines: usize,
}

impl HeadReader {
    /// A reader at the start of a connection.
    pub const fn new(limits: HeadLimits) -> Self {
        Self { limits, scanned: 0, line_start: 0, lines: 0 }
    }

    /// Goes on reading. `buf` holds everything received so far: what the last call saw, and more behind it.
    ///
    /// Gives the length of the head with its empty line once that is complete, else nothing.
    ///
    /// # Errors
    /// [`Reason::BadUpgrade`] for what cannot become an HTTP/1.1 request (TLS, a line that ends in a bare LF);
    /// [`Reason::RequestTooLarge`] beyond the limits.
    pub fn advance(&mut self, buf: &[u8]) -> Result<Option<usize>, Rejection> {
        // Whatever stands behind the limit cannot matter; looking no further keeps the outcome free of the splits.
        let window = &buf[..buf.len().min(self.limits.bytes)];
        if self.scanned == 0 && !window.is_empty() {
            check_first_byte(window[0])?;
        }
        let from = self.scanned.min(window.len());
        for offset in memchr_iter(b'\n', &window[from..]) {
            let lf = from + offset;
            if lf == 0 || window[lf - 1] != b'\r' {
                return Err(bad("a line ends in a bare LF (RFC 9112 §2.2)"));
            }
            let empty = lf - 1 == self.line_start;
            self.line_start = lf + 1;
            if empty && self.lines > 0 {
                return Ok(Some(lf + 1));
            }
            if empty && lf > 1 {
                return Err(bad("more than one empty line before the request line"));
            }
            if !empty {
                self.lines += 1;
                // The request line is a line too.
                if self.lines > self.limits.fields + 1 {
                    return Err(too_many_fields());
                }
            }
        }
        self.scanned = window.len();
        if buf.len() >= self.limits.bytes {
            return Err(too_long());
        }
        Ok(None)
    }
}

/// The HTTP version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: taken for plain requests (old health checks), never for an upgrade.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2, whose requests come as [`Parts`].
    Http2,
}

/// The first line of a request that another reader has taken apart: HTTP/2's, or a library's for plain routes.
#[derive(Clone, Copy)]
pub struct Parts<'b> {
    /// The HTTP version.
    pub version: Version,
    /// The method (`:method`).
    pub method: &'b str,
    /// Host and port, where they stand outside the fields: `:authority`, or an absolute target's.
    pub authority: Option<&'b str>,
    /// Path and query (`:path`).
    pub target: &'b str,
}

/// One field line.
#[derive(Clone, Copy)]
pub struct Field<'b> {
    /// The name as sent.
    pub name: &'b str,
    /// The value without the white space around it.
    pub value: &'b [u8],
    pub(crate) known: Known,
}

impl<'b> Field<'b> {
    fn new(name: &'b str, value: &'b [u8]) -> Self {
        Self { name, value: value.trim_ascii(), known: Known::of(name) }
    }
}

impl fmt::Debug for Field<'_> {
    /// The name alone: a value may be a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The fields that decide about a handshake, told apart once while reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Authorization,
    Connection,
    ContentLength,
    Host,
    Origin,
    Key,
    Protocol,
    WsVersion,
    TransferEncoding,
    Upgrade,
    Other,
}

impl Known {
    /// How many known fields there are.
    const COUNT: usize = Self::Other as usize;

    fn of(name: &str) -> Self {
        let (candidate, known) = match name.len() {
            4 => ("host", Self::Host),
            6 => ("origin", Self::Origin),
            7 => ("upgrade", Self::Upgrade),
            10 => ("connection", Self::Connection),
            13 => ("authorization", Self::Authorization),
            14 => ("content-length", Self::ContentLength),
            17 if name.as_bytes()[0].eq_ignore_ascii_case(&b't') => {
                ("transfer-encoding", Self::TransferEncoding)
            }
            17 => ("sec-websocket-key", Self::Key),
            21 => ("sec-websocket-version", Self::WsVersion),
            22 => ("sec-websocket-protocol", Self::Protocol),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(candidate) { known } else { Self::Other }
    }
}

/// A complete, well-formed request head.
///
/// Its `Debug` shows method and field names, never the target or a value.
pub struct Head<'b> {
    method: &'b str,
    version: Version,
    target: Target<'b>,
    authority: Option<Authority<'b>>,
    fields: Vec<Field<'b>>,
    /// Where each known field stands first; [`MAX_FIELDS`] for none.
    first: [u8; Known::COUNT],
    /// Which known fields stand more than once, a bit each.
    repeated: u16,
    len: usize,
}

impl<'b> Head<'b> {
    /// Reads the head at the start of `buf`. What stands behind it is left alone.
    ///
    /// # Errors
    /// [`Reason::BadUpgrade`] for anything that two readers could understand differently: a bare CR or LF, NUL,
    /// obs-fold, white space before a colon, a `Host` that is missing, repeated or invalid, a version that is not
    /// HTTP/1.1 (nor 1.0), an odd target, contradictory framing (RFC 9112 §2.2, §3.2, §5, §6.3). A request without
    /// any sign of an upgrade earns [`Reason::BadRequest`] where the lines themselves are sound.
    /// [`Reason::MethodNotAllowed`] for `CONNECT`, [`Reason::RequestTooLarge`] beyond the limits.
    pub fn parse(buf: &'b [u8], limits: &HeadLimits) -> Result<Self, Rejection> {
        let window = &buf[..buf.len().min(limits.bytes)];
        let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        let status = httparse::ParserConfig::default().parse_request_with_uninit_headers(
            &mut request,
            window,
            &mut storage[..limits.fields.min(MAX_FIELDS)],
        );
        let len = match status {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Err(explain(buf, limits, None)),
            Err(error) => return Err(explain(buf, limits, Some(error))),
        };
        check_line_ends(&buf[..len])?;

        let method = request.method.unwrap_or_default();
        let version = if request.version == Some(1) { Version::Http11 } else { Version::Http10 };
        let raw_target = request.path.unwrap_or_default();
        if raw_target.len() > limits.target {
            return Err(target_too_long());
        }
        let mut fields = Vec::with_capacity(request.headers.len());
        fields.extend(request.headers.iter().map(|header| Field::new(header.name, header.value)));
        Self::new(method, version, target::parse(method, raw_target)?, fields, len)
    }

    /// The head of a request that another reader has taken apart. Whatever made the parts, they are held to the rules of
    /// [`parse`](Self::parse).
    ///
    /// # Errors
    /// As [`parse`](Self::parse); [`Reason::BadRequest`] also for what HTTP/2 has no place for: fields about one connection,
    /// and a `Host` that differs from the authority (RFC 9113 §8.2.2, §8.3.1).
    pub fn from_parts(
        parts: Parts<'b>,
        fields: impl IntoIterator<Item = (&'b str, &'b [u8])>,
        limits: &HeadLimits,
    ) -> Result<Self, Rejection> {
        let Parts { version, method, authority, target } = parts;
        if target.len() > limits.target {
            return Err(target_too_long());
        }
        let most = limits.fields.min(MAX_FIELDS);
        let mut read = Vec::new();
        let mut bytes = 0;
        for (name, value) in fields {
            if read.len() == most {
                return Err(too_many_fields());
            }
            bytes += name.len() + value.len();
            if name.is_empty() || !name.bytes().all(is_token_byte) {
                return Err(Rejection::new(Reason::BadRequest, "an invalid field name"));
            }
            if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                return Err(Rejection::new(
                    Reason::BadRequest,
                    "an invalid character in a field value (RFC 9110 §5.5)",
                ));
            }
            read.push(Field::new(name, value));
        }
        if bytes > limits.bytes {
            return Err(too_long());
        }
        let parsed = target::parse(method, target)?;
        let target = Target { authority: authority.or(parsed.authority), ..parsed };
        Self::new(method, version, target, read, 0)
    }

    fn new(
        method: &'b str,
        version: Version,
        target: Target<'b>,
        fields: Vec<Field<'b>>,
        len: usize,
    ) -> Result<Self, Rejection> {
        let mut first = [MAX_FIELDS as u8; Known::COUNT];
        let mut repeated = 0;
        for (index, field) in fields.iter().enumerate() {
            if let Some(slot) = first.get_mut(field.known as usize) {
                if usize::from(*slot) == MAX_FIELDS {
                    *slot = index as u8;
                } else {
                    repeated |= 1 << field.known as u16;
                }
            }
        }

        let mut head = Self { method, version, target, authority: None, fields, first, repeated, len };
        head.authority = head.check_host()?;
        head.check_framing()?;
        Ok(head)
    }

    /// The method, as sent: methods are case-sensitive.
    pub const fn method(&self) -> &'b str {
        self.method
    }

    /// The HTTP version.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The path of the target, starting with `/` (or `*` alone), not decoded.
    pub const fn path(&self) -> &'b str {
        self.target.path
    }

    /// What stands behind the target's `?`, not decoded; empty when there is none. It may hold a secret.
    pub const fn query(&self) -> &'b str {
        self.target.query
    }

    /// Host and port that the request is for: the authority of an absolute target, else `Host` (RFC 9112 §3.2.2).
    pub fn host(&self) -> Option<&'b str> {
        self.authority.map(|authority| authority.text)
    }

    pub(crate) const fn authority(&self) -> Option<Authority<'b>> {
        self.authority
    }

    /// The length of the head in bytes, with its empty line; the rest of the buffer was not looked at. 0 for a head that was
    /// made of parts.
    #[expect(clippy::len_without_is_empty, reason = "a head is never empty")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The field lines in the order of the request.
    pub fn fields(&self) -> &[Field<'b>] {
        &self.fields
    }

    /// The value of the only field of that name (in any case); nothing when there is none or more than one.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        let mut found = self.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some(field), None) => Some(field.value),
            _ => None,
        }
    }

    /// Whether the request means to become a WebSocket, rightly made or not: it names `websocket` in `Upgrade` or has
    /// a `Sec-WebSocket-Key` or `-Version`. Such a request belongs to [`Upgrade::check`](crate::Upgrade::check), which
    /// says what is wrong with it, whatever its path.
    pub fn is_upgrade(&self) -> bool {
        self.fields.iter().any(|field| match field.known {
            Known::Key | Known::WsVersion => true,
            Known::Upgrade => field.value.windows(9).any(|part| part.eq_ignore_ascii_case(b"websocket")),
            _ => false,
        })
    }

    /// The values of all lines of one field.
    pub(crate) fn lines(&self, known: Known) -> impl Iterator<Item = &'b [u8]> + '_ {
        let first = usize::from(self.first[known as usize]).min(self.fields.len());
        let end = if self.is_repeated(known) { self.fields.len() } else { self.fields.len().min(first + 1) };
        self.fields[first..end].iter().filter(move |field| field.known == known).map(|field| field.value)
    }

    /// The only line of a field, nothing, or [`Repeated`].
    pub(crate) fn single(&self, known: Known) -> Result<Option<&'b [u8]>, Repeated> {
        if self.is_repeated(known) {
            return Err(Repeated);
        }
        Ok(self.fields.get(usize::from(self.first[known as usize])).map(|field| field.value))
    }

    const fn is_repeated(&self, known: Known) -> bool {
        self.repeated & (1 << known as u16) != 0
    }

    fn check_host(&self) -> Result<Option<Authority<'b>>, Rejection> {
        let host = match self.single(Known::Host) {
            Err(Repeated) => return Err(self.refuse("more than one Host field (RFC 9112 §3.2)")),
            Ok(None) if self.version != Version::Http11 => None,
            Ok(None) => return Err(self.refuse("no Host field (RFC 9112 §3.2)")),
            Ok(Some(value)) => {
                let Some(authority) = str::from_utf8(value).ok().and_then(Authority::parse) else {
                    return Err(self.refuse("the Host field is not a host with an optional port"));
                };
                Some(authority)
            }
        };
        let Some(text) = self.target.authority else { return Ok(host) };
        let Some(authority) = Authority::parse(text) else {
            return Err(self.refuse("the target's authority is not a host with an optional port"));
        };
        if self.version == Version::Http2
            && host.is_some_and(|host| !host.text.eq_ignore_ascii_case(authority.text))
        {
            return Err(self.refuse("Host differs from the authority (RFC 9113 §8.3.1)"));
        }
        Ok(Some(authority))
    }

    /// Message framing that two readers could see differently is refused whatever the request is for (RFC 9112 §6.3).
    fn check_framing(&self) -> Result<(), Rejection> {
        let of_connection = [Known::Connection, Known::TransferEncoding, Known::Upgrade];
        if self.version == Version::Http2
            && of_connection.iter().any(|&known| self.lines(known).next().is_some())
        {
            return Err(self.refuse("a field about one connection in HTTP/2 (RFC 9113 §8.2.2)"));
        }
        let coding = self.lines(Known::TransferEncoding).next().is_some();
        let mut length = None;
        for value in self.lines(Known::ContentLength) {
            if coding {
                return Err(self.refuse("both Content-Length and Transfer-Encoding"));
            }
            if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
                return Err(self.refuse("Content-Length is not a number"));
            }
            if length.replace(value).is_some_and(|earlier| earlier != value) {
                return Err(self.refuse("contradictory Content-Length fields"));
            }
        }
        if coding && self.version == Version::Http10 {
            return Err(self.refuse("Transfer-Encoding in an HTTP/1.0 request"));
        }
        Ok(())
    }

    fn refuse(&self, detail: &'static str) -> Rejection {
        Rejection::new(if self.is_upgrade() { Reason::BadUpgrade } else { Reason::BadRequest }, detail)
    }
}

impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("version", &self.version)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// A field that may stand once stands more than once.
#[derive(Debug)]
pub(crate) struct Repeated;

fn check_first_byte(byte: u8) -> Result<(), Rejection> {
    match byte {
        0x16 => Err(bad("the first byte starts a TLS handshake; this listener speaks plain HTTP/1.1")),
        b'\r' => Ok(()),
        // A method is a token; all that is sent in practice starts with a letter.
        byte if byte.is_ascii_alphabetic() => Ok(()),
        b'\n' => Err(bad("a line ends in a bare LF (RFC 9112 §2.2)")),
        _ => Err(bad("the first byte starts no HTTP request")),
    }
}

/// What `httparse` forgives: bare LF as a line end, and any number of empty lines before the first.
fn check_line_ends(head: &[u8]) -> Result<(), Rejection> {
    check_first_byte(head[0])?;
    if head.starts_with(b"\r\n\r\n") {
        return Err(bad("more than one empty line before the request line"));
    }
    if memchr_iter(b'\n', head).all(|at| at > 0 && head[at - 1] == b'\r') {
        Ok(())
    } else {
        Err(bad("a line ends in a bare LF (RFC 9112 §2.2)"))
    }
}

/// Says precisely why a head cannot be read.
fn explain(buf: &[u8], limits: &HeadLimits, error: Option<httparse::Error>) -> Rejection {
    let head = match HeadReader::new(*limits).advance(buf) {
        Err(rejection) => return rejection,
        Ok(end) => &buf[..end.unwrap_or(buf.len())],
    };
    for at in memchr3_iter(b'\r', b'\n', 0, head) {
        match head[at] {
            b'\r' if head.get(at + 1).is_some_and(|&next| next != b'\n') => {
                return bad("a bare CR in the head (RFC 9112 §2.2)");
            }
            b'\n' if matches!(head.get(at + 1), Some(b' ' | b'\t')) => {
                return bad("a line starts with white space: obs-fold (RFC 9112 §5.2)");
            }
            0 => return bad("NUL in the head (RFC 9110 §5.5)"),
            _ => {}
        }
    }
    error.map_or_else(|| bad("the head is incomplete"), |error| syntax_error(error, head))
}

fn syntax_error(error: httparse::Error, head: &[u8]) -> Rejection {
    use httparse::Error;
    match error {
        Error::TooManyHeaders => too_many_fields(),
        _ if head.starts_with(b"PRI * HTTP/2") => {
            bad("an HTTP/2 connection preface").with_hint("This listener speaks HTTP/1.1 only.")
        }
        Error::HeaderName => {
            // The one fault of a name that smuggling lives on gets its own words.
            let spaced = head
                .split(|&byte| byte == b'\n')
                .skip(1)
                .filter_map(|line| line.iter().position(|&byte| byte == b':').map(|colon| &line[..colon]))
                .any(|name| name.ends_with(b" ") || name.ends_with(b"\t"));
            bad(if spaced {
                "white space before a field's colon (RFC 9112 §5.1)"
            } else {
                "an invalid field name"
            })
        }
        Error::HeaderValue => bad("an invalid character in a field value (RFC 9110 §5.5)"),
        Error::Version => bad("the HTTP version is not 1.1"),
        Error::NewLine => bad("an invalid line end"),
        Error::Status | Error::Token => bad("an invalid request line (RFC 9112 §3)"),
    }
}

fn too_long() -> Rejection {
    Rejection::new(Reason::RequestTooLarge, "the head is longer than the limit")
}

fn target_too_long() -> Rejection {
    Rejection::new(Reason::RequestTooLarge, "the request target is longer than the limit")
}

fn too_many_fields() -> Rejection {
    Rejection::new(Reason::RequestTooLarge, "more field lines than the limit")
}

fn bad(detail: &'static str) -> Rejection {
    Rejection::new(Reason::BadUpgrade, detail)
}
