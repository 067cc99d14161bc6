//! What a server answered to a request.

use std::fmt;

use portcullis_dial::Response;

use crate::evidence::printable;

/// Head and body as one text, for searching.
pub(crate) fn text_of(response: &Response) -> String {
    let lines = response.fields.iter().flat_map(|(name, value)| [name, ": ", value, "\n"]);
    let mut text: String = lines.collect();
    text.push_str(&printable(&response.body));
    text
}

/// The word that a refusal gives for its reason, where it is JSON that has one.
pub(crate) fn reason_of(response: &Response) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
    let named = ["reason", "code", "error", "detail", "title", "message"];
    let word = named.iter().find_map(|name| json.get(name)?.as_str())?;
    Some(word.chars().take(80).collect())
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
