//! The client role: the request head, and the judgement of the answer (RFC 6455 §4.1, §4.2.2).

use std::{fmt, mem::MaybeUninit};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{accept_value, head::MAX_FIELDS};

/// The value of `Sec-WebSocket-Key` for 16 random bytes of the caller's.
pub fn encode_key(random: &[u8; 16]) -> String {
    STANDARD.encode(random)
}

/// An upgrade request to write.
#[derive(Clone, Copy)]
pub struct ClientRequest<'a> {
    /// The request target, as it shall stand in the request line.
    pub target: &'a str,
    /// The value of `Host`.
    pub host: &'a str,
    /// The value of `Sec-WebSocket-Key`.
    pub key: &'a str,
    /// The subprotocols, in order of preference.
    pub protocols: &'a [&'a str],
    /// The value of `Origin`.
    pub origin: Option<&'a str>,
    /// The value of `Authorization`.
    pub authorization: Option<&'a str>,
    /// More field lines.
    pub fields: &'a [(&'a str, &'a str)],
}

impl<'a> ClientRequest<'a> {
    /// A request with neither subprotocol nor credential.
    pub const fn new(target: &'a str, host: &'a str, key: &'a str) -> Self {
        Self { target, host, key, protocols: &[], origin: None, authorization: None, fields: &[] }
    }

    /// Appends the head to `out`.
    ///
    /// # Errors
    /// [`ClientError::Unwritable`] if a value would break its line; nothing is appended then.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), ClientError> {
        let values = [self.target, self.host, self.key].into_iter();
        let values =
            values.chain(self.origin).chain(self.authorization).chain(self.protocols.iter().copied());
        let lines = self.fields.iter().flat_map(|&(name, value)| [name, value]);
        if values.chain(lines).any(|value| value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0))) {
            return Err(ClientError::Unwritable);
        }
        let mut put = |parts: &[&str]| parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        put(&["GET ", self.target, " HTTP/1.1\r\nHost: ", self.host]);
        put(&["\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"]);
        put(&["\r\nSec-WebSocket-Key: ", self.key]);
        if let Some(origin) = self.origin {
            put(&["\r\nOrigin: ", origin]);
        }
        if let Some(authorization) = self.authorization {
            put(&["\r\nAuthorization: ", authorization]);
        }
        for (index, protocol) in self.protocols.iter().enumerate() {
            put(&[if index == 0 { "\r\nSec-WebSocket-Protocol: " } else { ", " }, protocol]);
        }
        for (name, value) in self.fields {
            put(&["\r\n", name, ": ", value]);
        }
        put(&["\r\n\r\n"]);
        Ok(())
    }
}

/// Why a client does not take an answer, or cannot ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A value holds a line break or NUL.
    #[error("a value of the request holds a line break or NUL")]
    Unwritable,
    /// The response head is not HTTP/1.1, or too long.
    #[error("the answer is not an HTTP/1.1 response")]
    NotHttp,
    /// The server refused, with this status.
    #[error("the server refused with HTTP status {0}")]
    Refused(u16),
    /// A 101 without `Upgrade: websocket` (RFC 6455 §4.1 item 2).
    #[error("the answer's Upgrade is not `websocket`")]
    NoUpgrade,
    /// A 101 without `Connection: Upgrade` (item 3).
    #[error("the answer's Connection does not name `Upgrade`")]
    NoConnection,
    /// `Sec-WebSocket-Accept` is missing or does not fit the key (item 4).
    #[error("Sec-WebSocket-Accept does not fit the key")]
    WrongAccept,
    /// An extension that was not offered (item 5); this client offers none.
    #[error("the server selected an extension that was not offered")]
    UnknownExtension,
    /// A subprotocol that was not offered, or more than one (item 6).
    #[error("the server selected a subprotocol that was not offered")]
    UnknownSubprotocol,
}

/// A response head.
pub struct ResponseHead<'b> {
    status: u16,
    fields: Vec<(&'b str, &'b [u8])>,
    len: usize,
}

impl<'b> ResponseHead<'b> {
    /// Reads the head at the start of `buf`, once it is complete.
    ///
    /// # Errors
    /// [`ClientError::NotHttp`].
    pub fn parse(buf: &'b [u8]) -> Result<Option<Self>, ClientError> {
        let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut []);
        match httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            buf,
            &mut storage,
        ) {
            Ok(httparse::Status::Partial) => Ok(None),
            Ok(httparse::Status::Complete(len)) => match (response.version, response.code) {
                (Some(1), Some(status)) => {
                    let fields = response.headers.iter().map(|field| (field.name, field.value.trim_ascii()));
                    Ok(Some(Self { status, fields: fields.collect(), len }))
                }
                _ => Err(ClientError::NotHttp),
            },
            Err(_) => Err(ClientError::NotHttp),
        }
    }

    /// The status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The length of the head in bytes; body or frames stand behind it.
    #[expect(clippy::len_without_is_empty, reason = "a head is never empty")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The value of the first field of that name.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.lines(name).next()
    }

    /// All field lines, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + '_ {
        self.fields.iter().copied()
    }

    /// Judges the answer to a request with that key and those subprotocols; gives the selected one.
    ///
    /// # Errors
    /// The first rule of RFC 6455 §4.1 that the answer breaks.
    pub fn check<'p>(&self, key: &str, offered: &[&'p str]) -> Result<Option<&'p str>, ClientError> {
        if self.status != 101 {
            return Err(ClientError::Refused(self.status));
        }
        let is = |value: &[u8], text: &[u8]| value.eq_ignore_ascii_case(text);
        if !self.field("Upgrade").is_some_and(|value| is(value, b"websocket")) {
            return Err(ClientError::NoUpgrade);
        }
        let mut members = self.lines("Connection").flat_map(|line| line.split(|&byte| byte == b','));
        if !members.any(|member| is(member.trim_ascii(), b"upgrade")) {
            return Err(ClientError::NoConnection);
        }
        let mut accept = self.lines("Sec-WebSocket-Accept");
        if accept.next() != Some(&accept_value(key)) || accept.next().is_some() {
            return Err(ClientError::WrongAccept);
        }
        if self.field("Sec-WebSocket-Extensions").is_some_and(|value| !value.is_empty()) {
            return Err(ClientError::UnknownExtension);
        }
        let mut selected = self.lines("Sec-WebSocket-Protocol");
        match (selected.next(), selected.next()) {
            (None, _) => Ok(None),
            (Some(name), None) => match offered.iter().find(|offered| offered.as_bytes() == name) {
                Some(name) => Ok(Some(name)),
                None => Err(ClientError::UnknownSubprotocol),
            },
            (Some(_), Some(_)) => Err(ClientError::UnknownSubprotocol),
        }
    }

    fn lines(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, value)| value)
    }
}

impl fmt::Debug for ResponseHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead").field("status", &self.status).finish_non_exhaustive()
    }
}
