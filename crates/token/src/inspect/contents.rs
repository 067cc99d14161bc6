//! What header, claims and signature say, without believing them.

use portcullis_reason::Reason;
use serde_json::{Map, Value};

use super::{Inspection, Part};
use crate::{Algorithm, Policy, algorithm::Family, json};

/// The algorithm that a header claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    None,
    Known(Algorithm),
}

pub(super) fn header(bytes: &[u8], seen: &mut Inspection) -> Option<Claimed> {
    let header = object(Part::Header, bytes, seen)?;
    seen.header = Some(Value::Object(header.clone()));
    if header.contains_key("crit") {
        let message = "The header has crit: it asks for extensions that a gateway has to understand or refuse (RFC 7515 §4.1.11).";
        seen.note(Part::Header, Reason::TokenMalformed, message);
    }
    if header.get("b64").is_some_and(|b64| *b64 != Value::Bool(true)) {
        seen.note(
            Part::Header,
            Reason::TokenMalformed,
            "The header asks for an unencoded payload (b64), which no JWT has (RFC 7797 §7).",
        );
    }
    if header.contains_key("zip") {
        seen.note(
            Part::Header,
            Reason::TokenMalformed,
            "The header asks for compression (zip), which a signed token does not have.",
        );
    }
    for member in ["jku", "x5u", "jwk", "x5c"] {
        if header.contains_key(member) {
            let message = format!(
                "The header brings a key or its address along ({member}). It is ignored: a token does not choose its own key."
            );
            seen.note(Part::Header, None, message);
        }
    }
    if header.get("kid").is_some_and(|kid| !kid.is_string()) {
        seen.note(Part::Header, Reason::TokenMalformed, "The header's kid is not a string.");
    }
    match header.get("typ").map(Value::as_str) {
        Some(None) => seen.note(Part::Header, Reason::TokenMalformed, "The header's typ is not a string."),
        Some(Some(typ)) if !Policy::default().takes_type(Some(typ)) => {
            let message = "The header's typ is neither JWT nor at+jwt: it may be another kind of token, such as a refresh token.";
            seen.note(Part::Header, Reason::TokenMalformed, message);
        }
        _ => {}
    }
    match header.get("alg").map(Value::as_str) {
        Some(Some(alg)) if alg.eq_ignore_ascii_case("none") => {
            let message =
                "alg is none: the token is not signed, and anybody could have written it (RFC 8725 §3.2).";
            seen.note(Part::Header, Reason::AlgorithmNotAllowed, message);
            Some(Claimed::None)
        }
        Some(Some(alg)) => match alg.parse() {
            Ok(algorithm) => Some(Claimed::Known(algorithm)),
            Err(error) => {
                seen.note(Part::Header, Reason::AlgorithmNotAllowed, format!("alg is {error}."));
                None
            }
        },
        Some(None) => {
            seen.note(Part::Header, Reason::TokenMalformed, "The header's alg is not a string.");
            None
        }
        None => {
            seen.note(Part::Header, Reason::TokenMalformed, "The header has no alg.");
            None
        }
    }
}

pub(super) fn claims(bytes: &[u8], now: u64, seen: &mut Inspection) {
    let Some(claims) = object(Part::Payload, bytes, seen) else { return };
    expiry(claims.get("exp"), now, seen);
    not_before(claims.get("nbf"), "nbf", now, seen);
    not_before(claims.get("iat"), "iat", now, seen);
    if let (Some(Ok(issued)), Some(Ok(expires))) = (claims.get("iat").map(date), claims.get("exp").map(date))
    {
        if expires <= issued {
            seen.note(Part::Payload, None, "exp is not later than iat: it was never valid.");
        } else {
            seen.note(Part::Payload, None, format!("It was issued for {}.", duration(expires - issued)));
        }
    }
    match claims.get("sub") {
        None | Some(Value::Null) => {
            seen.note(Part::Payload, Reason::ClaimMissing, "There is no sub: nobody to speak for.");
        }
        Some(Value::String(sub)) if sub.is_empty() => {
            seen.note(Part::Payload, Reason::ClaimMissing, "sub is empty.");
        }
        Some(Value::String(_)) => {}
        Some(_) => seen.note(Part::Payload, Reason::ClaimMissing, "sub is not a string."),
    }
    if claims.get("iss").is_some_and(|iss| !iss.is_string() && !iss.is_null()) {
        seen.note(Part::Payload, Reason::ClaimMissing, "iss is not a string.");
    }
    let texts = |values: &Vec<Value>| values.iter().all(Value::is_string);
    match claims.get("aud") {
        None | Some(Value::Null | Value::String(_)) => {}
        Some(Value::Array(values)) if texts(values) => {}
        Some(_) => {
            seen.note(
                Part::Payload,
                Reason::ClaimMissing,
                "aud is neither a string nor an array of strings.",
            );
        }
    }
    seen.claims = Some(Value::Object(claims));
}

fn expiry(claim: Option<&Value>, now: u64, seen: &mut Inspection) {
    let exp = match claim.map(date) {
        None => {
            return seen.note(
                Part::Payload,
                Reason::ClaimMissing,
                "There is no exp: the token would never expire, and is refused.",
            );
        }
        Some(Err(what)) => return seen.note(Part::Payload, Reason::ClaimMissing, format!("exp is {what}.")),
        Some(Ok(exp)) => exp,
    };
    seen.expires_in =
        i64::try_from(exp).ok().zip(i64::try_from(now).ok()).map(|(exp, now)| exp.saturating_sub(now));
    if now >= exp {
        let message = format!("It expired {} ago. Log in again or refresh it.", duration(now - exp));
        seen.note(Part::Payload, Reason::TokenExpired, message);
    } else {
        seen.note(Part::Payload, None, format!("It expires in {}.", duration(exp - now)));
    }
}

fn not_before(claim: Option<&Value>, name: &str, now: u64, seen: &mut Inspection) {
    match claim.map(date) {
        Some(Err(what)) => seen.note(Part::Payload, Reason::ClaimMissing, format!("{name} is {what}.")),
        Some(Ok(from)) if from > now => {
            let message = format!(
                "{name} lies {} in the future: it is not valid yet, or a clock is wrong.",
                duration(from - now)
            );
            seen.note(Part::Payload, Reason::NotYetValid, message);
        }
        _ => {}
    }
}

pub(super) fn signature(bytes: &[u8], algorithm: Option<Claimed>, seen: &mut Inspection) {
    let Some(Claimed::Known(algorithm)) = algorithm else { return };
    let (fits, expected) = match algorithm.family() {
        Family::Hmac => (bytes.len() == algorithm.hash_len(), algorithm.hash_len()),
        Family::P256 | Family::Ed25519 => (bytes.len() == 64, 64),
        Family::P384 => (bytes.len() == 96, 96),
        Family::Rsa => ((256..=1024).contains(&bytes.len()), 256),
    };
    if fits {
        return;
    }
    let mut message = format!("The signature has {} bytes; {algorithm} makes {expected}", bytes.len());
    message.push_str(match algorithm.family() {
        Family::Rsa => " or more.",
        Family::P256 | Family::P384 if bytes.first() == Some(&0x30) => {
            ". It looks like DER, which is not the form of a token (RFC 7518 §3.4)."
        }
        _ => ". It was cut off or changed.",
    });
    seen.note(Part::Signature, Reason::SignatureInvalid, message);
}

fn object(part: Part, bytes: &[u8], seen: &mut Inspection) -> Option<Map<String, Value>> {
    let strict = json::read_object(bytes, |_| None, 256, |_, _| (), |_, _| ());
    if let Err(fault) = strict {
        let hint = if bytes.starts_with(b"eyJ") { "; it is base64url once more" } else { "" };
        seen.note(part, Reason::TokenMalformed, format!("The {} {}{hint}.", part.name(), fault.describe()));
    }
    let object = serde_json::from_slice(bytes).ok();
    if object.is_none() && strict.is_ok() {
        seen.note(part, None, format!("The {} is nested too deeply to be shown.", part.name()));
    }
    object
}

/// A `NumericDate`, or what it is instead.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn date(claim: &Value) -> Result<u64, &'static str> {
    const MAX: f64 = 253_402_300_799.0;
    match (claim.as_u64(), claim.as_f64()) {
        (_, Some(seconds)) if seconds < 0.0 => Err("negative"),
        (_, Some(seconds)) if seconds > MAX => {
            Err("beyond the year 9999: it may be in milliseconds, and seconds are needed")
        }
        (Some(seconds), _) => Ok(seconds),
        (None, Some(seconds)) => Ok(seconds as u64),
        (None, None) => Err("not a number of seconds since 1970"),
    }
}

/// The two largest units, as people say it.
fn duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let first = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let (size, unit) = UNITS[first];
    let text = format!("{} {unit}", seconds / size);
    if let Some((smaller, unit)) = UNITS.get(first + 1)
        && seconds % size / smaller > 0
    {
        return format!("{text} {} {unit}", seconds % size / smaller);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let table = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (90, "1 min 30 s"),
            (3600, "1 h"),
            (11_045, "3 h 4 min"),
            (200_000, "2 d 7 h"),
        ];
        for (seconds, text) in table {
            assert_eq!(duration(seconds), text);
        }
    }
}
