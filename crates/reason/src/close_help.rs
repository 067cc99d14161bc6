//! Close codes, read backwards: what a code means to someone who sees it in a browser or a log (RFC 6455 §7.4).

use std::fmt;

use crate::{CloseProfile, Reason};

/// A close code as seen in a browser or a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

/// What a close code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCodeHelp {
    /// The registered name, or what the range is for.
    pub name: &'static str,
    /// What it says, and whether it may stand on the wire.
    pub meaning: &'static str,
    /// Where it usually comes from.
    pub comes_from: &'static str,
    /// What to do when it is seen.
    pub remedy: &'static str,
}

impl CloseCode {
    /// Whether a peer may put the code into a close frame (RFC 6455 §7.4.1, §7.4.2).
    ///
    /// 1005, 1006 and 1015 are what an API reports when there was no usable close frame; 1004 and the rest of 1000-2999
    /// mean nothing yet.
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// The reasons that close with this code under `profile`, in the order of the catalogue.
    pub fn reasons(self, profile: CloseProfile) -> impl Iterator<Item = Reason> {
        Reason::ALL.iter().copied().filter(move |reason| reason.close_code(profile) == Some(self.0))
    }

    /// What the code means; there is an answer for every number.
    pub const fn help(self) -> CloseCodeHelp {
        match self.0 {
            0..=999 => BELOW_1000,
            1000 => NORMAL,
            1001 => GOING_AWAY,
            1002 => PROTOCOL_ERROR,
            1003 => UNSUPPORTED_DATA,
            1004 => RESERVED_1004,
            1005 => NO_STATUS,
            1006 => ABNORMAL,
            1007 => INVALID_PAYLOAD,
            1008 => POLICY_VIOLATION,
            1009 => MESSAGE_TOO_BIG,
            1010 => MANDATORY_EXTENSION,
            1011 => INTERNAL_ERROR,
            1012 => SERVICE_RESTART,
            1013 => TRY_AGAIN_LATER,
            1014 => BAD_GATEWAY,
            1015 => TLS_HANDSHAKE,
            1016..=2999 => UNASSIGNED,
            3000..=3999 => REGISTERED,
            4000..=4399 | 4600..=4999 => PRIVATE,
            4400..=4499 => CHANGE_FIRST,
            4500..=4599 => TRY_LATER,
            5000.. => ABOVE_4999,
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const BELOW_1000: CloseCodeHelp = CloseCodeHelp {
    name: "Not a close code",
    meaning: "Numbers below 1000 are never used (RFC 6455 §7.4.2). It may not stand in a close frame; a peer that \
              receives it answers 1002.",
    comes_from: "A byte order slip (1000 is 03 E8 on the wire), an HTTP status given as a close code, or an exit status \
                 that a library passed on.",
    remedy: "Send 1000 to 1003, 1007 to 1014, or a number from 3000 to 4999.",
};

const NORMAL: CloseCodeHelp = CloseCodeHelp {
    name: "Normal Closure",
    meaning: "The connection has done what it was for. It may stand on the wire.",
    comes_from: "`socket.close(1000)` or `socket.close()` in the page, or a server that finished. Some servers also send \
                 it for refusals; then the reason text tells.",
    remedy: "Nothing, if the end was wanted. Otherwise look which side sent the close frame first, and at its reason text.",
};

const GOING_AWAY: CloseCodeHelp = CloseCodeHelp {
    name: "Going Away",
    meaning: "An endpoint leaves: a page is navigated away from, or a server goes down. It may stand on the wire.",
    comes_from: "A closed or reloaded tab; a server that stops; here also HEARTBEAT_TIMEOUT, when a client stopped \
                 answering pings (a sleeping laptop, a suspended tab, a dropped mobile link).",
    remedy: "Reconnect and resume. If it comes at a regular interval, compare it with the ping interval and with proxies' \
             idle timeouts.",
};

const PROTOCOL_ERROR: CloseCodeHelp = CloseCodeHelp {
    name: "Protocol Error",
    meaning: "The peer broke RFC 6455's framing rules. It may stand on the wire.",
    comes_from: "An unmasked client frame, a reserved bit or opcode, a control frame over 125 bytes, a forbidden close \
                 code, or a proxy that touched the stream. With `close_codes = \"strict-protocol\"` also a missing token.",
    remedy: "Read the reason text. If it names a token, see NO_TOKEN; otherwise update the client library and take \
             proxies out of the way one by one.",
};

const UNSUPPORTED_DATA: CloseCodeHelp = CloseCodeHelp {
    name: "Unsupported Data",
    meaning: "The peer got a type of message that it cannot take. It may stand on the wire.",
    comes_from: "A binary message (`ArrayBuffer`, `Blob`, bytes in Python) sent to an endpoint that speaks JSON text.",
    remedy: "Send text: `socket.send(JSON.stringify(message))`.",
};

const RESERVED_1004: CloseCodeHelp = CloseCodeHelp {
    name: "Reserved",
    meaning: "1004 has no meaning yet (RFC 6455 §7.4.1). It may not stand in a close frame.",
    comes_from: "A peer that made up a code. Drafts before RFC 6455 used it for a frame that is too large, which is 1009 \
                 today.",
    remedy: "Update the peer that sent it, or make it send 1009.",
};

const NO_STATUS: CloseCodeHelp = CloseCodeHelp {
    name: "No Status Received",
    meaning: "A close frame came, and it had no code. It never stands on the wire; the API that reports it made it up.",
    comes_from: "A peer that closed without a code: `ws.close()` in Node, a proxy's empty close frame, a library's default.",
    remedy: "Make the peer send a code. A proxy that forwards such a close must forward it empty (RFC 6455 §7.1.5).",
};

const ABNORMAL: CloseCodeHelp = CloseCodeHelp {
    name: "Abnormal Closure",
    meaning: "The connection ended and no close frame came. It never stands on the wire: the browser made it up. If the \
              connection never opened, the handshake was refused, and the browser hides the status and body it got.",
    comes_from: "Before `open`: a refused handshake (401, 403, 404, 426, 503), a server that echoed no subprotocol the \
                 page offered, TLS or DNS trouble, a proxy that does not upgrade. After `open`: a crashed process, a \
                 proxy's idle timeout (60 s is common), a lost network.",
    remedy: "Ask /ws/preflight with the same protocols, or find the request's status in the network panel; after `open`, \
             look at proxies' timeouts and the server's log at that second.",
};

const INVALID_PAYLOAD: CloseCodeHelp = CloseCodeHelp {
    name: "Invalid Frame Payload Data",
    meaning: "The bytes do not fit the message's type: text that is not UTF-8, or a body that does not inflate. It may \
              stand on the wire.",
    comes_from: "A client that puts Latin-1 or raw bytes into a text frame, cuts a string in the middle of a character, \
                 or compresses wrongly.",
    remedy: "Encode text as UTF-8 and let the library split messages, never strings by bytes.",
};

const POLICY_VIOLATION: CloseCodeHelp = CloseCodeHelp {
    name: "Policy Violation",
    meaning: "The peer did something that the other side does not permit and no closer code fits. It may stand on the wire.",
    comes_from: "A credential that is missing, malformed, expired or revoked, a foreign origin, a rate or connection \
                 limit. Here the reason text starts with the identifier, such as `TOKEN_EXPIRED`.",
    remedy: "Read `event.reason` and run `portcullis explain` on its first word. Never reconnect in a loop with the same token.",
};

const MESSAGE_TOO_BIG: CloseCodeHelp = CloseCodeHelp {
    name: "Message Too Big",
    meaning: "A frame or message is over the receiver's limit. It may stand on the wire.",
    comes_from: "A pasted log or file over `max_message_bytes`, a message in too many fragments, or a compressed one that \
                 inflates beyond the limit.",
    remedy: "Keep below `max_message_bytes` of `connection_established` and /ws/config, or raise the limit.",
};

const MANDATORY_EXTENSION: CloseCodeHelp = CloseCodeHelp {
    name: "Mandatory Extension",
    meaning: "The client needs an extension that the server did not accept. Only clients send it. It may stand on the wire.",
    comes_from: "A client that insists on permessage-deflate while the server or a proxy dropped the \
                 `Sec-WebSocket-Extensions` header.",
    remedy: "Let the client work without the extension, or pass the header through every proxy.",
};

const INTERNAL_ERROR: CloseCodeHelp = CloseCodeHelp {
    name: "Internal Error",
    meaning: "The server met a failure of its own. It may stand on the wire.",
    comes_from: "An exception in a handler, or a backend that is down (AUTH_UNAVAILABLE, INTERNAL). Some servers send it \
                 for bad tokens as well, by mistake or with `close_codes = \"server-error\"`.",
    remedy: "Read the reason text; if it names a token, mend the token. Otherwise look for the error in the server's log, \
             and reconnect with growing pauses.",
};

const SERVICE_RESTART: CloseCodeHelp = CloseCodeHelp {
    name: "Service Restart",
    meaning: "The server restarts (IANA registry). It may stand on the wire.",
    comes_from: "A rollout or a scale-down: DRAINING, NOT_READY.",
    remedy: "Reconnect after a random pause of 5 to 30 s, or after the time that the `draining` event named, and resume.",
};

const TRY_AGAIN_LATER: CloseCodeHelp = CloseCodeHelp {
    name: "Try Again Later",
    meaning: "The server sheds load (IANA registry). It may stand on the wire.",
    comes_from: "A reader that falls behind its events: SLOW_CONSUMER. Other servers send it when they are overloaded.",
    remedy: "Reconnect with growing pauses and resume. Do less work per event in the page's message handler.",
};

const BAD_GATEWAY: CloseCodeHelp = CloseCodeHelp {
    name: "Bad Gateway",
    meaning: "A gateway got an invalid answer from the server behind it (IANA registry). It may stand on the wire.",
    comes_from: "A proxy whose upstream crashed, refused the upgrade, or broke the protocol.",
    remedy: "Look at the upstream's log, and connect to the upstream itself, without the proxy.",
};

const TLS_HANDSHAKE: CloseCodeHelp = CloseCodeHelp {
    name: "TLS Handshake Failed",
    meaning: "The TLS handshake failed, so no HTTP was spoken. It never stands on the wire. Browsers mostly say 1006 instead.",
    comes_from: "An expired or self-signed certificate, a name that is not on it, a missing intermediate, `wss://` on a \
                 plain port.",
    remedy: "Open the same host with https:// in the browser, and run `openssl s_client -connect HOST:443 -servername HOST`.",
};

const UNASSIGNED: CloseCodeHelp = CloseCodeHelp {
    name: "Reserved for the protocol",
    meaning: "1016 to 2999 are kept for RFC 6455's successors and extensions (§7.4.2). It may not stand in a close frame; \
              a peer that receives it answers 1002.",
    comes_from: "A server that made up a code, or added a number of its own to 1000.",
    remedy: "Use 4000 to 4999 for codes of your own.",
};

const REGISTERED: CloseCodeHelp = CloseCodeHelp {
    name: "Registered by libraries and frameworks",
    meaning: "3000 to 3999 are registered with IANA, first come first served (RFC 6455 §7.4.2). It may stand on the wire. \
              3000 is Unauthorized, 3003 Forbidden, 3008 Timeout.",
    comes_from: "The framework on the other side; Portcullis sends none of them.",
    remedy: "Look it up in IANA's WebSocket Close Code Number Registry and in the framework's manual.",
};

const PRIVATE: CloseCodeHelp = CloseCodeHelp {
    name: "Private use",
    meaning: "4000 to 4999 mean what the two sides agreed on (RFC 6455 §7.4.2). It may stand on the wire.",
    comes_from: "The application behind the server; Portcullis sends only 4400 to 4599, with `close_codes = \"application\"`.",
    remedy: "Read the reason text, and the manual of the application that sent it.",
};

const CHANGE_FIRST: CloseCodeHelp = CloseCodeHelp {
    name: "Application profile: change something first",
    meaning: "Private use. With `close_codes = \"application\"`, 4400 to 4499 say that the same attempt will fail again. \
              It may stand on the wire.",
    comes_from: "A Portcullis with that profile: a token, an origin, a subprotocol or a message that cannot be taken. The \
                 reason text starts with the identifier. Other servers give these numbers meanings of their own.",
    remedy: "Do not reconnect as you are. Mend what the identifier names: most often fetch a fresh token.",
};

const TRY_LATER: CloseCodeHelp = CloseCodeHelp {
    name: "Application profile: try again later",
    meaning: "Private use. With `close_codes = \"application\"`, 4500 to 4599 say that the same attempt may work later. It \
              may stand on the wire.",
    comes_from: "A Portcullis with that profile: a limit, a restart, a reader that fell behind, or a failure of the server. \
                 The reason text starts with the identifier.",
    remedy: "Reconnect with growing, randomised pauses, and resume.",
};

const ABOVE_4999: CloseCodeHelp = CloseCodeHelp {
    name: "Not a close code",
    meaning: "Close codes end at 4999 (RFC 6455 §7.4.2). It may not stand in a close frame.",
    comes_from: "A port number or another protocol's code in the wrong field.",
    remedy: "Use 4000 to 4999 for codes of your own.",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_an_answer_that_agrees_with_whether_it_may_be_sent() {
        for code in 0..=u16::MAX {
            let help = CloseCode(code).help();
            for text in [help.name, help.meaning, help.comes_from, help.remedy] {
                assert!(!text.is_empty() && !text.contains("  "), "{code}: {text}");
            }
            if (1000..=4999).contains(&code) {
                let says =
                    help.meaning.contains("may stand on the wire") || help.meaning.contains("may\n stand");
                assert_eq!(says, CloseCode(code).may_be_sent(), "{code}: {}", help.meaning);
            }
        }
    }

    #[test]
    fn codes_that_no_frame_may_carry() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert!(!CloseCode(code).may_be_sent(), "{code}");
        }
        for code in [1000, 1003, 1007, 1014, 3000, 3999, 4000, 4999] {
            assert!(CloseCode(code).may_be_sent(), "{code}");
        }
    }

    #[test]
    fn a_code_leads_back_to_its_reasons() {
        let reasons = |code, profile| CloseCode(code).reasons(profile).collect::<Vec<_>>();
        assert_eq!(reasons(1009, CloseProfile::Standard), [Reason::MessageTooBig]);
        assert_eq!(reasons(1002, CloseProfile::StrictProtocol).first(), Some(&Reason::NoToken));
        assert_eq!(reasons(4406, CloseProfile::Application), [Reason::SignatureInvalid, Reason::UnknownKey]);
        assert_eq!(reasons(1006, CloseProfile::Standard), []);
    }
}
