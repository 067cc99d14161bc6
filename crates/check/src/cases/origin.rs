//! O: origin.

use portcullis_reason::Reason;

use super::{
    authentication::cookies,
    judge::{must_upgrade, worst},
};
use crate::{
    admission::Admission,
    case::{Case, Group, Level, Need, case},
    form::Form,
    outcome::{Found, Gravity, Outcome},
    probe::Probe,
    request::Request,
};

use Level::{Practice, Should};

pub(super) const CASES: &[Case] = &[
    case(
        Group::O,
        "rfc6455/10.2/foreign-origin",
        Practice,
        "RFC 6455 §4.2.2 item 4, §10.2",
        "A page of another site is refused, whatever token it has.",
        |p| Box::pin(foreign(p, "https://portcullis-check.example")),
    ),
    case(
        Group::O,
        "rfc6455/10.2/null-origin",
        Practice,
        "RFC 6455 §10.2; RFC 6454 §7",
        "The origin `null` of sandboxed frames and files is refused.",
        |p| Box::pin(foreign(p, "null")),
    ),
    case(
        Group::O,
        "rule/look-alike-origin",
        Practice,
        "RFC 6454 §5",
        "An origin that only looks like the server's own is refused.",
        |p| Box::pin(look_alike(p)),
    ),
    case(Group::O, "rule/own-origin", Practice, "RFC 6455 §10.2", "The server's own page is let in.", |p| {
        Box::pin(own(p))
    }),
    case(
        Group::O,
        "rule/no-origin",
        Should,
        "RFC 6455 §4.2.1 item 8",
        "A program, which sends no Origin, is let in.",
        |p| Box::pin(absent(p)),
    ),
    case(
        Group::O,
        "rule/origin-first",
        Should,
        "RFC 6455 §4.2.2 item 4",
        "A page of another site learns nothing about its token: the origin is judged first.",
        |p| Box::pin(origin_first(p)),
    )
    .needs(&[Need::Good, Need::Token]),
    case(
        Group::O,
        "rule/cross-site-hijacking",
        Practice,
        "RFC 6455 §10.2",
        "The cookies that a browser sends along do not let in a page of another site.",
        |p| Box::pin(hijacking(p)),
    )
    .needs(&[Need::Good, Need::Token]),
];

async fn foreign(probe: &Probe, origin: &str) -> Found {
    refuse_origin(probe, origin, &probe.good()?.set("Origin", origin)).await
}

async fn refuse_origin(probe: &Probe, origin: &str, request: &Request) -> Found {
    let what = format!("Origin: {origin}");
    let admission = probe.attempt(&what, request).await?;
    Ok(match &admission {
        Admission::Refused(response) if response.is_client_error() => {
            Outcome::pass(format!("{what}: refused with {}", response.status))
        }
        Admission::Refused(response) if response.status >= 500 => {
            Outcome::fail(format!("{what}: {}, a server's fault", response.status)).because(Reason::Internal)
        }
        Admission::Refused(response) => Outcome::warn(format!("{what}: answered with {}", response.status)),
        Admission::Admitted { .. } => Outcome::fail(format!("{what}: {admission}")),
        Admission::Closed { .. } | Admission::Dropped { .. } => {
            Outcome::fail(format!("{what}: {admission}")).grave(Gravity::Late)
        }
        Admission::Unanswered(end) => Outcome::warn(format!("{what}: {end}")),
    })
}

async fn look_alike(probe: &Probe) -> Found {
    let own = probe.shared.origin.clone().unwrap_or_else(|| probe.shared.target.origin());
    let (scheme, authority) = own.split_once("://").unwrap_or(("https", own.as_str()));
    let mut outcomes = Vec::new();
    for origin in [
        format!("{scheme}://{authority}.portcullis-check.example"),
        format!("{scheme}://portcullis-check-{authority}"),
        format!("https://portcullis-check.example/{authority}"),
    ] {
        // A port in the middle of a name would be refused for its form.
        let origin = if authority.contains(':') && origin.ends_with(".example") {
            let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
            format!("{scheme}://{host}.portcullis-check.example:{port}")
        } else {
            origin
        };
        outcomes.push(foreign(probe, &origin).await?);
    }
    Ok(worst(outcomes))
}

async fn own(probe: &Probe) -> Found {
    let origin = probe.shared.origin.clone().unwrap_or_else(|| probe.shared.target.origin());
    must_upgrade(probe, &format!("Origin: {origin}"), &probe.good()?.set("Origin", &origin)).await
}

async fn absent(probe: &Probe) -> Found {
    must_upgrade(probe, "no Origin", &probe.good()?.without("Origin")).await
}

async fn origin_first(probe: &Probe) -> Found {
    let foreign = "https://portcullis-check.example";
    let bad = probe.with_raw("abc")?.set("Origin", foreign);
    let good = probe.good()?.set("Origin", foreign);
    let (bad, good) = (probe.answer("a bad token", &bad).await?, probe.answer("a good token", &good).await?);
    Ok(match (bad, good) {
        (Ok(bad), Ok(good)) if good.status == 101 => {
            Outcome::not_applicable(format!("foreign origins are let in (a bad token: {})", bad.status))
        }
        (Ok(bad), Ok(good)) if bad.status == good.status => {
            Outcome::pass(format!("{} with a good token and with a bad one", good.status))
        }
        (Ok(bad), Ok(good)) => Outcome::fail(format!(
            "a page of another site can tell a good token ({}) from a bad one ({})",
            good.status, bad.status
        )),
        _ => Outcome::inconclusive("one of both was not answered"),
    })
}

async fn hijacking(probe: &Probe) -> Found {
    let good = probe.baseline()?;
    if good.open {
        return Ok(Outcome::inconclusive("anybody is let in, with or without a cookie"));
    }
    let token = probe.token()?;
    let cookie = match &good.form {
        Form::Cookie { name } => format!("{name}={token}"),
        _ => cookies(&token),
    };
    let request = probe.request().set("Origin", "https://portcullis-check.example").add("Cookie", &cookie);
    let admission = probe.attempt("a page of another site, with the user's cookies", &request).await?;
    Ok(if admission.is_admitted() {
        Outcome::fail("a page of another site is let in by the user's cookies, and acts in their name")
            .grave(Gravity::Open)
    } else {
        Outcome::pass(format!("cookies alone, from another site: {admission}"))
    })
}
