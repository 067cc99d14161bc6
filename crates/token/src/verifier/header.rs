//! The JOSE header (RFC 7515 §4).

use std::borrow::Cow;

use portcullis_reason::{Reason, Rejection};

use crate::{
    Algorithm, Policy,
    json::{self, Value},
};

/// What of the header counts. `jku`, `x5u`, `jwk` and `x5c` are never looked at (RFC 8725 §3.10).
pub(super) struct Header<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<Cow<'a, str>>,
}

/// Members that are looked at, by their index.
fn known(name: &[u8]) -> Option<usize> {
    match name {
        b"alg" => Some(ALG),
        b"kid" => Some(KID),
        b"typ" => Some(TYP),
        b"crit" => Some(CRIT),
        b"b64" => Some(B64),
        b"zip" => Some(ZIP),
        _ => None,
    }
}

const ALG: usize = 0;
const KID: usize = 1;
const TYP: usize = 2;
const CRIT: usize = 3;
const B64: usize = 4;
const ZIP: usize = 5;

/// A header with more members than this is no JWT's.
const MAX_MEMBERS: usize = 32;

pub(super) fn parse<'a>(bytes: &'a [u8], policy: &Policy) -> Result<Header<'a>, Rejection> {
    let (mut alg, mut kid, mut typ) = (None, None, None);
    let mut refused: Option<&'static str> = None;
    let take = |index: usize, value: Value<'a>| match index {
        ALG => alg = Some(value),
        KID => kid = Some(value),
        TYP => typ = Some(value),
        // No extension is understood here, so any list, an empty one and one that names standard members included, is
        // refused (RFC 7515 §4.1.11).
        CRIT => refused = Some("the header has crit, and no critical extension is understood"),
        // RFC 7797 §7: an unencoded payload has no place in a JWT.
        B64 if value != Value::Bool(true) => {
            refused = Some("the header asks for an unencoded payload (b64)");
        }
        // Compression belongs to JWE (RFC 7516 §4.1.3); nothing is ever inflated.
        ZIP => refused = Some("the header asks for compression (zip)"),
        _ => {}
    };
    json::read_object(bytes, known, MAX_MEMBERS, take, |_, _| ())
        .map_err(|fault| malformed(format!("the header {}", fault.describe())))?;

    let alg = match alg {
        Some(Value::Text(alg)) => alg,
        Some(_) => return Err(malformed("the header's alg is not a string")),
        None => return Err(malformed("the header has no alg")),
    };
    if alg.eq_ignore_ascii_case("none") {
        return Err(Rejection::new(Reason::AlgorithmNotAllowed, "alg is none: the token is not signed")
            .with_hint("The token is not signed (alg none). Send one that is."));
    }
    let algorithm = alg.parse().map_err(|_| {
        Rejection::new(Reason::AlgorithmNotAllowed, "alg names no signature algorithm that is spoken here")
    })?;
    if let Some(refused) = refused {
        return Err(malformed(refused));
    }
    let kid = text(kid, "the header's kid is not a string")?;
    let typ = text(typ, "the header's typ is not a string")?;
    if !policy.takes_type(typ.as_deref()) {
        return Err(malformed("the header's typ names a kind of token that is not taken here")
            .with_hint("This kind of token (header typ) is not taken here. Send an access token, not a refresh or ID token."));
    }
    Ok(Header { algorithm, kid })
}

fn text<'a>(value: Option<Value<'a>>, otherwise: &'static str) -> Result<Option<Cow<'a, str>>, Rejection> {
    match value {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(malformed(otherwise)),
    }
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Rejection {
    Rejection::new(Reason::TokenMalformed, detail)
}
