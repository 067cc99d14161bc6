//! The RFC 9457 body of a refusal.

use std::borrow::Cow;

use serde::Serialize;

use crate::Rejection;

/// The media type of a [`Problem`].
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// A problem document (RFC 9457 §3.1) with our members beside the standard ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem<'a> {
    /// Where the reason is explained: `/reasons/ID` on the server that answered.
    pub r#type: String,
    /// The reason's title; the same for every occurrence.
    pub title: &'static str,
    /// The HTTP status, equal to the response's own.
    pub status: u16,
    /// What to change in this very case, if there is more to say than the title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
    /// The reason's identifier, after [`Reason::shown_as`](crate::Reason::shown_as).
    pub reason: &'static str,
    /// Whether trying again helps: `never`, `after_change`, `backoff` or `now`.
    pub retry: &'static str,
    /// What to do about it, in one line.
    pub remedy: Cow<'static, str>,
    /// Names this occurrence, the same id as in the log.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub request_id: &'a str,
}

impl<'a> Problem<'a> {
    /// The public view of `rejection`. A reason without an HTTP status becomes 400 when it is the client's fault,
    /// else 500.
    pub fn new(rejection: &'a Rejection, request_id: &'a str) -> Self {
        let reason = rejection.reason.shown_as();
        Self {
            r#type: format!("/reasons/{}", reason.id()),
            title: reason.title(),
            status: match (reason.status(), reason.fault()) {
                (Some(status), _) => status,
                (None, crate::Fault::Client) => 400,
                (None, crate::Fault::Server | crate::Fault::Operator) => 500,
            },
            detail: rejection.hint.as_deref(),
            reason: reason.id(),
            retry: reason.retry().as_str(),
            remedy: Cow::Borrowed(reason.help().remedy()),
            request_id,
        }
    }
}
