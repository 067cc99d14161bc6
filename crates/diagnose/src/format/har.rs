//! HTTP archives: what a browser sent, what came back, and the messages of a WebSocket.
//!
//! Here the request itself is seen, so the handshake core is asked what it says to the credentials in it, and the token is
//! looked into as of the moment of the request.

use std::sync::LazyLock;

use portcullis_handshake::{Policy, Preflight, PreflightRequest};
use portcullis_reason::Reason;
use portcullis_token::inspect;
use serde_json::{Map, Value};

use super::{Format, Outcome, Parsed};
use crate::{
    signal::{Finding, Hop, Symptom},
    time,
};

/// Whether an object is an entry of an archive.
pub(crate) fn is_entry(object: &Map<String, Value>) -> bool {
    object.get("request").is_some_and(Value::is_object)
        && (object.contains_key("response") || object.contains_key("startedDateTime"))
}

/// Reads one entry; those of plain requests are ordinary.
pub(crate) fn read(object: &Map<String, Value>) -> Parsed<'static> {
    let entry = Entry::new(object);
    let at = string(object, "startedDateTime").and_then(time::rfc3339);
    if !entry.is_socket() {
        return Parsed::new(Format::Har, "").at(at);
    }
    let finding = match entry.status {
        101 => entry.accepted(),
        status => Some(entry.refused(status, at)),
    };
    let parsed = Parsed::new(Format::Har, entry.shown()).at(at);
    match finding {
        Some(finding) => parsed.finding(Some(finding)),
        None => Parsed { outcome: Outcome::Accepted, ..parsed },
    }
}

struct Entry<'o> {
    object: &'o Map<String, Value>,
    url: &'o str,
    status: u16,
    /// The elements of all `Sec-WebSocket-Protocol` lines of the request.
    offered: Vec<&'o str>,
}

impl<'o> Entry<'o> {
    fn new(object: &'o Map<String, Value>) -> Self {
        let url = object.get("request").and_then(|request| request.get("url")).and_then(Value::as_str);
        let status = object.get("response").and_then(|response| response.get("status"));
        let offered = headers(object, "request", "sec-websocket-protocol")
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .filter(|element| !element.is_empty())
            .take(32)
            .collect();
        Self {
            object,
            url: url.unwrap_or_default(),
            status: status.and_then(Value::as_u64).and_then(|status| status.try_into().ok()).unwrap_or(0),
            offered,
        }
    }

    fn request(&self, name: &'static str) -> Option<&'o str> {
        headers(self.object, "request", name).next()
    }

    fn response(&self, name: &'static str) -> Option<&'o str> {
        headers(self.object, "response", name).next()
    }

    fn is_socket(&self) -> bool {
        string(self.object, "_resourceType") == Some("websocket")
            || self.url.starts_with("ws:")
            || self.url.starts_with("wss:")
            || self.request("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }

    /// A handshake that succeeded: what is wrong with its answer, or what the server said later.
    fn accepted(&self) -> Option<Finding> {
        let selected = self.response("sec-websocket-protocol");
        let none_selected = !self.offered.is_empty() && selected.is_none() && self.has_response_headers();
        let foreign = selected.is_some_and(|name| !self.offered.contains(&name.trim()));
        if none_selected || foreign {
            return Some(Finding::cause(VOICE_ANSWER, Reason::NoCommonSubprotocol).at(Hop::Server));
        }
        let messages = self.object.get("_webSocketMessages")?.as_array()?;
        messages.iter().filter(|message| message["type"] == "receive").find_map(|message| {
            let event: Value = serde_json::from_str(message["data"].as_str()?).ok()?;
            let kind = event["type"].as_str()?;
            if !matches!(kind, "error" | "agent_failed") {
                return None;
            }
            let payload = event.get("payload").or_else(|| event.get("data")).unwrap_or(&event);
            let reason = payload["reason"].as_str().or_else(|| payload["error"]["reason"].as_str())?;
            // Whoever stops a run asked for it.
            let reason = reason.parse().ok().filter(|reason| *reason != Reason::RunCancelled)?;
            Some(Finding::cause(VOICE_MESSAGE, reason).live())
        })
    }

    /// A handshake that did not succeed: by the server's own word, else by what was sent.
    fn refused(&self, status: u16, at: Option<time::Millis>) -> Finding {
        let symptom = if status == 0 { Symptom::Failed } else { Symptom::Refused(status) };
        let body = self.object.get("response").and_then(|response| response["content"]["text"].as_str());
        let told = body.and_then(|body| {
            let body: Value = serde_json::from_str(body).ok()?;
            let id = ["reason", "error_code", "code"].iter().find_map(|name| body.get(*name)?.as_str())?;
            id.parse::<Reason>().ok()
        });
        if let Some(reason) = told {
            return self.contradicted(Finding::cause(VOICE_ANSWER, reason).seen_as(symptom));
        }
        if matches!(status, 200..=399) {
            // A page or a redirect answered: something before the server took the upgrade for a plain request.
            return Finding::cause(VOICE_ANSWER, Reason::BadUpgrade).vague().at(Hop::Proxy).seen_as(symptom);
        }
        let no_credentials = self.response("www-authenticate").is_some_and(|challenge| {
            let challenge = challenge.to_ascii_lowercase();
            challenge.contains("bearer") && !challenge.contains("error")
        });
        if no_credentials {
            let finding = Finding::cause(VOICE_ANSWER, Reason::NoToken).seen_as(symptom);
            return self.contradicted(finding);
        }
        if matches!(status, 400 | 401 | 403)
            && let Some(reason) = self.fault_of_request(at)
        {
            return Finding::cause(VOICE_ANSWER, reason).vague().seen_as(symptom);
        }
        Finding::symptom(VOICE_ANSWER, symptom)
    }

    /// A server that saw no token where the browser sent one in good form: the header was lost on the way.
    fn contradicted(&self, finding: Finding) -> Finding {
        match (finding.reason, self.token()) {
            (Some(Reason::NoToken), Ok(_)) => finding.at(Hop::Proxy),
            // The server was given another form than it takes, and did not see that it was one.
            (Some(Reason::NoToken), Err(Reason::ProtocolMismatch)) => {
                Finding { reason: Some(Reason::ProtocolMismatch), ..finding }
            }
            _ => finding,
        }
    }

    /// What is wrong with what was sent, as far as it can be seen.
    fn fault_of_request(&self, at: Option<time::Millis>) -> Option<Reason> {
        let token = match self.token() {
            Ok(token) => token,
            // Headers with credentials are left out of archives by default.
            Err(Reason::NoToken) if self.request("sec-websocket-key").is_none() => return None,
            Err(reason) => return Some(reason),
        };
        let now = at.and_then(|at| u64::try_from(at / 1000).ok())?;
        let expired = |reason: &Reason| !matches!(reason, Reason::TokenTooLarge);
        inspect(&token, now)
            .reason()
            .filter(expired)
            .or_else(|| self.is_foreign_origin().then_some(Reason::OriginNotAllowed))
    }

    /// The token that was sent, or why a handshake core would not find one.
    fn token(&self) -> Result<String, Reason> {
        static POLICY: LazyLock<Policy<()>> = LazyLock::new(|| {
            Policy::builder().mode("main", ()).build().expect("the policy of a plain server is sound")
        });
        let request = PreflightRequest {
            mode: "main",
            protocols: &self.offered,
            authorization: self.request("authorization"),
            origin: None,
            host: None,
        };
        let offer = Preflight::check(&request, &POLICY).and_then(|preflight| preflight.credentials(&POLICY));
        offer.map(|offer| offer.token().to_owned()).map_err(|rejection| rejection.reason)
    }

    /// Whether the page is of another host than the server.
    fn is_foreign_origin(&self) -> bool {
        let host = |url: &str| {
            url.split("://").nth(1).map(|rest| rest.split(['/', '?']).next().unwrap_or(rest).to_owned())
        };
        match (self.request("origin").and_then(host), host(self.url)) {
            (Some(origin), Some(server)) => origin != server,
            _ => false,
        }
    }

    fn has_response_headers(&self) -> bool {
        let headers = self.object.get("response").and_then(|response| response["headers"].as_array());
        headers.is_some_and(|headers| !headers.is_empty())
    }

    fn shown(&self) -> String {
        let mut shown = format!("GET {} → {}", self.url, self.status);
        if !self.offered.is_empty() {
            shown.push_str("; Sec-WebSocket-Protocol: ");
            shown.push_str(&self.offered.join(", "));
        }
        if let Some(origin) = self.request("origin") {
            shown.push_str("; Origin: ");
            shown.push_str(origin);
        }
        if let Some(selected) = self.response("sec-websocket-protocol") {
            shown.push_str("; selected: ");
            shown.push_str(selected);
        }
        if let Some(error) = self.object.get("response").and_then(|response| response["_error"].as_str()) {
            shown.push_str("; ");
            shown.push_str(error);
        }
        shown
    }
}

/// The values of a header, whatever its case.
fn headers<'o>(
    object: &'o Map<String, Value>,
    side: &'static str,
    name: &'static str,
) -> impl Iterator<Item = &'o str> {
    let list = object.get(side).and_then(|side| side["headers"].as_array()).map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(move |header| {
        header["name"].as_str()?.eq_ignore_ascii_case(name).then(|| header["value"].as_str())?
    })
}

fn string<'o>(object: &'o Map<String, Value>, name: &str) -> Option<&'o str> {
    object.get(name)?.as_str()
}

const VOICE_ANSWER: u32 = 30;
const VOICE_MESSAGE: u32 = 31;
