//! What is found in a message, as the tools are given it.

use crate::scan::credential::{Pasted, Place};

/// A token to look into.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: Pasted,
    pub(crate) place: Place,
    pub(crate) shortened: bool,
    pub(crate) broken_lines: bool,
}

/// What a message tells about the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Browser {
    /// Nothing, or that it is none.
    #[default]
    No,
    /// It has code that browsers and others can run.
    Perhaps,
    Yes,
}

impl Browser {
    pub(crate) fn of(lower: &str) -> Self {
        const NAMES: [&str; 12] = [
            "browser",
            "origin:",
            "chrome",
            "firefox",
            "safari",
            "javascript",
            "page",
            "react",
            "angular",
            "svelte",
            "vue",
            "frontend",
        ];
        const OTHERS: [&str; 4] = ["require('ws')", "require(\"ws\")", "from 'ws'", "from \"ws\""];
        let has = |list: &[&str]| list.iter().any(|word| lower.contains(word));
        match (has(&OTHERS), has(&NAMES), lower.contains("new websocket")) {
            (true, ..) | (_, false, false) => Self::No,
            (_, true, _) => Self::Yes,
            (_, false, true) => Self::Perhaps,
        }
    }
}
