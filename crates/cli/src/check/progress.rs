//! One line on the terminal that says how far it is.

use std::io::{self, IsTerminal as _, Write as _};

use portcullis_check::{Finding, Progress};

/// The line, or nothing where standard error is no terminal.
pub(super) struct Line {
    on: bool,
}

impl Line {
    pub(super) fn new() -> Self {
        Self { on: io::stderr().is_terminal() }
    }

    /// Takes it away.
    pub(super) fn clear(&self) {
        self.put("");
    }

    fn put(&self, text: &str) {
        if self.on {
            // That nobody reads it is no reason to fail.
            let mut stderr = io::stderr().lock();
            let _ = write!(stderr, "\r\x1b[K{text}");
            let _ = stderr.flush();
        }
    }
}

impl Progress for Line {
    fn finished(&self, finding: &Finding, done: usize, total: usize) {
        self.put(&format!("{done:>3}/{total} {} {}", finding.verdict.name(), finding.title()));
    }
}
