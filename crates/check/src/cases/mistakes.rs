//! Mistakes of clients, and what a server makes of them.

use crate::{
    admission::Admission,
    outcome::{Found, Outcome},
    probe::Probe,
    request::Request,
    response::text_of,
};

/// What clients send that are broken, old or curious.
fn mistakes(probe: &Probe) -> Result<Vec<(&'static str, Request)>, Outcome> {
    let protocols = |value: &str| probe.request().set("Sec-WebSocket-Protocol", value);
    Ok(vec![
        ("no token", probe.without_token()?),
        ("an empty token", probe.with_raw("")?),
        ("a short token", probe.with_raw("abc")?),
        ("a text that is no token", probe.with_raw("invalid_token_format")?),
        ("characters outside of base64url", probe.with_raw("!!!.$$$.###")?),
        ("three parts of nothing", probe.with_raw("..")?),
        ("base64 of no JSON", probe.with_raw("AAAA.AAAA.AAAA")?),
        ("several tokens", protocols("jwt.token1, jwt.token2, jwt.token3")),
        ("only another protocol", protocols("other-protocol")),
        ("`jwt.` alone", protocols("jwt.")),
        ("`jwt.abc`", protocols("jwt.abc")),
        ("`jwt, abc`", protocols("jwt, abc")),
        ("`Bearer` without a token", probe.request().set("Authorization", "Bearer")),
        ("another scheme", probe.request().set("Authorization", "Basic YTpi")),
    ])
}

pub(super) async fn never_5xx(probe: &Probe) -> Found {
    for (what, request) in mistakes(probe)? {
        if let Ok(response) = probe.answer(what, &request).await?
            && response.status >= 500
        {
            return Ok(Outcome::fail(format!("{what}: {}", response.status)));
        }
    }
    Ok(Outcome::pass("fourteen mistakes, no 5xx"))
}

pub(super) async fn never_1011(probe: &Probe) -> Found {
    let mut accepted = 0;
    for (what, request) in mistakes(probe)? {
        let admission = probe.attempt(what, &request).await?;
        match &admission {
            Admission::Closed { code: Some(1011), .. } => {
                return Ok(Outcome::fail(format!("{what}: {admission}")));
            }
            Admission::Closed { .. } | Admission::Dropped { .. } | Admission::Admitted { .. } => {
                accepted += 1;
            }
            Admission::Refused(_) | Admission::Unanswered(_) => {}
        }
    }
    Ok(Outcome::pass(if accepted == 0 {
        "fourteen mistakes, all refused over HTTP".to_owned()
    } else {
        format!("fourteen mistakes, {accepted} of them accepted first, no 1011")
    }))
}

pub(super) async fn no_internals(probe: &Probe) -> Found {
    for (what, request) in mistakes(probe)? {
        let Ok(response) = probe.answer(what, &request).await? else { continue };
        let text = text_of(&response);
        if response.status == 101 {
            continue;
        }
        if let Some(sign) = INTERNALS.iter().find(|sign| text.contains(**sign)) {
            return Ok(Outcome::fail(format!("{what}: the refusal has `{sign}` in it")));
        }
    }
    Ok(Outcome::pass("no traces, paths or names of modules"))
}

const INTERNALS: &[&str] = &[
    "Traceback (most recent call last)",
    ".py\", line",
    "site-packages",
    "node_modules",
    "at Object.",
    "at process.",
    "java.lang.",
    "org.springframework",
    "goroutine ",
    "panicked at",
    "/home/",
    "/usr/src/",
    "/app/",
    "ValueError",
    "JsonWebTokenError",
    "jwt.exceptions",
];
