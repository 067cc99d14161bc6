//! Step 7: where a token may stand, and every way of getting it wrong (docs/protocol.md §1; RFC 6750).

use std::{borrow::Cow, sync::LazyLock};

use base64::{
    Engine,
    engine::{Simd, general_purpose::NO_PAD},
};
use portcullis_reason::{Reason, Rejection};

use crate::{Policy, head::Known, policy::is_token_byte, request::Request, target::parameters};

/// How the token came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialForm {
    /// `Authorization: Bearer <token>`.
    Authorization,
    /// A subprotocol element `<prefix><base64url(token)>`.
    Wrapped,
    /// A subprotocol element `<prefix><token>`.
    Bare,
    /// The two subprotocol elements `jwt, <token>`.
    TwoElement,
}

impl CredentialForm {
    /// A name for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Wrapped => "subprotocol_wrapped",
            Self::Bare => "subprotocol_bare",
            Self::TwoElement => "subprotocol_two_element",
        }
    }
}

/// The one credential of a request.
pub(crate) struct Found<'b> {
    pub(crate) token: Cow<'b, str>,
    pub(crate) form: CredentialForm,
}

/// What a subprotocol element is.
pub(crate) enum Element<'b> {
    /// A prefix of ours, and what stands behind it.
    Token(&'b [u8]),
    /// One of our prefixes in another case.
    Miswritten,
    /// A token without prefix.
    Unprefixed(&'b [u8]),
    /// A token behind a prefix that is not ours.
    Foreign,
    /// A name.
    Name(&'b str),
    /// Not even that.
    Invalid,
}

/// Tells what an element is; the one place that knows, for extraction and negotiation alike.
pub(crate) fn classify<'b, R>(element: &'b [u8], policy: &Policy<R>) -> Element<'b> {
    for prefix in &policy.prefixes {
        let prefix = prefix.as_bytes();
        if let Some(start) = element.get(..prefix.len()) {
            if start == prefix {
                return Element::Token(&element[prefix.len()..]);
            }
            if start.eq_ignore_ascii_case(prefix) {
                return Element::Miswritten;
            }
        }
    }
    if looks_like_token(element) {
        return Element::Unprefixed(element);
    }
    if hides_token(element) {
        return Element::Foreign;
    }
    match str::from_utf8(element) {
        Ok(name) if name.bytes().all(is_token_byte) => Element::Name(name),
        _ => Element::Invalid,
    }
}

/// Finds the one credential, or says what is wrong.
pub(crate) fn extract<'b, R>(request: &Request<'b, R>, policy: &Policy<R>) -> Result<Found<'b>, Rejection> {
    let header = authorization(request, policy)?;
    let offered = offered(request, policy)?;
    match (header, offered.found) {
        (Some(token), None) => Ok(Found { token: Cow::Borrowed(token), form: CredentialForm::Authorization }),
        (None, Some(found)) => Ok(found),
        (Some(token), Some(found)) if found.token == token => Ok(found),
        (Some(_), Some(_)) => Err(Rejection::new(
            Reason::AmbiguousCredentials,
            "Authorization and Sec-WebSocket-Protocol carry different tokens",
        )
        .with_hint("Send the token in one place only.")),
        (None, None) => Err(no_token(request, offered.names)),
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1). Another scheme is no credential of ours.
fn authorization<'b, R>(request: &Request<'b, R>, policy: &Policy<R>) -> Result<Option<&'b str>, Rejection> {
    let mut found = None;
    for line in request.source.lines(Known::Authorization) {
        let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
        let (scheme, rest) = line.split_at(end);
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            continue;
        }
        if found.is_some() {
            return Err(Rejection::new(
                Reason::AmbiguousCredentials,
                "more than one Bearer Authorization field",
            ));
        }
        let token = rest.trim_ascii();
        if token.is_empty() {
            return Err(Rejection::new(Reason::TokenMalformed, "`Bearer` without a token")
                .with_hint("`Authorization: Bearer` has to be followed by the token."));
        }
        check_size(token.len(), policy)?;
        let Some(text) = str::from_utf8(token).ok().filter(|token| is_b64token(token)) else {
            return Err(Rejection::new(
                Reason::TokenMalformed,
                "a character in the Bearer token that none may have (RFC 6750 §2.1)",
            ));
        };
        found = Some(text);
    }
    Ok(found)
}

/// What the subprotocol list holds.
struct Offered<'b> {
    found: Option<Found<'b>>,
    names: bool,
}

fn offered<'b, R>(request: &Request<'b, R>, policy: &Policy<R>) -> Result<Offered<'b>, Rejection> {
    let mut tokens = 0_usize;
    let mut prefixed = None;
    // The second element of the two-element form, and whether a name that asks for it stood before.
    let mut naked = None;
    let mut previous = None;
    let (mut names, mut miswritten) = (false, false);
    for (index, element) in request.source.protocols().enumerate() {
        if index == MAX_ELEMENTS {
            return Err(Rejection::new(
                Reason::RequestTooLarge,
                "more subprotocols than any client has use for",
            ));
        }
        let before = previous.take();
        match classify(element, policy) {
            Element::Token(text) => {
                tokens += 1;
                prefixed = Some(text);
            }
            Element::Miswritten => miswritten = true,
            Element::Unprefixed(text) => {
                tokens += 1;
                naked = Some((text, before.is_some_and(|name| announces_token(name, policy))));
            }
            Element::Foreign => tokens += 1,
            Element::Name(name) if before == Some(&*policy.two_element) && !is_spoken(name, policy) => {
                tokens += 1;
                naked = Some((name.as_bytes(), true));
            }
            Element::Name(name) => {
                names = true;
                previous = Some(name);
            }
            Element::Invalid => {
                return Err(Rejection::new(
                    Reason::BadUpgrade,
                    "an element of Sec-WebSocket-Protocol is not a token (RFC 6455 §4.1, RFC 9110 §5.6.2)",
                ));
            }
        }
    }
    let mismatch =
        |detail: &'static str, hint| Err(Rejection::new(Reason::ProtocolMismatch, detail).with_hint(hint));
    match (tokens, prefixed, naked) {
        (0, ..) if miswritten => mismatch("a credential prefix in the wrong case", RIGHT_CASE),
        (0, ..) => Ok(Offered { found: None, names }),
        (1, Some(text), _) => Ok(Offered { found: Some(unwrap(text, policy)?), names }),
        (1, None, Some((text, true))) if policy.accept_two_element_form => {
            let found = unwrap(text, policy)?;
            Ok(Offered { found: Some(Found { form: CredentialForm::TwoElement, ..found }), names })
        }
        (1, None, Some((_, true))) => mismatch("the two-element form `jwt, <token>`", RIGHT_FORM),
        (1, None, Some((_, false))) => mismatch("a naked token among the subprotocols", RIGHT_FORM),
        (1, None, None) => mismatch("a token behind a prefix that is not known here", RIGHT_FORM),
        _ => Err(Rejection::new(
            Reason::AmbiguousCredentials,
            "more than one token-bearing subprotocol element",
        )
        .with_hint("Offer exactly one subprotocol element that carries a token.")),
    }
}

/// The token in what stands behind a prefix: bare if it has dots, else base64url without padding (canonical).
fn unwrap<'b, R>(text: &'b [u8], policy: &Policy<R>) -> Result<Found<'b>, Rejection> {
    let malformed = |detail: &'static str| {
        Err(Rejection::new(Reason::TokenMalformed, detail)
            .with_hint("Behind the prefix stands base64url(token) without padding, or the token itself."))
    };
    if text.is_empty() {
        return malformed("a token element with nothing behind its prefix");
    }
    if memchr::memchr(b'.', text).is_some() {
        check_size(text.len(), policy)?;
        return match str::from_utf8(text) {
            Ok(token) if is_bearer_text(token) => {
                Ok(Found { token: Cow::Borrowed(token), form: CredentialForm::Bare })
            }
            _ => malformed("a character in the token that none may have"),
        };
    }
    check_size(text.len() / 4 * 3, policy)?;
    let Ok(decoded) = BASE64URL.decode(text) else {
        return malformed(if text.ends_with(b"=") {
            "the token's base64url is padded"
        } else {
            "what stands behind the prefix is not canonical base64url"
        });
    };
    check_size(decoded.len(), policy)?;
    match String::from_utf8(decoded) {
        Ok(token) if is_b64token(&token) => {
            Ok(Found { token: Cow::Owned(token), form: CredentialForm::Wrapped })
        }
        Ok(_) => malformed("a character in the unwrapped token that none may have"),
        Err(_) => malformed("the unwrapped token is not UTF-8"),
    }
}

fn check_size<R>(bytes: usize, policy: &Policy<R>) -> Result<(), Rejection> {
    if bytes > policy.max_token_bytes {
        return Err(Rejection::new(Reason::TokenTooLarge, "the token is longer than the limit"));
    }
    Ok(())
}

/// Why nothing was found, as helpful as it can be said.
fn no_token<R>(request: &Request<'_, R>, names: bool) -> Rejection {
    let in_query = QUERY_NAMES.iter().any(|name| parameters(request.query, name).next().is_some());
    let (detail, hint) = if in_query {
        (
            "no token; the query has a parameter that looks like one",
            "A token in the query is not read. Offer the subprotocols `jwt-auth` and `jwt.` + base64url(token) \
             instead, and treat the token in that address as disclosed.",
        )
    } else if request.source.lines(Known::Authorization).next().is_some() {
        (
            "no token; Authorization has another scheme than Bearer",
            "The scheme of `Authorization` has to be `Bearer`.",
        )
    } else if names {
        (
            "no token; other subprotocols were offered",
            "None of the offered subprotocols carries a token: offer `jwt.` + base64url(token) beside `jwt-auth`.",
        )
    } else {
        ("no token in any place", NOTHING_SENT)
    };
    Rejection::new(Reason::NoToken, detail).with_hint(hint)
}

fn is_spoken<R>(name: &str, policy: &Policy<R>) -> bool {
    policy.subprotocols().any(|known| known == name)
}

/// Whether a naked token behind that name makes the two-element form: `jwt`, or a name that only says how tokens travel.
fn announces_token<R>(name: &str, policy: &Policy<R>) -> bool {
    policy.credential_names.iter().chain([&policy.two_element]).any(|known| **known == *name)
}

/// Whether an element without prefix can only be a token: a JOSE header in base64url starts with `eyJ` (`{"`), or,
/// wrapped once more, with `ZXlK`; one with white space in its JSON still has two dots. No names look like that.
fn looks_like_token(element: &[u8]) -> bool {
    starts_like_token(element) || element.len() >= 64 && memchr::memchr_iter(b'.', element).count() == 2
}

/// Whether what stands behind some dot of an element starts like a token.
fn hides_token(element: &[u8]) -> bool {
    element.len() > 16 && memchr::memchr_iter(b'.', element).any(|dot| starts_like_token(&element[dot + 1..]))
}

fn starts_like_token(text: &[u8]) -> bool {
    text.len() >= 16 && (text.starts_with(b"eyJ") || text.starts_with(b"ZXlK"))
}

/// `b64token` (RFC 6750 §2.1).
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty() && is_bearer_text(body)
}

/// Whether there are only characters that a token may have. A token is good as a rule: no early end, and neither a branch
/// nor a table, so that the compiler can look at many bytes at a time.
fn is_bearer_text(text: &str) -> bool {
    text.bytes().fold(true, |good, byte| good & is_bearer_byte(byte))
}

#[expect(
    clippy::needless_bitwise_bool,
    reason = "a branch would keep the compiler from vectors: twice the time"
)]
const fn is_bearer_byte(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // From `-` on: `-`, `.`, `/`, then the digits.
    let digit_or_mark = byte.wrapping_sub(b'-') < 13;
    letter | digit_or_mark | (byte == b'_') | (byte == b'~') | (byte == b'+')
}

/// Decodes with vectors where the processor has them.
static BASE64URL: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));

/// Far more than a client offers, and few enough that a list of commas costs nothing.
const MAX_ELEMENTS: usize = 128;

const QUERY_NAMES: [&str; 8] =
    ["token", "access_token", "jwt", "auth", "auth_token", "id_token", "bearer", "authorization"];

const NOTHING_SENT: &str = "Send `Authorization: Bearer` with the token, or, from a browser, offer the subprotocols \
                            `jwt-auth` and `jwt.` + base64url(token).";

const RIGHT_CASE: &str = "Subprotocol names are case-sensitive: write the prefix as this server's `/ws/config` does, \
                          for instance `jwt.`.";

const RIGHT_FORM: &str = "Offer [`jwt-auth`, `jwt.` + base64url(token)]: one element that carries the token behind its \
                          prefix, beside one plain name. A page that still offers [`jwt`, token] may be an old build \
                          from a cache.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_byte_is_what_rfc_6750_lists() {
        for byte in 0..=u8::MAX {
            let listed = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_bearer_byte(byte), listed, "{byte:#04x}");
        }
    }
}
