//! Whose keys are whose: from the keys and issuers of the configuration to who is trusted for what.

use portcullis_token::{Algorithm, Issuer, KeySet};

use crate::config::{
    Fault,
    settings::{Config, IssuerOptions},
};

/// The keys of one entry of the configuration.
pub(super) struct Source {
    /// The entry, as in `token.jwks[0]`.
    pub(super) key: String,
    pub(super) kind: Kind,
    /// The issuer that they are said to speak for.
    pub(super) issuer: Option<String>,
    pub(super) set: KeySet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Secret,
    /// The secret that the auth service signs with.
    Signing,
    Pem,
    Jwks,
}

/// Who is trusted.
pub(super) struct Trust {
    /// The auth service, where it is enabled; a key that it makes itself is not among its keys yet.
    pub(super) own: Option<Issuer>,
    pub(super) others: Vec<Issuer>,
    pub(super) warnings: Vec<String>,
}

/// Gives every key to whom it speaks for.
///
/// Keys that name their issuer speak for it alone. Those that name none speak for whoever has none: the issuers that are
/// listed, or everybody where nothing is. The auth service has its own, so no other key speaks for its users.
pub(super) fn assign(config: &Config, sources: &[Source]) -> Result<Trust, Vec<Fault>> {
    let assignment =
        Assignment { config, sources, own: config.auth.enabled.then_some(config.auth.issuer.as_str()) };
    let mut faults = assignment.faults();
    let (doubts, warnings) = assignment.doubts();
    faults.extend(doubts);
    let trust = assignment.trust(warnings);
    let issuers = trust.own.iter().chain(&trust.others);
    faults.extend(issuers.filter_map(|issuer| assignment.unusable(issuer)));
    if faults.is_empty() { Ok(trust) } else { Err(faults) }
}

struct Assignment<'a> {
    config: &'a Config,
    sources: &'a [Source],
    /// The auth service's issuer, where it is enabled.
    own: Option<&'a str>,
}

impl<'a> Assignment<'a> {
    /// What no environment starts with.
    fn faults(&self) -> Vec<Fault> {
        let listed = &self.config.token.issuers;
        let mut faults = Vec::new();
        for (i, issuer) in listed.iter().enumerate() {
            let key = format!("token.issuers[{i}]");
            if issuer.name.is_empty() {
                faults.push(Fault::new(key, "must not be empty"));
            } else if listed[..i].iter().any(|before| before.name == issuer.name) {
                faults.push(Fault::new(key, format!("\"{}\" is listed twice", issuer.name)));
            }
        }
        for Source { key, kind, issuer, .. } in self.sources {
            let Some(issuer) = issuer.as_deref() else { continue };
            let key = format!("{key}.issuer");
            if issuer.is_empty() {
                faults.push(Fault::new(key, "must not be empty"));
            } else if self.own == Some(issuer) {
                if matches!(kind, Kind::Pem | Kind::Jwks) {
                    let message =
                        format!("\"{issuer}\" is the auth service, whose users no other key speaks for");
                    faults.push(Fault::new(key, message).hint(
                        "name the issuer of these keys, as `iss` of its tokens has it; or give the auth service another \
                         name (auth.issuer), or turn it off (auth.enabled)",
                    ));
                }
            } else if !listed.is_empty() && self.options(issuer).is_none() {
                let message = format!("\"{issuer}\" is not in token.issuers, so its tokens are refused");
                faults.push(Fault::new(key, message).hint("add it there, or take the key out"));
            }
        }
        faults
    }

    /// Keys that could speak for the users of others: faults in strict environments, and warnings elsewhere.
    fn doubts(&self) -> (Vec<Fault>, Vec<String>) {
        let unnamed = |source: &&Source| source.issuer.is_none();
        let key_sets = self.sources.iter().filter(unnamed).filter(|source| source.kind == Kind::Jwks).count();
        let alone =
            self.own.is_none() && self.sources.iter().all(|source| source.issuer.is_none()) && key_sets < 2;
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        if alone {
            return (faults, warnings);
        }
        let is_own = |source: &&Source| self.own.is_some() && source.kind == Kind::Signing;
        for Source { key, kind, .. } in self.sources.iter().filter(unnamed).filter(|source| !is_own(source)) {
            let message = "names no issuer, and is not the only one whose tokens are taken";
            let hint = match (self.own, kind) {
                (Some(own), Kind::Secret | Kind::Signing) => format!(
                    "say whose tokens it verifies: issuer = \"{own}\" if the auth service signed with it, or else the `iss` \
                     of its tokens"
                ),
                _ => "say whose tokens it verifies: issuer = \"https://id.example.com\", as `iss` of its tokens has it"
                    .to_owned(),
            };
            if self.config.environment.is_strict() {
                faults.push(Fault::new(key, message).hint(hint));
            } else {
                warnings
                    .push(format!("{key} {message}: {hint}. Staging and production do not start without"));
            }
        }
        (faults, warnings)
    }

    fn trust(&self, mut warnings: Vec<String>) -> Trust {
        let unnamed = |source: &&Source| source.issuer.is_none();
        let mut rest = self.issuer(None);
        rest.others = self.config.token.issuers.is_empty();
        rest.keys = self.keys(unnamed);
        let mut others = Vec::new();
        for name in self.names() {
            let own_keys = self.keys(|source| source.issuer.as_deref() == Some(name));
            let options = self.options(name);
            if !own_keys.is_empty() {
                others.push(Issuer { keys: own_keys, ..self.issuer(Some(name)) });
            } else if rest.keys.is_empty() {
                warnings.push(format!("token.issuers: there is no key for \"{name}\""));
            } else if options.is_some_and(IssuerOptions::has_rules) {
                others.push(Issuer { keys: rest.keys.clone(), ..self.issuer(Some(name)) });
            } else {
                rest.names.push(name.to_owned());
            }
        }
        let own = self.own.map(|name| {
            let mut own = self.issuer(Some(name));
            own.keys = self.keys(|source| source.issuer.as_deref() == Some(name));
            let signing = |source: &&Source| source.kind == Kind::Signing && source.issuer.is_none();
            own.keys.merge(self.keys(signing));
            if !self.options(name).is_some_and(IssuerOptions::has_rules)
                && self.sources.iter().any(|s| signing(&s))
            {
                // One party under several names: its tokens cost one search for their key.
                own.names.extend(rest.names.iter().cloned());
                own.others = rest.others;
                rest.keys = self.keys(|source| unnamed(source) && !signing(source));
            }
            own
        });
        if !rest.keys.is_empty() && (rest.others || !rest.names.is_empty()) {
            others.push(rest);
        }
        Trust { own, others, warnings }
    }

    /// The issuers beside the auth service, each once.
    fn names(&self) -> Vec<&'a str> {
        let listed = self.config.token.issuers.iter().map(|listed| listed.name.as_str());
        let of_keys = self.sources.iter().filter_map(|source| source.issuer.as_deref());
        let mut names = Vec::new();
        for name in listed.chain(of_keys).filter(|name| Some(*name) != self.own) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn options(&self, name: &str) -> Option<&'a IssuerOptions> {
        self.config.token.issuers.iter().map(|listed| &listed.0).find(|options| options.name == name)
    }

    fn keys(&self, which: impl Fn(&&Source) -> bool) -> KeySet {
        let mut keys = KeySet::new();
        for source in self.sources.iter().filter(which) {
            keys.merge(source.set.clone());
        }
        keys
    }

    /// The rules for an issuer, or for whoever has none of their own.
    fn issuer(&self, name: Option<&str>) -> Issuer {
        let Config { token, auth, .. } = self.config;
        let default = IssuerOptions::default();
        let options = name.and_then(|name| self.options(name)).unwrap_or(&default);
        let mut audiences = options.audiences.clone().unwrap_or_else(|| token.audiences.clone());
        // Where nothing else is said, others' tokens for the auth service's audience are for this server as well.
        let is_ours = options.audiences.is_none() || name == self.own;
        if auth.enabled && is_ours && !audiences.contains(&auth.audience) {
            audiences.push(auth.audience.clone());
        }
        Issuer {
            names: name.map(str::to_owned).into_iter().collect(),
            others: false,
            keys: KeySet::new(),
            algorithms: options.algorithms.clone(),
            audiences,
            any_audience: options.any_audience.unwrap_or(token.any_audience),
            required_claims: options.required_claims.as_ref().unwrap_or(&token.required_claims).clone(),
            required_scopes: options.required_scopes.as_ref().unwrap_or(&token.required_scopes).clone(),
            scopes_claim: options.scopes_claim.clone(),
        }
    }

    /// An issuer with algorithms that none of its keys is for.
    fn unusable(&self, issuer: &Issuer) -> Option<Fault> {
        let name = issuer.names.first()?;
        let position = self.config.token.issuers.iter().position(|listed| listed.name == *name)?;
        // The key that the auth service makes itself.
        let made = (self.own == Some(name) && issuer.keys.is_empty()).then_some(Algorithm::Es256);
        let mut algorithms = issuer.keys.algorithms().chain(made);
        let usable =
            issuer.algorithms.is_empty() || algorithms.any(|known| issuer.algorithms.contains(&known));
        (!usable).then(|| {
            let key = format!("token.issuers[{position}].algorithms");
            Fault::new(key, format!("no key of \"{name}\" is for one of these"))
        })
    }
}
