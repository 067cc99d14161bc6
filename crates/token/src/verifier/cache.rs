//! Verified tokens, so that a client that comes back does not cost another signature check.

use quick_cache::sync::Cache as QuickCache;

use super::claims::Lifetime;
use crate::Identity;

/// A bounded map from a token's SHA-256 to what was verified.
///
/// An entry says only that the signature and the claims were good under one generation of its issuer's keys. Whether the token is
/// still in its lifetime is checked on every hit.
pub(super) struct Cache(QuickCache<[u8; 32], Entry>);

#[derive(Clone)]
struct Entry {
    identity: Identity,
    lifetime: Lifetime,
    /// The keys that verified it. One put in by a thread that still had the old keys is never found again.
    generation: u64,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self(QuickCache::new(capacity))
    }

    /// What was verified by keys of a generation that `holds`.
    pub(super) fn get(
        &self,
        hash: &[u8; 32],
        holds: impl FnOnce(u64) -> bool,
    ) -> Option<(Identity, Lifetime)> {
        let entry = self.0.get(hash)?;
        holds(entry.generation).then_some((entry.identity, entry.lifetime))
    }

    pub(super) fn insert(&self, hash: [u8; 32], generation: u64, identity: Identity, lifetime: Lifetime) {
        self.0.insert(hash, Entry { identity, lifetime, generation });
    }

    pub(super) fn remove(&self, hash: &[u8; 32]) {
        self.0.remove(hash);
    }

    /// Forgets what keys of generations verified that do not hold.
    pub(super) fn retain(&self, holds: impl Fn(u64) -> bool) {
        self.0.retain(|_, entry| holds(entry.generation));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Parts;

    #[test]
    fn what_old_keys_put_in_late_is_not_found() {
        let parts = Parts { subject: "ann", expires_at: Some(9), ..Parts::default() };
        let (identity, lifetime) =
            (Identity::new(&parts), Lifetime { from: None, issued: None, until: Some(9) });
        let cache = Cache::new(10);
        cache.retain(|generation| generation == 1);
        cache.insert([1; 32], 0, identity, lifetime);
        assert!(cache.get(&[1; 32], |generation| generation == 0).is_some());
        assert!(cache.get(&[1; 32], |generation| generation == 1).is_none());
    }
}
