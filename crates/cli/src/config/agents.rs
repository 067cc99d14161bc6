//! Who answers.

use portcullis_event::AgentId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Fault;

/// An agent.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentOptions {
    /// The name by which messages choose it (`agent`): 1 to 128 visible ASCII characters.
    #[schemars(with = "String")]
    pub(crate) name: AgentId,
    /// What it is.
    pub(crate) kind: AgentKind,
    /// What of its users' words is written down and shown on their other devices. Default: `redacted`.
    #[serde(default)]
    pub(crate) keeps: Keeps,
}

/// What an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AgentKind {
    /// The built-in agent, which explains failed handshakes.
    Doctor,
}

/// What of users' words is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Keeps {
    /// Nothing. A run that a crash cuts off is not run again, and after a restart the agent knows its own answers alone.
    Nothing,
    /// All but what looks like a credential, for which its kind and a fingerprint stand.
    #[default]
    Redacted,
    /// All of them as they came, credentials too.
    All,
}

impl From<Keeps> for portcullis_agent::Keeps {
    fn from(keeps: Keeps) -> Self {
        match keeps {
            Keeps::Nothing => Self::Nothing,
            Keeps::Redacted => Self::Redacted,
            Keeps::All => Self::All,
        }
    }
}

impl AgentOptions {
    /// Who answers where the configuration names nobody.
    pub(super) fn built_in() -> Self {
        let name = AgentId::new("doctor").expect("a word is a name");
        Self { name, kind: AgentKind::Doctor, keeps: Keeps::default() }
    }
}

/// No two of one name.
pub(super) fn check(agents: &[AgentOptions]) -> impl Iterator<Item = Fault> {
    agents.iter().enumerate().filter_map(|(i, agent)| {
        let first = agents[..i].iter().position(|other| other.name == agent.name)?;
        let message = format!("`{}` is the name of agents[{first}] already", agent.name);
        Some(Fault::new(format!("agents[{i}].name"), message))
    })
}
