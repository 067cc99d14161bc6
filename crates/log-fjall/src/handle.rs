//! One opening of what is kept of one owner.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use portcullis_event::{MessageId, ThreadId};
use portcullis_log::{
    Accepted, Change, Commit, OpenRun, Owner, OwnerLog, Page, Place, Quota, ReadError, Stream, Summary,
};

use crate::{Shared, queue::Job, usage::Usage};

pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) owner: Owner,
    /// Openings are numbered: the writer takes changes of the last one alone.
    pub(crate) term: u64,
    pub(crate) usage: Usage,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Where it is not taken, the writer has forgotten all openings.
        let _ = self.shared.queue.push(Job::Close { owner: self.owner, term: self.term });
    }
}

impl OwnerLog for Handle {
    fn append(&self, change: Change) -> Commit {
        self.shared.queue.append(self.owner, self.term, change)
    }

    fn stream(&self, thread_id: &ThreadId) -> BoxFuture<'static, Result<Option<Stream>, ReadError>> {
        let (owner, thread_id) = (self.owner, thread_id.clone());
        self.shared.read(Some(owner), move |view| view.stream(&owner, &thread_id))
    }

    fn read(
        &self,
        thread_id: &ThreadId,
        after: u64,
        most: usize,
    ) -> BoxFuture<'static, Result<Option<Page>, ReadError>> {
        let (owner, thread_id) = (self.owner, thread_id.clone());
        self.shared.read(Some(owner), move |view| view.page(&owner, &thread_id, after, most))
    }

    fn threads(
        &self,
        after: Option<Place>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<Summary>, ReadError>> {
        let owner = self.owner;
        self.shared.read(Some(owner), move |view| view.threads(&owner, after.as_ref(), most))
    }

    fn message(&self, id: &MessageId) -> BoxFuture<'static, Result<Option<Accepted>, ReadError>> {
        let (owner, id) = (self.owner, id.clone());
        self.shared.read(Some(owner), move |view| view.message(&owner, &id))
    }

    fn full(&self) -> Option<Quota> {
        self.usage.reached(&self.shared.limits)
    }

    fn open_runs(&self) -> BoxFuture<'static, Result<Vec<OpenRun>, ReadError>> {
        let owner = self.owner;
        self.shared.read(Some(owner), move |view| view.open_runs(&owner))
    }
}
