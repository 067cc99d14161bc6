//! What a server answered to a request.

use std::fmt;

use crate::evidence::printable;

/// An HTTP response: of a 101 the head alone.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first value of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Every value of that name.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn body(&self) -> String {
        printable(&self.body)
    }

    /// Head and body as one text, for searching.
    pub(crate) fn text(&self) -> String {
        let lines = self.fields.iter().flat_map(|(name, value)| [name, ": ", value, "\n"]);
        let mut text: String = lines.collect();
        text.push_str(&self.body());
        text
    }

    /// The word that a refusal gives for its reason, where it is JSON that has one.
    pub(crate) fn reason(&self) -> Option<String> {
        let json: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let named = ["reason", "code", "error", "detail", "title", "message"];
        let word = named.iter().find_map(|name| json.get(name)?.as_str())?;
        Some(word.chars().take(80).collect())
    }

    pub(crate) const fn is_client_error(&self) -> bool {
        self.status >= 400 && self.status < 500
    }
}

/// How a connection ended, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Closed in order, without a word.
    Eof,
    /// Reset.
    Reset,
    /// Nothing came in time.
    Silent,
    /// Something came that is no HTTP/1.1 response.
    NotHttp,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eof => "the connection was ended without an answer",
            Self::Reset => "the connection was reset without an answer",
            Self::Silent => "nothing came",
            Self::NotHttp => "what came is not an HTTP/1.1 response",
        })
    }
}
