//! A whole request head in a paste, ready for the handshake core.

use super::credential::Pasted;

/// The most lines and bytes of a head that are taken over.
const MAX_LINES: usize = 100;
const MAX_BYTES: usize = 32 * 1024;

/// Finds the first request head (`GET /ws HTTP/1.1` and its fields) and writes it with CRLF, as a server would have
/// read it. `curl -v`'s marks and indentation are taken off. A request line without a field is no head.
pub(crate) fn request_head(text: &str) -> Option<Pasted> {
    let mut lines = text.lines().map(plain).skip_while(|line| !is_request_line(line));
    let mut head = format!("{}\r\n", lines.next()?);
    let mut fields = 0;
    for line in lines.take(MAX_LINES).take_while(|line| is_field(line)) {
        if head.len() + line.len() > MAX_BYTES {
            return None;
        }
        head.push_str(line);
        head.push_str("\r\n");
        fields += 1;
    }
    head.push_str("\r\n");
    (fields > 0).then(|| Pasted::new(head))
}

fn plain(line: &str) -> &str {
    let line = line.trim();
    line.strip_prefix("> ").unwrap_or(line).trim()
}

fn is_request_line(line: &str) -> bool {
    let mut words = line.split(' ');
    let (method, target, version, end) = (words.next(), words.next(), words.next(), words.next());
    method.is_some_and(|m| (3..=8).contains(&m.len()) && m.bytes().all(|b| b.is_ascii_uppercase()))
        && target.is_some_and(|target| target.starts_with(['/', 'h', '*']))
        && version.is_some_and(|version| version.starts_with("HTTP/"))
        && end.is_none()
}

fn is_field(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| {
        !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_head_out_of_what_is_around_it() {
        let want = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n";
        for text in [
            "GET /ws HTTP/1.1\nHost: h\nUpgrade: websocket\n\nHTTP/1.1 400 Bad Request\nServer: x",
            "* Connected\n> GET /ws HTTP/1.1\n> Host: h\n> Upgrade: websocket\n>\n< HTTP/1.1 400 Bad Request",
            "my request:\n  GET /ws HTTP/1.1\n  Host: h\n  Upgrade: websocket",
        ] {
            assert_eq!(
                request_head(text).map(|head| head.as_str().to_owned()).as_deref(),
                Some(want),
                "{text}"
            );
        }
        for text in
            ["HTTP/1.1 101 Switching Protocols\nUpgrade: websocket", "I GET an error", "GET /ws HTTP/1.1"]
        {
            assert_eq!(request_head(text), None, "{text}");
        }
    }
}
