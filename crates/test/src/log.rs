//! What a process writes, kept as it comes.

use std::{
    io::{BufRead as _, BufReader, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// The output of a process so far. Clones read the same output.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    grew: Condvar,
}

#[derive(Debug, Default)]
struct State {
    text: String,
    ended: bool,
}

impl Log {
    /// Collects everything that comes out of `source`, until it ends.
    pub(crate) fn collect(source: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let writer = log.clone();
        thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while matches!(source.read_until(b'\n', &mut line), Ok(read) if read > 0) {
                writer.state().text.push_str(&String::from_utf8_lossy(&line));
                line.clear();
                writer.0.grew.notify_all();
            }
            writer.state().ended = true;
            writer.0.grew.notify_all();
        });
        log
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.state().text.clone()
    }

    /// Waits for a line that holds all of `parts`, and gives it; none if the output ends or `patience` does.
    pub fn line_within(&self, parts: &[&str], patience: Duration) -> Option<String> {
        let found = |state: &State| {
            state.text.lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned)
        };
        let (state, _) = self
            .0
            .grew
            .wait_timeout_while(self.state(), patience, |state| !state.ended && found(state).is_none())
            .unwrap_or_else(PoisonError::into_inner);
        found(&state)
    }

    /// Waits for a line that holds all of `parts`.
    #[track_caller]
    pub fn line(&self, parts: &[&str]) -> String {
        self.line_within(parts, crate::PATIENCE)
            .unwrap_or_else(|| panic!("no line with {parts:?} in\n{}", self.text()))
    }

    /// Waits for the output's end and gives all of it.
    #[track_caller]
    pub fn whole(&self) -> String {
        assert!(self.ends_within(crate::PATIENCE), "the output did not end:\n{}", self.text());
        self.text()
    }

    /// Whether the output ends in that time.
    pub fn ends_within(&self, patience: Duration) -> bool {
        let wait = self.0.grew.wait_timeout_while(self.state(), patience, |state| !state.ended);
        wait.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
