//! What pages are told: whether they may call, and what they may read.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use portcullis_reason::Reason;

use super::{context::Outcome, route::Route};
use crate::origins::Origins;

/// How long a browser may remember a preflight, in seconds. Browsers cap it themselves, Chromium at two hours.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("7200");

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
