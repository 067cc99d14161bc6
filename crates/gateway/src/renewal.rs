//! A fresh token on a live connection, whose end moves to the token's.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use portcullis_event::{MessageId, Reauthenticate};
use portcullis_reason::{Reason, Rejection};
use portcullis_router::Attachment;
use portcullis_session::Session;
use portcullis_token::{Identity, Verdict, Waiting};

use crate::{member::Member, tokens::in_time};

/// A fresh token that is being verified elsewhere, if there is one: one at a time.
#[derive(Default)]
pub(crate) struct Renewal(Option<Box<Pending>>);

struct Pending {
    waiting: Waiting,
    /// The message that brought it.
    id: Option<MessageId>,
}

impl Renewal {
    /// Goes on with a fresh token, now or once it is verified.
    pub(crate) fn begin(
        &mut self,
        member: &Member,
        attachment: &mut Attachment,
        session: &mut Session,
        (fresh, id): (Reauthenticate, Option<MessageId>),
        now: Instant,
    ) {
        if self.0.is_some() {
            let rejection = Rejection::new(Reason::RateLimited, "a fresh token is being verified already")
                .with_hint("a fresh token is being verified already; this one was dropped");
            return attachment.refuse(&rejection, id);
        }
        match member.gate.door.tokens.verify(fresh.token.expose()) {
            Verdict::Now(verified) => renew(member, attachment, session, verified, id, now),
            Verdict::Wait(waiting) => {
                let waiting = Box::pin(in_time(waiting, now + member.gate.door.patience));
                self.0 = Some(Box::new(Pending { waiting, id }));
            }
        }
    }

    /// Whether a token is waited for.
    pub(crate) const fn is_pending(&self) -> bool {
        self.0.is_some()
    }

    /// Goes on with the token that was waited for, once it is verified.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        member: &Member,
        attachment: &mut Attachment,
        session: &mut Session,
    ) {
        if let Some(pending) = &mut self.0
            && let Poll::Ready(verified) = pending.waiting.as_mut().poll(context)
        {
            let (id, now) = (pending.id.take(), member.gate.clock.instant());
            renew(member, attachment, session, verified, id, now);
            self.0 = None;
        }
    }
}

/// Moves the connection's end to the fresh token's. Success is silent (docs/protocol.md, `reauthenticate`).
fn renew(
    member: &Member,
    attachment: &mut Attachment,
    session: &mut Session,
    verified: Result<Identity, Rejection>,
    id: Option<MessageId>,
    now: Instant,
) {
    let tokens = &member.gate.door.tokens;
    let outcome = tokens.current(verified).and_then(|identity| attachment.reauthenticate(identity));
    if let Err(rejection) = outcome {
        return attachment.refuse(&rejection, id);
    }
    let identity = attachment.identity();
    if !member.renew(identity) {
        return session.end(Reason::TokenRevoked);
    }
    let (warn_at, ends_at) = tokens.token_times(identity.expires_at(), now);
    session.renew(warn_at, ends_at);
}
