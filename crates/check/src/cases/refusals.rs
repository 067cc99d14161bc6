//! E: quality of refusals.

use portcullis_dial::Response;
use portcullis_reason::Reason;
use portcullis_units::random;
use serde_json::{Value, json};

use super::{
    challenge::parse,
    mistakes::{never_5xx, never_1011, no_internals},
};
use crate::{
    admission::Admission,
    case::{Case, Group, Level, Need, OptIn, case},
    evidence::printable,
    mint::{altered, now},
    outcome::{Found, Outcome, Verdict},
    probe::Probe,
    remedy::Topic,
    request::Request,
};

use Level::{Must, Practice, Should};

const TOKEN: &[Need] = &[Need::Good, Need::Token];

pub(super) const CASES: &[Case] = &[
    case(
        Group::E,
        "rfc9110/15.5.2/status",
        Should,
        "RFC 9110 §15.5.2",
        "A handshake without a token is answered with 401.",
        |p| Box::pin(status(p)),
    )
    .reason(Reason::NoToken)
    .needs(&[]),
    case(
        Group::E,
        "rfc9110/11.6.1/challenge",
        Must,
        "RFC 9110 §11.6.1, §15.5.2",
        "A 401 carries WWW-Authenticate.",
        |p| Box::pin(challenge(p)),
    )
    .reason(Reason::NoToken)
    .needs(&[]),
    case(
        Group::E,
        "rfc6750/3/scheme",
        Should,
        "RFC 6750 §3",
        "The challenge is of the scheme Bearer.",
        |p| Box::pin(scheme(p)),
    )
    .reason(Reason::NoToken)
    .needs(&[]),
    case(
        Group::E,
        "rfc6750/3.1/no-error",
        Should,
        "RFC 6750 §3.1",
        "A request without a token is given no `error`: nothing is wrong with what was not sent.",
        |p| Box::pin(no_error(p)),
    )
    .reason(Reason::NoToken)
    .needs(&[]),
    case(
        Group::E,
        "rfc6750/3.1/invalid-token",
        Should,
        "RFC 6750 §3.1",
        "A bad token is answered with 401 and `error=\"invalid_token\"`.",
        |p| Box::pin(invalid_token(p)),
    )
    .reason(Reason::SignatureInvalid)
    .needs(TOKEN),
    case(
        Group::E,
        "rfc6750/3/parameters",
        Must,
        "RFC 6750 §3",
        "Each parameter of a challenge stands in it once.",
        |p| Box::pin(parameters(p)),
    )
    .reason(Reason::TokenMalformed)
    .needs(TOKEN),
    case(
        Group::E,
        "rule/never-5xx",
        Practice,
        "RFC 9110 §15.6",
        "No mistake of a client is answered with 5xx.",
        |p| Box::pin(never_5xx(p)),
    )
    .topic(Topic::Malformed)
    .reason(Reason::Internal)
    .needs(TOKEN),
    case(
        Group::E,
        "rule/never-1011",
        Practice,
        "RFC 6455 §7.4.1",
        "No mistake of a client ends in 1011, the code for a server's own fault.",
        |p| Box::pin(never_1011(p)),
    )
    .topic(Topic::Malformed)
    .reason(Reason::Internal)
    .needs(TOKEN),
    case(
        Group::E,
        "rule/no-oracle",
        Practice,
        "RFC 8725 §3.2; RFC 6750 §5.2",
        "From outside, an unknown key and a bad signature look alike.",
        |p| Box::pin(no_oracle(p)),
    )
    .topic(Topic::Oracle)
    .reason(Reason::SignatureInvalid)
    .needs(TOKEN),
    case(
        Group::E,
        "rule/claims-unseen",
        Practice,
        "RFC 8725 §3.10",
        "Nothing of a token's claims is told before its signature was verified.",
        |p| Box::pin(claims_unseen(p)),
    )
    .topic(Topic::Oracle)
    .reason(Reason::SignatureInvalid)
    .needs(TOKEN),
    case(
        Group::E,
        "rfc9457/3/problem",
        Must,
        "RFC 9457 §3",
        "A problem document is one JSON object whose status is the response's.",
        |p| Box::pin(problem(p)),
    )
    .reason(Reason::NoToken)
    .needs(&[]),
    case(Group::E, "rule/says-why", Should, "RFC 9110 §15.5", "A refusal says why in its body.", |p| {
        Box::pin(says_why(p))
    })
    .reason(Reason::NoToken)
    .needs(&[]),
    case(
        Group::E,
        "rule/no-internals",
        Practice,
        "RFC 9457 §5",
        "No refusal shows the inside of the server: traces, paths, names of modules.",
        |p| Box::pin(no_internals(p)),
    )
    .topic(Topic::Oracle)
    .reason(Reason::Internal)
    .needs(TOKEN),
    case(
        Group::E,
        "rfc9111/5.2/no-store",
        Should,
        "RFC 9111 §5.2.2.5; RFC 6585 §5",
        "A refusal must not be stored: `Cache-Control: no-store`.",
        |p| Box::pin(no_store(p)),
    )
    .reason(Reason::NoToken)
    .needs(&[]),
    case(Group::E, "rfc9110/15.5.6/allow", Must, "RFC 9110 §15.5.6", "A 405 carries Allow.", |p| {
        Box::pin(allow(p))
    })
    .topic(Topic::Handshake)
    .reason(Reason::MethodNotAllowed),
    case(Group::E, "rfc9110/15.5.22/upgrade", Must, "RFC 9110 §15.5.22", "A 426 carries Upgrade.", |p| {
        Box::pin(upgrade_field(p))
    })
    .topic(Topic::Handshake)
    .reason(Reason::UnsupportedVersion),
    case(
        Group::E,
        "rfc6585/4/limits",
        Should,
        "RFC 6585 §4; RFC 9110 §10.2.3",
        "Guessing is slowed down: after hundreds of bad attempts there is a 429 with Retry-After.",
        |p| Box::pin(limits(p)),
    )
    .topic(Topic::Limits)
    .reason(Reason::RateLimited)
    .needs(TOKEN)
    .opt_in(OptIn::Flood),
];

/// The refusal of a handshake without a token.
async fn refusal(probe: &Probe) -> Result<Response, Outcome> {
    let request = probe.without_token().unwrap_or_else(|_| probe.request());
    over_http(probe, "no token", &request).await
}

/// The refusal of a token with a bad signature, or of a text where the token is no JWT.
async fn bad_token(probe: &Probe) -> Result<Response, Outcome> {
    let token = altered(&probe.token()?, 2).unwrap_or_else(|| "portcullis.check.bad".to_owned());
    over_http(probe, "a bad signature", &probe.with_token(&token)?).await
}

async fn over_http(probe: &Probe, what: &str, request: &Request) -> Result<Response, Outcome> {
    match probe.attempt(what, request).await? {
        Admission::Refused(response) => Ok(response),
        Admission::Unanswered(end) => Err(Outcome::fail(format!("{what}: {end}"))),
        // Group A says how bad that is.
        other => {
            Err(Outcome::not_applicable(format!("{what}: {other}, so that there is no refusal to look at")))
        }
    }
}

async fn status(probe: &Probe) -> Found {
    let response = match refusal(probe).await {
        Ok(response) => response,
        // The others of this group have nothing to look at then; this one says so.
        Err(outcome) if outcome.verdict == Verdict::NotApplicable => return Ok(Outcome::fail(outcome.says)),
        Err(outcome) => return Err(outcome),
    };
    Ok(match response.status {
        401 => Outcome::pass("401"),
        403 => Outcome::fail(
            "403, which stands for a user who may not, and not for one who did not say who they are: \
             a framework that is closed before it accepts answers so",
        ),
        status @ 500.. => {
            Outcome::fail(format!("{status}, though the mistake is the client's")).because(Reason::Internal)
        }
        status => Outcome::fail(format!("{status}")),
    })
}

/// The refusal, where it is a 401.
async fn unauthorized(probe: &Probe) -> Result<Response, Outcome> {
    let response = refusal(probe).await?;
    if response.status == 401 {
        Ok(response)
    } else {
        Err(Outcome::not_applicable(format!("the refusal is a {}, not a 401", response.status)))
    }
}

async fn challenge(probe: &Probe) -> Found {
    Ok(match unauthorized(probe).await?.field("WWW-Authenticate") {
        Some(value) => Outcome::pass(format!("`{value}`")),
        None => Outcome::fail("a 401 without WWW-Authenticate"),
    })
}

async fn scheme(probe: &Probe) -> Found {
    let response = unauthorized(probe).await?;
    let Some(value) = response.field("WWW-Authenticate") else {
        return Ok(Outcome::not_applicable("there is no challenge"));
    };
    let mut schemes = response.values("WWW-Authenticate").filter_map(|value| value.split_whitespace().next());
    Ok(if schemes.any(|scheme| scheme.eq_ignore_ascii_case("Bearer")) {
        Outcome::pass("Bearer")
    } else {
        Outcome::fail(format!("`{value}`"))
    })
}

async fn no_error(probe: &Probe) -> Found {
    let response = unauthorized(probe).await?;
    let Some(value) = response.field("WWW-Authenticate") else {
        return Ok(Outcome::not_applicable("there is no challenge"));
    };
    Ok(match parse(value).iter().find(|(name, _)| name == "error") {
        Some((_, error)) => Outcome::fail(format!("`error=\"{error}\"` though there was no token")),
        None => Outcome::pass("no `error`"),
    })
}

async fn invalid_token(probe: &Probe) -> Found {
    let response = bad_token(probe).await?;
    if response.status != 401 {
        return Ok(Outcome::fail(format!("a bad token is answered with {}", response.status)));
    }
    let parameters = response.field("WWW-Authenticate").map(parse).unwrap_or_default();
    Ok(match parameters.iter().find(|(name, _)| name == "error") {
        Some((_, error)) if error == "invalid_token" => Outcome::pass("401, `error=\"invalid_token\"`"),
        Some((_, error)) => Outcome::fail(format!("401, `error=\"{error}\"`")),
        None => Outcome::fail("401 without `error`: a client cannot tell a bad token from a missing one"),
    })
}

async fn parameters(probe: &Probe) -> Found {
    let response = bad_token(probe).await?;
    let Some(value) = response.field("WWW-Authenticate") else {
        return Ok(Outcome::not_applicable("there is no challenge"));
    };
    let parameters = parse(value);
    for (name, text) in &parameters {
        if parameters.iter().filter(|(other, _)| other == name).count() > 1 {
            return Ok(Outcome::fail(format!("`{name}` stands twice in `{value}`")));
        }
        if text.chars().any(|c| !c.is_ascii() || c.is_ascii_control()) {
            return Ok(Outcome::fail(format!("`{name}` has characters that must not be there")));
        }
    }
    Ok(Outcome::pass(format!("{} parameters", parameters.len())))
}

/// What two refusals are compared by: status, challenge and body, without what differs each time.
fn look(response: &Response) -> (u16, Option<String>, String) {
    let body = match serde_json::from_slice::<Value>(&response.body) {
        Ok(Value::Object(mut members)) => {
            for changing in ["request_id", "requestId", "id", "instance", "timestamp", "trace_id", "traceId"]
            {
                members.remove(changing);
            }
            json!(members).to_string()
        }
        _ => printable(&response.body),
    };
    (response.status, response.field("WWW-Authenticate").map(ToOwned::to_owned), body)
}

async fn no_oracle(probe: &Probe) -> Found {
    let bad = bad_token(probe).await?;
    let unknown = probe.mint().forged(&json!({ "kid": "portcullis-check-no-such-key" }), |_| vec![7; 32]);
    let unknown = over_http(probe, "an unknown key", &probe.with_token(&unknown)?).await?;
    let (bad, unknown) = (look(&bad), look(&unknown));
    Ok(if bad == unknown {
        Outcome::pass(format!("both are {} with the same words", bad.0))
    } else {
        Outcome::fail("the answers differ: strangers can find out which keys there are")
    })
}

async fn claims_unseen(probe: &Probe) -> Found {
    let changes = json!({ "exp": now() - 3600, "iat": now() - 7200 });
    let expired = probe.mint().with_secret(&random::bytes::<32>(), &changes);
    let fresh = probe.mint().with_secret(&random::bytes::<32>(), &Value::Null);
    let expired =
        over_http(probe, "expired and signed by somebody else", &probe.with_token(&expired)?).await?;
    let fresh = over_http(probe, "signed by somebody else", &probe.with_token(&fresh)?).await?;
    Ok(if look(&expired) == look(&fresh) {
        Outcome::pass("an expired token of somebody else's looks like any other of theirs")
    } else {
        Outcome::fail("claims are judged before the signature: the answers differ")
    })
}

async fn problem(probe: &Probe) -> Found {
    let response = refusal(probe).await?;
    let kind = response.field("Content-Type").unwrap_or_default().to_ascii_lowercase();
    let Ok(json) = serde_json::from_slice::<Value>(&response.body) else {
        return Ok(if kind.starts_with("application/problem+json") {
            Outcome::fail("application/problem+json whose body is not JSON")
        } else {
            Outcome::not_applicable("refusals are no problem documents here")
        });
    };
    if !kind.starts_with("application/problem+json") {
        return Ok(if json.get("status").is_some() && json.get("title").is_some() {
            Outcome::warn(format!("a problem document under `{kind}`"))
        } else {
            Outcome::not_applicable("refusals are no problem documents here")
        });
    }
    Ok(match json.get("status") {
        Some(status) if status.as_u64() != Some(u64::from(response.status)) => {
            Outcome::fail(format!("the document says {status}, the response {}", response.status))
        }
        _ if !json.is_object() => Outcome::fail("the document is no object"),
        _ => Outcome::pass("the document's status is the response's"),
    })
}

async fn says_why(probe: &Probe) -> Found {
    let response = refusal(probe).await?;
    let body = printable(&response.body);
    let words = body.trim();
    // The name of the status says nothing that the status does not say.
    let empty = ["", "forbidden", "unauthorized", "bad request", "invalid token"];
    Ok(if empty.contains(&words.to_ascii_lowercase().as_str()) {
        Outcome::fail("the refusal says no more than its status: a client cannot tell what to change")
    } else {
        Outcome::pass(format!("{} bytes of explanation", response.body.len()))
    })
}

async fn no_store(probe: &Probe) -> Found {
    let response = refusal(probe).await?;
    let mut directives = response.values("Cache-Control").flat_map(|line| line.split(','));
    Ok(if directives.any(|directive| directive.trim().eq_ignore_ascii_case("no-store")) {
        Outcome::pass("`Cache-Control: no-store`")
    } else {
        Outcome::fail("the refusal has no `Cache-Control: no-store`")
    })
}

async fn allow(probe: &Probe) -> Found {
    let request = probe.good()?.method("POST").add("Content-Length", "0");
    Ok(match probe.answer("POST", &request).await? {
        Ok(response) if response.status == 405 => match response.field("Allow") {
            Some(methods) => Outcome::pass(format!("`Allow: {methods}`")),
            None => Outcome::fail("a 405 without Allow"),
        },
        Ok(response) => Outcome::not_applicable(format!("POST is answered with {}", response.status)),
        Err(end) => Outcome::not_applicable(format!("POST: {end}")),
    })
}

async fn upgrade_field(probe: &Probe) -> Found {
    let request = probe.good()?.set("Sec-WebSocket-Version", "8");
    Ok(match probe.answer("version 8", &request).await? {
        Ok(response) if response.status == 426 => match response.field("Upgrade") {
            Some(value) if value.eq_ignore_ascii_case("websocket") => Outcome::pass("`Upgrade: websocket`"),
            _ => Outcome::fail("a 426 without `Upgrade: websocket`"),
        },
        Ok(response) => Outcome::not_applicable(format!("version 8 is answered with {}", response.status)),
        Err(end) => Outcome::not_applicable(format!("version 8: {end}")),
    })
}

async fn limits(probe: &Probe) -> Found {
    use futures_util::StreamExt as _;
    let attempts = (0..ATTEMPTS).map(|n| async move {
        let request = probe.with_raw(&format!("portcullis.check.guess{n}"))?;
        let mut peer = probe.connect("a guess").await?;
        peer.send(&request.bytes()).await;
        Ok::<_, Outcome>(peer.response(probe.times().timeout).await)
    });
    let mut answers = futures_util::stream::iter(attempts).buffered(8);
    let mut count = 0;
    while let Some(answer) = answers.next().await {
        count += 1;
        match answer? {
            Ok(response) if response.status == 429 || response.status == 503 => {
                return Ok(match response.field("Retry-After") {
                    Some(after) => Outcome::pass(format!(
                        "{} after {count} attempts, `Retry-After: {after}`",
                        response.status
                    )),
                    None => Outcome::fail(format!("{} without Retry-After", response.status)),
                });
            }
            // Dropping connections is a limit as well, without a word.
            Err(_) => return Ok(Outcome::warn(format!("connections are dropped after {count} attempts"))),
            Ok(_) => {}
        }
    }
    Ok(Outcome::fail(format!("{ATTEMPTS} bad attempts in a row, and each was looked at")))
}

const ATTEMPTS: usize = 600;
