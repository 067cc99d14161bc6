//! The same decision without a handshake: what `/ws/preflight` asks, and `GET /sse` in its place.

use std::{fmt, sync::Arc};

use portcullis_reason::{Reason, Rejection};

use crate::{
    CredentialForm, Head, Policy,
    credentials::{self, Found},
    negotiate,
    request::{self, Request, Source},
};

/// A request that is no handshake, from a page that may connect or from no page at all. It can tell of a handshake.
#[derive(Clone, Copy)]
pub struct Caller<'b> {
    head: &'b Head<'b>,
    origin: Option<&'b str>,
}

impl<'b> Caller<'b> {
    /// Checks the origin, which comes before all else: a foreign page learns that it is one and nothing more.
    ///
    /// # Errors
    /// [`Reason::OriginNotAllowed`].
    pub fn check<R>(head: &'b Head<'b>, policy: &Policy<R>) -> Result<Self, Rejection> {
        Ok(Self { head, origin: request::origin(head, policy)? })
    }

    /// The page's origin; none for a client that is no browser.
    pub const fn origin(&self) -> Option<&'b str> {
        self.origin
    }

    /// The request head.
    pub const fn head(&self) -> &'b Head<'b> {
        self.head
    }
}

impl fmt::Debug for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// A handshake that a client would make, told by other means.
pub struct Preflight<'b, R> {
    request: Request<'b, R>,
}

/// A handshake in words, as an archive or a question tells of it.
#[derive(Clone, Copy)]
pub struct PreflightRequest<'b> {
    /// The name of the mode.
    pub mode: &'b str,
    /// The subprotocols as given to `new WebSocket(url, protocols)`.
    pub protocols: &'b [&'b str],
    /// The `Authorization` field.
    pub authorization: Option<&'b str>,
    /// The `Origin` field.
    pub origin: Option<&'b str>,
    /// The `Host` field.
    pub host: Option<&'b str>,
}

impl<'b, R: Copy + PartialEq> Preflight<'b, R> {
    /// The handshake that a request tells of. The request's own origin and `Authorization` are the handshake's; `protocols`
    /// are the subprotocols that it would offer.
    ///
    /// # Errors
    /// [`Reason::UnknownMode`].
    pub fn of(
        caller: Caller<'b>,
        mode: &str,
        protocols: &'b [&'b str],
        policy: &Policy<R>,
    ) -> Result<Self, Rejection> {
        let Caller { head, origin } = caller;
        Self::told(origin, mode, Source::Preflight { head, protocols }, policy)
    }

    /// The same for a handshake that is told in words.
    ///
    /// # Errors
    /// [`Reason::OriginNotAllowed`], then as [`of`](Self::of).
    pub fn check(request: &PreflightRequest<'b>, policy: &Policy<R>) -> Result<Self, Rejection> {
        let &PreflightRequest { mode, protocols, authorization, origin, host } = request;
        if let Some(origin) = origin {
            policy.check_origin(origin.as_bytes(), host)?;
        }
        Self::told(origin, mode, Source::Told { authorization, protocols }, policy)
    }

    fn told(
        origin: Option<&'b str>,
        mode: &str,
        source: Source<'b>,
        policy: &Policy<R>,
    ) -> Result<Self, Rejection> {
        let Some(route) = policy.mode(mode) else {
            return Err(Rejection::new(
                Reason::UnknownMode,
                "the preflight names a mode that does not exist",
            ));
        };
        Ok(Self { request: Request { route, origin, query: "", source } })
    }

    /// Finds the credential (step 7), as [`Upgrade::credentials`](crate::Upgrade::credentials) does.
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

    /// The subprotocol that the handshake would select (step 10).
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
