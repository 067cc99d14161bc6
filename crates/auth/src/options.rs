//! The service's configuration.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
};

use portcullis_peer::parse_network;
use portcullis_units::{ByteSize, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The embedded auth service: accounts, login and tokens for one binary that is complete by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Whether the service runs. Off where tokens come from an identity provider. Default: true.
    pub enabled: bool,
    /// Where it listens; port 0 takes any free port. Default: `127.0.0.1:8081`. Anything but loopback needs TLS in
    /// front: passwords travel here.
    pub listen: SocketAddr,
    /// The `iss` of every access token (RFC 7519 §4.1.1). Default: `portcullis`.
    pub issuer: String,
    /// The `aud` of every access token (RFC 7519 §4.1.3). Default: `portcullis`.
    pub audience: String,
    /// What every access token allows, joined by spaces in its `scope` (RFC 9068 §2.2.3). Default: `["chat"]`.
    pub scopes: Vec<String>,
    /// Proxies, as addresses or networks, whose `X-Forwarded-For` names the client. Whoever is listed can pose as any
    /// address. Default: those of `gateway.trusted_proxies`, since one proxy stands before both as a rule; `[]` trusts
    /// none. A proxy that is not listed is one client, and its users share one client's limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_proxies: Option<Vec<String>>,
    /// How long an access token is good, 10 s to 24 h. Default: `15m`. Longer leaves a stolen token good for longer,
    /// shorter costs a refresh more often.
    pub access_ttl: Duration,
    /// How long a refresh token is good while it is not used, at most 365 days. Default: `30d`.
    pub refresh_ttl: Duration,
    /// How long a login lasts however often it is refreshed, at most 3650 days. Default: `90d`.
    pub session_ttl: Duration,
    /// The most logins that one user may have at a time; a further one ends the oldest. Default: 64.
    pub max_sessions_per_user: NonZeroU32,
    /// How passwords are hashed.
    pub passwords: PasswordOptions,
    /// How many login attempts are allowed.
    pub attempts: AttemptOptions,
    /// What the listener allows.
    pub server: ServerOptions,
}

/// The longest that an access token may be given for.
pub(crate) const MAX_ACCESS_TTL: Duration = Duration::from_hours(24);

impl Default for Options {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            issuer: "portcullis".into(),
            audience: "portcullis".into(),
            scopes: vec!["chat".into()],
            trusted_proxies: None,
            access_ttl: Duration::from_mins(15),
            refresh_ttl: Duration::from_days(30),
            session_ttl: Duration::from_days(90),
            max_sessions_per_user: number(64),
            passwords: PasswordOptions::default(),
            attempts: AttemptOptions::default(),
            server: ServerOptions::default(),
        }
    }
}

/// How passwords are hashed: argon2id (RFC 9106).
///
/// The defaults are the OWASP recommendation. A login costs `memory` and some tens of milliseconds of one core; a
/// changed cost reaches an account with its next login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordOptions {
    /// Memory of one hash, 8 KiB times `lanes` to 1 GiB. Default: `19 MiB`.
    pub memory: ByteSize,
    /// Passes over the memory, 1 to 64. Default: 2.
    pub passes: NonZeroU32,
    /// Lanes, 1 to 16. Default: 1.
    pub lanes: NonZeroU32,
    /// How many hashes are computed at a time. Default: 2. Each more takes `memory` and a core from the gateway.
    pub concurrency: NonZeroU32,
    /// How many logins may wait for their turn, a quarter of them from one address; over it, those whose address asked
    /// most are told to come back. Default: 128.
    pub queue: u32,
}

impl Default for PasswordOptions {
    fn default() -> Self {
        Self {
            memory: ByteSize::from_mib(19),
            passes: number(2),
            lanes: number(1),
            concurrency: number(2),
            queue: 128,
        }
    }
}

/// How many login attempts are allowed.
///
/// Each name and each address (an IPv6 /64 counts as one) has a number of attempts at once, and regains one per
/// interval. A successful login gives the name its attempts back, the address keeps its count. Names that do not exist
/// are limited alike.
///
/// Strangers cannot use these up for others. A device that logged in before has attempts of its own, and so has a name
/// at an address that it logged in from; whoever is new to a name has a few first tries while others poll it; and the
/// addresses of one network (an IPv4 /24, an IPv6 /48) have those of eight together. How it works, and how far it
/// goes: ADR 8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AttemptOptions {
    /// Attempts at once for one name, by strangers together and by each device that logged in before. Default: 10.
    pub account_burst: NonZeroU32,
    /// How long until a name regains one. Default: `30s`. Longer slows guessing.
    pub account_interval: Duration,
    /// Attempts at once from one address. Default: 50. Behind a proxy that is not named in `trusted_proxies` all users
    /// share one address.
    pub address_burst: NonZeroU32,
    /// How long until an address regains one. Default: `5s`.
    pub address_interval: Duration,
    /// The most names, addresses and networks remembered. Default: 65536, some 50 MB where an attack fills every table.
    /// Where one is full, those with the fewest attempts are forgotten first.
    pub table_size: NonZeroU32,
}

impl Default for AttemptOptions {
    fn default() -> Self {
        Self {
            account_burst: number(10),
            account_interval: Duration::from_secs(30),
            address_burst: number(50),
            address_interval: Duration::from_secs(5),
            table_size: number(65_536),
        }
    }
}

/// What the listener allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerOptions {
    /// Connections in all. Default: 512. Over it, the oldest that waits for a request makes room, of the address that
    /// holds most.
    pub max_connections: NonZeroU32,
    /// Connections from one address (an IPv6 /64 counts as one), and for one client behind a trusted proxy. Default: 64.
    /// Over it, new ones are closed at once.
    pub max_connections_per_address: NonZeroU32,
    /// Requests that may wait for the account database; over it, those whose address asked most are told to come back.
    /// Default: 64.
    pub max_requests: NonZeroU32,
    /// Requests of one address each second, whatever they ask for; over it they are answered late, and but for `/health`
    /// told to come back. Default: 20.
    pub requests_per_second: NonZeroU32,
    /// Requests of one address at once. Default: 200.
    pub request_burst: NonZeroU32,
    /// How long a request's head may take, idle time between two requests included. Default: `10s`.
    pub header_timeout: Duration,
    /// How long a request's body may take. Default: `10s`.
    pub body_timeout: Duration,
    /// How long requests may take to end when the server stops. Default: `5s`.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: number(512),
            max_connections_per_address: number(64),
            max_requests: number(64),
            requests_per_second: number(20),
            request_burst: number(200),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// The rules that the types cannot hold: the key (as in `passwords.memory`) and what is wrong with it.
    pub fn validate(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut rule = |good: bool, key: &str, message: &str| {
            if !good {
                faults.push((key.to_owned(), message.to_owned()));
            }
        };
        let within = |value: Duration, least: Duration, most: Duration| (least..=most).contains(&value);
        let second = Duration::from_secs(1);
        rule(!self.issuer.is_empty(), "issuer", "must not be empty");
        rule(!self.audience.is_empty(), "audience", "must not be empty");
        rule(
            self.scopes.iter().all(|scope| is_scope_token(scope)),
            "scopes",
            "each scope is visible ASCII without space, quote and backslash (RFC 6749 §3.3)",
        );
        rule(
            within(self.access_ttl, Duration::from_secs(10), MAX_ACCESS_TTL),
            "access_ttl",
            "must be 10s to 24h",
        );
        rule(
            within(self.refresh_ttl, Duration::from_mins(1), Duration::from_days(365)),
            "refresh_ttl",
            "must be 1m to 365d",
        );
        rule(self.refresh_ttl >= self.access_ttl, "refresh_ttl", "must not be shorter than access_ttl");
        rule(
            within(self.session_ttl, self.refresh_ttl, Duration::from_days(3650)),
            "session_ttl",
            "must not be shorter than refresh_ttl, nor longer than 3650d",
        );

        for proxy in self.trusted_proxies.iter().flatten() {
            rule(
                parse_network(proxy).is_some(),
                "trusted_proxies",
                &format!("`{proxy}` is neither an address nor a network; write `10.0.0.7` or `10.0.0.0/8`"),
            );
        }

        let passwords = &self.passwords;
        let least = ByteSize::from_kib(8 * u64::from(passwords.lanes.get()));
        rule(
            (least..=ByteSize::from_mib(1024)).contains(&passwords.memory),
            "passwords.memory",
            "must be 8 KiB per lane to 1 GiB",
        );
        rule(passwords.passes.get() <= 64, "passwords.passes", "must be 1 to 64");
        rule(passwords.lanes.get() <= 16, "passwords.lanes", "must be 1 to 16");
        rule(passwords.concurrency.get() <= 256, "passwords.concurrency", "must be 1 to 256");
        rule(passwords.queue <= 65_536, "passwords.queue", "must be at most 65536");

        let attempts = &self.attempts;
        for (key, interval) in [
            ("attempts.account_interval", attempts.account_interval),
            ("attempts.address_interval", attempts.address_interval),
        ] {
            let good = within(interval, Duration::from_millis(1), Duration::from_hours(1));
            rule(good, key, "must be 1ms to 1h");
        }

        let server = &self.server;
        for (key, time, most) in [
            ("server.header_timeout", server.header_timeout, Duration::from_mins(5)),
            ("server.body_timeout", server.body_timeout, Duration::from_mins(5)),
            ("server.drain_timeout", server.drain_timeout, Duration::from_mins(10)),
        ] {
            rule(within(time, second, most), key, &format!("must be 1s to {most}"));
        }
        for (key, count) in [
            ("server.max_connections", server.max_connections),
            ("server.max_requests", server.max_requests),
            ("server.requests_per_second", server.requests_per_second),
            ("server.request_burst", server.request_burst),
        ] {
            rule(count.get() <= 65_536, key, "must be at most 65536");
        }
        faults
    }
}

/// RFC 6749 §3.3: `%x21 / %x23-5B / %x5D-7E`.
fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

const fn number(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_round_trip() {
        let options = Options::default();
        assert_eq!(options.validate(), []);
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<Options>(&text).unwrap(), options);
        assert_eq!(serde_json::from_str::<Options>("{}").unwrap(), options);
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in [r#"{"isuer":"x"}"#, r#"{"passwords":{"memry":"1 MiB"}}"#, r#"{"access_ttl":900}"#] {
            assert!(serde_json::from_str::<Options>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_rule_names_its_key() {
        let table: &[(&str, &str)] = &[
            (r#"{"issuer":""}"#, "issuer"),
            (r#"{"audience":""}"#, "audience"),
            (r#"{"scopes":["a b"]}"#, "scopes"),
            (r#"{"access_ttl":"5s"}"#, "access_ttl"),
            (r#"{"access_ttl":"25h"}"#, "access_ttl"),
            (r#"{"refresh_ttl":"1m"}"#, "refresh_ttl"),
            (r#"{"refresh_ttl":"366d","session_ttl":"400d"}"#, "refresh_ttl"),
            (r#"{"session_ttl":"29d"}"#, "session_ttl"),
            (r#"{"passwords":{"memory":"8 KiB","lanes":2}}"#, "passwords.memory"),
            (r#"{"passwords":{"memory":"2 GiB"}}"#, "passwords.memory"),
            (r#"{"passwords":{"passes":65}}"#, "passwords.passes"),
            (r#"{"passwords":{"lanes":17}}"#, "passwords.lanes"),
            (r#"{"passwords":{"concurrency":257}}"#, "passwords.concurrency"),
            (r#"{"attempts":{"account_interval":"2h"}}"#, "attempts.account_interval"),
            (r#"{"attempts":{"address_interval":"0ms"}}"#, "attempts.address_interval"),
            (r#"{"server":{"header_timeout":"0s"}}"#, "server.header_timeout"),
            (r#"{"server":{"max_requests":70000}}"#, "server.max_requests"),
            (r#"{"server":{"request_burst":70000}}"#, "server.request_burst"),
            (r#"{"trusted_proxies":["10.0.0.0/8","proxy.example"]}"#, "trusted_proxies"),
        ];
        for (text, key) in table {
            let options: Options = serde_json::from_str(text).unwrap();
            let faults = options.validate();
            assert_eq!(faults.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), [*key], "{text}");
        }
    }
}
