//! Who asks over plain HTTP, what the request claims, and how it is refused.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderName, Version, header,
        request::Parts,
        uri::{Authority, PathAndQuery},
    },
    response::Response,
};
use portcullis_handshake::Head;
use portcullis_reason::{Reason, Refusal, Rejection};

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
    Response::<Vec<u8>>::from(Refusal::new(rejection, &request_id)).map(Body::from)
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

/// The head of a request, as a handshake's core reads it.
///
/// # Errors
/// As for the head of a handshake.
pub(crate) fn head<'r>(door: &Door, request: &'r Parts) -> Result<Head<'r>, Rejection> {
    let parts = portcullis_handshake::Parts {
        version: match request.version {
            Version::HTTP_10 => portcullis_handshake::Version::Http10,
            Version::HTTP_2 => portcullis_handshake::Version::Http2,
            _ => portcullis_handshake::Version::Http11,
        },
        method: request.method.as_str(),
        authority: request.uri.authority().map(Authority::as_str),
        target: request.uri.path_and_query().map_or("/", PathAndQuery::as_str),
    };
    let fields = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    Head::from_parts(parts, fields, &door.head_limits)
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
