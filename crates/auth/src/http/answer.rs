//! What answers look like: JSON, never cached, refusals as problem documents.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use portcullis_reason::{Refusal, Rejection};
use serde::Serialize;

/// A JSON answer with status 200.
pub(super) fn json<T: Serialize>(value: &T, content_type: &'static str) -> Response {
    let body = serde_json::to_vec(value).expect("answers are plain JSON");
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// An answer without content.
pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A refusal; one of the method says what the route takes.
pub(super) fn problem(rejection: &Rejection, request_id: &str, allow: Option<&'static str>) -> Response {
    let refusal = Refusal::new(rejection, request_id);
    let mut response = Response::<Vec<u8>>::from(refusal).map(Body::from);
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allow = HeaderValue::from_static(allow.unwrap_or_default());
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// The fields that every answer has.
pub(super) fn finish(response: &mut Response, request_id: &str) {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        let readable = HeaderValue::from_static("x-request-id, retry-after");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, readable);
    }
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_reason::Reason;

    use super::*;

    #[test]
    fn each_status_has_the_fields_it_asks_for() {
        let field = |rejection: Rejection, name: HeaderName| {
            let response = problem(&rejection, "id", Some("POST, OPTIONS"));
            (response.status().as_u16(), response.headers()[&name].to_str().unwrap().to_owned())
        };
        let expired =
            r#"Bearer realm="portcullis", error="invalid_token", error_description="The token has expired""#;
        for (rejection, name, status, value) in [
            (Reason::TokenExpired.into(), header::WWW_AUTHENTICATE, 401, expired),
            (Reason::LoginFailed.into(), header::WWW_AUTHENTICATE, 401, r#"Bearer realm="portcullis""#),
            (Reason::MethodNotAllowed.into(), header::ALLOW, 405, "POST, OPTIONS"),
            (Rejection::from(Reason::RateLimited).with_retry_after(7), header::RETRY_AFTER, 429, "7"),
            (Reason::AuthUnavailable.into(), header::RETRY_AFTER, 503, "1"),
            (Reason::BadRequest.into(), header::CONTENT_TYPE, 400, "application/problem+json"),
        ] {
            assert_eq!(field(rejection, name), (status, value.to_owned()));
        }
    }
}
