//! Doors for tests that were left open.

use crate::{
    outcome::{Found, Gravity, Outcome},
    probe::Probe,
    request::Request,
};

/// Tries them all at once, and one by one if one of them opens.
pub(super) async fn no_bypass(probe: &Probe) -> Found {
    let plain = || probe.without_token().unwrap_or_else(|_| probe.request());
    if probe.attempt("no token", &plain()).await?.is_admitted() {
        return Ok(Outcome::inconclusive("anybody is let in, so that no bypass is needed"));
    }
    let headers =
        |request: Request| BYPASS_HEADERS.iter().fold(request, |r, (name, value)| r.add(name, value));
    let parameters =
        |request: Request| BYPASS_PARAMETERS.iter().fold(request, |r, (name, value)| r.query(name, value));
    let cookies = BYPASS_COOKIES.join("; ");
    let tries = [
        ("headers", headers(plain())),
        ("parameters", parameters(plain())),
        ("cookies", plain().add("Cookie", &cookies)),
    ];
    for (what, request) in tries {
        if !probe.attempt(&format!("{what} for tests, all at once"), &request).await?.is_admitted() {
            continue;
        }
        let mut culprit = format!("one of the {what} for tests");
        let single: Vec<(&str, Request)> = match what {
            "headers" => {
                BYPASS_HEADERS.iter().map(|(name, value)| (*name, plain().add(name, value))).collect()
            }
            "parameters" => {
                BYPASS_PARAMETERS.iter().map(|(name, value)| (*name, plain().query(name, value))).collect()
            }
            _ => BYPASS_COOKIES.iter().map(|cookie| (*cookie, plain().add("Cookie", cookie))).collect(),
        };
        for (name, request) in single {
            if probe.attempt(&format!("`{name}` alone"), &request).await?.is_admitted() {
                culprit = format!("`{name}`");
                break;
            }
        }
        return Ok(Outcome::fail(format!("{culprit} lets in whoever has no token")).grave(Gravity::Open));
    }
    Ok(Outcome::pass(format!(
        "{} headers, {} parameters and {} cookies open nothing",
        BYPASS_HEADERS.len(),
        BYPASS_PARAMETERS.len(),
        BYPASS_COOKIES.len()
    )))
}

const BYPASS_HEADERS: &[(&str, &str)] = &[
    ("X-Test-Mode", "1"),
    ("X-Testing", "true"),
    ("X-Test", "1"),
    ("X-E2E-Bypass", "true"),
    ("X-E2E-Test", "1"),
    ("X-Bypass-Auth", "true"),
    ("X-Skip-Auth", "true"),
    ("X-Debug", "1"),
    ("X-Environment", "staging"),
    ("X-Internal", "true"),
    ("X-User-Id", "admin"),
    ("X-User", "admin"),
    ("X-Forwarded-User", "admin"),
    ("X-Authenticated-User", "admin"),
    ("X-Remote-User", "admin"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Real-IP", "127.0.0.1"),
    ("X-Original-URL", "/health"),
];

const BYPASS_PARAMETERS: &[(&str, &str)] = &[
    ("test", "1"),
    ("testing", "true"),
    ("e2e", "1"),
    ("debug", "1"),
    ("bypass", "true"),
    ("skip_auth", "true"),
    ("no_auth", "1"),
    ("env", "staging"),
    ("user_id", "admin"),
    ("user", "admin"),
    ("demo", "1"),
];

const BYPASS_COOKIES: &[&str] = &["test=1", "testing=true", "e2e=1", "debug=1", "admin=true", "user=admin"];
