//! What is where, and the methods that each address takes, for `Allow` and the log.

/// What is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Login,
    Refresh,
    Logout,
    Revoke,
    Link,
    Health,
    Jwks,
}

impl Route {
    const ALL: [Self; 7] =
        [Self::Login, Self::Refresh, Self::Logout, Self::Revoke, Self::Link, Self::Health, Self::Jwks];

    pub(super) fn find(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.path() == path)
    }

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Login => "/auth/login",
            Self::Refresh => "/auth/refresh",
            Self::Logout => "/auth/logout",
            Self::Revoke => "/auth/revoke",
            Self::Link => "/auth/link",
            Self::Health => "/health",
            Self::Jwks => "/.well-known/jwks.json",
        }
    }

    const fn is_read(self) -> bool {
        matches!(self, Self::Health | Self::Jwks)
    }

    /// The `Allow` field (RFC 9110 §10.2.1).
    pub(super) const fn allow(self) -> &'static str {
        if self.is_read() { "GET, HEAD, OPTIONS" } else { "POST, OPTIONS" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_found_by_its_own_path_alone() {
        for route in Route::ALL {
            assert_eq!(Route::find(route.path()), Some(route));
            assert_eq!(Route::find(&format!("{}/", route.path())), None);
        }
    }
}
