//! nginx settings in a paste: what a proxy passes on of a WebSocket handshake.

/// What was set, where a paste has a `proxy_pass`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `proxy_http_version 1.1` or later.
    pub(crate) http_1_1: bool,
    pub(crate) upgrade: Passed,
    pub(crate) connection: Passed,
    pub(crate) host: Passed,
    pub(crate) subprotocol: Passed,
    pub(crate) authorization: Passed,
    /// `proxy_pass_request_headers off`.
    pub(crate) no_headers: bool,
    /// `proxy_read_timeout`, in seconds.
    pub(crate) read_timeout: Option<u64>,
}

/// What becomes of a header field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Passed {
    /// Nothing is said: nginx passes it on as it came, but for `Upgrade`, `Connection` and `Host`.
    #[default]
    Unsaid,
    /// It is sent with a value.
    Sent,
    /// It is emptied, which takes it away, or set to what cannot upgrade.
    Dropped,
}

/// The most directives that are read.
const MAX_DIRECTIVES: usize = 500;

/// Reads the directives of `text`, where it has a `proxy_pass`. Several locations are taken together: what one sets counts.
pub(crate) fn settings(text: &str) -> Option<Settings> {
    if !text.contains("proxy_pass") {
        return None;
    }
    let directive = |part: &str| {
        let code =
            part.lines().map(|line| line.split('#').next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
        code.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect::<Vec<_>>()
    };
    let mut settings = Settings::default();
    let mut passes = false;
    for part in text.split([';', '{', '}']).take(MAX_DIRECTIVES) {
        let words = directive(part);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["proxy_pass", _] => passes = true,
            ["proxy_http_version", version] => settings.http_1_1 = version != "1.0",
            ["proxy_pass_request_headers", "off"] => settings.no_headers = true,
            ["proxy_read_timeout", time] => settings.read_timeout = seconds(time),
            ["proxy_set_header", name, value] => settings.set(name, value),
            _ => {}
        }
    }
    passes.then_some(settings)
}

impl Settings {
    fn set(&mut self, name: &str, value: &str) {
        let value = value.to_ascii_lowercase();
        let passed = if value.is_empty() { Passed::Dropped } else { Passed::Sent };
        match name.to_ascii_lowercase().as_str() {
            "upgrade" => self.upgrade = passed,
            // A variable is a `map` of `$http_upgrade`, as nginx's own manual has it.
            "connection" if value.contains("upgrade") || value.starts_with('$') => {
                self.connection = Passed::Sent;
            }
            "connection" => self.connection = Passed::Dropped,
            "host" => self.host = passed,
            "sec-websocket-protocol" => self.subprotocol = passed,
            "authorization" => self.authorization = passed,
            _ => {}
        }
    }
}

/// A time of nginx: `60`, `60s`, `5m`, `1h`, `1d`.
fn seconds(time: &str) -> Option<u64> {
    let digits = time.find(|c: char| !c.is_ascii_digit()).unwrap_or(time.len());
    let (number, unit) = time.split_at(digits);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "ms" => return Some(number.parse::<u64>().ok()? / 1000),
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_set_and_what_is_not() {
        assert_eq!(settings("we use nginx with proxy_pass"), None, "a mention is no setting");
        assert_eq!(settings("location /ws { proxy_pass http://b; }"), Some(Settings::default()));
        let text = "location /ws {\n  proxy_pass http://b; # to the gate\n  proxy_http_version 1.1;\n  proxy_set_header Upgrade $http_upgrade;\n\
                    proxy_set_header Connection \"upgrade\";\n proxy_set_header Host $host;\n proxy_set_header Authorization \"\";\n proxy_read_timeout 5m;\n}";
        let want = Settings {
            http_1_1: true,
            upgrade: Passed::Sent,
            connection: Passed::Sent,
            host: Passed::Sent,
            authorization: Passed::Dropped,
            read_timeout: Some(300),
            ..Settings::default()
        };
        assert_eq!(settings(text), Some(want));
    }

    #[test]
    fn a_connection_that_cannot_upgrade_is_dropped() {
        for (value, want) in [
            ("\"upgrade\"", Passed::Sent),
            ("'Upgrade'", Passed::Sent),
            ("$connection_upgrade", Passed::Sent),
            ("close", Passed::Dropped),
            ("\"\"", Passed::Dropped),
            ("keep-alive", Passed::Dropped),
        ] {
            let text = format!("proxy_pass http://b; proxy_set_header Connection {value};");
            assert_eq!(settings(&text).unwrap().connection, want, "{value}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, want) in [
            ("60", Some(60)),
            ("60s", Some(60)),
            ("1h", Some(3600)),
            ("1500ms", Some(1)),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), want, "{text}");
        }
    }
}
