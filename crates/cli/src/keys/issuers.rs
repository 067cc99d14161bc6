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

#[cfg(test)]
mod tests {
    use portcullis_token::Secret;

    use super::*;
    use crate::config::settings::Listed;

    /// One secret of each kind and issuer.
    fn sources(of: &[(Kind, Option<&str>)]) -> Vec<Source> {
        let source = |(i, &(kind, issuer)): (usize, &(Kind, Option<&str>))| {
            let mut set = KeySet::new();
            let secret = Secret::from("q7Rt0-Zx3VbKfLmWpYcN8sHdUeJgA5oTi2");
            set.add_secret(Some(&i.to_string()), &secret, &[Algorithm::Hs256]).unwrap();
            Source { key: format!("key[{i}]"), kind, issuer: issuer.map(str::to_owned), set }
        };
        of.iter().enumerate().map(source).collect()
    }

    fn config(issuers: &[IssuerOptions]) -> Config {
        let mut config = Config::default();
        config.token.issuers = issuers.iter().cloned().map(Listed).collect();
        config
    }

    fn named(name: &str) -> IssuerOptions {
        IssuerOptions { name: name.to_owned(), ..IssuerOptions::default() }
    }

    fn with_scope(name: &str) -> IssuerOptions {
        IssuerOptions { required_scopes: Some(vec!["chat".to_owned()]), ..named(name) }
    }

    /// Every party: its names, a `*` where it speaks for others too, and its keys.
    fn parties(config: &Config, of: &[(Kind, Option<&str>)]) -> Vec<String> {
        let Trust { own, others, .. } = assign(config, &sources(of)).unwrap();
        let described = own.iter().chain(&others).map(|issuer| {
            let names = issuer.names.iter().map(String::as_str).chain(issuer.others.then_some("*"));
            format!("{}: {}", names.collect::<Vec<_>>().join(" "), issuer.keys.len())
        });
        described.collect()
    }

    #[test]
    fn every_key_goes_to_whom_it_speaks_for() {
        use Kind::{Jwks, Secret, Signing};
        let (own, a, b) = ("portcullis", "https://a", "https://b");
        for (name, issuers, keys, expected) in [
            ("no keys", vec![], &[][..], &["portcullis: 0"][..]),
            ("a secret that signs", vec![], &[(Signing, None)], &["portcullis *: 1"]),
            ("one that is the auth service's alone", vec![], &[(Signing, Some(own))], &["portcullis: 1"]),
            ("a key set", vec![], &[(Jwks, None)], &["portcullis: 0", "*: 1"]),
            ("a named key set", vec![], &[(Jwks, Some(a))], &["portcullis: 0", "https://a: 1"]),
            (
                "two of one issuer",
                vec![],
                &[(Jwks, Some(a)), (Secret, Some(a))],
                &["portcullis: 0", "https://a: 2"],
            ),
            (
                "a secret that signs, and others",
                vec![],
                &[(Signing, None), (Secret, None), (Secret, Some(own)), (Jwks, Some(a))],
                &["portcullis *: 2", "https://a: 1", "*: 1"],
            ),
            (
                "listed, without keys of their own",
                vec![named(a), named(b)],
                &[(Signing, None)],
                &["portcullis https://a https://b: 1"],
            ),
            (
                "listed, one with keys of its own",
                vec![named(a), named(b)],
                &[(Signing, None), (Jwks, Some(b))],
                &["portcullis https://a: 1", "https://b: 1"],
            ),
            (
                "listed with rules, without keys of its own",
                vec![with_scope(a)],
                &[(Signing, None)],
                &["portcullis: 1", "https://a: 1"],
            ),
            ("the auth service with rules", vec![with_scope(own)], &[(Signing, None)], &["portcullis: 1"]),
            (
                "the auth service with rules, and another one",
                vec![with_scope(own), named(a)],
                &[(Signing, None)],
                &["portcullis: 1", "https://a: 1"],
            ),
            (
                "all listed have keys",
                vec![named(a)],
                &[(Jwks, Some(a)), (Jwks, None)],
                &["portcullis: 0", "https://a: 1"],
            ),
        ] {
            assert_eq!(parties(&config(&issuers), keys), expected, "{name}");
        }
    }

    #[test]
    fn without_the_auth_service_keys_are_the_listed_issuers() {
        let mut config = config(&[named("https://a")]);
        config.auth.enabled = false;
        assert_eq!(parties(&config, &[(Kind::Jwks, None), (Kind::Signing, None)]), ["https://a: 2"]);
        config.token.issuers.clear();
        assert_eq!(parties(&config, &[(Kind::Jwks, None), (Kind::Signing, None)]), ["*: 2"]);
    }

    #[test]
    fn rules_are_the_issuers_or_those_for_all() {
        let strict = IssuerOptions {
            audiences: Some(vec!["b".to_owned()]),
            any_audience: Some(true),
            scopes_claim: Some("permissions".to_owned()),
            ..with_scope("https://b")
        };
        let mut config = config(&[named("https://a"), strict]);
        config.token.audiences = vec!["all".to_owned()];
        config.token.required_claims = vec!["email".to_owned()];
        let keys = [(Kind::Jwks, Some("https://a")), (Kind::Jwks, Some("https://b"))];
        let Trust { own, others, warnings } = assign(&config, &sources(&keys)).unwrap();
        assert_eq!(own.unwrap().audiences, ["all", "portcullis"]);
        assert_eq!(
            (others[0].audiences.as_slice(), others[0].any_audience),
            (&["all".to_owned(), "portcullis".to_owned()][..], false)
        );
        assert_eq!((others[0].required_scopes.len(), others[0].scopes_claim.as_deref()), (0, None));
        assert_eq!((others[1].audiences.as_slice(), others[1].any_audience), (&["b".to_owned()][..], true));
        assert_eq!(others[1].required_claims, ["email"], "what it does not set is as for all");
        assert_eq!(
            (others[1].required_scopes.len(), others[1].scopes_claim.as_deref()),
            (1, Some("permissions"))
        );
        assert_eq!(warnings, [""; 0]);

        let Trust { others, warnings, .. } = assign(&config, &sources(&keys[..1])).unwrap();
        assert_eq!(others.len(), 1, "nobody speaks for the other one");
        assert_eq!(warnings, ["token.issuers: there is no key for \"https://b\""]);
    }
}
