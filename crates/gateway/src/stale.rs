//! Pages that come from another build than this server's.
//!
//! A browser may show yesterday's page for days. Such a page says which build it is from, in the upgrade's query
//! (`build=<id>`) and in the preflight's body, and where its age may be the cause of a refusal the refusal says so.

use portcullis_reason::{Reason, Rejection};

use crate::embedded;

/// Whether a page of build `id` is older or newer than the page that this server serves.
fn is_stale(id: &str) -> bool {
    !embedded::build_id().is_empty() && id != embedded::build_id()
}

/// What the query of an upgrade says; none where it names no build.
pub(crate) fn of_query(query: &str) -> Option<bool> {
    let id = query.split('&').find_map(|pair| pair.strip_prefix("build="))?;
    of(Some(id))
}

/// What a build that a page named says; none where it named none that could be one.
pub(crate) fn of(id: Option<&str>) -> Option<bool> {
    id.filter(|id| is_id(id)).map(is_stale)
}

/// Adds to what a refused page of another build is told.
pub(crate) fn explain(rejection: Rejection) -> Rejection {
    if !may_be_the_cause(rejection.reason) {
        return rejection;
    }
    let hint = match &rejection.hint {
        Some(hint) => format!("{OLD_PAGE} {hint}"),
        None => OLD_PAGE.to_owned(),
    };
    rejection.with_hint(hint)
}

/// Whether the code of the page decides about this, rather than its user or this server.
fn may_be_the_cause(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::BadUpgrade
            | Reason::UnknownMode
            | Reason::NoToken
            | Reason::AmbiguousCredentials
            | Reason::ProtocolMismatch
            | Reason::TokenMalformed
            | Reason::NoCommonSubprotocol
            | Reason::RequestTooLarge
    )
}

/// Build ids are short hexadecimal hashes; other pages may name theirs after a version.
fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

const OLD_PAGE: &str = "The page is from another build than this server, and its age is the likely cause: reload it, past the cache.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_stale_when_it_names_another_build() {
        let own = embedded::build_id();
        assert!(!own.is_empty(), "the page is embedded");
        assert_eq!(of_query(&format!("mode=main&build={own}")), Some(false));
        assert_eq!(of_query("build=another&mode=main"), Some(true));
        assert_eq!(of_query("mode=main"), None);
        assert_eq!(of_query(""), None);
        assert_eq!(of_query("build="), None);
        assert_eq!(of_query("xbuild=another"), None);
        assert_eq!(of(Some("a b")), None, "no build has a name like that");
        assert_eq!(of(Some(&"x".repeat(65))), None);
    }

    #[test]
    fn a_refusal_names_the_old_page_where_it_may_be_the_cause() {
        let refused = Rejection::new(Reason::ProtocolMismatch, "x").with_hint("Offer something else.");
        let hint = explain(refused).hint.unwrap();
        assert!(hint.starts_with(OLD_PAGE) && hint.ends_with("Offer something else."), "{hint}");
        assert_eq!(explain(Rejection::from(Reason::NoToken)).hint.as_deref(), Some(OLD_PAGE));
        let expired = Rejection::from(Reason::TokenExpired);
        assert_eq!(explain(expired.clone()), expired, "a new page has the same token");
    }
}
