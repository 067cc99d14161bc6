//! The request target: origin form and absolute form, and one reading of a path (RFC 9112 §3.2).

use portcullis_reason::{Reason, Rejection};

/// A request target, taken apart and not decoded.
#[derive(Clone, Copy)]
pub(crate) struct Target<'b> {
    pub(crate) path: &'b str,
    pub(crate) query: &'b str,
    pub(crate) authority: Option<&'b str>,
}

/// Takes a target apart.
///
/// The asterisk form is taken as the path `*` of an `OPTIONS`; the authority form belongs to `CONNECT`, which no
/// listener of ours serves.
pub(crate) fn parse<'b>(method: &str, target: &'b str) -> Result<Target<'b>, Rejection> {
    if method == "CONNECT" {
        return Err(Rejection::new(Reason::MethodNotAllowed, "CONNECT asks for a tunnel"));
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(Rejection::new(Reason::BadUpgrade, "a character in the target that no target may have"));
    }
    if target.starts_with('/') {
        let (path, query) = split(target);
        return Ok(Target { path, query, authority: None });
    }
    if target == "*" && method == "OPTIONS" {
        return Ok(Target { path: target, query: "", authority: None });
    }
    let Some(rest) = after_scheme(target) else {
        return Err(Rejection::new(
            Reason::BadUpgrade,
            "the target has neither origin form nor absolute form",
        ));
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (path, query) = split(rest);
    Ok(Target { path: if path.is_empty() { "/" } else { path }, query, authority: Some(authority) })
}

/// Refuses a path that another reader could take for a different one (RFC 9110 §16.3, RFC 3986 §6.2.2).
///
/// Paths are compared as they are, never decoded: so an encoded dot, slash, backslash or percent sign, a dot segment
/// or an empty segment is refused rather than guessed at.
pub(crate) fn check_path(path: &str) -> Result<(), &'static str> {
    let bytes = path.as_bytes();
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => match tail {
                [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    match (high, low.to_ascii_lowercase()) {
                        (b'2', b'e') => return Err("an encoded dot in the path"),
                        (b'2', b'f') => return Err("an encoded slash in the path"),
                        (b'5', b'c') => return Err("an encoded backslash in the path"),
                        (b'2', b'5') => return Err("an encoded percent sign in the path"),
                        (b'0' | b'1', _) | (b'7', b'f') => {
                            return Err("an encoded control character in the path");
                        }
                        _ => {}
                    }
                }
                _ => return Err("a broken percent-encoding in the path"),
            },
            b'/' => {
                let segment = tail.split(|&byte| byte == b'/').next().unwrap_or_default();
                match segment {
                    b"" if !tail.is_empty() => return Err("an empty segment in the path"),
                    b"." | b".." => return Err("a dot segment in the path"),
                    _ => {}
                }
            }
            b'\\' => return Err("a backslash in the path"),
            b';' => return Err("a parameter in the path"),
            _ => {}
        }
    }
    Ok(())
}

/// The values of the query's parameter `name`; neither is decoded.
pub(crate) fn parameters<'q>(query: &'q str, name: &'q str) -> impl Iterator<Item = &'q str> + 'q {
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

fn split(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    ["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_reading() {
        for good in ["/", "/ws", "/ws/factory", "/api/v1/websocket", "/a-b_c.d~e", "/caf%C3%A9", "/ws/"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in [
            "//ws",
            "/ws//factory",
            "/ws//",
            "/./ws",
            "/ws/.",
            "/ws/..",
            "/../ws",
            "/ws/../admin",
            "/%2e%2e/ws",
            "/ws%2ffactory",
            "/ws%2Ffactory",
            "/ws%5cfactory",
            "/ws\\factory",
            "/%252e/ws",
            "/ws%00",
            "/ws%7F",
            "/ws%",
            "/ws%2",
            "/ws%zz",
            "/ws;a=b",
            "/ws/%2E",
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn targets_are_taken_apart() {
        for (method, target, path, query, authority) in [
            ("GET", "/ws", "/ws", "", None),
            ("GET", "/ws?mode=main&x=/?", "/ws", "mode=main&x=/?", None),
            ("GET", "/?", "/", "", None),
            ("GET", "http://h/ws?a", "/ws", "a", Some("h")),
            ("GET", "WSS://h:1", "/", "", Some("h:1")),
            ("GET", "https://h?mode=main", "/", "mode=main", Some("h")),
            ("OPTIONS", "*", "*", "", None),
        ] {
            let parsed = parse(method, target).unwrap();
            assert_eq!((parsed.path, parsed.query, parsed.authority), (path, query, authority), "{target}");
        }
        for (method, target, reason) in [
            ("CONNECT", "h:443", Reason::MethodNotAllowed),
            ("GET", "*", Reason::BadUpgrade),
            ("GET", "ws", Reason::BadUpgrade),
            ("GET", "ftp://h/", Reason::BadUpgrade),
            ("GET", "h:443", Reason::BadUpgrade),
            ("GET", "/ws#x", Reason::BadUpgrade),
            ("GET", "/w\u{e9}", Reason::BadUpgrade),
        ] {
            assert_eq!(parse(method, target).map(|_| ()).unwrap_err().reason, reason, "{target}");
        }
    }

    #[test]
    fn parameters_are_found_by_their_exact_name() {
        let all = |query, name| parameters(query, name).collect::<Vec<_>>();
        assert_eq!(all("mode=main&x=1&mode=", "mode"), ["main", ""]);
        assert_eq!(all("MODE=main&xmode=y&m%6fde=z", "mode"), Vec::<&str>::new());
        assert_eq!(all("mode", "mode"), [""]);
    }
}
