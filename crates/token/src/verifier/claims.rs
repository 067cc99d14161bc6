//! The claims (RFC 7519 §4), read once and checked in a fixed order. The signature has been verified by now.

use std::borrow::Cow;

use portcullis_reason::{Reason, Rejection};

use crate::{
    Identity, Policy,
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
const COUNT: usize = 10;

/// A payload with more claims than this is no access token's.
const MAX_CLAIMS: usize = 256;

/// The longest `sub`, `iss`, `jti` and `sid`: `OpenID` Connect Core §2 gives a `sub` 255 characters.
const MAX_SUBJECT: usize = 256;
const MAX_ISSUER: usize = 1024;
const MAX_JTI: usize = 256;
const MAX_SID: usize = 256;

/// The last second of the year 9999. Larger numbers are milliseconds by mistake, or a way to never expire.
const MAX_DATE: u64 = 253_402_300_799;

/// Reads and checks the claims; `bound` is the issuer that the key speaks for.
pub(super) fn check(
    bytes: &[u8],
    policy: &Policy,
    bound: Option<&str>,
    now: u64,
) -> Result<(Identity, Lifetime), Rejection> {
    let mut claims: [Option<Value<'_>>; COUNT] = Default::default();
    let mut present = vec![false; policy.required_claims.len()];
    let seen = |name: &str, presence: &Presence| {
        if let Some(index) = policy.required_claims.iter().position(|required| required == name) {
            present[index] = *presence == Presence::Something;
        }
    };
    json::read_object(bytes, known, MAX_CLAIMS, |index, value| claims[index] = Some(value), seen).map_err(
        |fault| {
            Rejection::new(Reason::TokenMalformed, format!("the payload {}", fault.describe()))
                .with_hint(format!("The token's payload {}.", fault.describe()))
        },
    )?;

    let lifetime = lifetime(&claims, policy)?;
    lifetime.check(now, policy.effective_leeway())?;

    let issuer = text(claims[ISS].as_ref(), "iss", MAX_ISSUER)?;
    check_issuer(issuer, policy, bound)?;
    check_audience(claims[AUD].as_ref(), policy)?;

    let subject = text(claims[SUB].as_ref(), "sub", MAX_SUBJECT)?;
    let subject = subject.filter(|subject| !subject.is_empty()).ok_or_else(|| missing("sub"))?;
    let jti = text(claims[JTI].as_ref(), "jti", MAX_JTI)?;
    let session = text(claims[SID].as_ref(), "sid", MAX_SID)?;
    if let Some(index) = present.iter().position(|present| !present) {
        return Err(missing(&policy.required_claims[index]));
    }
    let scopes = scopes(&claims)?;
    if policy.required_scopes.iter().any(|required| !scopes.contains(&required.as_str())) {
        return Err(Rejection::new(Reason::InsufficientScope, "a required scope is missing")
            .with_hint(format!("The token needs the scope \"{}\".", policy.required_scopes.join(" "))));
    }
    let parts = Parts {
        subject,
        issuer: issuer.unwrap_or(""),
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

fn check_issuer(issuer: Option<&str>, policy: &Policy, bound: Option<&str>) -> Result<(), Rejection> {
    let listed =
        policy.issuers.is_empty() || policy.issuers.iter().any(|listed| Some(listed.as_str()) == issuer);
    if !listed {
        return Err(Rejection::new(Reason::IssuerMismatch, "iss is not among the issuers that are taken"));
    }
    if bound.is_some() && bound != issuer {
        return Err(Rejection::new(Reason::IssuerMismatch, "iss is not the issuer that the key is bound to"));
    }
    Ok(())
}

fn check_audience(audience: Option<&Value<'_>>, policy: &Policy) -> Result<(), Rejection> {
    if policy.any_audience {
        return Ok(());
    }
    let ours = |name: &str| policy.audiences.iter().any(|audience| audience == name);
    let good = match audience {
        None | Some(Value::Null) => policy.audiences.is_empty(),
        Some(Value::Text(name)) => ours(name),
        Some(Value::Texts(names)) => names.iter().any(|name| ours(name)),
        Some(_) => return Err(wrong_type("aud", "a string or an array of strings")),
    };
    if good {
        return Ok(());
    }
    Err(Rejection::new(
        Reason::AudienceMismatch,
        match (policy.audiences.is_empty(), audience) {
            (true, _) => "the token has aud and no audience is configured here",
            (false, None) => "the token has no aud",
            (false, Some(_)) => "aud has none of the audiences of this service",
        },
    ))
}

/// The scopes of `scope` (RFC 8693 §4.2) or else of `scp`, which some providers write instead.
fn scopes<'c>(claims: &'c [Option<Value<'_>>]) -> Result<Vec<&'c str>, Rejection> {
    let (claim, name) = match &claims[SCOPE] {
        None | Some(Value::Null) => (&claims[SCP], "scp"),
        scope @ Some(_) => (scope, "scope"),
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

fn wrong_type(name: &'static str, expected: &'static str) -> Rejection {
    Rejection::new(Reason::ClaimMissing, format!("{name} is not {expected}"))
        .with_hint(format!("The claim \"{name}\" must be {expected}."))
}
