//! Who a verified token speaks for.

use std::{fmt, num::NonZeroU64, sync::Arc};

/// A verified token's subject and what else the gate needs of it.
///
/// Only [`Verifier::verify`](crate::Verifier::verify) makes one. It is one shared pointer: cloning costs a counter, and
/// connections that came with the same cached token share it. Its `Debug` tells nothing of it.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

/// One allocation for the texts and one for the rest: about 64 bytes and what the claims say.
struct Inner {
    /// `sub`, `iss`, `jti`, `sid` and the scopes, one behind the other.
    text: Box<str>,
    /// `u64::MAX` for a token without `exp`, which no date reaches.
    expires_at: u64,
    issued_at: Option<NonZeroU64>,
    subject_end: u16,
    /// Where `iss` ends, which starts at `subject_end`; the same place if there is none: an empty `iss` counts as none.
    issuer_end: u16,
    jti_end: u16,
    session_end: u16,
}

/// The claims of an identity, as the verifier found them; empty texts stand for absent ones.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    pub(crate) subject: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) jti: &'a str,
    /// `sid`.
    pub(crate) session: &'a str,
    pub(crate) scopes: &'a [&'a str],
    pub(crate) expires_at: Option<u64>,
    pub(crate) issued_at: Option<u64>,
}

impl Identity {
    /// The caller has bounded `sub`, `iss`, `jti` and `sid`, so that their ends fit.
    pub(crate) fn new(parts: &Parts<'_>) -> Self {
        let scopes_len: usize = parts.scopes.iter().map(|scope| scope.len() + 1).sum();
        let fixed = parts.subject.len() + parts.issuer.len() + parts.jti.len() + parts.session.len();
        let mut text = String::with_capacity(fixed + scopes_len.saturating_sub(1));
        let mut push = |part: &str| {
            text.push_str(part);
            u16::try_from(text.len()).expect("the verifier bounds sub, iss, jti and sid")
        };
        let subject_end = push(parts.subject);
        let issuer_end = push(parts.issuer);
        let jti_end = push(parts.jti);
        let session_end = push(parts.session);
        for (index, scope) in parts.scopes.iter().enumerate() {
            if index > 0 {
                text.push(' ');
            }
            text.push_str(scope);
        }
        Self(Arc::new(Inner {
            text: text.into_boxed_str(),
            expires_at: parts.expires_at.unwrap_or(u64::MAX),
            issued_at: parts.issued_at.and_then(NonZeroU64::new),
            subject_end,
            issuer_end,
            jti_end,
            session_end,
        }))
    }

    /// `sub`: never empty, at most 256 bytes.
    pub fn subject(&self) -> &str {
        &self.0.text[..usize::from(self.0.subject_end)]
    }

    /// `iss`, if the token has one.
    pub fn issuer(&self) -> Option<&str> {
        let issuer = &self.0.text[usize::from(self.0.subject_end)..usize::from(self.0.issuer_end)];
        (!issuer.is_empty()).then_some(issuer)
    }

    /// `jti`, if the token has one.
    pub fn jti(&self) -> Option<&str> {
        let jti = &self.0.text[usize::from(self.0.issuer_end)..usize::from(self.0.jti_end)];
        (!jti.is_empty()).then_some(jti)
    }

    /// `sid`: the login that the token belongs to, if it says so (`OpenID` Connect Front-Channel Logout 1.0 §3).
    pub fn session(&self) -> Option<&str> {
        let session = &self.0.text[usize::from(self.0.jti_end)..usize::from(self.0.session_end)];
        (!session.is_empty()).then_some(session)
    }

    /// The scopes, in the token's order.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.text[usize::from(self.0.session_end)..].split(' ').filter(|scope| !scope.is_empty())
    }

    /// Whether `scope` is among [`scopes`](Self::scopes).
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|granted| granted == scope)
    }

    /// `exp` in whole seconds; none only where the policy does not ask for it.
    pub fn expires_at(&self) -> Option<u64> {
        (self.0.expires_at != u64::MAX).then_some(self.0.expires_at)
    }

    /// `iat` in whole seconds, if the token has one.
    pub fn issued_at(&self) -> Option<u64> {
        self.0.issued_at.map(NonZeroU64::get)
    }

    /// Whether both speak for the same subject: a `sub` is unique only within its issuer (RFC 7519 §4.1.2).
    pub fn same_subject(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.subject() == other.subject() && self.issuer() == other.issuer())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(subject: &str, issuer: &str, jti: &str, scopes: &[&str]) -> Identity {
        Identity::new(&Parts { subject, issuer, jti, scopes, expires_at: Some(9), ..Parts::default() })
    }

    #[test]
    fn gives_back_each_part() {
        for (subject, issuer, jti, scopes) in [
            ("ann", "", "", &[][..]),
            ("ann", "https://id", "", &["chat"]),
            ("ann", "", "j-1", &["chat", "admin"]),
            ("änn", "https://id", "j-1", &["a", "b", "c"]),
        ] {
            let identity = identity(subject, issuer, jti, scopes);
            assert_eq!(identity.subject(), subject);
            assert_eq!(identity.issuer().unwrap_or(""), issuer);
            assert_eq!(identity.jti().unwrap_or(""), jti);
            assert_eq!(identity.scopes().collect::<Vec<_>>(), scopes);
            assert!(scopes.iter().all(|scope| identity.has_scope(scope)));
            assert!(!identity.has_scope(""));
            assert!(!identity.has_scope("chat admin"));
        }
    }

    #[test]
    fn is_small() {
        assert_eq!(size_of::<Identity>(), 8);
        assert!(size_of::<Inner>() <= 48, "{}", size_of::<Inner>());
        let typical = identity("9f2c1d7e-user", "http://127.0.0.1:8081", "0197f3c2-jti", &["chat"]);
        assert!(size_of::<Inner>() + 2 * size_of::<usize>() + typical.0.text.len() <= 160);
    }

    #[test]
    fn the_same_subject_of_another_issuer_is_somebody_else() {
        let ann = identity("ann", "https://a", "", &[]);
        assert!(ann.same_subject(&identity("ann", "https://a", "other", &["x"])));
        assert!(!ann.same_subject(&identity("ann", "https://b", "", &[])));
        assert!(!ann.same_subject(&identity("bob", "https://a", "", &[])));
        // The texts joined are equal; the parts are not.
        assert!(!identity("ann", "b", "", &[]).same_subject(&identity("annb", "", "", &[])));
    }

    #[test]
    fn debug_tells_no_claim() {
        let shown = format!("{:?}", identity("ann", "https://id", "j-1", &["chat"]));
        assert_eq!(shown, "Identity { .. }");
    }
}
