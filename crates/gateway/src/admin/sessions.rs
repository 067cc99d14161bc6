//! Who is logged in to the dashboard: the operator's key, sessions in memory, and how often somebody may guess.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use portcullis_token::{Secret, base64url};
use portcullis_units::{Gcra, Rate, Wait, random};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Sessions at a time; the oldest gives way to a new one.
const MOST: usize = 64;

/// Wrong keys from one address at once, and the time in which one more is allowed.
const BURST: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");
const INTERVAL: Duration = Duration::from_secs(6);

/// Addresses that are remembered for their wrong keys. When there are more, each new one counts with all the others.
const ADDRESSES: usize = 1_024;

/// The SHA-256 of a secret. Secrets are looked up and compared as hashes, so the time that takes tells nothing of them.
type Hash = [u8; 32];

/// The operator's key and the sessions that it opened.
pub(super) struct Sessions {
    key: Hash,
    lifetime: Duration,
    cookie: String,
    /// How often one address may be wrong.
    wrong: Rate,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<Hash, Instant>,
    /// What is left of each address' allowance of wrong keys.
    wrong: HashMap<IpAddr, Gcra>,
}

/// A login that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not the key.
    WrongKey,
    /// Too many wrong keys from that address; come back after so long.
    TooMany(Wait),
}

impl Sessions {
    /// `port` is in the cookie's name: browsers keep the cookies of all ports of a host together, and two servers on
    /// one machine would log each other's operators out.
    pub(super) fn new(key: &Secret, lifetime: Duration, port: u16) -> Self {
        Self {
            key: Sha256::digest(key.expose()).into(),
            lifetime,
            cookie: format!("portcullis_operator_{port}"),
            wrong: Rate::new(INTERVAL, BURST),
            state: Mutex::default(),
        }
    }

    /// The cookie's name.
    pub(super) fn cookie(&self) -> &str {
        &self.cookie
    }

    pub(super) const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Opens a session for whoever knows the key, and gives its secret.
    pub(super) fn open(&self, key: &str, address: IpAddr, now: Instant) -> Result<String, Refused> {
        let presented: Hash = Sha256::digest(key.as_bytes()).into();
        let mut state = self.state.lock();
        // The right key is taken however many wrong ones came from its address: it is too long to be guessed, and else
        // whoever shares the operator's address could keep them out.
        if !bool::from(presented.ct_eq(&self.key)) {
            let address = state.counts_as(address, now);
            let allowance = state.wrong.entry(address).or_default();
            return Err(allowance
                .take(&self.wrong, now)
                .map_or_else(Refused::TooMany, |()| Refused::WrongKey));
        }
        state.sessions.retain(|_, ends| *ends > now);
        if state.sessions.len() >= MOST
            && let Some(oldest) = state.sessions.iter().min_by_key(|(_, ends)| **ends).map(|(hash, _)| *hash)
        {
            state.sessions.remove(&oldest);
        }
        let secret = base64url::encode(random::bytes::<32>());
        state.sessions.insert(hash(&secret), now + self.lifetime);
        Ok(secret)
    }

    /// How much longer a session lasts; none for one that does not exist.
    pub(super) fn rest(&self, secret: &str, now: Instant) -> Option<Duration> {
        let ends = *self.state.lock().sessions.get(&hash(secret))?;
        ends.checked_duration_since(now).filter(|rest| !rest.is_zero())
    }

    pub(super) fn close(&self, secret: &str) {
        self.state.lock().sessions.remove(&hash(secret));
    }
}

impl State {
    /// The address under which wrong keys are counted.
    fn counts_as(&mut self, address: IpAddr, now: Instant) -> IpAddr {
        // One IPv6 site has a /64 at least.
        let address = match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into())
            }
            other => other,
        };
        if self.wrong.len() < ADDRESSES || self.wrong.contains_key(&address) {
            return address;
        }
        self.wrong.retain(|_, allowance| !allowance.is_full(now));
        if self.wrong.len() < ADDRESSES { address } else { Ipv6Addr::UNSPECIFIED.into() }
    }
}

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use portcullis_units::Clock;

    use super::*;

    const HERE: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    fn sessions() -> Sessions {
        Sessions::new(&Secret::from("the operator's key"), Duration::from_mins(10), 9464)
    }

    #[test]
    fn the_key_opens_a_session_that_ends() {
        let (sessions, now) = (sessions(), Clock::system().instant());
        assert_eq!(sessions.open("the operator's kex", HERE, now), Err(Refused::WrongKey));
        assert_eq!(sessions.open("", HERE, now), Err(Refused::WrongKey));
        let secret = sessions.open("the operator's key", HERE, now).unwrap();
        assert_eq!(secret.len(), 43);
        assert_eq!(sessions.rest(&secret, now), Some(Duration::from_mins(10)));
        assert_eq!(sessions.rest(&secret, now + Duration::from_mins(10)), None);
        assert_eq!(sessions.rest("", now), None);
        assert_eq!(sessions.rest(&secret[1..], now), None);
        sessions.close(&secret);
        assert_eq!(sessions.rest(&secret, now), None);
    }

    #[test]
    fn guessing_is_slow_for_one_address_and_no_other() {
        let (sessions, now) = (sessions(), Clock::system().instant());
        for _ in 0..BURST.get() {
            assert_eq!(sessions.open("guess", HERE, now), Err(Refused::WrongKey));
        }
        let Err(Refused::TooMany(wait)) = sessions.open("guess", HERE, now) else { panic!() };
        assert!(wait.get() <= INTERVAL);
        let other = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(sessions.open("guess", other, now), Err(Refused::WrongKey));
        assert_eq!(sessions.open("guess", HERE, now + wait.get()), Err(Refused::WrongKey));
        sessions
            .open("the operator's key", HERE, now + wait.get())
            .expect("whoever knows the key is not kept out");
    }

    #[test]
    fn sessions_and_addresses_are_bounded() {
        let (sessions, now) = (sessions(), Clock::system().instant());
        let first = sessions.open("the operator's key", HERE, now).unwrap();
        for n in 0..MOST as u64 {
            sessions.open("the operator's key", HERE, now + Duration::from_millis(n + 1)).unwrap();
        }
        assert_eq!(sessions.rest(&first, now), None, "the oldest gave way");
        assert_eq!(sessions.state.lock().sessions.len(), MOST);
        for n in 0..100_000_u32 {
            let _ = sessions.open("guess", IpAddr::from(n.to_be_bytes()), now);
        }
        assert!(sessions.state.lock().wrong.len() <= ADDRESSES + 1);
    }
}
