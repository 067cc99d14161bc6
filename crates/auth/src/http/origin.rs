//! Which pages may call: the configured origins, compared as wholes, without credentials.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use portcullis_reason::Reason;

use super::{Outcome, Route};
use crate::Error;

/// How long a browser may remember a preflight, in seconds. Browsers cap it themselves, Chromium at two hours.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origins of pages that may call.
#[derive(Debug)]
pub(crate) struct Origins(Vec<HeaderValue>);

impl Origins {
    /// # Errors
    /// [`Error::Origin`] for a text that no browser would send as an `Origin` (RFC 6454 §6.1), `null` and `*` among
    /// them: those would open the service to every page.
    pub(crate) fn new(origins: &[String]) -> Result<Self, Error> {
        let parse = |text: &String| {
            let origin = text.to_ascii_lowercase();
            let wrong = || Error::Origin(text.clone());
            let (scheme, host) = origin.split_once("://").ok_or_else(wrong)?;
            let scheme_good = scheme.starts_with(|c: char| c.is_ascii_lowercase())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
            let host_good =
                !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
            if !scheme_good || !host_good {
                return Err(wrong());
            }
            HeaderValue::try_from(origin).map_err(|_| wrong())
        };
        Ok(Self(origins.iter().map(parse).collect::<Result<_, _>>()?))
    }

    /// The origin as it is on the list, if it is.
    pub(crate) fn allowed(&self, origin: &HeaderValue) -> Option<&HeaderValue> {
        self.0.iter().find(|known| known.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
    }
}

/// The answer to `OPTIONS`: what the route takes, and for a page of ours the permission to send it.
pub(super) fn preflight(origins: &Origins, route: Route, headers: &HeaderMap<HeaderValue>) -> Outcome {
    let allow = HeaderValue::from_static(route.allow());
    let mut response = Response::new(Full::<Bytes>::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ALLOW, allow.clone());
    if let Some(origin) = headers.get(header::ORIGIN) {
        if origins.allowed(origin).is_none() {
            return Err(Reason::OriginNotAllowed.into());
        }
        response.headers_mut().extend([
            (header::ACCESS_CONTROL_ALLOW_METHODS, allow),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type")),
            (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE),
        ]);
    }
    Ok(response)
}

/// Lets a page of `origin` read an answer, its request id and when to come back included.
pub(super) fn expose(response: &mut Response<Full<Bytes>>, origin: HeaderValue) {
    let readable = [HeaderName::from_static("x-request-id"), header::RETRY_AFTER];
    let readable = readable.map(|name| name.to_string()).join(", ");
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if let Ok(readable) = HeaderValue::try_from(readable) {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, readable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_origins_of_the_list_are_allowed() {
        let origins =
            Origins::new(&["http://127.0.0.1:8000".into(), "https://Chat.Example.com".into()]).unwrap();
        for (origin, good) in [
            ("http://127.0.0.1:8000", true),
            ("https://chat.example.com", true),
            ("HTTPS://chat.example.com", true),
            ("http://127.0.0.1:80000", false),
            ("http://127.0.0.1", false),
            ("https://127.0.0.1:8000", false),
            ("https://chat.example.com.evil.test", false),
            ("https://evil.test/https://chat.example.com", false),
            ("null", false),
            ("", false),
            ("*", false),
        ] {
            assert_eq!(origins.allowed(&HeaderValue::from_static(origin)).is_some(), good, "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_at_the_start() {
        for text in [
            "",
            "*",
            "null",
            "example.com",
            "https://",
            "https://a/b",
            "https://a/",
            "https://u@a",
            "https://*.a",
            "1://a",
        ] {
            assert!(matches!(Origins::new(&[text.into()]), Err(Error::Origin(_))), "{text}");
        }
        assert!(Origins::new(&["http://[::1]:8000".into(), "app+x://a".into()]).is_ok());
    }
}
