//! N: negotiation of the subprotocol.

use portcullis_dial::Response;
use portcullis_reason::Reason;

use super::judge::judge;
use crate::{
    admission::Admission,
    case::{Case, Group, Level, Need, case},
    form::Form,
    outcome::{Found, Outcome},
    probe::Probe,
    request::Request,
};

use Level::{Must, Practice, Should};

const TOKEN: &[Need] = &[Need::Good, Need::Token];

pub(super) const CASES: &[Case] = &[
    case(
        Group::N,
        "rfc6455/4.2.2/selected-was-offered",
        Must,
        "RFC 6455 §4.2.2 item 5.5",
        "A selected subprotocol is one that the client offered.",
        |p| Box::pin(selected_was_offered(p)),
    ),
    case(
        Group::N,
        "rfc6455/11.3.4/one-selected",
        Must,
        "RFC 6455 §11.3.4",
        "At most one subprotocol is selected, in one line.",
        |p| Box::pin(one_selected(p)),
    ),
    case(
        Group::N,
        "rfc6455/4.2.2/none-without-offer",
        Must,
        "RFC 6455 §4.2.2 item 5.5",
        "A client that offers no subprotocol gets none.",
        |p| Box::pin(none_without_offer(p)),
    ),
    case(
        Group::N,
        "rfc6455/11.3.4/several-lines",
        Must,
        "RFC 6455 §11.3.4; RFC 9110 §5.3",
        "Subprotocols over several lines are read as one list.",
        |p| Box::pin(several_lines(p)),
    ),
    case(
        Group::N,
        "rfc6455/4.1/case",
        Must,
        "RFC 6455 §4.1, §11.3.4",
        "Names of subprotocols are compared letter by letter.",
        |p| Box::pin(letter_case(p)),
    ),
    case(
        Group::N,
        "rule/browser-gets-a-name",
        Practice,
        "RFC 6455 §4.1",
        "A browser that offers a plain name beside its token gets that name: \
         without one it gives up with 1006.",
        |p| Box::pin(browser_gets_a_name(p)),
    )
    .needs(TOKEN),
    case(
        Group::N,
        "rule/unknown-names",
        Should,
        "RFC 6455 §4.2.2 item 5.5",
        "Where no offered name is spoken, the handshake is refused: a browser would fail without a \
         word.",
        |p| Box::pin(unknown_names(p)),
    ),
    case(
        Group::N,
        "rule/two-element",
        Practice,
        "RFC 6455 §11.3.4",
        "`jwt, <token>` of older clients is either taken or refused before the 101, and the token \
         never selected.",
        |p| Box::pin(two_element(p)),
    )
    .reason(Reason::ProtocolMismatch)
    .needs(TOKEN),
    case(
        Group::N,
        "rfc6455/11.3.4/odd-lists",
        Practice,
        "RFC 6455 §11.3.4; RFC 9110 §5.6.1",
        "Empty, repeated and ill-formed names do not upset a server.",
        |p| Box::pin(odd_lists(p)),
    )
    .reason(Reason::BadUpgrade),
];

/// The names that the 101 selects.
fn selected(response: &Response) -> Vec<String> {
    response.values("Sec-WebSocket-Protocol").map(ToOwned::to_owned).collect()
}

fn names(offered: &str, probe: &Probe) -> Result<Request, Outcome> {
    let good = probe.good()?;
    let list = good.offered().join(", ");
    Ok(good.set(
        "Sec-WebSocket-Protocol",
        &if list.is_empty() { offered.to_owned() } else { format!("{list}, {offered}") },
    ))
}

async fn selected_was_offered(probe: &Probe) -> Found {
    let requests = [
        ("a good handshake", probe.good()?),
        ("an unknown name beside it", names("x-portcullis-check", probe)?),
    ];
    let mut seen = Vec::new();
    for (what, request) in requests {
        let offered: Vec<String> = request.offered().iter().map(|name| (*name).to_owned()).collect();
        match probe.answer(what, &request).await? {
            Ok(response) if response.status == 101 => {
                for name in selected(&response) {
                    if !offered.contains(&name) {
                        return Ok(Outcome::fail(format!(
                            "{what}: `{name}` selected, which was not offered"
                        )));
                    }
                    seen.push(name);
                }
            }
            // Refusing is another case's matter.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(Outcome::pass(if seen.is_empty() {
        "none selected".to_owned()
    } else {
        format!("selected: {}", seen.join(", "))
    }))
}

async fn one_selected(probe: &Probe) -> Found {
    let request = names("x-portcullis-check", probe)?;
    let response = match probe.answer("several names", &request).await? {
        Ok(response) if response.status == 101 => response,
        Ok(response) => {
            let says = format!("a name that nobody speaks is refused with {}", response.status);
            return Ok(Outcome::not_applicable(says));
        }
        Err(end) => return Ok(Outcome::inconclusive(end.to_string())),
    };
    let lines = selected(&response);
    Ok(if lines.len() > 1 || lines.iter().any(|line| line.contains(',')) {
        Outcome::fail(format!("several are selected: {}", lines.join(" | ")))
    } else {
        Outcome::pass(lines.first().map_or_else(|| "none".to_owned(), |name| format!("`{name}` alone")))
    })
}

/// An upgrade that offers no subprotocol.
fn unnamed(probe: &Probe) -> Request {
    probe.request().without("Sec-WebSocket-Protocol")
}

async fn none_without_offer(probe: &Probe) -> Found {
    let good = probe.baseline()?;
    let token = probe.mint().good();
    let form = good.forms.iter().find(|form| !form.offers_protocols());
    let request = match (form, token) {
        (Some(form), Some(token)) => form.apply(unnamed(probe), &token),
        (None, None) => unnamed(probe),
        _ if good.open => unnamed(probe),
        _ => return Ok(Outcome::not_applicable("the token stands among the subprotocols, and nowhere else")),
    };
    let (_, response) = probe.open("no subprotocol offered", &request).await?;
    Ok(match selected(&response).first() {
        Some(name) => Outcome::fail(format!("`{name}` selected, though nothing was offered")),
        None => Outcome::pass("none selected"),
    })
}

async fn several_lines(probe: &Probe) -> Found {
    let good = probe.good()?;
    let offered: Vec<String> = good.offered().iter().map(|name| (*name).to_owned()).collect();
    let extra = ["x-portcullis-check".to_owned()];
    let offered = if offered.is_empty() { &extra[..] } else { &offered[..] };
    let request = offered.iter().fold(good.without("Sec-WebSocket-Protocol"), |request, name| {
        request.add("Sec-WebSocket-Protocol", name)
    });
    if offered.len() < 2 {
        return Ok(Outcome::not_applicable("the token does not stand among the subprotocols"));
    }
    let admission = probe.attempt("each name in a line of its own", &request).await?;
    Ok(if admission.is_admitted() {
        Outcome::pass("read as one list")
    } else {
        Outcome::fail(format!("as one list it works, and as two lines it is {admission}"))
    })
}

async fn letter_case(probe: &Probe) -> Found {
    let good = probe.baseline()?;
    let plain = match &good.form {
        Form::Subprotocol { plain, .. } => plain.clone(),
        _ => probe.profile().protocol.clone(),
    };
    let other = plain.to_uppercase();
    let request = probe.good()?;
    let list = match good.form.element(&probe.token().unwrap_or_default()) {
        Some(element) => format!("{other}, {element}"),
        None => other.clone(),
    };
    let request = if good.form.offers_protocols() && good.form.element("").is_none() {
        return Ok(Outcome::not_applicable("the server takes no plain name beside the token"));
    } else {
        request.set("Sec-WebSocket-Protocol", &list)
    };
    Ok(match probe.answer(&format!("`{other}` offered"), &request).await? {
        Ok(response) if response.status == 101 => {
            let names = selected(&response);
            if names.contains(&plain) {
                Outcome::fail(format!("`{plain}` selected where `{other}` was offered"))
            } else if names.contains(&other) {
                Outcome::warn(format!("`{other}` taken for `{plain}`"))
            } else {
                Outcome::pass("another case is another name")
            }
        }
        Ok(response) => Outcome::pass(format!("another case is another name: {}", response.status)),
        Err(end) => Outcome::warn(end.to_string()),
    })
}

async fn browser_gets_a_name(probe: &Probe) -> Found {
    let good = probe.baseline()?;
    let Form::Subprotocol { plain, .. } = &good.form else {
        return Ok(Outcome::not_applicable("the token does not stand among the subprotocols"));
    };
    let (_, response) = probe.open("a plain name and the token, as a browser", &probe.good()?).await?;
    Ok(match selected(&response).first() {
        Some(name) if name == plain => Outcome::pass(format!("`{name}` selected")),
        Some(name) if name.len() > 40 => Outcome::fail("the element with the token is selected"),
        Some(name) => Outcome::fail(format!("`{name}` selected instead of `{plain}`")),
        None => {
            Outcome::fail(format!("none selected, though `{plain}` was offered: browsers give up with 1006"))
        }
    })
}

async fn unknown_names(probe: &Probe) -> Found {
    let good = probe.baseline()?;
    let form = good.forms.iter().find(|form| !form.offers_protocols());
    let token = probe.mint().good();
    let mut request = match (form, token, &good.form) {
        (Some(form), Some(token), _) => form.apply(unnamed(probe), &token),
        (None, Some(token), form) => match form.element(&token) {
            Some(element) => unnamed(probe).set("Sec-WebSocket-Protocol", &element),
            None => return Ok(Outcome::not_applicable("the server takes no other names beside the token")),
        },
        _ => unnamed(probe),
    };
    let list = request.offered().join(", ");
    let unknown = "x-portcullis-check, y-portcullis-check";
    request = request.set(
        "Sec-WebSocket-Protocol",
        &if list.is_empty() { unknown.to_owned() } else { format!("{unknown}, {list}") },
    );
    Ok(match probe.answer("names that nobody speaks", &request).await? {
        Ok(response) if response.status == 101 => match selected(&response).first() {
            Some(name) if name.starts_with("x-portcullis") || name.starts_with("y-portcullis") => {
                Outcome::fail(format!("`{name}` selected, which the server cannot know"))
            }
            _ => Outcome::warn("accepted without a name: a browser drops the connection and shows 1006"),
        },
        Ok(response) if response.is_client_error() => {
            Outcome::pass(format!("refused with {}", response.status))
        }
        Ok(response) => Outcome::fail(format!("answered with {}", response.status)),
        Err(end) => Outcome::fail(end.to_string()),
    })
}

async fn two_element(probe: &Probe) -> Found {
    let token = probe.token()?;
    let request = probe.request().set("Sec-WebSocket-Protocol", &format!("jwt, {token}"));
    let admission = probe.attempt("`jwt, <token>`", &request).await?;
    Ok(match &admission {
        Admission::Admitted { response, .. } => match selected(response).first().map(String::as_str) {
            Some("jwt") | None => Outcome::pass("taken, and the token is not selected"),
            Some(_) => Outcome::fail("the token is selected as the subprotocol"),
        },
        other => judge(probe, "`jwt, <token>`", other),
    })
}

async fn odd_lists(probe: &Probe) -> Found {
    let good = probe.good()?;
    let list = good.offered().join(", ");
    let mut seen = Vec::new();
    for (what, odd) in [
        ("empty members", format!(",, {list} ,")),
        ("a name twice", format!("jwt-auth, jwt-auth, {list}")),
        ("a name with a space", format!("a b, {list}")),
        ("a name with quotes", format!("\"x\", {list}")),
        ("a hundred names", [vec!["p"; 100].join(", "), list.clone()].join(", ")),
    ] {
        let admission = probe.attempt(what, &good.clone().set("Sec-WebSocket-Protocol", &odd)).await?;
        let code = match &admission {
            Admission::Closed { code, .. } => *code,
            _ => None,
        };
        let upset = match &admission {
            Admission::Refused(response) => response.status >= 500,
            Admission::Closed { .. } => code == Some(1011) || code.is_none(),
            Admission::Dropped { .. } | Admission::Unanswered(_) => true,
            Admission::Admitted { .. } => false,
        };
        if upset {
            return Ok(Outcome::fail(format!("{what}: {admission}")).because(Reason::Internal));
        }
        seen.push(format!("{what}: {}", if admission.is_admitted() { "taken" } else { "refused" }));
    }
    Ok(Outcome::pass(seen.join("; ")))
}
