//! How a device token travels: in a cookie where a page asks, in the body for everybody else.
//!
//! The cookie opens nothing, so it needs no protection from other sites but not to be sent by them; a page never sees it.
//! It reaches the service where page and service have one origin, as behind the proxies of the documentation.

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};

use crate::device::LIFETIME;

const NAME: &str = "portcullis-device";

/// The token that came along in a cookie.
pub(super) fn of_cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == NAME).map(|(_, token)| token)
}

/// Whether a page asks, which keeps its token in a cookie: browsers name the origin of every POST (Fetch §3.2).
pub(super) fn is_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN)
}

/// Gives a page's browser the token to keep.
pub(super) fn set_cookie(response: &mut Response, headers: &HeaderMap, token: &str) {
    let secure = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
    let secure = if secure { "; Secure" } else { "" };
    let lifetime = LIFETIME.as_secs();
    let cookie =
        format!("{NAME}={token}; Path=/auth/; Max-Age={lifetime}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(mut cookie) = HeaderValue::try_from(cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        for (cookies, token) in [
            (&["portcullis-device=pcd_x"][..], Some("pcd_x")),
            (&["a=b; portcullis-device=pcd_x; c=d"], Some("pcd_x")),
            (&["a=b;portcullis-device=pcd_x"], Some("pcd_x")),
            (&["a=b", "portcullis-device=pcd_x"], Some("pcd_x")),
            (&["portcullis-device="], Some("")),
            (&["xportcullis-device=pcd_x"], None),
            (&["portcullis-device"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in cookies {
                headers.append(header::COOKIE, HeaderValue::from_static(value));
            }
            assert_eq!(of_cookie(&headers), token, "{cookies:?}");
        }
    }

    #[test]
    fn a_cookie_of_a_page_under_tls_is_for_tls() {
        for (origin, secure) in [("https://chat.example.com", true), ("http://127.0.0.1:8000", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            let mut response = Response::default();
            set_cookie(&mut response, &headers, "pcd_x");
            let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
            assert!(cookie.starts_with(
                "portcullis-device=pcd_x; Path=/auth/; Max-Age=34560000; HttpOnly; SameSite=Strict"
            ));
            assert_eq!(cookie.ends_with("; Secure"), secure, "{cookie}");
        }
    }
}
