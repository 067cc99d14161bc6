//! One refusal: the public reason, and what only the log may know.

use std::{borrow::Cow, fmt};

use crate::Reason;

/// A refusal on its way to the peer and to the log.
///
/// `reason` and `hint` are public; `detail` goes to the log alone. Neither a token, a key nor a claim's value ever
/// stands in any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// For the log: what exactly was found.
    pub detail: Cow<'static, str>,
    /// For the peer: what to change in this very case, where the reason alone does not say it.
    pub hint: Option<Cow<'static, str>>,
    /// When to come back, in seconds (`Retry-After`). A 429 or 503 without one says 1.
    pub retry_after: Option<u32>,
}

impl Rejection {
    /// A refusal with its explanation for the log.
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into(), hint: None, retry_after: None }
    }

    /// Adds what the peer should change.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds when to come back, in seconds.
    #[must_use]
    pub const fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self::new(reason, "")
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.as_ref() {
            "" => write!(f, "{}", self.reason),
            detail => write!(f, "{}: {detail}", self.reason),
        }
    }
}

impl std::error::Error for Rejection {}
