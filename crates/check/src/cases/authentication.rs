//! A: authentication before the 101.

use portcullis_reason::Reason;
use portcullis_token::base64url;
use serde_json::json;

use super::{
    bypass::no_bypass,
    forged::{alg_none, claim, confusion, crit, foreign_key, minted, no_signature, payload, signature},
    judge::{judge, must_refuse},
    secrets::known_secret,
};
use crate::{
    admission::Admission,
    case::{Case, Group, Level, Need, case},
    form::{COOKIE_NAMES, Form, QUERY_NAMES},
    mint::{altered, now},
    outcome::{Found, Gravity, Outcome},
    probe::Probe,
    remedy::Topic,
    response::{End, text_of},
};

use Level::{Must, Practice, Should};

const KEY: &[Need] = &[Need::Good, Need::Key];
const TOKEN: &[Need] = &[Need::Good, Need::Token];

pub(super) const CASES: &[Case] = &[
    case(
        Group::A,
        "rule/before-101/no-token",
        Practice,
        "RFC 6455 §4.2.2 item 2, §10.5",
        "A handshake without a token is refused before the 101.",
        |p| Box::pin(no_token(p)),
    )
    .reason(Reason::NoToken)
    .needs(&[]),
    case(
        Group::A,
        "rule/before-101/empty",
        Practice,
        "RFC 6750 §3.1",
        "An empty token is refused before the 101.",
        |p| Box::pin(raw(p, "an empty token", "")),
    )
    .topic(Topic::Malformed)
    .reason(Reason::TokenMalformed)
    .needs(TOKEN),
    case(
        Group::A,
        "rule/before-101/short",
        Practice,
        "RFC 7519 §7.2",
        "A token of three letters is refused before the 101.",
        |p| Box::pin(raw(p, "the token `abc`", "abc")),
    )
    .topic(Topic::Malformed)
    .reason(Reason::TokenMalformed)
    .needs(TOKEN),
    case(
        Group::A,
        "rule/before-101/not-a-jwt",
        Practice,
        "RFC 7519 §7.2",
        "A text that is no JWT is refused before the 101.",
        |p| Box::pin(raw(p, "the token `invalid_token_format`", "invalid_token_format")),
    )
    .topic(Topic::Malformed)
    .reason(Reason::TokenMalformed)
    .needs(TOKEN),
    case(
        Group::A,
        "rule/before-101/characters",
        Practice,
        "RFC 7515 §2",
        "Characters outside of base64url are refused before the 101.",
        |p| Box::pin(raw(p, "the token `!!!.$$$.###`", "!!!.$$$.###")),
    )
    .topic(Topic::Malformed)
    .reason(Reason::TokenMalformed)
    .needs(TOKEN),
    case(
        Group::A,
        "rule/before-101/long",
        Practice,
        "RFC 7519 §11",
        "A token of 10,000 letters is refused before the 101.",
        |p| Box::pin(long(p)),
    )
    .topic(Topic::Malformed)
    .reason(Reason::TokenTooLarge)
    .needs(TOKEN),
    case(
        Group::A,
        "rfc7515/5.2/signature",
        Must,
        "RFC 7515 §5.2 item 8",
        "A token with another signature is refused.",
        |p| Box::pin(signature(p)),
    )
    .topic(Topic::Verify)
    .reason(Reason::SignatureInvalid)
    .needs(TOKEN),
    case(
        Group::A,
        "rfc7515/5.2/payload",
        Must,
        "RFC 7515 §5.2 item 8",
        "A token whose claims were changed under the old signature is refused.",
        |p| Box::pin(payload(p)),
    )
    .topic(Topic::Verify)
    .reason(Reason::SignatureInvalid)
    .needs(TOKEN),
    case(
        Group::A,
        "rfc7515/5.2/no-signature",
        Must,
        "RFC 7515 §5.2",
        "A token whose signature was cut off is refused.",
        |p| Box::pin(no_signature(p)),
    )
    .topic(Topic::Verify)
    .reason(Reason::SignatureInvalid)
    .needs(TOKEN),
    case(
        Group::A,
        "rfc8725/3.2/alg-none",
        Must,
        "RFC 8725 §3.2; RFC 7518 §3.6",
        "`alg: none` is refused, in every spelling.",
        |p| Box::pin(alg_none(p)),
    )
    .topic(Topic::Algorithms)
    .reason(Reason::AlgorithmNotAllowed)
    .needs(TOKEN),
    case(
        Group::A,
        "rfc8725/3.1/alg-confusion",
        Must,
        "RFC 8725 §3.1",
        "Each key verifies the algorithm that was agreed on, and no other.",
        |p| Box::pin(confusion(p)),
    )
    .topic(Topic::Algorithms)
    .reason(Reason::AlgorithmNotAllowed)
    .needs(KEY),
    case(
        Group::A,
        "rfc8725/3.2/foreign-key",
        Must,
        "RFC 7515 §5.2 item 8",
        "A token that somebody else signed is refused.",
        |p| Box::pin(foreign_key(p)),
    )
    .topic(Topic::Verify)
    .reason(Reason::SignatureInvalid)
    .needs(TOKEN),
    case(
        Group::A,
        "rfc8725/3.5/known-secret",
        Practice,
        "RFC 8725 §3.5; RFC 7518 §3.2",
        "Tokens are not signed with a secret out of examples.",
        |p| Box::pin(known_secret(p)),
    )
    .topic(Topic::Secret)
    .reason(Reason::SignatureInvalid)
    .needs(TOKEN),
    case(
        Group::A,
        "rfc7519/4.1.4/expired",
        Must,
        "RFC 7519 §4.1.4",
        "A token that expired an hour ago is refused.",
        |p| Box::pin(minted(p, "expired an hour ago", json!({ "exp": now() - 3600, "iat": now() - 7200 }))),
    )
    .topic(Topic::Expiry)
    .reason(Reason::TokenExpired)
    .needs(KEY),
    case(
        Group::A,
        "rfc7519/4.1.5/not-yet-valid",
        Must,
        "RFC 7519 §4.1.5",
        "A token that is good from tomorrow on is refused.",
        |p| {
            Box::pin(minted(
                p,
                "good from tomorrow on",
                json!({ "nbf": now() + 86_400, "exp": now() + 90_000 }),
            ))
        },
    )
    .topic(Topic::Expiry)
    .reason(Reason::NotYetValid)
    .needs(KEY),
    case(
        Group::A,
        "rfc7519/4.1.3/audience",
        Must,
        "RFC 7519 §4.1.3; RFC 8725 §3.9",
        "A token for another audience is refused.",
        |p| Box::pin(claim(p, "aud", "somebody-else")),
    )
    .topic(Topic::Claims)
    .reason(Reason::AudienceMismatch)
    .needs(KEY),
    case(
        Group::A,
        "rfc8725/3.8/issuer",
        Must,
        "RFC 7519 §4.1.1; RFC 8725 §3.8",
        "A token of another issuer is refused.",
        |p| Box::pin(claim(p, "iss", "https://issuer.example")),
    )
    .topic(Topic::Claims)
    .reason(Reason::IssuerMismatch)
    .needs(KEY),
    case(
        Group::A,
        "rule/expiry-required",
        Practice,
        "RFC 8725 §3.10",
        "A token without `exp` is refused: it would be good for ever.",
        |p| Box::pin(minted(p, "without `exp`", json!({ "exp": null }))),
    )
    .topic(Topic::Expiry)
    .reason(Reason::ClaimMissing)
    .needs(KEY),
    // A MUST that several libraries in wide use leave out, and that the application cannot mend: counted as a SHOULD.
    case(
        Group::A,
        "rfc7515/4.1.11/crit",
        Should,
        "RFC 7515 §4.1.11",
        "A token that demands an extension nobody knows is refused.",
        |p| Box::pin(crit(p)),
    )
    .topic(Topic::Verify)
    .reason(Reason::TokenMalformed)
    .needs(KEY),
    // A MUST for resource servers, and of no use to browsers: counted as a SHOULD.
    case(
        Group::A,
        "rfc6750/2.1/header",
        Should,
        "RFC 6750 §2.1",
        "A program can send its token in `Authorization: Bearer`.",
        |p| Box::pin(header(p)),
    )
    .topic(Topic::Header)
    .reason(Reason::NoToken)
    .needs(TOKEN),
    case(
        Group::A,
        "rfc6750/2/two-credentials",
        Should,
        "RFC 6750 §2",
        "Two different credentials in one request are refused.",
        |p| Box::pin(two_credentials(p)),
    )
    .reason(Reason::AmbiguousCredentials)
    .needs(TOKEN),
    case(
        Group::A,
        "rfc6750/5.3/query",
        Practice,
        "RFC 6750 §2.3, §5.3",
        "A token in the query, where logs keep it, is not taken.",
        |p| Box::pin(query(p)),
    )
    .topic(Topic::Query)
    .reason(Reason::NoToken)
    .needs(TOKEN),
    case(
        Group::A,
        "rule/no-echo",
        Practice,
        "RFC 6455 §4.2.2 item 5.5; RFC 6750 §5.3",
        "A token is never sent back, neither as the selected subprotocol nor elsewhere.",
        |p| Box::pin(no_echo(p)),
    )
    .topic(Topic::Echo)
    .reason(Reason::NoCommonSubprotocol)
    .needs(TOKEN),
    case(
        Group::A,
        "rule/no-echo-refused",
        Practice,
        "RFC 6750 §5.3",
        "A refused token does not stand in the refusal.",
        |p| Box::pin(no_echo_refused(p)),
    )
    .topic(Topic::Echo)
    .reason(Reason::TokenMalformed)
    .needs(TOKEN),
    case(
        Group::A,
        "rule/no-bypass",
        Practice,
        "RFC 6455 §10.5",
        "No header and no parameter for tests opens the door, and no header that names a user.",
        |p| Box::pin(no_bypass(p)),
    )
    .topic(Topic::Bypass)
    .reason(Reason::NoToken)
    .needs(&[]),
];

async fn no_token(probe: &Probe) -> Found {
    let request = probe.without_token().unwrap_or_else(|_| probe.request());
    must_refuse(probe, "no token", &request).await
}

async fn raw(probe: &Probe, what: &str, text: &str) -> Found {
    must_refuse(probe, what, &probe.with_raw(text)?).await
}

async fn long(probe: &Probe) -> Found {
    let text = "a".repeat(10_000);
    match probe.attempt("a token of 10,000 letters", &probe.with_raw(&text)?).await? {
        // So long a head is refused by some parsers before anything looks at it, which is as good.
        Admission::Unanswered(End::Eof | End::Reset) => {
            Ok(Outcome::warn("a token of 10,000 letters: the connection was ended without an answer"))
        }
        admission => Ok(judge(probe, "a token of 10,000 letters", &admission)),
    }
}

async fn header(probe: &Probe) -> Found {
    let request = Form::Bearer.apply(probe.request(), &probe.token()?);
    let admission = probe.attempt("the token in `Authorization: Bearer`", &request).await?;
    Ok(if admission.is_admitted() {
        Outcome::pass("taken")
    } else {
        Outcome::fail(format!("a good token in `Authorization: Bearer`: {admission}"))
    })
}

async fn two_credentials(probe: &Probe) -> Found {
    let good = probe.baseline()?;
    let request = if good.form == Form::Bearer {
        let element = base64url::encode(probe.token()?.as_bytes());
        let other = altered(&probe.token()?, 2).map_or(element, |token| base64url::encode(token.as_bytes()));
        probe.good()?.set("Sec-WebSocket-Protocol", &format!("jwt-auth, jwt.{other}"))
    } else {
        let other = altered(&probe.token()?, 2).unwrap_or_else(|| "other".to_owned());
        probe.good()?.set("Authorization", &format!("Bearer {other}"))
    };
    Ok(match probe.answer("two different credentials", &request).await? {
        Ok(response) if response.status == 101 => {
            Outcome::fail("accepted: which of the two counts depends on who looks")
        }
        Ok(response) if response.is_client_error() => {
            Outcome::pass(format!("refused with {}", response.status))
        }
        Ok(response) => Outcome::fail(format!("answered with {}", response.status)),
        Err(end) => Outcome::fail(end.to_string()),
    })
}

async fn query(probe: &Probe) -> Found {
    let token = probe.token()?;
    let good = probe.baseline()?;
    if good.open {
        return Ok(Outcome::inconclusive("anybody is let in, with or without a token"));
    }
    for name in QUERY_NAMES {
        let request = probe.without_token()?.query(name, &token);
        let admission = probe.attempt(&format!("the token as `?{name}=`"), &request).await?;
        if admission.is_admitted() {
            let says = format!("a token in `?{name}=` is taken, and stands in every access log on the way");
            return Ok(match good.form {
                // It was asked for, or nothing else works.
                Form::Query { .. } => Outcome::warn(says),
                _ => Outcome::fail(says),
            });
        }
    }
    Ok(Outcome::pass(format!("not taken under {} usual names", QUERY_NAMES.len())))
}

async fn no_echo(probe: &Probe) -> Found {
    let token = probe.token()?;
    let good = probe.baseline()?;
    let mut requests = vec![("a good handshake", probe.good()?)];
    if let Some(element) = good.form.element(&token) {
        requests.push(("the token alone", probe.request().set("Sec-WebSocket-Protocol", &element)));
    }
    requests.push((
        "`jwt` and the token as two elements",
        probe.request().set("Sec-WebSocket-Protocol", &format!("jwt, {token}")),
    ));
    for (what, request) in requests {
        let admission = probe.attempt(what, &request).await?;
        let mut texts: Vec<String> = admission.texts().to_vec();
        match &admission {
            Admission::Refused(response) | Admission::Admitted { response, .. } => {
                texts.push(text_of(response));
            }
            Admission::Closed { reason, .. } => texts.push(reason.clone()),
            Admission::Dropped { .. } | Admission::Unanswered(_) => {}
        }
        let spellings = [token.clone(), base64url::encode(token.as_bytes())];
        if texts.iter().any(|text| spellings.iter().any(|token| text.contains(token))) {
            return Ok(Outcome::fail(format!("{what}: the answer has the token in it")).grave(Gravity::Open));
        }
    }
    Ok(Outcome::pass("in none of the answers"))
}

async fn no_echo_refused(probe: &Probe) -> Found {
    let secret = "portcullis-check-secret-that-must-not-come-back";
    let Admission::Refused(response) =
        probe.attempt("a token that is none", &probe.with_raw(secret)?).await?
    else {
        return Ok(Outcome::not_applicable("bad tokens are not refused over HTTP here"));
    };
    Ok(if text_of(&response).contains(secret) {
        Outcome::fail("the refusal repeats the token")
    } else {
        Outcome::pass("the refusal does not repeat the token")
    })
}

/// The cookies that a page of another site would make a browser send along.
pub(super) fn cookies(token: &str) -> String {
    COOKIE_NAMES.iter().map(|name| format!("{name}={token}")).collect::<Vec<_>>().join("; ")
}
