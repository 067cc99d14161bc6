//! An upgrade request that can be bent out of shape, line by line.

use portcullis_dial::random_key;

/// A request. Names and values are written as they are, whatever is in them.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: &'static str,
    lines: Vec<(String, String)>,
    /// Behind the head.
    pub(crate) body: Vec<u8>,
    /// The first message after the 101, where the credential stands in it; else the profile's.
    pub(crate) hello: Option<String>,
}

impl Request {
    /// A good handshake without credential, subprotocol or origin.
    pub(crate) fn upgrade(target: &str, host: &str) -> Self {
        let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            method: "GET".to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            lines: vec![
                line("Host", host),
                line("Upgrade", "websocket"),
                line("Connection", "Upgrade"),
                line("Sec-WebSocket-Version", "13"),
                line("Sec-WebSocket-Key", &random_key()),
            ],
            body: Vec::new(),
            hello: None,
        }
    }

    /// A plain request that ends the connection.
    pub(crate) fn plain(method: &str, target: &str, host: &str) -> Self {
        let lines = vec![("Host".to_owned(), host.to_owned()), ("Connection".to_owned(), "close".to_owned())];
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            lines,
            body: Vec::new(),
            hello: None,
        }
    }

    /// Puts `value` in the place of every line of that name.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        let place = self.lines.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        self = self.without(name);
        let place = place.unwrap_or(self.lines.len());
        self.lines.insert(place, (name.to_owned(), value.to_owned()));
        self
    }

    /// One more line.
    pub(crate) fn add(mut self, name: &str, value: &str) -> Self {
        self.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without any line of that name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.lines.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    pub(crate) fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    pub(crate) fn target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    pub(crate) fn hello(mut self, message: &str) -> Self {
        self.hello = Some(message.to_owned());
        self
    }

    /// One more parameter of the query. `value` has to be fit for it.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(name);
        self.target.push('=');
        self.target.push_str(value);
        self
    }

    /// The first value of that name.
    #[cfg(test)]
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.lines.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The subprotocols that it offers.
    pub(crate) fn offered(&self) -> Vec<&str> {
        let lines = self.lines.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Protocol"));
        lines.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|name| !name.is_empty()).collect()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.lines {
            out.push_str(name);
            out.push_str(": ");
            out.push_str(value);
            out.push_str("\r\n");
        }
        out.push_str("\r\n");
        let mut out = out.into_bytes();
        out.extend_from_slice(&self.body);
        out
    }
}
