//! What a route gives back.

use axum::response::{IntoResponse, Response};
use portcullis_reason::{Reason, Rejection};

/// An answer or a refusal.
pub(super) type Outcome = Result<Response, Refused>;

/// A refusal on its way out. It is written and logged in one place, where the request's id is known.
#[derive(Clone, Debug)]
pub(super) struct Refused(pub(super) Rejection);

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self(rejection)
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self(reason.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(self);
        response
    }
}
