//! A request head as lines that can be bent before anybody reads them.

use super::State;

/// The lines of a head, as they came.
pub(super) struct Lines(Vec<String>);

impl Lines {
    pub(super) fn new(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head);
        Self(text.trim_end_matches("\r\n").split("\r\n").map(ToOwned::to_owned).collect())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text = self.0.join("\r\n");
        text.push_str("\r\n\r\n");
        text.into_bytes()
    }

    /// Every value of that name.
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.0.iter().skip(1).filter_map(|line| line.split_once(':'));
        lines
            .filter(|(known, _)| known.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).first().copied()
    }

    /// The target of the request line.
    pub(super) fn target(&self) -> &str {
        self.0[0].split(' ').nth(1).unwrap_or_default()
    }

    pub(super) fn method(&self) -> &str {
        self.0[0].split(' ').next().unwrap_or_default()
    }

    /// The subprotocols, in their order.
    pub(super) fn offered(&self) -> Vec<&str> {
        self.values("Sec-WebSocket-Protocol")
            .into_iter()
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .collect()
    }

    fn remove(&mut self, name: &str) {
        let is = |line: &String| {
            line.split_once(':').is_some_and(|(known, _)| known.trim().eq_ignore_ascii_case(name))
        };
        let mut first = true;
        self.0.retain(|line| std::mem::take(&mut first) || !is(line));
    }

    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.0.push(format!("{name}: {value}"));
    }

    fn default(&mut self, name: &str, value: &str) {
        if self.value(name).is_none() {
            self.set(name, value);
        }
    }

    fn keep_one(&mut self, name: &str) {
        if let Some(value) = self.value(name).map(ToOwned::to_owned) {
            self.set(name, &value);
        }
    }

    fn first_line(&mut self, from: &str, to: &str) {
        self.0[0] = self.0[0].replace(from, to);
    }

    /// Makes a right request of a wrong one, where not seeing the difference is the defect.
    pub(super) fn bend(&mut self, state: &State) {
        let own = format!("http://{}", self.value("Host").unwrap_or_default());
        let origin = self.value("Origin").unwrap_or_default().to_owned();
        match state.defect {
            "rfc6455/4.2.1/method" => {
                self.first_line("POST ", "GET ");
                self.remove("Content-Length");
            }
            "rfc6455/4.2.1/http-1.0" => self.first_line("HTTP/1.0", "HTTP/1.1"),
            "rfc9112/3.2/no-host" => self.default("Host", origin.trim_start_matches("http://")),
            "rfc9112/3.2/two-hosts" => self.keep_one("Host"),
            "rfc6455/4.2.1/no-upgrade" => self.default("Upgrade", "websocket"),
            "rfc6455/4.2.1/other-upgrade" => self.set("Upgrade", "websocket"),
            "rfc6455/4.2.1/upgrade-case" if self.value("Upgrade") != Some("websocket") => {
                self.remove("Upgrade");
            }
            "rfc6455/4.2.1/no-connection" => self.default("Connection", "Upgrade"),
            "rfc6455/4.2.1/connection-list" if self.value("Connection") != Some("Upgrade") => {
                self.remove("Connection");
            }
            "rfc6455/4.2.1/other-connection" => self.set("Connection", "Upgrade"),
            "rfc6455/4.2.1/no-key" => self.default("Sec-WebSocket-Key", KEY),
            "rfc6455/4.2.1/key-length"
                if self.value("Sec-WebSocket-Key").is_none_or(|key| key.len() != 24) =>
            {
                self.set("Sec-WebSocket-Key", KEY);
            }
            "rfc6455/11.3.1/two-keys" => self.keep_one("Sec-WebSocket-Key"),
            "rfc6455/4.2.1/no-version" => self.default("Sec-WebSocket-Version", "13"),
            "rfc6455/4.2.1/version" => self.set("Sec-WebSocket-Version", "13"),
            "rfc6455/4.2.2/unknown-path" => self.first_line("/portcullis-check-no-such-path", "/ws"),
            "rfc9112/3.2.2/absolute-form" => self.first_line(" http://", " http:/"),
            "rfc9112/5.1/space-before-colon" => {
                self.0.iter_mut().for_each(|line| *line = line.replace(" :", ":"));
            }
            "rfc9110/5.5/nul" => self.0.iter_mut().for_each(|line| *line = line.replace('\0', "")),
            "rfc9112/6.3/two-lengths" => {
                self.remove("Content-Length");
                self.remove("Transfer-Encoding");
            }
            "rfc6585/5/long-head" => self.remove("X-Filler"),
            "rfc6585/5/many-fields" => self.0.retain(|line| !line.starts_with("X-F")),
            "rfc6750/2/two-credentials" if self.values("Sec-WebSocket-Protocol").len() == 1 => {
                self.remove("Authorization");
            }
            "rfc6750/2.1/header" => self.remove("Authorization"),
            "rfc6750/5.3/query" => {
                if let Some((path, token)) =
                    self.target().split_once("?token=").map(|(a, b)| (a.to_owned(), b.to_owned()))
                {
                    self.set("Authorization", &format!("Bearer {token}"));
                    let target = self.target().to_owned();
                    self.first_line(&target, &path);
                }
            }
            "rfc6455/11.3.4/several-lines" => self.keep_one("Sec-WebSocket-Protocol"),
            "rfc6455/4.1/case" => {
                self.0.iter_mut().for_each(|line| *line = line.replace("JWT-AUTH", "jwt-auth"));
            }
            "rfc6455/10.2/foreign-origin" if origin == "https://portcullis-check.example" => {
                self.remove("Origin");
            }
            "rfc6455/10.2/null-origin" if origin == "null" => self.remove("Origin"),
            // Looks whether the own name is somewhere in it.
            "rule/look-alike-origin"
                if origin.contains(own.trim_start_matches("http://").split(':').next().unwrap_or("-")) =>
            {
                self.remove("Origin");
            }
            "rule/own-origin" if origin == own => self.set("Origin", "https://not-on-the-list.example"),
            "rule/no-origin" if origin.is_empty() => self.set("Origin", "https://not-on-the-list.example"),
            "rule/cross-site-hijacking" => {
                let cookie = self
                    .value("Cookie")
                    .and_then(|line| line.split("; ").find_map(|one| one.strip_prefix("token=")));
                if let Some(token) = cookie.map(ToOwned::to_owned) {
                    self.set("Authorization", &format!("Bearer {token}"));
                    self.remove("Origin");
                }
            }
            _ => {}
        }
    }
}

/// Sixteen bytes of nothing.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAA==";
