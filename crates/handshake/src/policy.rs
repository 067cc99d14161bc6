//! What the gate takes: routes, origins, credential forms, subprotocols. Built once, read by every handshake.

use std::sync::Arc;

use portcullis_reason::{Reason, Rejection};

use crate::{
    InvalidOrigin, SameOrigin,
    origin::Origins,
    target::{check_path, parameters},
};

/// The rules of one listener. `R` is what a route leads to; this crate only passes it on.
#[derive(Clone, Debug)]
pub struct Policy<R> {
    paths: Vec<(Box<str>, R)>,
    modes: Vec<(Box<str>, R)>,
    mode_paths: Vec<Box<str>>,
    pub(crate) origins: Origins,
    pub(crate) prefixes: Vec<Box<str>>,
    pub(crate) versions: Vec<Arc<str>>,
    pub(crate) credential_names: Vec<Arc<str>>,
    pub(crate) two_element: Arc<str>,
    pub(crate) accept_two_element_form: bool,
    pub(crate) max_token_bytes: usize,
}

impl<R> Policy<R> {
    /// The credential prefixes `jwt.`, `jwt-auth.`, `bearer.` and Kubernetes' own, the subprotocols `portcullis.v1`,
    /// `jwt-auth` and `bearer`, tokens of up to 8 KiB, same origin on loopback, and no route yet.
    pub fn builder() -> PolicyBuilder<R> {
        PolicyBuilder {
            policy: Self {
                paths: Vec::new(),
                modes: Vec::new(),
                mode_paths: Vec::new(),
                origins: Origins::default(),
                prefixes: PREFIXES.iter().map(|&prefix| prefix.into()).collect(),
                versions: vec!["portcullis.v1".into()],
                credential_names: vec!["jwt-auth".into(), "bearer".into()],
                two_element: "jwt".into(),
                accept_two_element_form: false,
                max_token_bytes: DEFAULT_MAX_TOKEN_BYTES,
            },
            error: None,
        }
    }

    /// The subprotocols that can be selected, the preferred first.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.versions.iter().chain(&self.credential_names).map(AsRef::as_ref)
    }

    /// The prefixes of token-bearing subprotocol elements, each with its last dot.
    pub fn credential_prefixes(&self) -> impl Iterator<Item = &str> {
        self.prefixes.iter().map(AsRef::as_ref)
    }

    /// The longest token taken, in bytes.
    pub const fn max_token_bytes(&self) -> usize {
        self.max_token_bytes
    }

    /// Whether `jwt, <token>` is taken.
    pub const fn accepts_two_element_form(&self) -> bool {
        self.accept_two_element_form
    }

    /// Whether some upgrade is served at that path: a plain request for it is a handshake gone wrong.
    pub fn knows_path(&self, path: &str) -> bool {
        self.paths.iter().any(|(known, _)| **known == *path)
    }

    /// The paths that lead somewhere, with what they lead to.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &R)> {
        self.paths.iter().map(|(path, route)| (path.as_ref(), route))
    }
}

impl<R: Copy + PartialEq> Policy<R> {
    /// The route behind the name of a mode, as in `?mode=` and in a preflight's body.
    pub fn mode(&self, name: &str) -> Option<R> {
        self.modes.iter().find(|(known, _)| **known == *name).map(|&(_, route)| route)
    }

    /// Whether pages of `origin` may connect to `host`: the rule of [`Upgrade::check`](crate::Upgrade::check), for the
    /// plain routes beside it.
    ///
    /// # Errors
    /// [`Reason::OriginNotAllowed`].
    pub fn check_origin(&self, origin: &[u8], host: Option<&str>) -> Result<(), Rejection> {
        self.origins
            .check(origin, host.and_then(crate::origin::Authority::parse))
            .map_err(|detail| Rejection::new(Reason::OriginNotAllowed, detail))
    }

    /// The route of a target (path and query).
    ///
    /// # Errors
    /// [`Reason::UnknownMode`] for a path or mode that is not served, [`Reason::BadUpgrade`] for a path with more
    /// than one reading.
    pub fn route(&self, path: &str, query: &str) -> Result<R, Rejection> {
        check_path(path).map_err(|detail| Rejection::new(Reason::BadUpgrade, detail))?;
        let unknown = |detail: &'static str| {
            let paths = self.paths.iter().map(|(path, _)| &**path).collect::<Vec<_>>().join("`, `");
            Err(Rejection::new(Reason::UnknownMode, detail)
                .with_hint(format!("WebSockets are served at `{paths}`.")))
        };
        let by_path = self.paths.iter().find(|(known, _)| **known == *path).map(|&(_, route)| route);
        let mut named = parameters(query, "mode");
        let name = match (named.next(), named.next()) {
            (None, _) => return by_path.map_or_else(|| unknown("no mode is served at this path"), Ok),
            (Some(name), None) => name,
            (Some(_), Some(_)) => return unknown("the query names more than one mode"),
        };
        let by_query = self.mode(name);
        match (by_path, by_query) {
            (_, None) => unknown("the query names a mode that does not exist"),
            (_, Some(route)) if self.mode_paths.iter().any(|known| **known == *path) => Ok(route),
            (Some(route), Some(named)) if route == named => Ok(route),
            (Some(_), Some(_)) => unknown("the query names another mode than the path"),
            (None, Some(_)) => unknown("no mode is served at this path"),
        }
    }
}

/// Builds a [`Policy`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PolicyBuilder<R> {
    policy: Policy<R>,
    error: Option<InvalidPolicy>,
}

impl<R> PolicyBuilder<R> {
    /// Serves an upgrade at exactly that path.
    pub fn route(mut self, path: &str, route: R) -> Self {
        if !path.starts_with('/') || check_path(path).is_err() {
            self.fail(InvalidPolicy::Path(path.to_owned()));
        }
        self.policy.paths.push((path.into(), route));
        self
    }

    /// Gives a mode its name, as used in `?mode=`.
    pub fn mode(mut self, name: &str, route: R) -> Self {
        self.policy.modes.push((name.into(), route));
        self
    }

    /// Lets `?mode=` choose the route at that path, which may lead nowhere (as `/`) or elsewhere without it.
    pub fn mode_path(mut self, path: &str) -> Self {
        if !path.starts_with('/') || check_path(path).is_err() {
            self.fail(InvalidPolicy::Path(path.to_owned()));
        }
        self.policy.mode_paths.push(path.into());
        self
    }

    /// Lets pages of this origin connect, beside those of the same origin.
    pub fn allow_origin(mut self, origin: &str) -> Self {
        if let Err(error) = self.policy.origins.add(origin) {
            self.fail(InvalidPolicy::Origin(error));
        }
        self
    }

    /// Says which hosts count for the same-origin rule.
    pub fn same_origin(mut self, hosts: SameOrigin) -> Self {
        self.policy.origins.same = hosts;
        self
    }

    /// Takes tokens behind one more prefix, raw or base64url-encoded. `prefix` is complete with its last character.
    pub fn credential_prefix(mut self, prefix: &str) -> Self {
        if !is_protocol_name(prefix) {
            self.fail(InvalidPolicy::Name(prefix.to_owned()));
        }
        self.policy.prefixes.push(prefix.into());
        self
    }

    /// The protocol versions that can be selected, the preferred first. They win over credential names.
    pub fn protocol_versions<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.policy.versions = names.into_iter().map(Into::into).collect();
        self
    }

    /// Lets one more plain name be selected that only says how the token travels.
    pub fn credential_name(mut self, name: &str) -> Self {
        self.policy.credential_names.push(name.into());
        self
    }

    /// Whether `jwt, <token>` is taken. Off by default.
    pub const fn accept_two_element_form(mut self, accept: bool) -> Self {
        self.policy.accept_two_element_form = accept;
        self
    }

    /// The longest token taken, in bytes.
    pub const fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.policy.max_token_bytes = bytes;
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// The first part of it that could never work.
    pub fn build(mut self) -> Result<Policy<R>, InvalidPolicy> {
        let odd = self.policy.subprotocols().find(|&name| {
            !is_protocol_name(name) || self.policy.prefixes.iter().any(|prefix| name.starts_with(&**prefix))
        });
        if let Some(name) = odd.map(ToOwned::to_owned) {
            self.fail(InvalidPolicy::Name(name));
        }
        self.error.map_or(Ok(self.policy), Err)
    }

    fn fail(&mut self, error: InvalidPolicy) {
        self.error.get_or_insert(error);
    }
}

/// A part of a policy that could never work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// A path that does not start with `/` or has more than one reading.
    #[error("`{0}` is not a path with a single reading")]
    Path(String),
    /// An origin of another form.
    #[error(transparent)]
    Origin(#[from] InvalidOrigin),
    /// A subprotocol name or prefix that is not a token, or a name that would read as a token-bearing element.
    #[error("`{0}` cannot be the name or prefix of a subprotocol")]
    Name(String),
}

/// Whether `name` is a token (RFC 9110 §5.6.2), as subprotocol names are (RFC 6455 §4.1).
pub(crate) fn is_protocol_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

const PREFIXES: [&str; 4] = ["jwt.", "jwt-auth.", "bearer.", "base64url.bearer.authorization.k8s.io."];
const DEFAULT_MAX_TOKEN_BYTES: usize = 8 * 1024;
