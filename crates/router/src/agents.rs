//! The agents that messages can be routed to.

use std::{fmt, sync::Arc};

use portcullis_agent::Agent;
use portcullis_event::AgentId;
use portcullis_reason::{Reason, Rejection};

type Make = dyn Fn() -> Arc<dyn Agent> + Send + Sync;

/// The agents of a server, by name. The first is the default one.
#[derive(Default)]
pub struct Agents {
    entries: Vec<Entry>,
}

struct Entry {
    id: AgentId,
    kind: Arc<str>,
    shared: Arc<dyn Agent>,
    make: Box<Make>,
}

/// One agent for one run.
pub(crate) struct Chosen {
    pub(crate) id: AgentId,
    pub(crate) kind: Arc<str>,
    pub(crate) agent: Arc<dyn Agent>,
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| &entry.id)).finish()
    }
}

impl Agents {
    /// The default agent.
    pub fn new(make: impl Fn() -> Arc<dyn Agent> + Send + Sync + 'static) -> Self {
        Self::default().and(make)
    }

    /// Adds another agent. `make` is called once for the instance that most runs share, and once more for each run in the
    /// mode `factory`. One of the same name takes the place of the earlier one.
    #[must_use]
    pub fn and(mut self, make: impl Fn() -> Arc<dyn Agent> + Send + Sync + 'static) -> Self {
        let shared = make();
        let id = AgentId::new(shared.id()).expect("an agent's name is an identifier");
        let entry = Entry { id, kind: Arc::from(shared.kind()), shared, make: Box::new(make) };
        match self.entries.iter_mut().find(|other| other.id == entry.id) {
            Some(other) => *other = entry,
            None => self.entries.push(entry),
        }
        self
    }

    /// The agent of that name, or the default one: a fresh instance if `fresh`.
    pub(crate) fn choose(&self, name: Option<&AgentId>, fresh: bool) -> Result<Chosen, Rejection> {
        let entry = match name {
            None => self.entries.first(),
            Some(name) => self.entries.iter().find(|entry| entry.id == *name),
        };
        let Some(entry) = entry else {
            let names: Vec<_> = self.entries.iter().map(|entry| entry.id.as_str()).collect();
            return Err(Rejection::new(Reason::UnknownAgent, "no agent has that name")
                .with_hint(format!("the agents here are: {}", names.join(", "))));
        };
        Ok(Chosen {
            id: entry.id.clone(),
            kind: Arc::clone(&entry.kind),
            agent: if fresh { (entry.make)() } else { Arc::clone(&entry.shared) },
        })
    }
}
