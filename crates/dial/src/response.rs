//! What a server answered to a request.

use portcullis_handshake::ResponseHead;

/// An HTTP response: its head, and as much of its body as was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The field lines, in order. What is not UTF-8 in a value is replaced.
    pub fields: Vec<(String, String)>,
    /// The body; a chunked one as it came, lengths and all.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Every value of that name.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of_that_name = self.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        of_that_name.map(|(_, value)| value.as_str())
    }

    /// Whether the client is at fault, the server says.
    pub const fn is_client_error(&self) -> bool {
        self.status >= 400 && self.status < 500
    }

    /// How long the head says that the body is. Where it does not, the body goes on to the end of the connection.
    pub(crate) fn announced(&self) -> Option<usize> {
        match self.status {
            // RFC 9110 §6.4.1: no body, whatever the fields say.
            100..200 | 204 | 304 => Some(0),
            _ => self.field("Content-Length").and_then(|length| length.parse().ok()),
        }
    }

    /// Whether the last chunk of a chunked body has come.
    pub(crate) fn has_last_chunk(&self) -> bool {
        self.field("Transfer-Encoding").is_some() && self.body.ends_with(b"0\r\n\r\n")
    }
}

impl From<&ResponseHead<'_>> for Response {
    fn from(head: &ResponseHead<'_>) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        Self {
            status: head.status(),
            fields: head.fields().map(|(name, value)| (name.to_owned(), text(value))).collect(),
            body: Vec::new(),
        }
    }
}
