//! What a line is read with.

use super::{Format, Parsed};
use crate::{keys::Keys, time::Millis};

/// What an entry knows of the lines in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) format: Option<Format>,
    pub(crate) at: Option<Millis>,
    pub(crate) keys: Keys,
}

impl Context {
    pub(crate) fn apply<'t>(&self, parsed: Parsed<'t>) -> Parsed<'t> {
        Parsed {
            format: self.format.or(parsed.format),
            at: self.at.or(parsed.at),
            keys: parsed.keys.or(&self.keys),
            ..parsed
        }
    }
}
