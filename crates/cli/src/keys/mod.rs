//! From settings to keys: reads secrets and key files, and judges secrets by the environment's rules.

mod issuers;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use portcullis_auth::SharedSecret;
use portcullis_token::{Algorithm, Issuer, KeyError, KeySet, Policy, Secret, secret::weakness};

use self::issuers::{Kind, Source, Trust};
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
    /// The auth service, where it is enabled; a key that it makes itself comes with [`Keys::add_auth`].
    own: Option<Issuer>,
    /// The other issuers that the configuration has keys of.
    others: Vec<Issuer>,
    /// What is asked of every token.
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

impl Keys {
    /// Adds the auth service's public keys. There are none where it signs with a shared secret, which verifies as it is.
    pub(crate) fn add_auth(&mut self, jwks: &serde_json::Value) -> Result<(), KeyError> {
        match &mut self.own {
            Some(own) if jwks["keys"].as_array().is_none_or(|keys| !keys.is_empty()) => {
                own.keys.add_jwks(jwks.to_string().as_bytes())
            }
            _ => Ok(()),
        }
    }

    /// Whether there is no key at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.own.iter().chain(&self.others).all(|issuer| issuer.keys.is_empty())
    }

    /// Who is trusted, the likeliest first.
    pub(crate) fn into_issuers(self) -> impl Iterator<Item = Issuer> {
        self.own.into_iter().chain(self.others)
    }
}

/// Reads every key that the configuration names.
pub(crate) fn load(config: &Config) -> Result<Keys, Vec<Fault>> {
    let mut loader =
        Loader { config, sources: Vec::new(), shared: None, warnings: Vec::new(), faults: Vec::new() };
    for (i, options) in config.token.secrets.iter().enumerate() {
        loader.secret(&format!("token.secrets[{i}]"), options);
    }
    for (i, options) in config.token.pem.iter().enumerate() {
        let key = format!("token.pem[{i}]");
        loader.file(&key, &options.file, Kind::Pem, options.issuer.as_deref(), |set, bytes| {
            set.add_pem(options.kid.as_deref(), &String::from_utf8_lossy(bytes), &options.algorithms)
        });
    }
    for (i, options) in config.token.jwks.iter().enumerate() {
        let key = format!("token.jwks[{i}]");
        loader.file(&key, &options.file, Kind::Jwks, options.issuer.as_deref(), KeySet::add_jwks);
    }
    let Loader { sources, shared, mut warnings, mut faults, .. } = loader;
    warnings.extend(sources.iter().flat_map(|source| source.set.warnings()).map(ToString::to_string));
    match issuers::assign(config, &sources) {
        Ok(trust) if faults.is_empty() => {
            let Trust { own, others, warnings: doubts } = trust;
            warnings.extend(doubts);
            let cache_entries = config.token.cache_entries;
            Ok(Keys { own, others, policy: policy(config), shared, cache_entries, warnings })
        }
        assigned => {
            faults.extend(assigned.err().into_iter().flatten());
            Err(faults)
        }
    }
}

fn empty(config: &Config) -> KeySet {
    // In staging and production the policy on weak secrets says so first, and with a better message.
    if config.environment.is_strict() { KeySet::new() } else { KeySet::new().allow_short_secrets() }
}

fn policy(config: &Config) -> Policy {
    let token = &config.token;
    Policy {
        leeway: token.leeway.as_secs(),
        max_token_bytes: config.handshake.max_token_bytes.as_usize(),
        types: token.types.clone(),
        require_type: token.require_type,
        require_expiry: true,
    }
}

struct Loader<'a> {
    config: &'a Config,
    sources: Vec<Source>,
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
        let signs = self.may_sign(options);
        let kind = if signs { Kind::Signing } else { Kind::Secret };
        let added = self.add(key, kind, options.issuer.as_deref(), |set| {
            set.add_secret(options.kid.as_deref(), &secret, &options.algorithms)
        });
        match added {
            Ok(()) if signs => self.shared = Some(SharedSecret::new(options.kid.clone(), secret)),
            Ok(()) => {}
            Err(error) => self.faults.push(Fault::new(key, error.to_string())),
        }
    }

    /// Whether the auth service signs with this secret: the first one that is for HS256, and not another issuer's.
    fn may_sign(&self, options: &SecretOptions) -> bool {
        let auth = &self.config.auth;
        let is_others = auth.enabled && options.issuer.as_ref().is_some_and(|issuer| *issuer != auth.issuer);
        self.shared.is_none() && options.algorithms.contains(&Algorithm::Hs256) && !is_others
    }

    fn file(
        &mut self,
        key: &str,
        file: &Path,
        kind: Kind,
        issuer: Option<&str>,
        add: impl FnOnce(&mut KeySet, &[u8]) -> Result<(), KeyError>,
    ) {
        match fs::read(file) {
            Ok(bytes) => {
                if let Err(error) = self.add(key, kind, issuer, |set| add(set, &bytes)) {
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
        key: &str,
        kind: Kind,
        issuer: Option<&str>,
        add: impl FnOnce(&mut KeySet) -> Result<(), KeyError>,
    ) -> Result<(), KeyError> {
        let mut set = empty(self.config);
        add(&mut set)?;
        self.sources.push(Source { key: key.to_owned(), kind, issuer: issuer.map(str::to_owned), set });
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
        assert!(keys.others.is_empty());
        let own = keys.own.unwrap();
        assert_eq!((own.names, own.others), (vec!["portcullis".to_owned()], false));
        assert_eq!(own.audiences, ["portcullis"]);
        let (keys, _folder) = with_secret(Environment::Testing, STRONG);
        let own = keys.unwrap().own.unwrap();
        assert!(own.others, "a shared secret speaks for whoever holds it");
    }
}
