//! Close codes: what each reason becomes under each profile (RFC 6455 §7.4).

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

impl CloseProfile {
    /// Every profile.
    pub const ALL: &'static [Self] =
        &[Self::Standard, Self::ServerError, Self::StrictProtocol, Self::Application];

    /// The name, as the configuration writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::ServerError => "server-error",
            Self::StrictProtocol => "strict-protocol",
            Self::Application => "application",
        }
    }
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
