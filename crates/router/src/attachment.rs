//! What a connection holds of the router: a seat while its handshake ends, then an attachment.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use portcullis_event::{
    ClientMessage, Command, ConnectionId, GapReason, MessageId, Mode, Pong, Resume, ServerMessage, ThreadId,
    UserMessage, Wire,
};
use portcullis_log::{Page, Place, Summary};
use portcullis_reason::{Reason, Rejection};
use portcullis_token::Identity;

use tokio::sync::oneshot;

use crate::{
    Outbox, Router, Share,
    world::{self, Message, World},
};

/// A reserved place for one connection of a verified user. Dropping it gives the place back.
pub struct Seat {
    router: Router,
    identity: Identity,
    world: Arc<World>,
    observed: bool,
}

/// A live connection of a verified user. Dropping it ends the delivery of events, and in the mode `isolated` the runs.
pub struct Attachment {
    seat: Seat,
    /// The seat's world, or the connection's own in the mode `isolated`.
    world: Arc<World>,
    mode: Mode,
    /// How it is spoken to.
    wire: Wire,
    number: u64,
    outbox: Arc<Outbox>,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("mode", &self.mode)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.router.leave(&self.identity, &self.world);
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.world.part(&self.outbox);
    }
}

impl Seat {
    pub(crate) const fn new(router: Router, identity: Identity, world: Arc<World>) -> Self {
        Self { router, identity, world, observed: true }
    }

    /// The verified user.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The user's threads behind a place, the one that moved last first, `most` of them.
    ///
    /// # Errors
    /// [`Reason::NotReady`] if the record cannot be read.
    pub async fn threads(&self, after: Option<Place>, most: usize) -> Result<Vec<Summary>, Rejection> {
        self.world.threads(&self.router.shared, after, most).await
    }

    /// A thread's events behind `after`, as far as they are kept and come to `most` bytes, one at least.
    ///
    /// # Errors
    /// [`Reason::NotFound`], also for another user's thread; [`Reason::NotReady`] if the record cannot be read.
    pub async fn events(&self, id: &ThreadId, after: u64, most: usize) -> Result<Page, Rejection> {
        self.world.events(&self.router.shared, id, after, most).await
    }

    /// Has a thread forgotten, by this server and its record; its runs are cancelled. The future that is given back ends when
    /// the thread is gone, false if it could not be taken out of the record.
    ///
    /// # Errors
    /// [`Reason::NotFound`], also for another user's thread; [`Reason::NotReady`] if the record takes nothing.
    pub async fn forget(&self, id: ThreadId) -> Result<impl Future<Output = bool> + Send + use<>, Rejection> {
        let (told, doomed) = oneshot::channel();
        let command = world::Command::Forget { thread_id: id, told };
        self.world.try_command(&self.router.shared, command)?;
        let gone = doomed.await.unwrap_or_else(|_| {
            Err(Rejection::new(Reason::NotReady, "the router ended before the thread was found"))
        })?;
        Ok(async move { gone.await.is_ok() })
    }

    /// What the user may use up, with all of their connections.
    pub fn share(&self) -> Arc<Share> {
        self.world.share()
    }

    /// Keeps what happens in an `isolated` connection of this seat from the router's observer, so that a probe is not
    /// counted among the users. In the other modes the world is the user's, and its figures are too.
    #[must_use]
    pub fn unobserved(mut self) -> Self {
        self.observed = false;
        self
    }

    /// Joins the user's world to say something and hear the answer, and nothing else of what happens there. For the modes
    /// whose world is the user's.
    pub fn correspond(self, mode: Mode, wire: Wire, outbox: Arc<Outbox>) -> Attachment {
        let world = Arc::clone(&self.world);
        let number = self.router.shared.connections.fetch_add(1, Ordering::Relaxed);
        Attachment { seat: self, world, mode, wire, number, outbox }
    }

    /// Joins the user's world: from here on `outbox` receives the user's events, as `wire` has them. `resume` says where the client
    /// stands; what it missed is queued before anything new.
    pub fn attach(
        self,
        mode: Mode,
        wire: Wire,
        outbox: Arc<Outbox>,
        established: impl FnOnce(ConnectionId) -> ServerMessage,
        resume: &Resume,
    ) -> Attachment {
        let shared = Arc::clone(&self.router.shared);
        let world = match mode {
            Mode::Isolated => Arc::new(World::isolated(self.identity.clone(), self.observed)),
            Mode::Main | Mode::Factory | Mode::Legacy => Arc::clone(&self.world),
        };
        let number = shared.connections.fetch_add(1, Ordering::Relaxed);
        let attachment = Attachment { seat: self, world, mode, wire, number, outbox };
        attachment.notify(established(attachment.connection_id()));
        let points = if attachment.may_resume(resume) { resume.threads.clone() } else { Vec::new() };
        attachment.world.join(&shared, wire, &attachment.outbox, points);
        attachment
    }
}

impl Attachment {
    /// What the user may use up, with all of their connections.
    pub fn share(&self) -> Arc<Share> {
        self.seat.share()
    }

    /// The verified user.
    pub const fn identity(&self) -> &Identity {
        &self.seat.identity
    }

    /// The mode of the connection.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The connection's name.
    pub fn connection_id(&self) -> ConnectionId {
        let node: &str = &self.seat.router.shared.node;
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(self.number);
        // In one allocation, where `format!` grows it piece by piece: it is made in every handshake.
        let mut name = String::with_capacity(3 + node.len() + digits.len());
        name.extend(["c-", node, "-", digits]);
        ConnectionId::new(&name).expect("a node's name and a number are an identifier")
    }

    /// Goes on with a fresh token of the same user.
    ///
    /// # Errors
    /// `INSUFFICIENT_SCOPE` when the token is another user's: a connection never changes hands.
    pub fn reauthenticate(&mut self, identity: Identity) -> Result<(), Rejection> {
        if !self.seat.identity.same_subject(&identity) {
            return Err(Rejection::new(
                Reason::InsufficientScope,
                "reauthenticate with another subject's token",
            )
            .with_hint("the token belongs to another user; open a new connection for them"));
        }
        self.seat.identity = identity;
        Ok(())
    }

    /// Queues a control message for this connection alone.
    pub fn notify(&self, message: ServerMessage) {
        self.world.reply(&self.seat.router.shared, &self.outbox, self.wire, message);
    }

    /// The frame of a control message for this connection alone, which the caller sends by itself.
    pub fn control(&self, message: ServerMessage) -> Bytes {
        self.seat.router.shared.control(self.wire, message)
    }

    /// Answers a message that was refused.
    pub fn refuse(&self, rejection: &Rejection, id: Option<MessageId>) {
        self.world.refuse(&self.seat.router.shared, &self.outbox, self.wire, rejection, id);
    }

    /// Acts on a client's message. Answers and events come through the outbox.
    ///
    /// `reauthenticate` is the caller's: a token is verified outside the router, and then handed to
    /// [`Attachment::reauthenticate`].
    pub fn handle(&self, message: ClientMessage) {
        let ClientMessage { id, thread_id, command } = message;
        let outcome = match command {
            Command::UserMessage(message) => self.submit(id.clone(), thread_id, message),
            Command::CancelRun(command) => self.world.cancel(&self.seat.router.shared, &command),
            Command::Steer(command) => self.world.steer(id.clone(), command),
            Command::Resume(command) => self.resume(command),
            Command::Ping(ping) => {
                let answer = Pong { echo: ping.echo };
                self.world.ping(&self.seat.router.shared, &self.outbox, self.wire, answer);
                Ok(())
            }
            // Events are kept by count and size alone, so a place that a client has reached changes nothing.
            Command::Ack(_) => Ok(()),
            Command::Approve(_) => Err(Rejection::new(Reason::UnknownRun, "approve without a question")
                .with_hint("no question is waiting for approval under that approval_id")),
            Command::Reauthenticate(_) => {
                Err(Rejection::new(Reason::MessageMalformed, "reauthenticate reached the router"))
            }
        };
        if let Err(rejection) = outcome {
            self.refuse(&rejection, id);
        }
    }

    fn submit(
        &self,
        id: Option<MessageId>,
        thread_id: Option<ThreadId>,
        said: UserMessage,
    ) -> Result<(), Rejection> {
        let shared = &self.seat.router.shared;
        let fresh = self.mode == Mode::Factory;
        let chosen = shared.agents.choose(said.agent.as_ref(), fresh)?;
        let message = Message {
            outbox: Arc::clone(&self.outbox),
            wire: self.wire,
            share: self.seat.share(),
            user_id: Arc::from(self.identity().subject()),
            id,
            thread_id,
            said,
            chosen,
            fresh,
            sent: shared.clock.instant(),
        };
        self.world.try_command(shared, world::Command::Message(Box::new(message)))
    }

    fn resume(&self, command: Resume) -> Result<(), Rejection> {
        if !self.may_resume(&command) {
            return Ok(());
        }
        let (outbox, wire, points) = (Arc::clone(&self.outbox), self.wire, command.threads);
        self.world.try_command(&self.seat.router.shared, world::Command::Resume { outbox, wire, points })
    }

    /// Queues more of what this connection missed, after [`Outgoing::Behind`](crate::Outgoing::Behind).
    pub fn catch_up(&self) {
        let (outbox, wire) = (Arc::clone(&self.outbox), self.wire);
        self.world.command(&self.seat.router.shared, world::Command::CatchUp { outbox, wire });
    }

    /// Whether events can be sent again here; if not, the client is told so for each thread that it names.
    fn may_resume(&self, command: &Resume) -> bool {
        let may = self.wire.is_resumable();
        if !may {
            for point in &command.threads {
                self.notify(world::nothing(&point.thread_id, GapReason::NotResumable).into());
            }
        }
        may
    }
}
