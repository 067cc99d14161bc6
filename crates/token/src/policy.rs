//! What a token has to say beside being signed.

/// The most that [`Policy::leeway`] counts for, in seconds (RFC 7519 §4.1.4: "no more than a few minutes").
pub(crate) const MAX_LEEWAY: u64 = 60;

/// What is asked of every token, whoever signed it. What is asked of one issuer's stands in [`Issuer`](crate::Issuer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How far clocks may be apart, in seconds. More than 60 counts as 60.
    pub leeway: u64,
    /// The longest token that is looked at, in bytes.
    pub max_token_bytes: usize,
    /// Values of the header's `typ` that are taken, in any case and with or without `application/` (RFC 7515 §4.1.9).
    ///
    /// Tokens of another kind, refresh tokens or ID tokens with a `typ` of their own, are refused by it (RFC 8725 §3.11).
    pub types: Vec<String>,
    /// Refuse tokens without `typ`.
    pub require_type: bool,
    /// Refuse tokens without `exp`.
    pub require_expiry: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            leeway: 30,
            max_token_bytes: 8192,
            types: vec!["JWT".to_owned(), "at+jwt".to_owned()],
            require_type: false,
            require_expiry: true,
        }
    }
}

impl Policy {
    /// The leeway that counts.
    pub(crate) const fn effective_leeway(&self) -> u64 {
        if self.leeway > MAX_LEEWAY { MAX_LEEWAY } else { self.leeway }
    }

    /// Whether a token with this `typ` may be taken.
    pub(crate) fn takes_type(&self, typ: Option<&str>) -> bool {
        let Some(typ) = typ else { return !self.require_type };
        self.types.iter().any(|taken| media_type(taken).eq_ignore_ascii_case(media_type(typ)))
    }
}

/// `typ` without the prefix that senders should leave out (RFC 7515 §4.1.9).
fn media_type(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.get(..PREFIX.len()) {
        Some(start) if start.eq_ignore_ascii_case(PREFIX) && !typ[PREFIX.len()..].contains('/') => {
            &typ[PREFIX.len()..]
        }
        _ => typ,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_compared_as_media_types() {
        let policy = Policy::default();
        for taken in [
            None,
            Some("JWT"),
            Some("jwt"),
            Some("at+jwt"),
            Some("AT+JWT"),
            Some("application/at+jwt"),
            Some("Application/JWT"),
        ] {
            assert!(policy.takes_type(taken), "{taken:?}");
        }
        for other in [
            "",
            "rt+jwt",
            "JWE",
            "application/",
            "application//jwt",
            "application/x/jwt",
            "jwt ",
            "logout+jwt",
        ] {
            assert!(!policy.takes_type(Some(other)), "{other}");
        }
        assert!(!Policy { require_type: true, ..Policy::default() }.takes_type(None));
    }

    #[test]
    fn leeway_is_a_minute_at_most() {
        assert_eq!(Policy::default().effective_leeway(), 30);
        assert_eq!(Policy { leeway: 61, ..Policy::default() }.effective_leeway(), 60);
        assert_eq!(Policy { leeway: u64::MAX, ..Policy::default() }.effective_leeway(), 60);
    }
}
