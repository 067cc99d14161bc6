//! From settings to keys: reads secrets and key files, and judges secrets by the environment's rules.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use portcullis_auth::SharedSecret;
use portcullis_token::{Algorithm, KeyError, KeySet, Policy, Secret, secret::weakness};

use crate::{
    config::{
        Fault, env,
        settings::{Config, SecretOptions},
    },
    credential,
};

/// What verifies tokens.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The keys that the configuration names; those of the auth service come with [`add_auth`].
    pub(crate) set: KeySet,
    /// The rules.
    pub(crate) policy: Policy,
    /// What the auth service signs with, if a shared secret is configured.
    pub(crate) shared: Option<SharedSecret>,
    /// Verified tokens to remember.
    pub(crate) cache_entries: usize,
    /// What works and should be mended all the same.
    pub(crate) warnings: Vec<String>,
}

/// Faults of keys, as one error.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(|fault| format!("{}: {}", fault.key, fault.message)).collect::<Vec<_>>().join("; "))]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

/// Reads every key that the configuration names.
pub(crate) fn load(config: &Config) -> Result<Keys, Vec<Fault>> {
    let mut loader =
        Loader { config, set: empty(config), shared: None, warnings: Vec::new(), faults: Vec::new() };
    for (i, options) in config.token.secrets.iter().enumerate() {
        loader.secret(&format!("token.secrets[{i}]"), options);
    }
    for (i, options) in config.token.pem.iter().enumerate() {
        let key = format!("token.pem[{i}]");
        loader.file(&key, &options.file, options.issuer.as_deref(), |set, bytes| {
            set.add_pem(options.kid.as_deref(), &String::from_utf8_lossy(bytes), &options.algorithms)
        });
    }
    for (i, options) in config.token.jwks.iter().enumerate() {
        let key = format!("token.jwks[{i}]");
        loader.file(&key, &options.file, options.issuer.as_deref(), KeySet::add_jwks);
    }
    let Loader { set, shared, mut warnings, faults, .. } = loader;
    if !faults.is_empty() {
        return Err(faults);
    }
    warnings.extend(set.warnings().iter().map(ToString::to_string));
    Ok(Keys { set, policy: policy(config), shared, cache_entries: config.token.cache_entries, warnings })
}

/// Adds the auth service's public keys. They are good for its own issuer alone. There are none where it signs with a
/// shared secret, which verifies as it is.
pub(crate) fn add_auth(set: &mut KeySet, jwks: &serde_json::Value, issuer: &str) -> Result<(), KeyError> {
    if jwks["keys"].as_array().is_some_and(Vec::is_empty) {
        return Ok(());
    }
    let mut own = KeySet::new();
    own.add_jwks(jwks.to_string().as_bytes())?;
    set.merge(own.bound_to(issuer));
    Ok(())
}

fn empty(config: &Config) -> KeySet {
    // In staging and production the policy on weak secrets says so first, and with a better message.
    if config.environment.is_strict() { KeySet::new() } else { KeySet::new().allow_short_secrets() }
}

fn policy(config: &Config) -> Policy {
    let token = &config.token;
    let mut policy = Policy {
        issuers: token.issuers.clone(),
        audiences: token.audiences.clone(),
        any_audience: token.any_audience,
        required_claims: token.required_claims.clone(),
        required_scopes: token.required_scopes.clone(),
        leeway: token.leeway.as_secs(),
        max_token_bytes: config.handshake.max_token_bytes.as_usize(),
        types: token.types.clone(),
        require_type: token.require_type,
        require_expiry: true,
    };
    if config.auth.enabled {
        policy.audiences.push(config.auth.audience.clone());
        // Without keys of others there is nobody else to trust.
        let alone = token.secrets.is_empty() && token.pem.is_empty() && token.jwks.is_empty();
        if alone || !policy.issuers.is_empty() {
            policy.issuers.push(config.auth.issuer.clone());
        }
    }
    policy
}

struct Loader<'a> {
    config: &'a Config,
    set: KeySet,
    shared: Option<SharedSecret>,
    warnings: Vec<String>,
    faults: Vec<Fault>,
}

impl Loader<'_> {
    fn secret(&mut self, key: &str, options: &SecretOptions) {
        let bytes = match (&options.file, &options.env) {
            (Some(file), None) => match fs::read(file) {
                Ok(mut bytes) => {
                    self.others_may_read(key, file);
                    credential::trim_line_break(&mut bytes);
                    bytes
                }
                Err(error) => {
                    let fault =
                        Fault::new(format!("{key}.file"), format!("cannot read {}: {error}", file.display()));
                    return self.faults.push(fault.hint("make one with `openssl rand -hex 32`, mode 0600"));
                }
            },
            (None, Some(name)) => match env::secret(name) {
                Some(bytes) => bytes,
                None => {
                    return self
                        .faults
                        .push(Fault::new(format!("{key}.env"), format!("the variable {name} is not set")));
                }
            },
            (Some(_), Some(_)) => {
                return self.faults.push(Fault::new(key, "takes `file` or `env`, not both"));
            }
            (None, None) => {
                return self.faults.push(
                    Fault::new(key, "needs `file` or `env`")
                        .hint("a secret never stands in the configuration itself"),
                );
            }
        };
        if let Some(weakness) = weakness(&bytes) {
            let environment = self.config.environment.as_str();
            if self.config.environment.is_strict() {
                let fault = Fault::new(key, format!("the secret {weakness}"));
                return self
                    .faults
                    .push(fault.hint(format!("{environment} does not start with a weak secret")));
            }
            self.warnings.push(format!(
                "{key}: the secret {weakness}. Staging and production do not start with a weak secret"
            ));
        }
        let secret = Secret::new(bytes);
        let added = self.add(options.issuer.as_deref(), |set| {
            set.add_secret(options.kid.as_deref(), &secret, &options.algorithms)
        });
        match added {
            Ok(()) if self.shared.is_none() && options.algorithms.contains(&Algorithm::Hs256) => {
                self.shared = Some(SharedSecret::new(options.kid.clone(), secret));
            }
            Ok(()) => {}
            Err(error) => self.faults.push(Fault::new(key, error.to_string())),
        }
    }

    fn file(
        &mut self,
        key: &str,
        file: &Path,
        issuer: Option<&str>,
        add: impl FnOnce(&mut KeySet, &[u8]) -> Result<(), KeyError>,
    ) {
        match fs::read(file) {
            Ok(bytes) => {
                if let Err(error) = self.add(issuer, |set| add(set, &bytes)) {
                    self.faults
                        .push(Fault::new(format!("{key}.file"), format!("{}: {error}", file.display())));
                }
            }
            Err(error) => {
                self.faults.push(Fault::new(
                    format!("{key}.file"),
                    format!("cannot read {}: {error}", file.display()),
                ));
            }
        }
    }

    fn add(
        &mut self,
        issuer: Option<&str>,
        add: impl FnOnce(&mut KeySet) -> Result<(), KeyError>,
    ) -> Result<(), KeyError> {
        let mut own = empty(self.config);
        add(&mut own)?;
        self.set.merge(match issuer {
            Some(issuer) => own.bound_to(issuer),
            None => own,
        });
        Ok(())
    }

    fn others_may_read(&mut self, key: &str, file: &Path) {
        let mode = fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
        if mode & 0o077 != 0 {
            let file = file.display();
            self.warnings
                .push(format!("{key}: {file} has mode {mode:03o}: others on this machine may read it; run `chmod 600 {file}`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Environment;

    fn with_secret(environment: Environment, secret: &str) -> (Result<Keys, Vec<Fault>>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret.key");
        fs::write(&file, secret).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut config = Config { environment, ..Config::default() };
        config.token.secrets.push(SecretOptions {
            kid: Some("a".into()),
            algorithms: vec![Algorithm::Hs256],
            file: Some(file),
            env: None,
            issuer: None,
        });
        (load(&config), folder)
    }

    const STRONG: &str = "q7Rt0-Zx3VbKfLmWpYcN8sHdUeJgA5oTi2";

    #[test]
    fn weak_secrets_stop_strict_environments_and_warn_the_others() {
        for weak in
            ["hunter2", "changeme-changeme-changeme-changeme", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
        {
            for environment in [Environment::Staging, Environment::Production] {
                let faults = with_secret(environment, weak).0.unwrap_err();
                assert_eq!(faults.len(), 1, "{weak}");
                assert_eq!(faults[0].key, "token.secrets[0]");
                assert!(!faults[0].message.contains(weak), "{}", faults[0].message);
            }
            for environment in [Environment::Development, Environment::Testing] {
                let keys = with_secret(environment, weak).0.unwrap();
                assert!(
                    keys.warnings.iter().any(|warning| warning.contains("weak secret")),
                    "{:?}",
                    keys.warnings
                );
                assert!(keys.warnings.iter().all(|warning| !warning.contains(weak)));
            }
        }
        let keys = with_secret(Environment::Production, STRONG).0.unwrap();
        assert_eq!(keys.warnings, [""; 0]);
        assert!(keys.shared.is_some(), "the auth service signs with it");
    }

    #[test]
    fn alone_the_auth_service_is_the_only_issuer() {
        let keys = load(&Config::default()).unwrap();
        assert_eq!(keys.policy.issuers, ["portcullis"]);
        assert_eq!(keys.policy.audiences, ["portcullis"]);
        let (keys, _folder) = with_secret(Environment::Testing, STRONG);
        assert_eq!(keys.unwrap().policy.issuers, [""; 0], "a shared secret speaks for whoever holds it");
    }
}
