//! Responses, whole.

use serde_json::Value;

/// A response with its body.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    fields: Vec<(String, String)>,
    /// The body; empty for a 101.
    pub body: String,
    /// Head and body as they came.
    pub raw: String,
}

impl Response {
    pub(crate) fn new(head: &[u8], response: portcullis_dial::Response) -> Self {
        let body = String::from_utf8_lossy(&response.body).into_owned();
        let raw = String::from_utf8_lossy(head).into_owned() + &body;
        Self { status: response.status, fields: response.fields, body, raw }
    }

    /// The value of the only field of that name; none if there is none or more than one.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Whether there is a field of that name.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.raw))
    }

    /// The identifier of the reason in a problem document; empty if there is none.
    pub fn reason(&self) -> String {
        let problem: Value = serde_json::from_str(&self.body).unwrap_or_default();
        problem["reason"].as_str().unwrap_or_default().to_owned()
    }
}
