//! Which requests may reach the dashboard at all: those under a name of ours, and from a page of ours.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderValue, Method, header};
use portcullis_handshake::{InvalidPolicy, Policy, SameOrigin};
use portcullis_reason::{Reason, Rejection};

/// The names and origins of the dashboard.
pub(super) struct Guard {
    origins: Policy<()>,
}

impl Guard {
    pub(super) fn new(listen: SocketAddr, allowed_origins: &[String]) -> Result<Self, InvalidPolicy> {
        // As at the gate: a name that resolves to loopback can be made by anyone, so there only loopback's own count.
        let same = if listen.ip().is_loopback() { SameOrigin::Loopback } else { SameOrigin::Any };
        let mut policy = Policy::builder().same_origin(same);
        for origin in allowed_origins {
            policy = policy.allow_origin(origin);
        }
        Ok(Self { origins: policy.build()? })
    }

    pub(super) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Rejection> {
        let foreign = |detail: &'static str, hint: &'static str| {
            Err(Rejection::new(Reason::OriginNotAllowed, detail).with_hint(hint))
        };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let is_ours = |origin: &str| self.origins.check_origin(origin.as_bytes(), Some(host)).is_ok();
        if headers.get_all(header::HOST).iter().count() != 1
            || !(is_ours(&format!("http://{host}")) || is_ours(&format!("https://{host}")))
        {
            return foreign("the dashboard was asked under a foreign Host", FOREIGN_HOST);
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => {}
            (Some(origin), None) if origin.to_str().is_ok_and(is_ours) => {}
            _ => return foreign("the dashboard was asked by a foreign page", FOREIGN_PAGE),
        }
        // Browsers that know it say where a request comes from. `none` is the person: an address typed, a bookmark.
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let safe = matches!(*method, Method::GET | Method::HEAD);
        match site {
            None | Some(b"same-origin") => Ok(()),
            Some(b"none") if safe => Ok(()),
            // A link from elsewhere leads to the page, which holds nothing; never to what it shows.
            Some(_) if safe && headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate") => Ok(()),
            Some(_) => foreign("the dashboard was asked from another site", FOREIGN_PAGE),
        }
    }
}

const FOREIGN_HOST: &str = "The dashboard is reached under the name of its own listener. Behind a proxy, name the \
                            origin that people use in admin.allowed_origins, and have the proxy keep Host.";
const FOREIGN_PAGE: &str = "Only the dashboard's own page may ask this.";

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn verdict(listen: &str, method: &Method, fields: &[(&'static str, &str)]) -> bool {
        let guard = Guard::new(listen.parse().unwrap(), &["https://ops.example.com".to_owned()]).unwrap();
        let mut headers = HeaderMap::new();
        for &(name, value) in fields {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        guard.check(method, &headers).is_ok()
    }

    #[test]
    fn on_loopback_only_its_own_names_and_the_listed_ones_count() {
        for (host, good) in [
            ("127.0.0.1:9464", true),
            ("localhost:9464", true),
            ("[::1]:9464", true),
            ("ops.example.com", true),
            ("evil.example", false),
            ("evil.example:9464", false),
            ("localhost.evil.example:9464", false),
            ("10.0.0.1:9464", false),
            ("", false),
        ] {
            assert_eq!(verdict("127.0.0.1:9464", &Method::GET, &[("host", host)]), good, "{host}");
        }
        assert!(!verdict("127.0.0.1:9464", &Method::GET, &[]), "without Host");
        assert!(!verdict("127.0.0.1:9464", &Method::GET, &[("host", "localhost"), ("host", "localhost")]));
        assert!(verdict("10.0.0.1:9464", &Method::GET, &[("host", "any.example")]));
    }

    #[test]
    fn only_its_own_page_may_ask() {
        let host = ("host", "localhost:9464");
        for (method, fields, good) in [
            (Method::POST, vec![("origin", "http://localhost:9464")], true),
            (
                Method::POST,
                vec![("origin", "http://localhost:9464"), ("sec-fetch-site", "same-origin")],
                true,
            ),
            (Method::POST, vec![], true),
            (Method::POST, vec![("origin", "http://localhost:8000")], false),
            (Method::POST, vec![("origin", "http://localhost:8000"), ("sec-fetch-site", "same-site")], false),
            (Method::POST, vec![("origin", "null")], false),
            (Method::POST, vec![("sec-fetch-site", "cross-site")], false),
            (Method::POST, vec![("sec-fetch-site", "none")], false),
            (Method::GET, vec![("sec-fetch-site", "none")], true),
            (Method::GET, vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], true),
            (Method::GET, vec![("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")], false),
            (Method::GET, vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], false),
            (Method::GET, vec![("origin", "https://evil.example")], false),
        ] {
            let all: Vec<_> = [host].into_iter().chain(fields.clone()).collect();
            assert_eq!(verdict("127.0.0.1:9464", &method, &all), good, "{method} {fields:?}");
        }
    }
}
