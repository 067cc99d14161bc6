//! What the built-in agent may know of the server that it runs in.

use std::{collections::HashSet, net::SocketAddr, sync::Arc};

use portcullis_doctor::{Configuration, Refusal, Surroundings};
use portcullis_event::Mode;
use portcullis_gateway::{OwnRefusal, OwnRefusals};
use portcullis_handshake::Policy;
use portcullis_token::Algorithm;
use portcullis_units::Clock;

use crate::config::settings::Config;

/// This process, as the agent sees it.
#[derive(Debug)]
pub(crate) struct Server {
    configuration: Arc<Configuration>,
    refusals: OwnRefusals,
    clock: Clock,
}

impl Server {
    pub(crate) fn new(refusals: OwnRefusals, configuration: Configuration, clock: Clock) -> Self {
        Self { configuration: Arc::new(configuration), refusals, clock }
    }
}

impl Surroundings for Server {
    fn now(&self) -> u64 {
        self.clock.unix_seconds()
    }

    fn configuration(&self) -> Arc<Configuration> {
        Arc::clone(&self.configuration)
    }

    fn recent_refusals(&self, user_id: &str) -> Vec<Refusal> {
        let own = self.refusals.of(user_id).into_iter();
        own.map(|OwnRefusal { at, reason, request_id, form }| {
            let form = form.map(ToOwned::to_owned);
            Refusal { at, reason, request_id, form }
        })
        .collect()
    }
}

/// What the built-in agent may know of this server.
pub(crate) fn configuration(
    config: &Config,
    gateway: SocketAddr,
    auth_url: Option<&str>,
    warnings: Vec<String>,
) -> Configuration {
    let mut algorithms: Vec<Algorithm> =
        config.token.secrets.iter().flat_map(|secret| secret.algorithms.iter().copied()).collect();
    algorithms.extend(config.token.pem.iter().flat_map(|pem| pem.algorithms.iter().copied()));
    if config.auth.enabled && !algorithms.contains(&Algorithm::Hs256) {
        algorithms.push(Algorithm::Es256);
    }
    // The same defaults that the gate builds its own policy on.
    let policy = Policy::<()>::builder().build().expect("the default policy has nothing to get wrong");
    let prefixes = policy.credential_prefixes().map(ToOwned::to_owned);
    let paths = Mode::ALL
        .iter()
        .flat_map(|mode| mode.paths().iter().map(|path| ((*path).to_owned(), mode.to_string())));
    Configuration {
        environment: config.environment.as_str().to_owned(),
        loopback: gateway.ip().is_loopback(),
        paths: paths.collect(),
        credential_prefixes: prefixes.chain(config.handshake.credential_prefixes.iter().cloned()).collect(),
        subprotocols: policy.subprotocols().map(ToOwned::to_owned).collect(),
        origins: config.gateway.allowed_origins.clone(),
        accept_two_element_form: config.handshake.accept_two_element_form,
        max_token_bytes: config.handshake.max_token_bytes.get(),
        algorithms: algorithms.into_iter().map(|algorithm| algorithm.name().to_owned()).collect(),
        issuers: issuers(config),
        audiences: audiences(config),
        required_claims: required_claims(config),
        leeway_seconds: config.token.leeway.as_secs(),
        heartbeat_interval_ms: config.heartbeat.interval.as_millis(),
        max_message_bytes: config.limits.message_bytes.get(),
        close_profile: config.handshake.close_codes,
        echo: config.dev.echo,
        auth_url: auth_url.unwrap_or_default().to_owned(),
        warnings,
    }
}

/// The issuers whose tokens are taken; empty where there are others.
fn issuers(config: &Config) -> Vec<String> {
    let Config { token, auth, .. } = config;
    let of_keys = token.secrets.iter().map(|key| key.issuer.as_ref());
    let of_keys = of_keys.chain(token.pem.iter().map(|key| key.issuer.as_ref()));
    let of_keys: Option<Vec<_>> = of_keys.chain(token.jwks.iter().map(|key| key.issuer.as_ref())).collect();
    let mut names: Vec<String> = token.issuers.iter().map(|listed| listed.name.clone()).collect();
    if names.is_empty() {
        names.extend(of_keys.into_iter().flatten().cloned());
    }
    if auth.enabled && !names.is_empty() {
        names.push(auth.issuer.clone());
    }
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// The audiences of one issuer or another; empty where one of them may name any.
fn audiences(config: &Config) -> Vec<String> {
    let Config { token, auth, .. } = config;
    if token.any_audience || token.issuers.iter().any(|listed| listed.any_audience == Some(true)) {
        return Vec::new();
    }
    let mut audiences = token.audiences.clone();
    audiences.extend(token.issuers.iter().filter_map(|listed| listed.audiences.clone()).flatten());
    if auth.enabled && !audiences.is_empty() {
        audiences.push(auth.audience.clone());
    }
    audiences
}

/// The claims that every issuer's tokens have to carry.
fn required_claims(config: &Config) -> Vec<String> {
    let asked_by_all = |claim: &&String| {
        let own = config.token.issuers.iter().filter_map(|listed| listed.required_claims.as_ref());
        own.into_iter().all(|own| own.contains(claim))
    };
    config.token.required_claims.iter().filter(asked_by_all).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> [Vec<String>; 3] {
        let config: Config = toml::from_str(text).unwrap();
        [issuers(&config), audiences(&config), required_claims(&config)]
    }

    /// What it is told of tokens is so for every issuer, or else it would call a good token bad.
    #[test]
    fn several_issuers_are_told_as_what_all_of_them_ask() {
        let off = "[auth]\nenabled = false\n";
        let [a, b] = ["a", "b"].map(|name| format!("[[token.jwks]]\nfile = \"f\"\nissuer = \"{name}\"\n"));
        let open = "[[token.jwks]]\nfile = \"f\"\n";
        for (text, issuers, audiences, claims) in [
            (String::new(), &[][..], &[][..], &[][..]),
            (
                format!("[token]\nissuers = [\"a\"]\naudiences = [\"x\"]\n{a}"),
                &["a", "portcullis"],
                &["x", "portcullis"],
                &[],
            ),
            (format!("{a}{b}{a}"), &["a", "b", "portcullis"], &[], &[]),
            (format!("{off}{a}"), &["a"], &[], &[]),
            (format!("{a}{open}"), &[], &[], &[]),
            (
                format!(
                    "{off}[token]\nrequired_claims = [\"email\", \"name\"]\naudiences = [\"x\"]\nissuers = [\"a\", \
                     {{ name = \"b\", audiences = [\"y\"], required_claims = [\"name\", \"jti\"] }}]\n{a}{b}"
                ),
                &["a", "b"],
                &["x", "y"],
                &["name"],
            ),
            (
                format!(
                    "[token]\naudiences = [\"x\"]\nissuers = [{{ name = \"a\", any_audience = true }}]\n{a}"
                ),
                &["a", "portcullis"],
                &[],
                &[],
            ),
        ] {
            assert_eq!(
                told(&text),
                [issuers, audiences, claims]
                    .map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>()),
                "{text}"
            );
        }
    }
}
