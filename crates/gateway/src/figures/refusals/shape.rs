//! The shape of text that a stranger sent: what is known to be harmless as it stands, all else as its length.
//!
//! The rule is a list of what may be shown, never of what may not: a token in a place where nobody expects one is
//! nothing that this list knows, so it is `<214 bytes>` like everything else.

use portcullis_handshake::Policy;

/// So many bytes of something.
pub(super) fn bytes(length: usize) -> String {
    match length {
        0 => "<empty>".to_owned(),
        1 => "<1 byte>".to_owned(),
        _ => format!("<{length} bytes>"),
    }
}

/// A word out of `known`, compared in any case and shown as it was sent; else its length.
fn word(text: &str, known: &[&str]) -> String {
    if known.iter().any(|word| word.eq_ignore_ascii_case(text)) { text.to_owned() } else { bytes(text.len()) }
}

/// The name of a header line.
pub(super) fn header(name: &str) -> String {
    word(name, HEADERS)
}

/// The value of `Authorization`: its scheme, and how long the rest is.
pub(super) fn authorization(value: &[u8]) -> String {
    let Ok(text) = str::from_utf8(value) else { return bytes(value.len()) };
    match text.split_once([' ', '\t']) {
        Some((scheme, rest)) => format!("{} {}", word(scheme, SCHEMES), bytes(rest.trim().len())),
        None => word(text, SCHEMES),
    }
}

/// One element of `Sec-WebSocket-Protocol`: a known name, or a known prefix and how long what stands behind it is.
pub(super) fn protocol<R>(element: &[u8], policy: &Policy<R>) -> String {
    let Ok(text) = str::from_utf8(element) else { return bytes(element.len()) };
    let names = policy.subprotocols().chain(NAMES.iter().copied());
    if names.into_iter().any(|name| name.eq_ignore_ascii_case(text)) {
        return text.to_owned();
    }
    let prefixes = policy.credential_prefixes().chain(PREFIXES.iter().copied());
    // The longest: `bearer.` is a part of others.
    let prefix = prefixes
        .filter(|prefix| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
        .max_by_key(|prefix| prefix.len());
    let (start, rest) = text.split_at(prefix.map_or(0, str::len));
    format!("{start}{}", contents(rest))
}

/// What kind of text a token would be, without a character of it.
fn contents(text: &str) -> String {
    let length = bytes(text.len());
    let Some(length) = length.strip_suffix('>').filter(|_| !text.is_empty()) else { return length };
    let dots = text.bytes().filter(|&byte| byte == b'.').count();
    // Of all bytes without an early end, many of them are looked at in one step; it is a token's length, and mostly true.
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let kind = if dots > 0 {
        format!(", {} parts", dots + 1)
    } else if text.ends_with('=') {
        ", padded".to_owned()
    } else if text.bytes().fold(true, |all, byte| all & base64url(byte)) {
        String::new()
    } else {
        ", not base64url".to_owned()
    };
    format!("{length}{kind}>")
}

/// The path: of ours as it stands, of others the segments that look like words.
pub(super) fn path<R>(path: &str, policy: &Policy<R>) -> String {
    if policy.knows_path(path) {
        return path.to_owned();
    }
    let segment = |segment: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        let wordy = segment.len() <= 20 && digits <= 3 && segment.bytes().all(plain);
        if wordy { segment.to_owned() } else { bytes(segment.len()) }
    };
    path.split('/').take(SEGMENTS).map(segment).collect::<Vec<_>>().join("/")
}

/// One parameter of the query: a known name, and how long the value is; of `mode` the value, if it is a mode.
pub(super) fn parameter<R: Copy + PartialEq>(pair: &str, policy: &Policy<R>) -> String {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let value = match name {
        "mode" if policy.mode(value).is_some() => value.to_owned(),
        _ => bytes(value.len()),
    };
    format!("{}={value}", word(name, PARAMETERS))
}

/// The value of `Origin` or `Host`: scheme, host and port, if it is nothing else.
pub(super) fn authority(value: &[u8]) -> String {
    let Ok(text) = str::from_utf8(value) else { return bytes(value.len()) };
    if text == "null" {
        return text.to_owned();
    }
    let host = match text.split_once("://") {
        Some((scheme, host)) if SHOWN_SCHEMES.contains(&scheme) => host,
        Some(_) => return bytes(text.len()),
        None => text,
    };
    // Host names have labels of 63 bytes at most (RFC 1035 §2.3.4); a JWT's parts are longer and have capitals.
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    let fits = (1..=253).contains(&host.len()) && host.split('.').all(|label| label.len() <= 63);
    if fits && host.bytes().all(plain) { text.to_owned() } else { bytes(text.len()) }
}

const SEGMENTS: usize = 8;
const SHOWN_SCHEMES: [&str; 4] = ["http", "https", "ws", "wss"];
const SCHEMES: &[&str] = &["Bearer", "Basic", "Digest", "Negotiate", "Token", "JWT", "ApiKey"];
const PREFIXES: [&str; 9] = [
    "jwt.",
    "jwt-auth.",
    "bearer.",
    "token.",
    "auth.",
    "base64url.bearer.authorization.k8s.io.",
    "base64url.bearer.phx.",
    "anycable-token.",
    "ticket.",
];
const NAMES: [&str; 17] = [
    "jwt",
    "jwt-auth",
    "bearer",
    "token",
    "auth",
    "authorization",
    "access_token",
    "graphql-ws",
    "graphql-transport-ws",
    "actioncable-v1-json",
    "actioncable-unsupported",
    "mqtt",
    "v12.stomp",
    "wamp.2.json",
    "phoenix",
    "vite-hmr",
    "soap",
];
const PARAMETERS: &[&str] = &[
    "mode",
    "build",
    "resume",
    "token",
    "access_token",
    "jwt",
    "auth",
    "auth_token",
    "id_token",
    "bearer",
    "authorization",
    "ticket",
    "thread_id",
    "user_id",
    "session",
    "session_id",
    "v",
    "version",
    "EIO",
    "transport",
    "sid",
];
const HEADERS: &[&str] = &[
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Cache-Control",
    "CF-Connecting-IP",
    "CF-Ray",
    "Connection",
    "Content-Length",
    "Content-Type",
    "Cookie",
    "DNT",
    "Forwarded",
    "Host",
    "Keep-Alive",
    "Origin",
    "Pragma",
    "Priority",
    "Proxy-Connection",
    "Referer",
    "Sec-CH-UA",
    "Sec-CH-UA-Mobile",
    "Sec-CH-UA-Platform",
    "Sec-Fetch-Dest",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Site",
    "Sec-Fetch-Storage-Access",
    "Sec-Fetch-User",
    "Sec-GPC",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Version",
    "TE",
    "Traceparent",
    "Tracestate",
    "Transfer-Encoding",
    "Upgrade",
    "Upgrade-Insecure-Requests",
    "User-Agent",
    "Via",
    "X-Access-Token",
    "X-API-Key",
    "X-Auth-Token",
    "X-Cloud-Trace-Context",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Portcullis-Probe",
    "X-Real-IP",
    "X-Request-ID",
];

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLW9mLWFkYQ";

    fn policy() -> Policy<u8> {
        Policy::builder().route("/ws", 1).mode("main", 1).credential_prefix("acme.").build().unwrap()
    }

    #[test]
    fn known_words_stand_and_all_else_is_its_length() {
        let policy = policy();
        for (element, shape) in [
            ("jwt-auth", "jwt-auth"),
            ("portcullis.v1", "portcullis.v1"),
            ("jwt", "jwt"),
            ("JWT", "JWT"),
            ("jwt.", "jwt.<empty>"),
            ("jwt.abc", "jwt.<3 bytes>"),
            ("JWT.abc=", "JWT.<4 bytes, padded>"),
            ("jwt.a b", "jwt.<3 bytes, not base64url>"),
            ("bearer.a.b.c", "bearer.<5 bytes, 3 parts>"),
            ("acme.secret", "acme.<6 bytes>"),
            ("base64url.bearer.authorization.k8s.io.YWJj", "base64url.bearer.authorization.k8s.io.<4 bytes>"),
            ("s3cr3t", "<6 bytes>"),
            ("other.s3cr3t", "<12 bytes, 2 parts>"),
        ] {
            assert_eq!(protocol(element.as_bytes(), &policy), shape, "{element}");
        }
        assert_eq!(protocol(TOKEN.as_bytes(), &policy), format!("<{} bytes, 3 parts>", TOKEN.len()));
        assert_eq!(protocol(b"jwt.\xFF", &policy), "<5 bytes>");
        assert_eq!(
            authorization(format!("Bearer {TOKEN}").as_bytes()),
            format!("Bearer <{} bytes>", TOKEN.len())
        );
        assert_eq!(authorization(TOKEN.as_bytes()), format!("<{} bytes>", TOKEN.len()));
        assert_eq!(authorization(b"bearer"), "bearer");
        assert_eq!(header("sec-websocket-key"), "sec-websocket-key");
        assert_eq!(header(TOKEN), format!("<{} bytes>", TOKEN.len()));
        assert_eq!(path("/ws", &policy), "/ws");
        assert_eq!(path("/socket.io/", &policy), "/socket.io/");
        assert_eq!(path(&format!("/ws/{TOKEN}"), &policy), format!("/ws/<{} bytes>", TOKEN.len()));
        assert_eq!(path("/users/4711-0815/ws", &policy), "/users/<9 bytes>/ws");
        assert_eq!(parameter("mode=main", &policy), "mode=main");
        assert_eq!(parameter("mode=s3cr3t", &policy), "mode=<6 bytes>");
        assert_eq!(parameter("token=s3cr3t", &policy), "token=<6 bytes>");
        assert_eq!(parameter("s3cr3t", &policy), "<6 bytes>=<empty>");
    }

    #[test]
    fn origins_and_hosts_stand_only_as_such() {
        for shown in [
            "http://localhost:3000",
            "https://chat.example.com",
            "null",
            "127.0.0.1:8000",
            "http://[::1]:8000",
        ] {
            assert_eq!(authority(shown.as_bytes()), shown);
        }
        for hidden in [
            TOKEN,
            "https://ada:secret@example.com",
            "https://example.com/path?token=x",
            "javascript://x",
            "https://Example.com",
            "",
        ] {
            assert!(authority(hidden.as_bytes()).starts_with('<'), "{hidden}");
        }
    }
}
