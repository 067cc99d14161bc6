//! What is found in a message, as the tools are given it.

use std::sync::LazyLock;

use crate::{
    scan::credential::{Pasted, Place},
    search::Search,
};

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
        static WORDS: LazyLock<Search<Word>> = LazyLock::new(|| {
            let named = NAMES.map(|name| (name, Word::Name));
            let other = OTHERS.map(|other| (other, Word::Other));
            Search::new(named.into_iter().chain(other).chain([("new websocket", Word::Socket)]))
        });
        let (mut name, mut other, mut socket) = (false, false, false);
        for (word, _) in WORDS.all(lower) {
            match word {
                Word::Name => name = true,
                Word::Other => other = true,
                Word::Socket => socket = true,
            }
        }
        match (other, name, socket) {
            (true, ..) | (_, false, false) => Self::No,
            (_, true, _) => Self::Yes,
            (_, false, true) => Self::Perhaps,
        }
    }
}

/// What tells about the client.
#[derive(Clone, Copy)]
enum Word {
    /// It is a browser.
    Name,
    /// It is none.
    Other,
    /// It runs where browsers' code does.
    Socket,
}

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
