//! nginx's error log.

use portcullis_reason::Reason;

use super::{Format, Parsed, Paths};
use crate::{
    keys::Keys,
    signal::{Finding, Hop},
    text, time,
};

/// `2026/11/27 21:59:49 [error] 18759#18759: *7 connect() failed (111: …) while connecting to upstream, client: …`
pub(crate) fn error_log<'t>(line: &'t str, paths: &Paths) -> Option<Parsed<'t>> {
    if line.as_bytes().get(4) != Some(&b'/') {
        return None;
    }
    let (at, rest) = time::leading(line)?;
    let (level, rest) = rest.strip_prefix('[')?.split_once("] ")?;
    let (process, message) = rest.split_once(": ")?;
    let is_process = process.bytes().all(|b| b.is_ascii_digit() || b == b'#') && process.contains('#');
    if !is_process || level.len() > 8 {
        return None;
    }
    let field = |name: &str| {
        let start = message.rfind(name)? + name.len();
        let rest = &message[start..];
        Some(match rest.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next().unwrap_or(quoted),
            None => rest.split(',').next().unwrap_or(rest),
        })
    };
    // nginx's own number of a connection is no name that another log knows, but two lines of this one share it.
    let mut keys = Keys::default().peer(field(", client: ").unwrap_or_default());
    if let Some(number) = message.strip_prefix('*').and_then(|rest| rest.split(' ').next()) {
        keys = keys.connection(&format!("nginx {process} {number}"));
    }
    let request = field(", request: ").unwrap_or_default();
    let target = request.split(' ').nth(1).unwrap_or_default();
    let known = message.split(", client: ").next().unwrap_or(message);
    let of_socket = paths.is_socket(target);
    let finding = if of_socket {
        // The path says what the message need not.
        text::tell(&format!("{known} websocket"))
    } else if target.is_empty() || known.contains("upgraded connection") {
        text::tell(known)
    } else {
        None
    };
    let finding = finding.map(|finding| match finding.reason {
        Some(Reason::RequestTooLarge) => finding.at(Hop::Proxy),
        Some(Reason::HeartbeatTimeout) => Finding { live: true, ..finding },
        _ => finding,
    });
    Some(Parsed::new(Format::NginxError, line).at(Some(at)).keys(keys).finding(finding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Outcome;

    #[test]
    fn lines_are_told_by_message_and_path() {
        let paths = Paths::default();
        let line = |message: &str, path: &str| {
            format!(
                "2026/11/27 21:59:49 [error] 18759#18759: *7 {message}, client: 10.0.0.9, server: , request: \"GET {path} HTTP/1.1\", upstream: \"http://127.0.0.1:8000{path}\", host: \"h\""
            )
        };
        let read = |message, path| {
            let line = line(message, path);
            match error_log(&line, &paths).expect("of nginx").outcome {
                Outcome::Found(finding) => finding.reason,
                _ => None,
            }
        };
        let refused = "connect() failed (111: Connection refused) while connecting to upstream";
        assert_eq!(read(refused, "/ws"), Some(Reason::NotReady));
        assert_eq!(read(refused, "/api/orders"), None);
        let quiet = "upstream timed out (110: Connection timed out) while proxying upgraded connection";
        assert_eq!(read(quiet, "/chat"), Some(Reason::HeartbeatTimeout));
        assert_eq!(
            read("upstream prematurely closed connection while reading response header from upstream", "/ws"),
            Some(Reason::Internal)
        );
        assert_eq!(read("open() \"/srv/ws\" failed (2: No such file or directory)", "/ws.png"), None);
        for other in [
            "2026/11/27 21:59:49 hello",
            "2026/11/27 21:59:49 [error] x: y",
            "2026-11-27 21:59:49 [error] 1#1: y",
        ] {
            assert!(error_log(other, &paths).is_none(), "{other}");
        }
    }
}
