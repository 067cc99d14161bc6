//! What the built-in agent may know of the server that it runs in.

use std::{net::SocketAddr, sync::Arc};

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
    let mut audiences = config.token.audiences.clone();
    audiences.extend(config.token.issuers.iter().filter_map(|listed| listed.audiences.clone()).flatten());
    if config.auth.enabled && !audiences.is_empty() {
        audiences.push(config.auth.audience.clone());
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
        issuers: config.token.issuers.iter().map(|listed| listed.name.clone()).collect(),
        audiences,
        required_claims: config.token.required_claims.clone(),
        leeway_seconds: config.token.leeway.as_secs(),
        heartbeat_interval_ms: config.heartbeat.interval.as_millis(),
        max_message_bytes: config.limits.message_bytes.get(),
        close_profile: config.handshake.close_codes,
        echo: config.dev.echo,
        auth_url: auth_url.unwrap_or_default().to_owned(),
        warnings,
    }
}
