//! Steps 4 and 5: is this a WebSocket handshake, for a mode of ours, from a page that may ask? (RFC 6455 §4.2.1)

use std::fmt;

use portcullis_reason::{Reason, Rejection};

use crate::{
    Head, Offer, Policy, Version, credentials,
    head::{Known, Repeated},
    negotiate,
    request::{self, Request, Source},
};

/// A sound upgrade request for a known route, from an origin that may connect. Nobody has been identified yet.
pub struct Upgrade<'b, R> {
    head: &'b Head<'b>,
    key: &'b str,
    request: Request<'b, R>,
}

impl<'b, R: Copy + PartialEq> Upgrade<'b, R> {
    /// Checks, in this order: method, version, `Upgrade`, `Connection`, `Sec-WebSocket-Key`, `Sec-WebSocket-Version`,
    /// that no body comes along, then the route, then the origin. The first fault decides.
    ///
    /// # Errors
    /// [`Reason::MethodNotAllowed`], [`Reason::BadUpgrade`], [`Reason::UnsupportedVersion`], [`Reason::UnknownMode`],
    /// [`Reason::OriginNotAllowed`].
    pub fn check(head: &'b Head<'b>, policy: &Policy<R>) -> Result<Self, Rejection> {
        let key = check_upgrade(head)?;
        let route = policy.route(head.path(), head.query())?;
        let origin = request::origin(head, policy)?;
        let source = Source::Head(head);
        Ok(Self { head, key, request: Request { route, origin, query: head.query(), source } })
    }

    /// Finds the credential (step 7).
    ///
    /// # Errors
    /// [`Reason::NoToken`], [`Reason::AmbiguousCredentials`], [`Reason::ProtocolMismatch`],
    /// [`Reason::TokenMalformed`], [`Reason::TokenTooLarge`]; [`Reason::BadUpgrade`] for a subprotocol element that is
    /// neither a token-bearing one nor a name.
    pub fn credentials(self, policy: &Policy<R>) -> Result<Offer<'b, R>, Rejection> {
        let found = credentials::extract(&self.request, policy)?;
        Ok(Offer::new(self.key, self.request, found))
    }

    /// Completes the handshake of a refused request, so that a close frame can tell a browser why
    /// (`handshake.rejection = "close"`). No session comes of it: send the close frame and read nothing.
    ///
    /// A subprotocol is selected only if it was offered and is one of our own words: what else a refused request
    /// offered may hide a token, so such a browser closes without hearing the reason.
    ///
    /// # Errors
    /// Nothing was written, because the request is no sound handshake for a known route (step 4, and the mode of step 5): answer
    /// with a [`Refusal`](crate::Refusal).
    pub fn accept_to_close(head: &Head<'_>, policy: &Policy<R>, out: &mut Vec<u8>) -> Result<(), Rejection> {
        let key = check_upgrade(head)?;
        policy.route(head.path(), head.query())?;
        negotiate::write_switching(key, negotiate::harmless(head, policy), out);
        Ok(())
    }
}

impl<'b, R: Copy> Upgrade<'b, R> {
    /// Where it leads.
    pub const fn route(&self) -> R {
        self.request.route
    }

    /// The page's origin; none for a client that is no browser.
    pub const fn origin(&self) -> Option<&'b str> {
        self.request.origin
    }

    /// The request head.
    pub const fn head(&self) -> &'b Head<'b> {
        self.head
    }

    /// The path of the target.
    pub const fn path(&self) -> &'b str {
        self.head.path()
    }

    /// The query of the target, not decoded. It may hold a secret.
    pub const fn query(&self) -> &'b str {
        self.head.query()
    }
}

impl<R: fmt::Debug> fmt::Debug for Upgrade<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("route", &self.request.route)
            .field("origin", &self.request.origin)
            .finish_non_exhaustive()
    }
}

/// Step 4. Gives the key.
fn check_upgrade<'b>(head: &Head<'b>) -> Result<&'b str, Rejection> {
    let bad = |detail: &'static str| Err(Rejection::new(Reason::BadUpgrade, detail));

    if head.method() != "GET" {
        return Err(Rejection::new(
            Reason::MethodNotAllowed,
            "a handshake is a GET (RFC 6455 §4.2.1 item 1)",
        ));
    }
    if head.version() != Version::Http11 {
        return bad("a handshake needs HTTP/1.1 (RFC 6455 §4.2.1 item 1)");
    }
    if !names(head, Known::Upgrade, "websocket") {
        return Err(Rejection::new(
            Reason::BadUpgrade,
            "`websocket` is not in Upgrade (RFC 6455 §4.2.1 item 3)",
        )
        .with_hint(
            "A WebSocket endpoint is here: ask with `Upgrade: websocket` and `Connection: Upgrade`. A \
                        proxy on the way may have removed them.",
        ));
    }
    if !names(head, Known::Connection, "upgrade") {
        return Err(Rejection::new(
            Reason::BadUpgrade,
            "`upgrade` is not in Connection (RFC 6455 §4.2.1 item 4)",
        )
        .with_hint("`Connection` has to name `Upgrade`. A proxy on the way may have replaced it."));
    }
    let key = match head.single(Known::Key) {
        Err(Repeated) => return bad("more than one Sec-WebSocket-Key (RFC 6455 §11.3.1)"),
        Ok(None) => return bad("no Sec-WebSocket-Key (RFC 6455 §4.2.1 item 5)"),
        Ok(Some(key)) => match str::from_utf8(key) {
            Ok(key) if is_key(key) => key,
            _ => return bad("Sec-WebSocket-Key is not the base64 of 16 bytes (RFC 6455 §4.2.1 item 5)"),
        },
    };
    match head.single(Known::WsVersion) {
        Err(Repeated) => return bad("more than one Sec-WebSocket-Version"),
        Ok(None) => return bad("no Sec-WebSocket-Version (RFC 6455 §4.2.1 item 6)"),
        Ok(Some(b"13")) => {}
        Ok(Some(_)) => {
            return Err(Rejection::new(
                Reason::UnsupportedVersion,
                "Sec-WebSocket-Version is not 13 (RFC 6455 §4.2.1 item 6)",
            ));
        }
    }
    if head.lines(Known::TransferEncoding).next().is_some() {
        return bad("Transfer-Encoding on a handshake");
    }
    match head.single(Known::ContentLength) {
        Ok(None | Some(b"0")) => Ok(key),
        Ok(Some(_)) => bad("a handshake with a body"),
        Err(Repeated) => bad("more than one Content-Length on a handshake"),
    }
}

/// Whether the lists of all lines of a field name `member`, in any case. A substring of a member does not count.
fn names(head: &Head<'_>, known: Known, member: &str) -> bool {
    head.lines(known).any(|line| {
        line.split(|&byte| byte == b',')
            .any(|element| element.trim_ascii().eq_ignore_ascii_case(member.as_bytes()))
    })
}

/// Whether `key` is the base64 of exactly 16 bytes: 22 characters, the last with four unused zero bits, and `==`.
fn is_key(key: &str) -> bool {
    let Some(digits) = key.strip_suffix("==") else { return false };
    digits.len() == 22
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        && digits.ends_with(['A', 'Q', 'g', 'w'])
}
