//! The claims (RFC 7519 §4), read once and checked in a fixed order. The signature has been verified by now.

use std::borrow::Cow;

use portcullis_reason::{Reason, Rejection};

use crate::{
    Identity, Issuer, Policy,
    identity::Parts,
    json::{self, Presence, Value},
};

/// When a token is good, in whole seconds and without leeway: from `from` on, and before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) from: Option<u64>,
    pub(super) issued: Option<u64>,
    pub(super) until: Option<u64>,
}

impl Lifetime {
    /// `exp`, `nbf` and `iat` against the clock (RFC 7519 §4.1.4 to §4.1.6).
    pub(super) fn check(&self, now: u64, leeway: u64) -> Result<(), Rejection> {
        // "on or after" exp: the second that exp names is already too late.
        if self.until.is_some_and(|until| now >= until.saturating_add(leeway)) {
            return Err(Rejection::new(Reason::TokenExpired, "exp has passed"));
        }
        if self.from.is_some_and(|from| now.saturating_add(leeway) < from) {
            return Err(Rejection::new(Reason::NotYetValid, "nbf lies in the future"));
        }
        if self.issued.is_some_and(|issued| now.saturating_add(leeway) < issued) {
            return Err(Rejection::new(Reason::NotYetValid, "iat lies in the future: a clock is wrong"));
        }
        Ok(())
    }
}

/// Claims that are looked at, by their index.
fn known(name: &[u8]) -> Option<usize> {
    // A match on bytes becomes a few comparisons of words, where a search through names would call memcmp for each.
    match name {
        b"exp" => Some(EXP),
        b"nbf" => Some(NBF),
        b"iat" => Some(IAT),
        b"iss" => Some(ISS),
        b"aud" => Some(AUD),
        b"sub" => Some(SUB),
        b"jti" => Some(JTI),
        b"sid" => Some(SID),
        b"scope" => Some(SCOPE),
        b"scp" => Some(SCP),
        _ => None,
    }
}

const EXP: usize = 0;
const NBF: usize = 1;
const IAT: usize = 2;
const ISS: usize = 3;
const AUD: usize = 4;
const SUB: usize = 5;
const JTI: usize = 6;
const SCOPE: usize = 7;
const SCP: usize = 8;
const SID: usize = 9;
/// Where the issuer's own claim for scopes goes, if it is none of these.
const OWN: usize = 10;
const COUNT: usize = 11;

/// A payload with more claims than this is no access token's.
const MAX_CLAIMS: usize = 256;

/// The longest `sub`, `iss`, `jti` and `sid`: `OpenID` Connect Core §2 gives a `sub` 255 characters.
const MAX_SUBJECT: usize = 256;
const MAX_ISSUER: usize = 1024;
const MAX_JTI: usize = 256;
const MAX_SID: usize = 256;

/// The last second of the year 9999. Larger numbers are milliseconds by mistake, or a way to never expire.
const MAX_DATE: u64 = 253_402_300_799;

/// Reads and checks the claims of a token that a key of `issuer` verified. `named` are all issuers that have a name.
pub(super) fn check(
    bytes: &[u8],
    policy: &Policy,
    issuer: &Issuer,
    named: &[String],
    now: u64,
) -> Result<(Identity, Lifetime), Rejection> {
    let mut claims: [Option<Value<'_>>; COUNT] = Default::default();
    let mut present = vec![false; issuer.required_claims.len()];
    let seen = |name: &str, presence: &Presence| {
        if let Some(index) = issuer.required_claims.iter().position(|required| required == name) {
            present[index] = *presence == Presence::Something;
        }
    };
    let own = issuer.scopes_claim.as_deref().map(str::as_bytes);
    let known = |name: &[u8]| known(name).or_else(|| (own == Some(name)).then_some(OWN));
    json::read_object(bytes, known, MAX_CLAIMS, |index, value| claims[index] = Some(value), seen).map_err(
        |fault| {
            Rejection::new(Reason::TokenMalformed, format!("the payload {}", fault.describe()))
                .with_hint(format!("The token's payload {}.", fault.describe()))
        },
    )?;

    let lifetime = lifetime(&claims, policy)?;
    lifetime.check(now, policy.effective_leeway())?;

    let iss = text(claims[ISS].as_ref(), "iss", MAX_ISSUER)?;
    check_issuer(iss, issuer, named)?;
    check_audience(claims[AUD].as_ref(), issuer)?;

    let subject = text(claims[SUB].as_ref(), "sub", MAX_SUBJECT)?;
    let subject = subject.filter(|subject| !subject.is_empty()).ok_or_else(|| missing("sub"))?;
    let jti = text(claims[JTI].as_ref(), "jti", MAX_JTI)?;
    let session = text(claims[SID].as_ref(), "sid", MAX_SID)?;
    if let Some(index) = present.iter().position(|present| !present) {
        return Err(missing(&issuer.required_claims[index]));
    }
    let scopes = scopes(&claims, issuer.scopes_claim.as_deref())?;
    if issuer.required_scopes.iter().any(|required| !scopes.contains(&required.as_str())) {
        return Err(Rejection::new(Reason::InsufficientScope, "a required scope is missing")
            .with_hint(format!("The token needs the scope \"{}\".", issuer.required_scopes.join(" "))));
    }
    let parts = Parts {
        subject,
        issuer: iss.unwrap_or(""),
        jti: jti.unwrap_or(""),
        session: session.unwrap_or(""),
        scopes: &scopes,
        expires_at: lifetime.until,
        issued_at: lifetime.issued,
    };
    Ok((Identity::new(&parts), lifetime))
}

fn lifetime(claims: &[Option<Value<'_>>], policy: &Policy) -> Result<Lifetime, Rejection> {
    let until = date(claims[EXP].as_ref(), "exp", f64::floor)?;
    if until.is_none() && policy.require_expiry {
        return Err(missing("exp"));
    }
    // Fractions are cut so that the token is good a moment shorter rather than longer.
    let from = date(claims[NBF].as_ref(), "nbf", f64::ceil)?;
    let issued = date(claims[IAT].as_ref(), "iat", f64::floor)?;
    Ok(Lifetime { from, issued, until })
}

fn check_issuer(iss: Option<&str>, issuer: &Issuer, named: &[String]) -> Result<(), Rejection> {
    if iss.is_some_and(|iss| issuer.is_named(iss)) {
        return Ok(());
    }
    if !issuer.others {
        return Err(Rejection::new(Reason::IssuerMismatch, "the key does not speak for the token's iss"));
    }
    // Whoever has keys of their own is spoken for by these alone.
    if iss.is_some_and(|iss| named.iter().any(|name| name == iss)) {
        let detail = "the key names no issuer, and the token's iss has keys of its own";
        return Err(Rejection::new(Reason::IssuerMismatch, detail));
    }
    Ok(())
}

fn check_audience(audience: Option<&Value<'_>>, issuer: &Issuer) -> Result<(), Rejection> {
    if issuer.any_audience {
        return Ok(());
    }
    let ours = |name: &str| issuer.audiences.iter().any(|audience| audience == name);
    let good = match audience {
        None | Some(Value::Null) => issuer.audiences.is_empty(),
        Some(Value::Text(name)) => ours(name),
        Some(Value::Texts(names)) => names.iter().any(|name| ours(name)),
        Some(_) => return Err(wrong_type("aud", "a string or an array of strings")),
    };
    if good {
        return Ok(());
    }
    Err(Rejection::new(
        Reason::AudienceMismatch,
        match (issuer.audiences.is_empty(), audience) {
            (true, _) => "the token has aud and no audience is configured here",
            (false, None) => "the token has no aud",
            (false, Some(_)) => "aud has none of the audiences of this service",
        },
    ))
}

/// The scopes of the issuer's `own` claim; without one, of `scope` (RFC 8693 §4.2) or else of `scp`, which some providers
/// write instead.
fn scopes<'c>(claims: &'c [Option<Value<'_>>], own: Option<&str>) -> Result<Vec<&'c str>, Rejection> {
    let (claim, name) = match (own, &claims[SCOPE]) {
        (Some(own), _) => (&claims[known(own.as_bytes()).unwrap_or(OWN)], own),
        (None, None | Some(Value::Null)) => (&claims[SCP], "scp"),
        (None, scope @ Some(_)) => (scope, "scope"),
    };
    match claim {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Text(text)) => Ok(text.split(' ').filter(|scope| !scope.is_empty()).collect()),
        // A scope has no space in it (RFC 6749 §3.3), so none can turn into two.
        Some(Value::Texts(texts)) => Ok(texts
            .iter()
            .map(AsRef::as_ref)
            .filter(|scope: &&str| !scope.is_empty() && !scope.contains(' '))
            .collect()),
        Some(_) => Err(wrong_type(name, "a string or an array of strings")),
    }
}

/// A `NumericDate` (RFC 7519 §2): a JSON number, perhaps with a fraction, here from 1970 to 9999. Strings, `null`,
/// negative and larger numbers are the wrong type, and the token is refused whichever claim it is.
#[expect(clippy::cast_sign_loss, reason = "the range is checked")]
fn date(
    claim: Option<&Value<'_>>,
    name: &'static str,
    round: fn(f64) -> f64,
) -> Result<Option<u64>, Rejection> {
    const MAX: f64 = 253_402_300_799.0;
    match claim {
        None => Ok(None),
        Some(Value::Unsigned(seconds)) if *seconds <= MAX_DATE => Ok(Some(*seconds)),
        Some(Value::Float(seconds)) if (0.0..=MAX).contains(seconds) => Ok(Some(round(*seconds) as u64)),
        Some(Value::Unsigned(_) | Value::Float(_)) => {
            Err(wrong_type(name, "a date in seconds since 1970 (not milliseconds)"))
        }
        Some(_) => Err(wrong_type(name, "a number of seconds since 1970")),
    }
}

fn text<'c>(
    claim: Option<&'c Value<'_>>,
    name: &'static str,
    max: usize,
) -> Result<Option<&'c str>, Rejection> {
    match claim {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(Cow::Borrowed(text))) if text.len() <= max => Ok(Some(text)),
        Some(Value::Text(Cow::Owned(text))) if text.len() <= max => Ok(Some(text)),
        Some(Value::Text(_)) => {
            Err(Rejection::new(Reason::TokenMalformed, format!("{name} is longer than {max} bytes"))
                .with_hint(format!("The claim {name} is longer than {max} bytes.")))
        }
        Some(_) => Err(wrong_type(name, "a string")),
    }
}

fn missing(name: &str) -> Rejection {
    Rejection::new(Reason::ClaimMissing, format!("{name} is missing or empty"))
        .with_hint(format!("The token needs the claim \"{name}\"."))
}

fn wrong_type(name: &str, expected: &'static str) -> Rejection {
    Rejection::new(Reason::ClaimMissing, format!("{name} is not {expected}"))
        .with_hint(format!("The claim \"{name}\" must be {expected}."))
}
