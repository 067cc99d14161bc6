//! What is wrong with a configuration, and where.

use std::{fmt, path::Path, sync::Arc};

use serde::Serialize;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// A place in the file; lines and columns count from 1.
    File { file: Arc<Path>, line: usize, column: usize },
    /// An environment variable.
    Env(Arc<str>),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Self::Env(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A fault in a value, before it is known where the value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The key, as in `token.secrets[0].file`.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do, where the message does not say it.
    pub(crate) hint: Option<String>,
}

impl Fault {
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), hint: None }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A fault in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// The place to look at: `portcullis.toml:3:1`, the name of a variable, or a flag.
    pub(crate) at: Origin,
    /// The key; empty where the text is no TOML.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do, where the message does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at == Origin::Default {
            write!(f, "{}: {}", self.key, self.message)?;
        } else if self.key.is_empty() {
            write!(f, "{}: {}", self.at, self.message)?;
        } else {
            write!(f, "{}: {}: {}", self.at, self.key, self.message)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration {file}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It was read and has faults.
    #[error("the configuration has {}:\n{}", count(.0), list(.0))]
    Problems(Vec<Problem>),
}

fn count(problems: &[Problem]) -> String {
    if problems.len() == 1 { "a fault".into() } else { format!("{} faults", problems.len()) }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
