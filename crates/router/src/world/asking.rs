//! The answer to who sent a message: at once, or once it is recorded.

use std::{mem, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt as _;
use portcullis_event::{Envelope, EventId, Format, MessageId, ServerMessage};
use portcullis_log::{Change, EventLog, OpenRun};
use portcullis_reason::Reason;
use portcullis_units::random;
use tokio::sync::oneshot;

use crate::{
    Outbox, Shared, encode,
    thread::{Recorded, Run},
};

/// The socket that sent a message.
pub(crate) struct Asking<'a> {
    pub(crate) outbox: &'a Arc<Outbox>,
    pub(crate) format: Format,
    /// Answers it at once.
    pub(crate) reply: &'a dyn Fn(ServerMessage),
}

impl Asking<'_> {
    /// Has an acceptance recorded, and told then.
    pub(super) fn record(
        &self,
        shared: &Arc<Shared>,
        log: &dyn EventLog,
        run: &mut Run,
        message_id: MessageId,
        accepted_at: u64,
        answer: ServerMessage,
    ) -> Recorded {
        let open = OpenRun {
            owner: run.owner,
            run_id: run.id.clone(),
            thread_id: run.thread_id.clone(),
            message_id,
            agent_id: run.chosen.id.as_str().to_owned(),
            agent_type: run.chosen.kind.to_string(),
            user_id: run.user_id.to_string(),
            accepted_at,
            repeat: mem::take(&mut run.repeat),
        };
        let (told, recorded) = oneshot::channel();
        let answer = self.answer(shared, answer);
        let (outbox, shared) = (Arc::clone(self.outbox), Arc::clone(shared));
        log.append(
            Change::Accept(open),
            Box::new(move |outcome| {
                match outcome {
                    Ok(()) => drop(outbox.push(answer)),
                    Err(error) => {
                        shared.fail(error);
                        outbox.end(Reason::NotReady);
                    }
                }
                // The run begins only now, so that its first event comes behind the acceptance.
                let _ = told.send(outcome.is_ok());
            }),
        );
        recorded.shared()
    }

    /// Answers once something is recorded, and never if it is not.
    pub(super) fn reply_once(&self, shared: &Shared, recorded: Recorded, answer: ServerMessage) {
        let (outbox, answer) = (Arc::clone(self.outbox), self.answer(shared, answer));
        shared.tasks.spawn(async move {
            if recorded.await == Ok(true) {
                outbox.push(answer);
            }
        });
    }

    /// The frame of an answer that is sent later, named by the run that it is about.
    fn answer(&self, shared: &Shared, answer: ServerMessage) -> Bytes {
        let id = EventId::new(&format!("c-{}-{}", shared.node, random::hex::<8>())).expect("visible ASCII");
        encode(&Envelope::control(id, (shared.clock)(), answer), self.format)
    }
}
