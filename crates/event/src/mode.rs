//! The four modes of a connection and the paths that lead to them.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::Wire;

/// How a connection's messages are run and to whom their events go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// All connections of a user share threads: every device sees every event; resumable.
    #[default]
    Main,
    /// Each run has a context made fresh for it; nothing is shared between runs; delivery as in `main`.
    Factory,
    /// The connection is the world: its events reach it alone, its runs end with it, nothing is retained.
    Isolated,
    /// Flat messages of older clients; no resume.
    Legacy,
}

impl Mode {
    /// Every mode.
    pub const ALL: &'static [Self] = &[Self::Main, Self::Factory, Self::Isolated, Self::Legacy];

    /// Lower-case name, as on the wire, in `?mode=` and in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Factory => "factory",
            Self::Isolated => "isolated",
            Self::Legacy => "legacy",
        }
    }

    /// The paths on which the mode lives; the first is the one to recommend.
    pub const fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Main => &["/ws", "/ws/main", "/api/v1/websocket"],
            Self::Factory => &["/ws/factory"],
            Self::Isolated => &["/ws/isolated"],
            Self::Legacy => &["/ws/legacy", "/websocket", "/ws/test"],
        }
    }

    /// The mode that lives at exactly `path`.
    pub fn at_path(path: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mode| mode.paths().contains(&path))
    }

    /// How the server's messages are written where no subprotocol says otherwise.
    pub const fn wire(self) -> Wire {
        match self {
            Self::Main | Self::Factory | Self::Isolated => Wire::V1,
            Self::Legacy => Wire::Legacy,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMode;

impl fmt::Display for UnknownMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a mode: main, factory, isolated or legacy is expected")
    }
}

impl std::error::Error for UnknownMode {}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Self::ALL.iter().copied().find(|mode| mode.as_str() == text).ok_or(UnknownMode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_leads_to_one_mode() {
        let table = [
            ("/ws", Mode::Main),
            ("/ws/main", Mode::Main),
            ("/api/v1/websocket", Mode::Main),
            ("/ws/factory", Mode::Factory),
            ("/ws/isolated", Mode::Isolated),
            ("/ws/legacy", Mode::Legacy),
            ("/websocket", Mode::Legacy),
            ("/ws/test", Mode::Legacy),
        ];
        for (path, mode) in table {
            assert_eq!(Mode::at_path(path), Some(mode), "{path}");
        }
        assert_eq!(Mode::ALL.iter().map(|mode| mode.paths().len()).sum::<usize>(), table.len());
        for path in ["", "/", "/WS", "/ws/", "/ws/main/", "//ws", "/ws?mode=main", "/ws/health", "/ws/echo"] {
            assert_eq!(Mode::at_path(path), None, "{path}");
        }
    }

    #[test]
    fn names_round_trip_and_are_those_of_the_wire() {
        for &mode in Mode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
        }
        for text in ["Main", "", "main ", "default"] {
            assert_eq!(text.parse::<Mode>(), Err(UnknownMode), "{text:?}");
        }
    }
}
