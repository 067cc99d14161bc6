//! Who asks over plain HTTP, what the request claims, and how it is refused.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use portcullis_handshake::PreflightRequest;
use portcullis_reason::{PROBLEM_CONTENT_TYPE, Problem, Reason, Rejection};

use crate::{admission::Permit, door::Door, node::Node};

/// Who asks, as the connection of the request knows it.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) permit: Arc<Permit>,
    pub(crate) peer: SocketAddr,
}

/// For an answer that no cache may keep.
pub(crate) const NO_STORE: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// A refusal of a plain request.
pub(crate) fn refuse(node: &Node, rejection: &Rejection) -> Response {
    let request_id = node.request_id();
    let problem = Problem::new(rejection, &request_id);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = serde_json::to_vec(&problem).expect("a problem has nothing that JSON cannot say");
    let mut response =
        (status, [(header::CONTENT_TYPE, PROBLEM_CONTENT_TYPE), NO_STORE], body).into_response();
    let headers = response.headers_mut();
    // RFC 6750 §3, §3.1: a challenge with every 401, an error only where there was a credential.
    let challenge = match rejection.reason.shown_as().bearer_error() {
        Some(error) => format!("Bearer realm=\"portcullis\", error=\"{}\"", error.as_str()),
        None => "Bearer realm=\"portcullis\"".to_owned(),
    };
    if (status == StatusCode::UNAUTHORIZED || challenge.contains("error="))
        && let Ok(challenge) = HeaderValue::from_str(&challenge)
    {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(header::RETRY_AFTER, rejection.retry_after.unwrap_or(1).into());
    }
    response
}

/// The refusal of a path that is not served.
pub(crate) fn not_found(node: &Node, request: &Request) -> Response {
    let reason = if request.uri().path().starts_with("/ws") { Reason::UnknownMode } else { Reason::NotFound };
    refuse(node, &Rejection::new(reason, "a path that is not served"))
}

/// The refusal of a page that may not connect, if this is one.
pub(crate) fn foreign(door: &Door, headers: &HeaderMap) -> Option<Rejection> {
    let origin = headers.get(header::ORIGIN)?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    door.policy.check_origin(origin.as_bytes(), host).err()
}

/// What a request with these headers claims.
///
/// # Errors
/// As a handshake would refuse a field for its form.
pub(crate) fn request<'h>(
    headers: &'h HeaderMap,
    mode: &'h str,
    protocols: &'h [&'h str],
) -> Result<PreflightRequest<'h>, Rejection> {
    let (foreign, bad) = (Reason::OriginNotAllowed, Reason::BadRequest);
    Ok(PreflightRequest {
        mode,
        protocols,
        // The origin first: a foreign page learns nothing else.
        origin: text(headers, &header::ORIGIN, foreign, foreign)?,
        host: text(headers, &header::HOST, bad, bad)?,
        authorization: text(
            headers,
            &header::AUTHORIZATION,
            Reason::AmbiguousCredentials,
            Reason::TokenMalformed,
        )?,
    })
}

/// The only value of a field. Where a handshake would refuse the field for its form, so does this, for the same reason.
fn text<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    repeated: Reason,
    unreadable: Reason,
) -> Result<Option<&'h str>, Rejection> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Rejection::new(repeated, "a header field stands twice"));
    }
    first
        .map(|value| value.to_str().map_err(|_| Rejection::new(unreadable, "a header field is not ASCII")))
        .transpose()
}
