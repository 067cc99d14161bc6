//! Close codes that may stand in a frame (RFC 6455 §7.4).

use portcullis_reason::{CloseProfile, Reason};

/// A close code that may stand in a frame, in either direction.
///
/// Registered codes and 3000-4999; never 1005, 1006 or 1015, which only name what happened without a frame. (RFC 6455
/// §7.4.1, §7.4.2)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WireCode(u16);

impl WireCode {
    /// 1000: done, nothing wrong.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server stops, or the page is left.
    pub const GOING_AWAY: Self = Self(1001);

    /// `code`, unless it may not stand in a frame: 0-999, 1004-1006, 1015-2999 and 5000 up.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            // 1012 to 1014 came after the RFC and are in IANA's registry; 1004 is reserved there.
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The code of `reason` under `profile`, or none where the reason never closes a WebSocket.
    pub fn of(reason: Reason, profile: CloseProfile) -> Option<Self> {
        reason.close_code(profile).and_then(Self::new)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_registered_and_private_codes_alone() {
        let ranges: Vec<(u16, u16)> = (0..=u16::MAX).filter(|&code| WireCode::new(code).is_some()).fold(
            Vec::new(),
            |mut ranges: Vec<(u16, u16)>, code| {
                match ranges.last_mut() {
                    Some((_, last)) if *last + 1 == code => *last = code,
                    _ => ranges.push((code, code)),
                }
                ranges
            },
        );
        assert_eq!(ranges, [(1000, 1003), (1007, 1014), (3000, 4999)]);
    }

    #[test]
    fn takes_every_code_of_the_catalogue() {
        let profiles = [
            CloseProfile::Standard,
            CloseProfile::ServerError,
            CloseProfile::StrictProtocol,
            CloseProfile::Application,
        ];
        for reason in Reason::ALL.iter().copied() {
            for profile in profiles {
                let wire = WireCode::of(reason, profile).map(WireCode::get);
                assert_eq!(wire, reason.close_code(profile), "{reason} under {profile:?}");
            }
        }
    }
}
