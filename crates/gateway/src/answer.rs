//! Who asks over plain HTTP, what the request claims, and how it is refused.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, header},
    response::Response,
};
use portcullis_handshake::{PreflightRequest, Refusal};
use portcullis_reason::{Reason, Rejection};

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
    let refusal = Refusal::new(rejection, &request_id);
    let mut response = Response::builder().status(refusal.status());
    for (name, value) in refusal.fields() {
        response = response.header(name, value);
    }
    response.body(refusal.into_body().into()).expect("a refusal's status and fields are of HTTP")
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

#[cfg(test)]
mod tests {
    use crate::testing::{Reply, start};

    #[tokio::test]
    async fn a_refusal_says_the_same_of_a_handshake_and_of_a_plain_request() {
        let server = start(|_| {}, None);
        for (authorization, reason) in [("Bearer x", "TOKEN_MALFORMED"), ("Basic x", "NO_TOKEN")] {
            let upgrade = server.upgrade("/ws", &[], &[("Authorization", authorization)]).await;
            let line = format!("Authorization: {authorization}");
            let plain = server.ask_gateway("GET", "/api/v1/threads", &[&line], "").await;
            let upgrade = Reply(upgrade);
            assert_eq!(upgrade.json()["reason"], reason);
            assert_eq!(
                (upgrade.status(), upgrade.json()["reason"].clone()),
                (plain.status(), plain.json()["reason"].clone())
            );
            for name in ["content-type", "cache-control", "www-authenticate"] {
                assert_eq!(upgrade.field(name), plain.field(name), "{name} of {reason}");
                assert!(upgrade.field(name).is_some(), "{name} of {reason}");
            }
            for answer in [upgrade, plain] {
                let id = answer.json()["request_id"].clone();
                assert_eq!(answer.field("x-request-id"), id.as_str(), "{reason}");
            }
        }
    }
}
