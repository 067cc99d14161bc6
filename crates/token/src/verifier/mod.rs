//! From a token to an identity (RFC 7519 §7.2).

mod cache;
mod claims;
mod header;

use std::{fmt, sync::Arc};

use parking_lot::RwLock;
use portcullis_reason::{Reason, Rejection};

use self::cache::Cache;
use crate::{Identity, Issuer, KeySet, Policy, base64url, fingerprint::sha256};

/// Verifies the tokens of some issuers under one policy. Shared by all threads.
pub struct Verifier {
    trusted: RwLock<Arc<Trusted>>,
    policy: Policy,
    cache: Option<Cache>,
}

/// Who is trusted at one moment.
#[derive(Clone)]
struct Trusted {
    /// Each with the generation of its keys, which no other set of keys here has or had.
    issuers: Vec<(Issuer, u64)>,
    /// Every name of an issuer.
    names: Vec<String>,
    /// The next set of keys is of this generation.
    next: u64,
    /// Whether a key is slow enough. With HMAC a hit would save two microseconds, which is not worth a place in the cache;
    /// with the others it saves 20 to 70.
    has_slow_keys: bool,
}

impl Trusted {
    fn new(issuers: impl IntoIterator<Item = Issuer>) -> Self {
        let mut trusted = Self { issuers: Vec::new(), names: Vec::new(), next: 0, has_slow_keys: false };
        for issuer in issuers {
            trusted.names.extend(issuer.names.iter().cloned());
            trusted.issuers.push((issuer, 0));
            let last = trusted.issuers.len() - 1;
            trusted.give(last, None);
        }
        trusted
    }

    /// Makes a new generation of an issuer's keys, of other ones if there are some.
    fn give(&mut self, index: usize, keys: Option<KeySet>) {
        let (issuer, generation) = &mut self.issuers[index];
        if let Some(keys) = keys {
            issuer.keys = keys;
        }
        if !issuer.algorithms.is_empty() {
            issuer.keys.keep(&issuer.algorithms);
        }
        *generation = self.next;
        self.next += 1;
        self.has_slow_keys = self.issuers.iter().any(|(issuer, _)| issuer.keys.has_asymmetric());
    }

    fn holds(&self, generation: u64) -> bool {
        self.issuers.iter().any(|(_, current)| *current == generation)
    }

    /// Why none of the keys verified a token.
    #[cold]
    fn refusal(&self, header: &header::Header<'_>) -> Rejection {
        let (kid, algorithm) = (header.kid.as_deref(), header.algorithm);
        let any = |question: &dyn Fn(&KeySet) -> bool| {
            self.issuers.iter().any(|(issuer, _)| question(&issuer.keys))
        };
        let is_unknown = kid.is_some() && any(&KeySet::has_kids) && !any(&|keys| keys.has_kid(kid));
        if is_unknown {
            return Rejection::new(Reason::UnknownKey, format!("no {algorithm} key with the token's kid"));
        }
        if any(&|keys| keys.is_asked(kid, algorithm)) {
            return Rejection::new(Reason::SignatureInvalid, format!("no {algorithm} key verifies it"));
        }
        let detail = format!("no key that the token could mean is for {algorithm}");
        Rejection::new(Reason::AlgorithmNotAllowed, detail)
    }
}

impl Verifier {
    /// A verifier of these issuers' tokens, whose cache holds up to `cache_capacity` verified ones; with 0 there is none.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>, policy: Policy, cache_capacity: usize) -> Self {
        let cache = (cache_capacity > 0).then(|| Cache::new(cache_capacity));
        Self { trusted: RwLock::new(Arc::new(Trusted::new(issuers))), policy, cache }
    }

    /// Verifies `token` at the time `now`, in seconds since 1970.
    ///
    /// `token` is the bare compact serialisation, without a scheme, quotes or white space. The order of checks is that of
    /// the [crate documentation](crate). Revocation is the caller's to check, after each call.
    ///
    /// # Errors
    /// `TOKEN_TOO_LARGE`, `TOKEN_MALFORMED`, `ALGORITHM_NOT_ALLOWED`, `UNKNOWN_KEY`, `SIGNATURE_INVALID`, `TOKEN_EXPIRED`,
    /// `NOT_YET_VALID`, `ISSUER_MISMATCH`, `AUDIENCE_MISMATCH`, `CLAIM_MISSING` or `INSUFFICIENT_SCOPE`. Neither `detail` nor
    /// `hint` has anything of the token in it.
    pub fn verify(&self, token: &str, now: u64) -> Result<Identity, Rejection> {
        if token.len() > self.policy.max_token_bytes {
            let max = self.policy.max_token_bytes;
            return Err(Rejection::new(
                Reason::TokenTooLarge,
                format!("{} bytes, of at most {max}", token.len()),
            )
            .with_hint(format!("The token is longer than {max} bytes.")));
        }
        let trusted = Arc::clone(&self.trusted.read());
        let mut room = vec![0; base64url::decoded_len(token.len())];
        let parts = Compact::parse(token, &mut room)?;
        let header = header::parse(parts.header, &self.policy)?;
        // Hashing costs as much as an HMAC over the same bytes, so it is done only where there is something to look up. What
        // `alg` says is not verified yet, but a token that lies about it is verified as what it says, or not at all.
        let looked_up = trusted.has_slow_keys && header.algorithm.family().is_asymmetric();
        let cache = self.cache.as_ref().filter(|_| looked_up);
        let cache = cache.map(|cache| (cache, sha256(token.as_bytes())));
        if let Some((cache, hash)) = &cache
            && let Some((identity, lifetime)) = cache.get(hash, |generation| trusted.holds(generation))
        {
            return match lifetime.check(now, self.policy.effective_leeway()) {
                Ok(()) => Ok(identity),
                Err(rejection) => {
                    cache.remove(hash);
                    Err(rejection)
                }
            };
        }

        let mut mismatch = None;
        for (issuer, generation) in &trusted.issuers {
            let kid = header.kid.as_deref();
            let Some(key) = issuer.keys.verify(kid, header.algorithm, parts.signed, parts.signature) else {
                continue;
            };
            match claims::check(parts.payload, &self.policy, issuer, &trusted.names, now) {
                Ok((identity, lifetime)) => {
                    if let Some((cache, hash)) = cache
                        && key.algorithm().family().is_asymmetric()
                        && lifetime.until.is_some()
                    {
                        cache.insert(hash, *generation, identity.clone(), lifetime);
                    }
                    return Ok(identity);
                }
                // Two issuers may have a key in common, as the tenants of one provider do.
                Err(rejection) if rejection.reason == Reason::IssuerMismatch => {
                    mismatch.get_or_insert(rejection);
                }
                Err(rejection) => return Err(rejection),
            }
        }
        Err(mismatch.unwrap_or_else(|| trusted.refusal(&header)))
    }

    /// Takes other keys for the tokens of `issuer` from now on, and forgets which of its tokens were verified. None names the
    /// issuer that speaks for those without a name. False where there is no such issuer.
    ///
    /// A call of [`verify`](Self::verify) that is under way may still answer with the old keys; what it puts into the cache
    /// is not found under the new ones.
    pub fn replace_keys(&self, issuer: Option<&str>, keys: KeySet) -> bool {
        let mut current = self.trusted.write();
        let mut sought = current.issuers.iter();
        let index = sought.position(|(known, _)| match issuer {
            Some(name) => known.is_named(name),
            None => known.others,
        });
        let Some(index) = index else { return false };
        let mut trusted = Trusted::clone(&current);
        trusted.give(index, Some(keys));
        let trusted = Arc::new(trusted);
        *current = Arc::clone(&trusted);
        drop(current);
        if let Some(cache) = &self.cache {
            cache.retain(|generation| trusted.holds(generation));
        }
        true
    }

    /// The policy that tokens are held against.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether all tokens are of one issuer, so that a subject names one person (RFC 7519 §4.1.2).
    pub fn has_one_issuer(&self) -> bool {
        let trusted = self.trusted.read();
        trusted.names.len() == 1 && !trusted.issuers.iter().any(|(issuer, _)| issuer.others)
    }

    /// How many verified tokens are remembered.
    pub fn cached(&self) -> usize {
        self.cache.as_ref().map_or(0, Cache::len)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuers", &self.trusted.read().issuers)
            .field("policy", &self.policy)
            .field("cached", &self.cached())
            .finish_non_exhaustive()
    }
}

/// A token in its parts, decoded (RFC 7515 §7.1).
struct Compact<'t, 'r> {
    header: &'r [u8],
    payload: &'r [u8],
    signature: &'r [u8],
    /// What the signature is over: the first two parts as they stand, with the dot between them.
    signed: &'t [u8],
}

impl<'t, 'r> Compact<'t, 'r> {
    /// `room` has the decoded length of the whole token, which is enough for its parts.
    fn parse(token: &'t str, room: &'r mut [u8]) -> Result<Self, Rejection> {
        let bytes = token.as_bytes();
        let mut dots = memchr::memchr_iter(b'.', bytes);
        let (first, second) = match (dots.next(), dots.next(), dots.count()) {
            (Some(first), Some(second), 0) => (first, second),
            (Some(_), Some(_), 2) => {
                return Err(malformed("five parts: this is an encrypted token (JWE)")
                    .with_hint("The token has five parts: it is encrypted (JWE). Send a signed one (JWS)."));
            }
            (first, second, more) => {
                let dots = usize::from(first.is_some()) + usize::from(second.is_some()) + more;
                return Err(malformed(format!("{} part(s) instead of three", dots + 1))
                    .with_hint("A token has three parts with a dot between them."));
            }
        };
        if first == 0 || second == first + 1 {
            return Err(malformed("an empty header or payload").with_hint("A part of the token is empty."));
        }
        let (header_room, room) = room.split_at_mut(base64url::decoded_len(first));
        let (payload_room, signature_room) = room.split_at_mut(base64url::decoded_len(second - first - 1));
        let header = decode("header", &bytes[..first], header_room)?;
        let payload = decode("payload", &bytes[first + 1..second], payload_room)?;
        let signature = decode("signature", &bytes[second + 1..], signature_room)?;
        Ok(Self { header, payload, signature, signed: &bytes[..second] })
    }
}

fn decode<'r>(part: &'static str, text: &[u8], room: &'r mut [u8]) -> Result<&'r [u8], Rejection> {
    base64url::decode_into(text, room).map_err(|fault| {
        let what = fault.describe();
        malformed(format!("the {part} {what}")).with_hint(format!("The token's {part} {what}."))
    })
}

fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Rejection {
    Rejection::new(Reason::TokenMalformed, detail)
}
