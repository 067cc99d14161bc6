//! What becomes of a change that was handed over.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_channel::oneshot;

use crate::AppendError;

/// The outcome of a change, once it is known: an implementation that goes away without a word has fenced it.
#[must_use = "a change may be refused"]
pub struct Commit(Inner);

enum Inner {
    Known(Option<Result<(), AppendError>>),
    Awaited(oneshot::Receiver<Result<(), AppendError>>),
}

/// Tells the outcome of a change to whoever awaits it, from any thread.
#[derive(Debug)]
pub struct Committer(oneshot::Sender<Result<(), AppendError>>);

impl Commit {
    /// One whose outcome is known already.
    pub const fn known(outcome: Result<(), AppendError>) -> Self {
        Self(Inner::Known(Some(outcome)))
    }

    /// One that is told later.
    pub fn awaited() -> (Committer, Self) {
        let (told, outcome) = oneshot::channel();
        (Committer(told), Self(Inner::Awaited(outcome)))
    }

    /// The outcome where it is known already.
    ///
    /// # Errors
    /// The commit, which is to be awaited.
    pub fn try_known(self) -> Result<Result<(), AppendError>, Self> {
        match self.0 {
            Inner::Known(Some(outcome)) => Ok(outcome),
            inner => Err(Self(inner)),
        }
    }
}

impl Committer {
    /// Tells the outcome. Nobody may be there to hear it any more.
    pub fn tell(self, outcome: Result<(), AppendError>) {
        let _ = self.0.send(outcome);
    }
}

impl Future for Commit {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Inner::Known(outcome) => Poll::Ready(outcome.take().expect("a commit is awaited once")),
            Inner::Awaited(outcome) => {
                Pin::new(outcome).poll(context).map(|told| told.unwrap_or(Err(AppendError::Fenced)))
            }
        }
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").finish_non_exhaustive()
    }
}
