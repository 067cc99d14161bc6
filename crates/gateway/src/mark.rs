//! What marks the requests of this server's own probe.
//!
//! The mark is random for each start. It changes what is counted, and never what is allowed.

use portcullis_handshake::Head;
use portcullis_units::random;
use subtle::ConstantTimeEq as _;

/// The header that carries the probe's mark.
pub(crate) const HEADER: &str = "X-Portcullis-Probe";

/// The value that this process' probe sends.
pub(crate) struct Mark(String);

impl Mark {
    pub(crate) fn generate() -> Self {
        Self(random::hex::<16>())
    }

    /// Whether a request carries it.
    pub(crate) fn is_on(&self, head: &Head<'_>) -> bool {
        let mut marks = head.fields().iter().filter(|field| field.name.eq_ignore_ascii_case(HEADER));
        marks.any(|field| field.value.ct_eq(self.0.as_bytes()).into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use portcullis_handshake::HeadLimits;

    use super::*;

    #[test]
    fn a_mark_is_known_by_its_whole_value_alone() {
        let (mark, other) = (Mark::generate(), Mark::generate());
        let on = |field: &str| {
            let head = format!("GET /ws HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n");
            mark.is_on(&Head::parse(head.as_bytes(), &HeadLimits::default()).unwrap())
        };
        assert!(on(&format!("{HEADER}: {}", mark.as_str())));
        assert!(on(&format!("x-portcullis-probe: {}", mark.as_str())));
        assert!(!on(&format!("{HEADER}: {}", other.as_str())));
        assert!(!on(&format!("{HEADER}: {}", &mark.as_str()[1..])));
        assert!(!on(&format!("{HEADER}:")));
        assert!(!on("X-Other: x"));
    }
}
