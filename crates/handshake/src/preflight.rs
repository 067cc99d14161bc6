//! The same decision without a socket: what `/ws/preflight` asks.

use std::{fmt, sync::Arc};

use portcullis_reason::{Reason, Rejection};

use crate::{
    CredentialForm, Policy,
    credentials::{self, Found},
    negotiate,
    origin::Authority,
    request::{Request, Source},
};

/// A handshake that a client would make, told by other means.
pub struct Preflight<'b, R> {
    request: Request<'b, R>,
}

/// What a client tells of a handshake.
#[derive(Clone, Copy)]
pub struct PreflightRequest<'b> {
    /// The name of the mode.
    pub mode: &'b str,
    /// The subprotocols as given to `new WebSocket(url, protocols)`.
    pub protocols: &'b [&'b str],
    /// The `Authorization` field of the preflight request itself.
    pub authorization: Option<&'b str>,
    /// The `Origin` field of the preflight request itself.
    pub origin: Option<&'b str>,
    /// The `Host` field of the preflight request itself.
    pub host: Option<&'b str>,
}

impl<'b, R: Copy + PartialEq> Preflight<'b, R> {
    /// Steps 2 and 3, in the order of a foreign page's rights: the origin first, so that such a page learns nothing
    /// else.
    ///
    /// # Errors
    /// [`Reason::OriginNotAllowed`], [`Reason::UnknownMode`].
    pub fn check(request: &PreflightRequest<'b>, policy: &Policy<R>) -> Result<Self, Rejection> {
        if let Some(origin) = request.origin {
            policy
                .origins
                .check(origin.as_bytes(), request.host.and_then(Authority::parse))
                .map_err(|detail| Rejection::new(Reason::OriginNotAllowed, detail))?;
        }
        let Some(route) = policy.mode(request.mode) else {
            return Err(Rejection::new(
                Reason::UnknownMode,
                "the preflight names a mode that does not exist",
            ));
        };
        let source = Source::Preflight { authorization: request.authorization, protocols: request.protocols };
        Ok(Self { request: Request { route, origin: request.origin, query: "", source } })
    }

    /// Finds the credential (step 5), as [`Upgrade::credentials`](crate::Upgrade::credentials) does.
    ///
    /// # Errors
    /// The same.
    pub fn credentials(self, policy: &Policy<R>) -> Result<PreflightOffer<'b, R>, Rejection> {
        let found = credentials::extract(&self.request, policy)?;
        Ok(PreflightOffer { request: self.request, found })
    }
}

/// A preflight with one credential that nobody has verified yet. It cannot become a connection.
#[must_use]
pub struct PreflightOffer<'b, R> {
    request: Request<'b, R>,
    found: Found<'b>,
}

impl<R: Copy> PreflightOffer<'_, R> {
    /// The token as claimed.
    pub fn token(&self) -> &str {
        &self.found.token
    }

    /// How it came.
    pub const fn form(&self) -> CredentialForm {
        self.found.form
    }

    /// Where the handshake would lead.
    pub const fn route(&self) -> R {
        self.request.route
    }

    /// The subprotocol that the handshake would select (step 8).
    ///
    /// # Errors
    /// [`Reason::NoCommonSubprotocol`], as [`Offer::accept`](crate::Offer::accept).
    pub fn select(&self, policy: &Policy<R>) -> Result<Option<Arc<str>>, Rejection> {
        negotiate::select(&self.request, self.found.form, policy)
    }
}

impl<R: fmt::Debug> fmt::Debug for PreflightOffer<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreflightOffer")
            .field("route", &self.request.route)
            .field("form", &self.found.form)
            .finish_non_exhaustive()
    }
}
