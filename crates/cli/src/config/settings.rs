//! Every setting: its meaning, its form and its default.

use std::{borrow::Cow, fmt, path::PathBuf};

use portcullis_gateway::{
    AdminOptions, DevOptions, EventOptions, GatewayOptions, HandshakeOptions, HeartbeatOptions, LimitOptions,
    ProbeOptions, RunOptions,
};
use portcullis_token::Algorithm;
use portcullis_units::Duration;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::agents::AgentOptions;

/// Everything that can be set.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Portcullis configuration")]
pub(crate) struct Config {
    /// Where this server runs. Authentication is the same everywhere; `staging` and `production` refuse to start with
    /// weak secrets. Default: `development`.
    pub(crate) environment: Environment,
    /// Folder of keys and accounts, made on first use and readable by its owner alone. Default: `.portcullis`, in
    /// `development` and `testing` only: elsewhere it must be named, so that accounts do not end up in a folder that
    /// goes away with a container.
    pub(crate) data_dir: DataPath,
    /// The log.
    pub(crate) log: LogOptions,
    /// How tokens are verified.
    pub(crate) token: TokenOptions,
    /// Where the gate listens and whom it trusts to open pages.
    pub(crate) gateway: GatewayOptions,
    /// The opening handshake.
    pub(crate) handshake: HandshakeOptions,
    /// Limits on what strangers and users can make the server hold or do.
    pub(crate) limits: LimitOptions,
    /// Finding peers that are gone.
    pub(crate) heartbeat: HeartbeatOptions,
    /// Limits of agents' runs.
    pub(crate) runs: RunOptions,
    /// Who answers. The first one answers what names nobody. Default: none, which means the built-in agent as `doctor`.
    pub(crate) agents: Vec<AgentOptions>,
    /// The record of events and accepted messages.
    pub(crate) events: EventOptions,
    /// Doors for development and test suites.
    pub(crate) dev: DevOptions,
    /// The operator dashboard.
    pub(crate) admin: AdminOptions,
    /// The golden-path probe.
    pub(crate) probe: ProbeOptions,
    /// The embedded auth service.
    pub(crate) auth: portcullis_auth::Options,
}

impl Config {
    /// The agents, one at least.
    pub(crate) fn agents(&self) -> Vec<AgentOptions> {
        if self.agents.is_empty() { vec![AgentOptions::built_in()] } else { self.agents.clone() }
    }

    /// What the auth service reads. It believes the gateway's proxies where it names none itself.
    pub(crate) fn auth_options(&self) -> portcullis_auth::Options {
        let mut options = self.auth.clone();
        options.trusted_proxies.get_or_insert_with(|| self.gateway.trusted_proxies.clone());
        options
    }

    /// The sections that the gateway reads.
    pub(crate) fn gateway_options(&self) -> portcullis_gateway::Options {
        portcullis_gateway::Options {
            gateway: self.gateway.clone(),
            handshake: self.handshake.clone(),
            limits: self.limits.clone(),
            heartbeat: self.heartbeat.clone(),
            runs: self.runs.clone(),
            events: self.events.clone(),
            dev: self.dev.clone(),
            admin: self.admin.clone(),
            probe: self.probe.clone(),
        }
    }
}

/// Where a server runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Environment {
    /// On a developer's machine: weak secrets are warned of, and a first account is made.
    #[default]
    Development,
    /// In a test suite: as `development`.
    Testing,
    /// Before production, and as strict.
    Staging,
    /// For users.
    Production,
}

impl Environment {
    /// Whether faults that development is warned of stop the server.
    pub(crate) const fn is_strict(self) -> bool {
        matches!(self, Self::Staging | Self::Production)
    }

    /// The name, as the configuration writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Testing => "testing",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

/// A path with the default of the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct DataPath(pub(crate) PathBuf);

impl Default for DataPath {
    fn default() -> Self {
        Self(".portcullis".into())
    }
}

impl std::ops::Deref for DataPath {
    type Target = std::path::Path;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The log.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogOptions {
    /// How much is logged: `error`, `warn`, `info`, `debug` or `trace`, also by part: `info,portcullis_gateway=debug`.
    /// Default: `info`. `debug` writes several lines a connection.
    pub(crate) level: String,
    /// How it is written. Default: `auto`.
    pub(crate) format: LogFormat,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Auto }
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// `text` on a terminal, else `json`.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How tokens are verified.
///
/// Keys come from here and, where it is enabled, from the auth service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TokenOptions {
    /// Shared secrets. All of them verify; the auth service signs with the first one that allows HS256, and with a key
    /// of its own (ES256) where there is none.
    pub(crate) secrets: Vec<SecretOptions>,
    /// Public keys in PEM files.
    pub(crate) pem: Vec<PemOptions>,
    /// Key sets in JSON files (RFC 7517 §5).
    pub(crate) jwks: Vec<JwksOptions>,
    /// Issuers that are trusted; a token's `iss` must be one of them, byte for byte. One with rules of its own is a table,
    /// the others may be texts: `issuers = ["https://id.example.com"]`. The auth service's own is added where it is enabled.
    /// Default: none, which means those that keys name and the auth service's, or any where keys name none.
    pub(crate) issuers: Vec<Listed>,
    /// Names that this server goes by in `aud`. The auth service's own is added where it is enabled. Default: none;
    /// then a token that names an audience is refused. This and the next three are for issuers that set none of their own.
    pub(crate) audiences: Vec<String>,
    /// Takes tokens for any audience. Default: false. With it, a token that was made for another service of yours opens
    /// this one too.
    pub(crate) any_audience: bool,
    /// Claims that a token must carry beside `sub` and `exp`. Default: none.
    pub(crate) required_claims: Vec<String>,
    /// Scopes that a token must carry. Default: none.
    pub(crate) required_scopes: Vec<String>,
    /// Values of `typ` that are taken. Default: `["JWT", "at+jwt"]`.
    pub(crate) types: Vec<String>,
    /// Refuses tokens without `typ`. Default: false.
    pub(crate) require_type: bool,
    /// How far clocks may differ, at most `60s`. Default: `30s`. An expired token lives on for as long.
    pub(crate) leeway: Duration,
    /// Verified tokens that are remembered, so that a reconnect costs no signature check. Default: 10000, some 4 MB. An
    /// entry never outlives its token.
    pub(crate) cache_entries: usize,
}

impl Default for TokenOptions {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            pem: Vec::new(),
            jwks: Vec::new(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            any_audience: false,
            required_claims: Vec::new(),
            required_scopes: Vec::new(),
            types: vec!["JWT".into(), "at+jwt".into()],
            require_type: false,
            leeway: Duration::from_secs(30),
            cache_entries: 10_000,
        }
    }
}

/// An issuer, and what is asked of its tokens alone. What is left out is as for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssuerOptions {
    /// The `iss` of its tokens, byte for byte.
    pub(crate) name: String,
    /// Names that this server goes by in `aud`. Default: those of `[token]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audiences: Option<Vec<String>>,
    /// Takes tokens for any audience. Default: as in `[token]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) any_audience: Option<bool>,
    /// Claims that a token must carry beside `sub` and `exp`. Default: those of `[token]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) required_claims: Option<Vec<String>>,
    /// Scopes that a token must carry. Default: those of `[token]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) required_scopes: Option<Vec<String>>,
    /// The claim that grants scopes, as a text with spaces or a list of texts, such as `permissions`. Default: `scope`, or
    /// `scp` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scopes_claim: Option<String>,
    /// The only algorithms that its keys are used with, such as `["ES256"]`. Default: what the keys are for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub(crate) algorithms: Vec<Algorithm>,
}

impl IssuerOptions {
    /// Whether anything is asked of its tokens that is not asked of all.
    pub(crate) fn has_rules(&self) -> bool {
        *self != Self { name: self.name.clone(), ..Self::default() }
    }
}

/// An issuer as the file lists it: a table, or its name alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed(pub(crate) IssuerOptions);

impl std::ops::Deref for Listed {
    type Target = IssuerOptions;

    fn deref(&self) -> &IssuerOptions {
        &self.0
    }
}

impl JsonSchema for Listed {
    fn schema_name() -> Cow<'static, str> {
        "Issuer".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = IssuerOptions::json_schema(generator);
        schema.insert("type".to_owned(), serde_json::json!(["object", "string"]));
        schema
    }
}

impl Serialize for Listed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.has_rules() { self.0.serialize(serializer) } else { self.name.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable;

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = Listed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an issuer's name or a table with its `name`")
            }

            fn visit_str<E>(self, name: &str) -> Result<Listed, E> {
                Ok(Listed(IssuerOptions { name: name.to_owned(), ..IssuerOptions::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Listed, A::Error> {
                IssuerOptions::deserialize(MapAccessDeserializer::new(map)).map(Listed)
            }
        }

        deserializer.deserialize_any(TextOrTable)
    }
}

/// A shared secret. It stands in a file or an environment variable, never in the configuration itself.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretOptions {
    /// The key id that tokens name. Needed as soon as there are two secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kid: Option<String>,
    /// What it may verify: `HS256`, `HS384`, `HS512`. Default: `["HS256"]`.
    #[serde(default = "hs256")]
    #[schemars(with = "Vec<String>")]
    pub(crate) algorithms: Vec<Algorithm>,
    /// The file that holds it; one line break at its end does not count. Relative to the configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<PathBuf>,
    /// The environment variable that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) env: Option<String>,
    /// The only issuer whose tokens it verifies. Default: any that has no keys of its own, and the auth service's if that
    /// signs with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
}

/// A public key in a PEM file.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PemOptions {
    /// The key id that tokens name. Needed as soon as there are two keys of a kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kid: Option<String>,
    /// What it may verify, such as `["RS256"]`. Default: what suits the key's kind.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) algorithms: Vec<Algorithm>,
    /// The file: a public key or a certificate. Relative to the configuration file.
    pub(crate) file: PathBuf,
    /// The only issuer whose tokens it verifies. Default: any that has no keys of its own. Needed in `staging` and
    /// `production` beside the auth service, and beside keys that name theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
}

/// A key set in a JSON file.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JwksOptions {
    /// The file. Relative to the configuration file.
    pub(crate) file: PathBuf,
    /// The only issuer whose tokens it verifies. Default: any that has no keys of its own. Needed in `staging` and
    /// `production` beside the auth service, and beside keys that name theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
}

fn hs256() -> Vec<Algorithm> {
    vec![Algorithm::Hs256]
}
