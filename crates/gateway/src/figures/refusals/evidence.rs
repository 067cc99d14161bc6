//! What a refused client sent, in its form alone.

use portcullis_handshake::{Head, Policy};
use serde::Serialize;

use super::shape;
use crate::stale;

/// The shape of a request head: names, lengths and what is public, never a value.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Evidence {
    method: String,
    path: String,
    /// Parameters of the query.
    query: Vec<String>,
    origin: Option<String>,
    host: Option<String>,
    /// `Authorization` lines.
    authorization: Vec<String>,
    /// Elements of all `Sec-WebSocket-Protocol` lines.
    protocols: Vec<String>,
    /// `Sec-WebSocket-Version`, if it is a number.
    version: Option<u8>,
    /// Names of all header lines, in their order.
    headers: Vec<String>,
    /// Whether the page that sent it comes from another build; none where it did not say.
    stale_page: Option<bool>,
}

impl Evidence {
    pub(crate) fn of<R: Copy + PartialEq>(head: &Head<'_>, policy: &Policy<R>) -> Self {
        let lines = |name: &'static str| {
            head.fields()
                .iter()
                .filter(move |field| field.name.eq_ignore_ascii_case(name))
                .map(|field| field.value)
        };
        let method = match head.method() {
            known @ ("GET" | "POST" | "PUT" | "HEAD" | "OPTIONS" | "DELETE" | "PATCH" | "TRACE") => {
                known.to_owned()
            }
            other => shape::bytes(other.len()),
        };
        let elements = lines("Sec-WebSocket-Protocol")
            .flat_map(|line| line.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|element| !element.is_empty());
        Self {
            method,
            path: shape::path(head.path(), policy),
            query: head
                .query()
                .split('&')
                .filter(|pair| !pair.is_empty())
                .take(MOST)
                .map(|pair| shape::parameter(pair, policy))
                .collect(),
            origin: lines("Origin").next().map(shape::authority),
            host: head.host().map(|host| shape::authority(host.as_bytes())),
            authorization: lines("Authorization").take(MOST).map(shape::authorization).collect(),
            protocols: elements.take(MOST).map(|element| shape::protocol(element, policy)).collect(),
            version: lines("Sec-WebSocket-Version")
                .next()
                .and_then(|value| str::from_utf8(value).ok()?.parse().ok()),
            headers: head.fields().iter().map(|field| shape::header(field.name)).collect(),
            stale_page: stale::of_query(head.query()),
        }
    }
}

/// Parameters and elements that are shown; a request may have thousands.
const MOST: usize = 32;

#[cfg(test)]
mod tests {
    use portcullis_handshake::HeadLimits;
    use proptest::prelude::*;

    use super::*;

    fn policy() -> Policy<u8> {
        Policy::builder().route("/ws", 1).mode("main", 1).build().unwrap()
    }

    fn evidence(head: &str) -> Evidence {
        let head = Head::parse(head.as_bytes(), &HeadLimits::default()).unwrap();
        Evidence::of(&head, &policy())
    }

    #[test]
    fn a_browsers_request_is_told_in_its_shape() {
        let found = evidence(
            "GET /ws?mode=main&token=abcdef HTTP/1.1\r\nHost: localhost:8000\r\nOrigin: http://localhost:8000\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: jwt-auth, jwt.abcdef\r\n\
             Sec-WebSocket-Protocol: , ghijkl\r\nX-Mine: secret\r\n\r\n",
        );
        assert_eq!(found.protocols, ["jwt-auth", "jwt.<6 bytes>", "<6 bytes>"]);
        assert_eq!(found.query, ["mode=main", "token=<6 bytes>"]);
        assert_eq!(found.origin.as_deref(), Some("http://localhost:8000"));
        assert_eq!(found.version, Some(13));
        assert_eq!(found.headers.last().map(String::as_str), Some("<6 bytes>"));
    }

    proptest! {
        /// Wherever a secret stands in a request, no piece of it is in the evidence.
        #[test]
        fn no_secret_gets_out(secret in "[A-Za-z][A-Za-z0-9_-]{23,60}[0-9][A-Z]", place in 0..8_usize) {
            let lines = match place {
                0 => format!("Authorization: Bearer {secret}"),
                1 => format!("Sec-WebSocket-Protocol: jwt-auth, jwt.{secret}"),
                2 => format!("Sec-WebSocket-Protocol: {secret}, bearer"),
                3 => format!("Cookie: session={secret}"),
                4 => format!("Origin: https://{secret}.example.com"),
                5 => format!("{secret}: x"),
                6 => format!("Sec-WebSocket-Protocol: other.{secret}"),
                _ => format!("Authorization: {secret}"),
            };
            for head in [
                format!("GET /ws HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n"),
                format!("GET /{secret}/ws?{secret}=1&x={secret} HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n"),
                format!("{secret} /ws HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n"),
            ] {
                let Ok(head) = Head::parse(head.as_bytes(), &HeadLimits::default()) else { continue };
                let shown = serde_json::to_string(&Evidence::of(&head, &policy())).unwrap();
                prop_assert!(!shown.contains(&secret[..12]), "{shown}");
            }
        }
    }
}
