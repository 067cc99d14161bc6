//! Request heads, sound or broken byte by byte.

use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_handshake::encode_key;

/// A request whose every line a test can change. It begins as a sound one.
#[derive(Clone, Debug)]
pub struct Request {
    line: String,
    fields: Vec<(String, Vec<u8>)>,
    behind: Vec<u8>,
}

impl Request {
    /// A sound upgrade for `target`, without credential. `Host` is for the server to be asked.
    pub fn upgrade(target: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = u128::from(NUMBER.fetch_add(1, Ordering::Relaxed));
        let key = encode_key(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes());
        Self::plain("GET", target)
            .field("Upgrade", "websocket")
            .field("Connection", "Upgrade")
            .field("Sec-WebSocket-Version", "13")
            .field("Sec-WebSocket-Key", &key)
    }

    /// A plain request.
    pub fn plain(method: &str, target: &str) -> Self {
        let request =
            Self { line: format!("{method} {target} HTTP/1.1"), fields: Vec::new(), behind: Vec::new() };
        request.field("Host", "127.0.0.1")
    }

    /// A plain `POST` of JSON.
    pub fn post(target: &str, body: &serde_json::Value) -> Self {
        let body = body.to_string();
        Self::plain("POST", target)
            .field("Content-Type", "application/json")
            .field("Content-Length", body.len().to_string())
            .behind(body)
    }

    /// Another request line.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        line.clone_into(&mut self.line);
        self
    }

    /// One more field line.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// No field of that name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// A field in place of those of the same name.
    #[must_use]
    pub fn instead(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).field(name, value)
    }

    /// `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.field("Authorization", format!("Bearer {token}"))
    }

    /// One line of subprotocols.
    #[must_use]
    pub fn protocols(self, protocols: &[&str]) -> Self {
        self.field("Sec-WebSocket-Protocol", protocols.join(", "))
    }

    /// Bytes behind the head.
    #[must_use]
    pub fn behind(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.behind.extend_from_slice(bytes.as_ref());
        self
    }

    /// The value of the first field of that name.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &value[..])
    }

    /// All field lines.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_str(), &value[..]))
    }

    /// The target in the request line.
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The subprotocols of all lines.
    pub fn offered(&self) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Protocol"))
            .filter_map(|(_, value)| str::from_utf8(value).ok())
            .flat_map(|value| value.split(',').map(str::trim))
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// The bytes of head and what stands behind it.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.line.clone().into_bytes();
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &self.fields {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.behind);
        bytes
    }
}
