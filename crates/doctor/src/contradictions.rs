//! Pieces of evidence that do not fit together. What someone reports and what someone pastes may come from different
//! requests, machines or builds; then the way between them is where to look.

use std::borrow::Cow;

use portcullis_reason::{Fault, Reason};

use super::{
    case::{Case, Doubt, Sound, Weight},
    evidence::Evidence,
};

/// What a message reports, apart from what it shows.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    reasons: Vec<Reason>,
    /// Those of them that stand in the message by name.
    named: Vec<Reason>,
    statuses: Vec<u16>,
    close_codes: Vec<u16>,
}

impl Reported {
    /// Takes what is reported out of the evidence: reasons, lines, statuses and codes.
    pub(crate) fn of(evidence: &Evidence) -> Self {
        let quoted = evidence.quoted.iter().filter_map(|entry| entry.reason);
        Self {
            reasons: evidence.reasons.iter().copied().chain(quoted).collect(),
            named: evidence.reasons.clone(),
            statuses: evidence.statuses.clone(),
            close_codes: evidence.close_codes.clone(),
        }
    }

    /// Holds it against what the tools found, and adds what does not fit to the case.
    pub(crate) fn weigh(&self, case: &mut Case) {
        let says = |reason| self.reasons.contains(&reason);
        let is = |sound| case.sound.contains(&sound);
        let (token, sent, code) = (is(Sound::Token), is(Sound::Sent), is(Sound::Code));
        let shown =
            case.faults().first().filter(|fault| fault.weight >= Weight::Token).map(|fault| fault.reason);
        if says(Reason::NoToken) && sent {
            case.doubts.push(NOT_ARRIVED);
        }
        if says(Reason::TokenExpired) && token && shown.is_none() {
            case.doubts.push(CLOCK_AHEAD);
        }
        if says(Reason::NotYetValid) && token && shown.is_none() {
            case.doubts.push(CLOCK_BEHIND);
        }
        if code && !sent && (shown == Some(Reason::ProtocolMismatch) || says(Reason::ProtocolMismatch)) {
            case.doubts.push(OLD_BUILD);
        }
        let other = self.named.iter().find(|reason| ABOUT_A_TOKEN.contains(reason));
        if let Some(reason) = other
            && token
            && shown.is_none()
        {
            case.doubts.push(Doubt {
                what: Cow::Owned(format!(
                    "a server says {reason}, while this server would not say so of the token that you pasted. Either that server is \
                     another one, or has other settings, or it was sent another token."
                )),
                steps: &[
                    "Find out who refused: the host and the request id of the refusal. Staging and production often differ in issuer, \
                     audience and keys.",
                    "Compare the fingerprint of the token that you pasted with the one in that server's log.",
                ],
            });
        }
        // The signature is checked before times and names, so whoever says that it failed has not looked at these.
        let signature = [Reason::SignatureInvalid, Reason::UnknownKey];
        if let Some(reason) = self.named.iter().find(|reason| signature.contains(reason))
            && shown.is_some_and(|shown| CHECKED_AFTER_THE_SIGNATURE.contains(&shown))
        {
            case.fault(
                *reason,
                Weight::Decided,
                "The signature is checked before anything that the token says, so a fresh token with the same key would be refused too.",
            );
        }
        if self.statuses.contains(&101) && self.statuses.iter().any(|status| *status >= 400) {
            case.doubts.push(TWO_REQUESTS);
        }
        let fault =
            case.faults().first().filter(|fault| fault.weight > Weight::Asked).map(|fault| fault.reason);
        if let Some(reason) = fault
            && self.close_codes.contains(&1011)
            && reason.fault() == Fault::Client
            && reason.is_authentication()
        {
            case.doubts.push(Doubt {
                what: Cow::Owned(format!(
                    "1011 stands for a server's own failures alone, while {reason} is for the client to mend. A server that closes \
                     with 1011 for it makes its clients try the same token again."
                )),
                steps: &[
                    "In the server that closed, look for an exception at that time: the extraction or validation raised one where it \
                     should have refused with 401 (once live: 1008).",
                ],
            });
        }
    }
}

/// What a look into a token shows, whoever signed it.
const ABOUT_A_TOKEN: [Reason; 6] = [
    Reason::TokenMalformed,
    Reason::TokenTooLarge,
    Reason::AlgorithmNotAllowed,
    Reason::IssuerMismatch,
    Reason::AudienceMismatch,
    Reason::ClaimMissing,
];

const CHECKED_AFTER_THE_SIGNATURE: [Reason; 5] = [
    Reason::TokenExpired,
    Reason::NotYetValid,
    Reason::IssuerMismatch,
    Reason::AudienceMismatch,
    Reason::ClaimMissing,
];

const NOT_ARRIVED: Doubt = Doubt {
    what: Cow::Borrowed(
        "the credential that you pasted is in a form that is found here, yet a server says that it found none. So what was \
               pasted did not reach the server that said so.",
    ),
    steps: &[
        "Compare what the client sends with what the server receives: a proxy or CDN between them may drop \
             `Sec-WebSocket-Protocol` or `Authorization`. Try `curl` against the server itself, past the proxy.",
        "Make sure that both are about the same request: another user's client, or an old build of the page, may be the one that \
             was refused. The request id or the time tells.",
    ],
};

const CLOCK_AHEAD: Doubt = Doubt {
    what: Cow::Borrowed(
        "a server says that the token has expired, while this one has not. Either the clock of that server is ahead, or it was \
               sent another token than this one.",
    ),
    steps: &[
        "Compare the clocks: `date -u +%s` on that server and here; `timedatectl` should say that it is synchronised.",
        "Check that the client sends this token and not an older one from a variable: take it from a callback at each attempt.",
    ],
};

const CLOCK_BEHIND: Doubt = Doubt {
    what: Cow::Borrowed(
        "a server says that the token is not valid yet, while by this server's clock it is. Either the clock of that server is \
               behind, or the moment has passed by now.",
    ),
    steps: &[
        "Compare the clocks: `date -u +%s` on that server and here; `timedatectl` should say that it is synchronised.",
    ],
};

const OLD_BUILD: Doubt = Doubt {
    what: Cow::Borrowed(
        "the code that you pasted sends the token in the right form, while what was sent had another. What runs is \
               not that code: an old build of the page is still being served.",
    ),
    steps: &[
        "Reload without the cache, compare the page's build with `build` in `/ws/config`, and purge the CDN.",
    ],
};

const TWO_REQUESTS: Doubt = Doubt {
    what: Cow::Borrowed(
        "one handshake was accepted (101), another refused. The two requests differ, and the difference is the cause.",
    ),
    steps: &[
        "Put both requests side by side: `Origin` (only browsers send it), `Sec-WebSocket-Protocol` against `Authorization`, the \
             token itself, and whether one of them goes past the proxy.",
    ],
};
