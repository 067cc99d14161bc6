//! Who signs tokens, and what is asked of theirs.

use crate::{Algorithm, KeySet};

/// A party that signs tokens: the issuers that it speaks for, its keys, and what its tokens have to say.
///
/// All of it belongs together: an audience or a scope means what its issuer means by it, and a key is good for the tokens of
/// its own issuer alone (RFC 8725 §3.8, §3.9). The default speaks for nobody.
#[derive(Clone, Debug, Default)]
pub struct Issuer {
    /// The values of `iss` that its keys speak for, compared byte for byte.
    pub names: Vec<String>,
    /// Whether its keys speak also for whomever nobody names, and for tokens without `iss`.
    pub others: bool,
    /// Its keys.
    pub keys: KeySet,
    /// The only algorithms that its keys are used with; with none listed, whatever the keys are for.
    pub algorithms: Vec<Algorithm>,
    /// Names of this service. A token is good if `aud` has one of them.
    ///
    /// With none listed a token without `aud` is good, and one with `aud` is for somebody else (RFC 7519 §4.1.3).
    pub audiences: Vec<String>,
    /// Do not look at `aud` at all. For issuers that put something in it that cannot be told in advance.
    pub any_audience: bool,
    /// Claims that have to be present and not null, beside `sub`, which always has to.
    pub required_claims: Vec<String>,
    /// Scopes that all have to be granted.
    pub required_scopes: Vec<String>,
    /// The claim that grants scopes, as a string with spaces or an array of strings. Without one it is `scope` (RFC 8693
    /// §4.2), or else `scp`.
    pub scopes_claim: Option<String>,
}

impl Issuer {
    /// The keys of whoever has them, who may speak for every issuer that has none of its own.
    pub fn unnamed(keys: KeySet) -> Self {
        Self { others: true, keys, ..Self::default() }
    }

    /// The keys of one issuer.
    pub fn named(name: impl Into<String>, keys: KeySet) -> Self {
        Self { names: vec![name.into()], keys, ..Self::default() }
    }

    /// Whether it is the one that speaks for `issuer`.
    pub(crate) fn is_named(&self, issuer: &str) -> bool {
        self.names.iter().any(|name| name == issuer)
    }
}
