//! What to do about a finding, in the words of the server's framework.

use std::{fmt, str::FromStr};

use portcullis_dial::Response;
use serde::{Serialize, Serializer};

/// What a server is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    /// `FastAPI`, on uvicorn or hypercorn.
    FastApi,
    /// Starlette alone.
    Starlette,
    /// Node's `ws`, with or without Express.
    ExpressWs,
    /// Socket.IO.
    SocketIo,
    /// Spring.
    Spring,
    /// actix-web.
    Actix,
    /// axum.
    Axum,
    /// Go with gorilla/websocket.
    GoGorilla,
    /// Anything else.
    Generic,
}

impl Framework {
    /// All, as they are named on the command line.
    pub const ALL: [Self; 9] = [
        Self::FastApi,
        Self::Starlette,
        Self::ExpressWs,
        Self::SocketIo,
        Self::Spring,
        Self::Actix,
        Self::Axum,
        Self::GoGorilla,
        Self::Generic,
    ];

    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FastApi => "fastapi",
            Self::Starlette => "starlette",
            Self::ExpressWs => "express-ws",
            Self::SocketIo => "socketio",
            Self::Spring => "spring",
            Self::Actix => "actix",
            Self::Axum => "axum",
            Self::GoGorilla => "go-gorilla",
            Self::Generic => "generic",
        }
    }

    /// What its answers give away, if anything.
    pub(crate) fn recognise(response: &Response, path: &str) -> Self {
        let has = |name: &str, sign: &str| {
            response.values(name).any(|value| value.to_ascii_lowercase().contains(sign))
        };
        if path.contains("/socket.io") {
            Self::SocketIo
        } else if has("Server", "uvicorn") || has("Server", "hypercorn") || has("Server", "websockets/") {
            Self::FastApi
        } else if has("X-Powered-By", "express") {
            Self::ExpressWs
        } else if has("Server", "actix") {
            Self::Actix
        } else if has("Server", "apache-coyote") || has("Set-Cookie", "jsessionid") {
            Self::Spring
        } else {
            Self::Generic
        }
    }

    const fn pages(self) -> &'static str {
        match self {
            Self::FastApi | Self::Starlette => include_str!("../remedies/fastapi.md"),
            Self::ExpressWs => include_str!("../remedies/express-ws.md"),
            Self::SocketIo => include_str!("../remedies/socketio.md"),
            Self::Spring => include_str!("../remedies/spring.md"),
            Self::Actix => include_str!("../remedies/actix.md"),
            Self::Axum => include_str!("../remedies/axum.md"),
            Self::GoGorilla => include_str!("../remedies/go-gorilla.md"),
            Self::Generic => include_str!("../remedies/generic.md"),
        }
    }
}

impl FromStr for Framework {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|framework| framework.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|framework| framework.name()).collect();
            format!("not a framework that is known here: {}", names.join(", "))
        })
    }
}

impl fmt::Display for Framework {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Framework {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a remedy is about: the heading of its section in `remedies/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Handshake,
    BeforeAccept,
    Malformed,
    Verify,
    Algorithms,
    Secret,
    Expiry,
    Claims,
    Query,
    Header,
    Echo,
    Bypass,
    Negotiation,
    Origin,
    Challenge,
    Oracle,
    Limits,
    Lifecycle,
    Frames,
    Messages,
    Isolation,
    Performance,
}

impl Topic {
    const fn heading(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::BeforeAccept => "before-accept",
            Self::Malformed => "malformed",
            Self::Verify => "verify",
            Self::Algorithms => "algorithms",
            Self::Secret => "secret",
            Self::Expiry => "expiry",
            Self::Claims => "claims",
            Self::Query => "query",
            Self::Header => "header",
            Self::Echo => "echo",
            Self::Bypass => "bypass",
            Self::Negotiation => "negotiation",
            Self::Origin => "origin",
            Self::Challenge => "challenge",
            Self::Oracle => "oracle",
            Self::Limits => "limits",
            Self::Lifecycle => "lifecycle",
            Self::Frames => "frames",
            Self::Messages => "messages",
            Self::Isolation => "isolation",
            Self::Performance => "performance",
        }
    }
}

/// The remedy in words, and as code where there is some for the framework.
pub(crate) fn remedy(topic: Topic, framework: Framework) -> String {
    let words = section(Framework::Generic.pages(), topic).unwrap_or_default();
    if framework == Framework::Generic {
        return words.to_owned();
    }
    match section(framework.pages(), topic) {
        Some(code) => format!("{words}\n\n{code}"),
        None => words.to_owned(),
    }
}

fn section(page: &str, topic: Topic) -> Option<&str> {
    let start = format!("## {}\n", topic.heading());
    let body = page.split(&start).nth(1)?;
    Some(body.split("\n## ").next().unwrap_or(body).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_words_and_every_framework_the_code_that_counts() {
        for case in crate::cases::all() {
            assert!(
                section(Framework::Generic.pages(), case.topic).is_some_and(|text| text.len() > 40),
                "{}",
                case.id
            );
        }
        for framework in Framework::ALL.into_iter().filter(|framework| *framework != Framework::Generic) {
            for topic in [Topic::BeforeAccept, Topic::Algorithms, Topic::Origin, Topic::Negotiation] {
                let text =
                    section(framework.pages(), topic).unwrap_or_else(|| panic!("{framework} {topic:?}"));
                assert!(text.contains("```"), "{framework} {topic:?}");
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for framework in Framework::ALL {
            assert_eq!(framework.name().parse(), Ok(framework));
        }
        assert!("rails".parse::<Framework>().is_err());
    }
}
