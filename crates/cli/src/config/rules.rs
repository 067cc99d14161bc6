//! Rules that the types cannot hold.

use std::net::IpAddr;

use super::{
    agents::{self, Keeps},
    loaded::Loaded,
    problem::{Fault, Origin},
    settings::Config,
};
use crate::{keys, log};

/// Every fault of a configuration that can be read.
pub(super) fn check(loaded: &Loaded) -> Vec<Fault> {
    let config = &loaded.config;
    let mut faults: Vec<Fault> = config
        .gateway_options()
        .validate()
        .into_iter()
        .map(|(key, message)| Fault::new(key, message))
        .collect();
    faults.extend(
        config.auth.validate().into_iter().map(|(key, message)| Fault::new(format!("auth.{key}"), message)),
    );
    if let Err(error) = log::filter(&config.log.level) {
        faults.push(
            Fault::new("log.level", format!("not a level: {error}"))
                .hint("write `info`, or by part: `info,portcullis_gateway=debug`"),
        );
    }
    faults.extend(agents::check(&config.agents));
    faults.extend(addresses(config));
    if config.environment.is_strict() && loaded.origin("data_dir") == Origin::Default {
        faults.push(Fault::new("data_dir", format!("must be set in {}", config.environment.as_str())).hint(
            "name a folder that outlives the process and its container: `data_dir = \"/var/lib/portcullis\"`",
        ));
    }
    faults.extend(tokens(config));
    faults.extend(keys::load(config).err().into_iter().flatten());
    faults
}

/// What works and should be mended all the same.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.dev.echo && config.environment.is_strict() {
        warnings
            .push(format!("dev.echo is on in {}: /ws/echo serves every user", config.environment.as_str()));
    }
    for agent in config.agents.iter().filter(|agent| agent.keeps == Keeps::All) {
        warnings.push(format!(
            "the agent `{}` keeps all: a credential that a user pastes is written down and shown on their other devices",
            agent.name
        ));
    }
    if config.handshake.accept_two_element_form {
        warnings.push(
            "handshake.accept_two_element_form is on: meant for a rollout, until the last old bundle is gone"
                .to_owned(),
        );
    }
    if config.auth.enabled && !config.auth.listen.ip().is_loopback() {
        warnings.push(format!(
            "the auth service listens on {}: put TLS in front, passwords travel there",
            config.auth.listen
        ));
    }
    warnings.extend(unnamed_proxy(config));
    if !config.gateway.admin_listen.ip().is_loopback() {
        warnings.push(format!(
            "the metrics at {} have no login, and the dashboard's key travels there without TLS: keep strangers away",
            config.gateway.admin_listen
        ));
    }
    if config.token.any_audience {
        warnings
            .push("token.any_audience is on: tokens that were made for other services are taken".to_owned());
    }
    for (i, issuer) in config.token.issuers.iter().enumerate() {
        if issuer.any_audience == Some(true) {
            warnings.push(format!(
                "token.issuers[{i}].any_audience is on: its tokens that were made for other services are taken"
            ));
        }
    }
    warnings
}

/// Where browsers reach the auth service through something that it takes for one client.
fn unnamed_proxy(config: &Config) -> Option<String> {
    let auth_url = config.gateway.auth_url.as_deref().filter(|_| config.auth.enabled)?;
    let (scheme, authority) = auth_url.split_once("://")?;
    let host = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host).trim_matches(['[', ']']);
    let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    // The service has no TLS, and one on loopback is reached from elsewhere through something on this machine alone.
    let is_proxied = scheme == "https" || (config.auth.listen.ip().is_loopback() && !is_local);
    let names_none = config.auth_options().trusted_proxies.is_none_or(|proxies| proxies.is_empty());
    (is_proxied && names_none).then(|| {
        format!(
            "gateway.auth_url is {auth_url}, so something stands before the auth service, and no proxy is named: all who \
             log in through it share the limits of one address; name it in gateway.trusted_proxies"
        )
    })
}

/// No two listeners at one address; port 0 is never the same twice.
fn addresses(config: &Config) -> Vec<Fault> {
    let mut listeners = vec![
        ("gateway.listen", config.gateway.listen),
        ("gateway.admin_listen", config.gateway.admin_listen),
    ];
    if config.auth.enabled {
        listeners.push(("auth.listen", config.auth.listen));
    }
    let mut faults = Vec::new();
    for (i, (key, address)) in listeners.iter().enumerate() {
        if let Some((other, _)) = listeners[..i].iter().find(|(_, a)| a == address && a.port() != 0) {
            faults.push(Fault::new(*key, format!("{address} is taken by {other} already")));
        }
    }
    faults
}

fn tokens(config: &Config) -> Vec<Fault> {
    let token = &config.token;
    let mut faults = Vec::new();
    if token.leeway.as_secs() > 60 {
        faults.push(
            Fault::new("token.leeway", "must not be over 60s")
                .hint("mend the clocks (NTP); an expired token would live on for as long"),
        );
    }
    if token.types.is_empty() {
        faults.push(
            Fault::new("token.types", "must not be empty").hint("the default is [\"JWT\", \"at+jwt\"]"),
        );
    }
    if token.secrets.len() > 1 {
        for (i, secret) in token.secrets.iter().enumerate() {
            if secret.kid.is_none() {
                faults.push(
                    Fault::new(
                        format!("token.secrets[{i}]"),
                        "needs a `kid`, since there are several secrets",
                    )
                    .hint("kid = \"2026-11\""),
                );
            }
        }
    }
    let keys = token.secrets.len() + token.pem.len() + token.jwks.len();
    if keys == 0 && !config.auth.enabled {
        faults.push(
            Fault::new("auth.enabled", "without the auth service no key can verify a token")
                .hint("give token.secrets, token.pem or token.jwks"),
        );
    }
    faults
}
