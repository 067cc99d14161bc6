//! What a route is given, and what it gives back.

use std::net::IpAddr;

use http::Response;
use http_body_util::Full;
use hyper::body::Bytes;
use portcullis_reason::Rejection;

/// A refusal or an answer.
pub(super) type Outcome = Result<Response<Full<Bytes>>, Rejection>;

/// What is known of a request beside its body.
pub(super) struct Context {
    pub(super) request_id: String,
    pub(super) address: IpAddr,
}
