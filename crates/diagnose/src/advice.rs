//! What to say about an incident: the catalogue's words, and what they mean at the hop that is to blame.

use std::collections::BTreeMap;

use portcullis_reason::{CloseCode, Fault, Reason};

use crate::{Hop, Symptom};

/// Told where a token stood in the query of an address.
pub(crate) const DISCLOSED: &str = "A token stands in the address, and so in the logs of every hop: take it out of there, and end its \
                                    login, since it counts as disclosed.";

/// Cause, remedies and candidates of an incident.
#[derive(Clone, Debug, Default)]
pub(crate) struct Advice {
    pub(crate) cause: String,
    pub(crate) remedies: Vec<String>,
    pub(crate) candidates: Vec<Reason>,
}

pub(crate) fn of(
    reason: Option<Reason>,
    symptom: Option<Symptom>,
    hop: Option<Hop>,
    seen_as: &BTreeMap<Symptom, u64>,
) -> Advice {
    let mut advice = match (reason, symptom) {
        (Some(reason), _) => of_reason(reason, hop),
        (None, Some(symptom)) => of_symptom(symptom),
        (None, None) => Advice::default(),
    };
    if let Some(reason) = reason
        && reason.fault() == Fault::Client
        && seen_as.keys().any(|symptom| {
            matches!(symptom, Symptom::ServerError | Symptom::Refused(500) | Symptom::Closed(1011))
        })
    {
        advice.remedies.push(
            "In the server: what a client sends must not raise. Refuse it with a 4xx before accepting, so that 500 and 1011 are \
             left for the server's own faults."
                .to_owned(),
        );
    }
    if seen_as.contains_key(&Symptom::NotAccepted) {
        advice.remedies.push(
            "In the server: refuse before accepting (an HTTP status, or close before accept), and return at once; do not accept \
             in order to refuse."
                .to_owned(),
        );
    }
    advice
}

fn of_reason(reason: Reason, hop: Option<Hop>) -> Advice {
    let cause = hop.and_then(|hop| at_hop(reason, hop));
    let (cause, first) = match cause {
        Some((cause, first)) => (cause.to_owned(), Some(first)),
        None => (first_sentences(reason.help().cause()), None),
    };
    let mut remedies: Vec<String> = first.map(str::to_owned).into_iter().collect();
    remedies.push(reason.help().remedy().to_owned());
    Advice { cause, remedies, candidates: Vec::new() }
}

/// Where the hop says more than the reason: what happened there, and what to do there first.
const fn at_hop(reason: Reason, hop: Hop) -> Option<(&'static str, &'static str)> {
    Some(match (reason, hop) {
        (Reason::NoToken, Hop::Proxy) => (
            "The browser sent the token and the server saw none: something between them removes `Sec-WebSocket-Protocol` or \
             `Authorization`.",
            "On the proxy: pass `Sec-WebSocket-Protocol` and `Authorization` on. nginx: look for an empty `proxy_set_header` and \
             `proxy_pass_request_headers off` with `nginx -T`; CDN: put both on the list of forwarded headers.",
        ),
        (Reason::ProtocolMismatch, Hop::Client) => (
            "The bundle sends the token in a form that the server does not read, most often `['jwt', token]`. Where the source is \
             right already, an old build is still served from a cache.",
            "Compare the build that is served with the source: `curl -sI https://HOST/assets/app.js`; purge the CDN, and serve \
             `index.html` with `Cache-Control: no-cache`.",
        ),
        (Reason::BadUpgrade, Hop::Proxy) => (
            "The server saw a plain request where a WebSocket's was sent: a proxy did not pass `Upgrade` and `Connection` on, which \
             go no further than one hop unless it is told to.",
            "On the proxy, nginx: `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \
             \"upgrade\";` in the WebSocket's location.",
        ),
        (Reason::BadUpgrade, Hop::Server) => (
            "The server runs without a WebSocket library, so it takes every upgrade for a plain request.",
            "In the environment that really runs: `pip install 'uvicorn[standard]'` (or `websockets`), then restart.",
        ),
        (Reason::HeartbeatTimeout, Hop::Proxy) => (
            "A proxy or the platform ended connections that were quiet, or open, for longer than it allows.",
            "On the proxy: raise its timeout above the ping interval. nginx: `proxy_read_timeout 3600s; proxy_send_timeout 3600s;`; \
             HAProxy: `timeout tunnel 1h`; Cloud Run: `--timeout=3600`.",
        ),
        (Reason::RequestTooLarge, Hop::Proxy) => (
            "The proxy refused the head before the server saw it: its limit is smaller than token and cookies together.",
            "On the proxy, nginx: `large_client_header_buffers 4 32k;`. Look at the size of `Cookie` as well.",
        ),
        (Reason::NotReady, Hop::Server) => (
            "The proxy is well and the server behind it does not answer: it is down, restarting, or listens where the proxy does not \
             look.",
            "On the proxy's machine: `curl -i http://UPSTREAM/ws/health`; then look at whether the server runs, and on which address.",
        ),
        (Reason::Internal, Hop::Server) => (
            "The server failed while it answered, or broke off.",
            "Look at the server's own log at these times; the exception stands before or after these lines.",
        ),
        (Reason::NoCommonSubprotocol, Hop::Server) => (
            "The server's answer names no subprotocol that the browser offered, so the browser dropped the connection.",
            "In the server: select the plain name that the client offers beside the token (`accept(subprotocol=\"jwt-auth\")`), and \
             never the element with the token.",
        ),
        (Reason::TokenMalformed, Hop::Client) => (
            "The client built the credential from something that is no token: an empty or undefined variable, standard base64, or a \
             token that was cut.",
            "In the client: connect only once the token is there and has three parts (`token.split('.').length === 3`).",
        ),
        (Reason::TokenExpired, Hop::Client) => (
            "The client connected, or stayed, with a token that had run out, most often in a reconnect loop with the token of the \
             first connection.",
            "In the client: get the token from a callback on each attempt, and renew it before `exp`.",
        ),
        (Reason::SignatureInvalid, Hop::IdentityProvider) => (
            "Issuer and server do not share the same key or secret, or a check failed that the log does not name.",
            "Compare the fingerprint of the secret or key in both services; a line break at the end of a secret's file is a classic.",
        ),
        (Reason::UnknownKey, Hop::IdentityProvider) => (
            "The tokens name a key that the server does not have: the issuer rotated its keys, or it is another environment's issuer.",
            "Fetch the key set again, and compare its `kid`s with those of the tokens.",
        ),
        (Reason::AuthUnavailable, Hop::IdentityProvider) => (
            "The service that knows keys or tokens did not answer. Clients that are told 401 or 1008 then throw good tokens away.",
            "Check that service: `curl -i http://AUTH_HOST:8081/health`.",
        ),
        (Reason::NotYetValid, Hop::Clock) => (
            "The issuer's clock is ahead of the server's.",
            "Synchronise both clocks (`timedatectl`, `chronyc tracking`), and allow a leeway of some seconds.",
        ),
        (Reason::OriginNotAllowed, Hop::Server) => (
            "Pages of an origin that is not on the server's list tried to connect. If it is your own page, the list or the `Host` that \
             a proxy passes on is wrong; if not, the server did right.",
            "In the server's configuration: list the page's exact origin, scheme and port included. On the proxy: `proxy_set_header \
             Host $host;`.",
        ),
        _ => return None,
    })
}

fn of_symptom(symptom: Symptom) -> Advice {
    let candidates = |of: &dyn Fn(Reason) -> bool| -> Vec<Reason> {
        Reason::ALL.iter().copied().filter(|reason| of(*reason)).take(12).collect()
    };
    let (cause, remedy): (&str, &str) = match symptom {
        Symptom::Refused(403) => (
            "The server refused before it accepted. Uvicorn answers 403 whatever the cause; elsewhere it is the origin or a scope.",
            "Look at what the application logged at the same moment. If it logs nothing, ask with `curl -i` and the same headers: the \
             body names the reason where the server is a good one.",
        ),
        Symptom::Refused(401) => (
            "The server found no credential that it takes. Access logs do not say which check it was.",
            "Look into the server's own log at these times, or at the answer's `WWW-Authenticate` and body with `curl -i`.",
        ),
        Symptom::Refused(400) => (
            "The server, or the proxy, did not take the request for a handshake.",
            "Compare `curl` against the proxy with `curl` against the server itself: if only the proxy's fails, it drops `Upgrade` or \
             `Connection`.",
        ),
        Symptom::Refused(499) => (
            "Clients gave up while the server was still checking: the handshake takes too long, or pages were left.",
            "Measure where the time goes, with `curl -w '%{time_starttransfer}'` against the proxy and against the server; a token \
             service that is asked for each handshake is the usual one.",
        ),
        Symptom::Refused(_) => (
            "The handshake was answered with something else than 101, and nothing says why.",
            "Ask with `curl -i` and the same headers, and look at the body.",
        ),
        Symptom::Closed(1006) | Symptom::Failed | Symptom::ConnectionLost => (
            "The connection could not be made, or was cut without a word. Browsers say no more than this, whatever the cause.",
            "Look at the request in the browser's network panel (its status, if any), export it as HAR and diagnose that, or diagnose \
             the server's log of the same moment.",
        ),
        Symptom::Closed(code) => {
            let help = CloseCode(code).help();
            (help.comes_from, help.remedy)
        }
        Symptom::AuthenticationFailed => (
            "An authenticator refused and does not say why. Behind it stand, most often first: no token in a form that is read, a \
             token that fails validation, an expired one, a service that cannot be reached.",
            "Let the server log the reason, or look for it after the line (NO_TOKEN, VALIDATION_FAILED, TOKEN_EXPIRED, \
             AUTH_SERVICE_ERROR).",
        ),
        Symptom::RoutingFailed => (
            "Messages were sent to users who have no authenticated connection. It follows from a handshake that failed; that one is \
             not in this log.",
            "Diagnose the log from some minutes earlier, or the log of the server that takes the handshakes. Close a connection that \
             fails to authenticate at once, and register users only after the 101.",
        ),
        Symptom::UsedAfterClose => (
            "The handler went on with a socket that was closed: after a refusal without `return`, or in a task that outlived its \
             connection.",
            "`return` right after closing, and cancel a connection's tasks when it ends. What closed the socket stands before this.",
        ),
        Symptom::NotAccepted | Symptom::ServerError | Symptom::HeartbeatTimeout => ("", ""),
    };
    let candidates = match symptom {
        Symptom::Refused(status) => candidates(&|reason| reason.status() == Some(status)),
        Symptom::Closed(1006) | Symptom::Failed => Vec::new(),
        Symptom::Closed(code) => {
            candidates(&|reason| reason.close_code(portcullis_reason::CloseProfile::Standard) == Some(code))
        }
        Symptom::AuthenticationFailed => {
            vec![
                Reason::NoToken,
                Reason::ProtocolMismatch,
                Reason::SignatureInvalid,
                Reason::TokenExpired,
                Reason::AuthUnavailable,
            ]
        }
        _ => Vec::new(),
    };
    Advice { cause: cause.to_owned(), remedies: vec![remedy.to_owned()], candidates }
}

/// The first two sentences of a help text.
fn first_sentences(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    let end = paragraph.match_indices(". ").nth(1).map_or(paragraph.len(), |(at, _)| at + 1);
    paragraph[..end].replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::usual_hop;

    #[test]
    fn every_incident_can_be_explained() {
        for &reason in Reason::ALL {
            let advice = of(Some(reason), None, Some(usual_hop(reason)), &BTreeMap::new());
            assert!(
                !advice.cause.is_empty() && advice.remedies.iter().all(|remedy| !remedy.is_empty()),
                "{reason}"
            );
        }
        let symptoms = [
            Symptom::Refused(400),
            Symptom::Refused(401),
            Symptom::Refused(403),
            Symptom::Refused(418),
            Symptom::Refused(499),
            Symptom::Closed(1006),
            Symptom::Closed(1008),
            Symptom::Closed(4999),
            Symptom::Failed,
            Symptom::ConnectionLost,
            Symptom::AuthenticationFailed,
            Symptom::RoutingFailed,
            Symptom::UsedAfterClose,
        ];
        for symptom in symptoms {
            assert_eq!(symptom.alone(), None, "{symptom} has a reason of its own");
            let advice = of(None, Some(symptom), None, &BTreeMap::new());
            assert!(!advice.cause.is_empty() && !advice.remedies[0].is_empty(), "{symptom}");
        }
    }

    #[test]
    fn a_servers_part_in_a_clients_mistake_is_told() {
        let seen = BTreeMap::from([(Symptom::ServerError, 1)]);
        let advice = of(Some(Reason::TokenMalformed), None, Some(Hop::Client), &seen);
        assert!(advice.remedies.iter().any(|remedy| remedy.starts_with("In the server")));
    }
}
