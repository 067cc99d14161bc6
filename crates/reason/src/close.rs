//! Close codes: what each reason becomes under each profile, and what each code means to a reader (RFC 6455 §7.4).

use crate::Reason;

/// The most bytes a close frame's reason text may have (RFC 6455 §5.5: 125 less the code).
pub const MAX_CLOSE_REASON: usize = 123;

/// How reasons become close codes. Field reports disagree, so clients that were built on another habit can be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloseProfile {
    /// The catalogue's own codes: 1008 for a credential that is no good, 1011 for our own failures alone.
    #[default]
    Standard,
    /// 1011 for every authentication failure.
    ServerError,
    /// 1002 for `NO_TOKEN`, 1008 for the other authentication failures.
    StrictProtocol,
    /// 4400-4499 change something first, 4500-4599 try again later.
    Application,
}

impl Reason {
    /// The close code under `profile`, or none where the reason never closes a WebSocket.
    ///
    /// Every code may be sent: it is never 1005, 1006 or 1015 (RFC 6455 §7.4.1).
    pub const fn close_code(self, profile: CloseProfile) -> Option<u16> {
        match (profile, self.close_standard()) {
            (_, None) => None,
            (CloseProfile::Application, _) => self.close_application(),
            (CloseProfile::ServerError, Some(_)) if self.is_authentication() => Some(1011),
            (CloseProfile::StrictProtocol, Some(_)) if matches!(self, Self::NoToken) => Some(1002),
            (CloseProfile::StrictProtocol, Some(_)) if self.is_authentication() => Some(1008),
            (_, code) => code,
        }
    }
}

/// A close code as seen in a browser or a log, explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

/// What a close code means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseCodeHelp {
    /// The registered name, or what the range is for.
    pub name: &'static str,
    /// What it says, whether it may stand on the wire, and where it usually comes from.
    pub meaning: &'static str,
    /// What to do when it is seen.
    pub remedy: &'static str,
}
