//! Step 10: selecting a subprotocol and writing the 101 (RFC 6455 §4.2.2 item 5).

use std::{borrow::Cow, fmt, sync::Arc};

use portcullis_reason::{Reason, Rejection};

use crate::{
    CredentialForm, Head, Policy, accept_value,
    credentials::{Element, Found, classify},
    request::{Request, Source},
};

/// A request with one credential that nobody has verified yet.
///
/// Verify [`token`](Self::token), then [`accept`](Self::accept) with the identity that it proves.
#[must_use]
pub struct Offer<'b, R> {
    key: &'b str,
    request: Request<'b, R>,
    found: Found<'b>,
}

impl<'b, R: Copy> Offer<'b, R> {
    pub(crate) const fn new(key: &'b str, request: Request<'b, R>, found: Found<'b>) -> Self {
        Self { key, request, found }
    }

    /// The token as claimed.
    pub fn token(&self) -> &str {
        &self.found.token
    }

    /// How it came.
    pub const fn form(&self) -> CredentialForm {
        self.found.form
    }

    /// Where the request leads.
    pub const fn route(&self) -> R {
        self.request.route
    }

    /// The page's origin; none for a client that is no browser.
    pub const fn origin(&self) -> Option<&'b str> {
        self.request.origin
    }

    /// Selects a subprotocol and appends the 101 to `out`. Nothing is appended on an error.
    ///
    /// # Errors
    /// [`Reason::NoCommonSubprotocol`] if plain names were offered and none is spoken here, or if a browser offered
    /// nothing but its token: it would drop a connection without a selected name.
    pub fn accept<I>(
        self,
        identity: I,
        policy: &Policy<R>,
        out: &mut Vec<u8>,
    ) -> Result<Negotiated<I, R>, Rejection> {
        let subprotocol = select(&self.request, self.found.form, policy)?;
        write_switching(self.key, subprotocol.as_deref(), out);
        Ok(Negotiated {
            parts: NegotiatedParts {
                identity,
                route: self.request.route,
                subprotocol,
                origin: self.request.origin.map(Into::into),
                form: self.found.form,
            },
        })
    }
}

impl<R: fmt::Debug> fmt::Debug for Offer<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("route", &self.request.route)
            .field("form", &self.found.form)
            .field("token", &format_args!("({} bytes)", self.found.token.len()))
            .finish_non_exhaustive()
    }
}

/// A finished handshake. There is no way to one but [`Offer::accept`], and so none without an identity.
#[derive(Clone, Debug)]
pub struct Negotiated<I, R> {
    parts: NegotiatedParts<I, R>,
}

/// What a handshake agreed on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NegotiatedParts<I, R> {
    /// What the caller made of the token.
    pub identity: I,
    /// Where the connection leads.
    pub route: R,
    /// The selected subprotocol.
    pub subprotocol: Option<Arc<str>>,
    /// The page's origin; none for a client that is no browser.
    pub origin: Option<Box<str>>,
    /// How the token came.
    pub form: CredentialForm,
}

impl<I, R: Copy> Negotiated<I, R> {
    /// What the caller made of the token.
    pub const fn identity(&self) -> &I {
        &self.parts.identity
    }

    /// Where the connection leads.
    pub const fn route(&self) -> R {
        self.parts.route
    }

    /// The selected subprotocol.
    pub fn subprotocol(&self) -> Option<&str> {
        self.parts.subprotocol.as_deref()
    }

    /// Everything, taken apart.
    pub fn into_parts(self) -> NegotiatedParts<I, R> {
        self.parts
    }
}

/// Selects one of the offered names that we speak, or none (RFC 6455 §4.2.2 item 5.5).
///
/// The result is our own copy of the name, never a slice of the request.
pub(crate) fn select<R>(
    request: &Request<'_, R>,
    form: CredentialForm,
    policy: &Policy<R>,
) -> Result<Option<Arc<str>>, Rejection> {
    let mut offered = false;
    let mut plain = false;
    // Our order among versions, the client's among credential names.
    let mut version: Option<usize> = None;
    let mut name: Option<&Arc<str>> = None;
    let two_element = (form == CredentialForm::TwoElement).then_some(&policy.two_element);
    for element in request.source.protocols() {
        offered = true;
        let Element::Name(candidate) = classify(element, policy) else { continue };
        plain = true;
        if let Some(rank) = policy.versions.iter().position(|known| **known == *candidate) {
            version = Some(version.map_or(rank, |best| best.min(rank)));
        } else if name.is_none() {
            name = policy.credential_names.iter().chain(two_element).find(|known| ***known == *candidate);
        }
    }
    if let Some(selected) = version.map(|rank| &policy.versions[rank]).or(name) {
        return Ok(Some(Arc::clone(selected)));
    }
    if plain {
        let spoken = policy.subprotocols().collect::<Vec<_>>().join("`, `");
        return Err(Rejection::new(Reason::NoCommonSubprotocol, "none of the offered names is spoken here")
            .with_hint(format!("Offer one of `{spoken}` beside the token.")));
    }
    if offered && request.origin.is_some() {
        return Err(Rejection::new(Reason::NoCommonSubprotocol, "a browser offered its token and no plain name")
            .with_hint(Cow::Borrowed(
                "A browser drops a connection for which none of its subprotocols was selected, and the token never \
                 is: offer `jwt-auth` beside it.",
            )));
    }
    Ok(None)
}

/// The best offered name that is one of our own words, for a handshake that is completed only to be closed.
pub(crate) fn harmless<'p, R>(head: &Head<'_>, policy: &'p Policy<R>) -> Option<&'p str> {
    let own = || policy.versions.iter().chain(&policy.credential_names).chain([&policy.two_element]);
    own()
        .map(AsRef::as_ref)
        .find(|name: &&str| Source::Head(head).protocols().any(|offered| offered == name.as_bytes()))
}

/// Appends the 101. No extension is ever answered (RFC 6455 §9.1: declining all is always allowed).
pub(crate) fn write_switching(key: &str, subprotocol: Option<&str>, out: &mut Vec<u8>) {
    out.reserve(192);
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    out.extend_from_slice(&accept_value(key));
    if let Some(name) = subprotocol {
        out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        out.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(b"\r\n\r\n");
}
