//! What a connection holds of the router: a seat while its handshake ends, then an attachment.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use portcullis_event::{
    ClientMessage, Command, ConnectionId, Envelope, ErrorNotice, EventId, Format, GapReason, MessageId, Mode,
    Pong, Resume, ResumeGap, RunId, ServerMessage, ThreadId, UserMessage,
};
use portcullis_log::{Owner, Question, Repeat, Stored, Summary};
use portcullis_reason::{Reason, Rejection};
use portcullis_token::Identity;
use portcullis_units::random;

use crate::{
    Outbox, Router, encode, owner, run,
    thread::Run,
    world::{Asking, Submitted, World, cancellation},
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
    number: u64,
    controls: AtomicU64,
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

    /// Whose events these are, in the record.
    fn owner(&self) -> Owner {
        owner(&self.identity)
    }

    /// The user's threads, each with its last event, in no order. Reads the record, so it may block.
    ///
    /// # Errors
    /// [`Reason::NotReady`] if that cannot be read.
    pub fn threads(&self) -> Result<Vec<Summary>, Rejection> {
        self.world.threads(&self.router.shared, &self.owner())
    }

    /// A thread's events as far as they are kept. Reads the record, so it may block.
    ///
    /// # Errors
    /// [`Reason::NotFound`], also for another user's thread; [`Reason::NotReady`] if the record cannot be read.
    pub fn thread(&self, id: &ThreadId) -> Result<Stored, Rejection> {
        self.world.thread(&self.router.shared, &self.owner(), id)
    }

    /// Has a thread forgotten, by this server and its record; its runs are cancelled. Reads the record, so it may block. The
    /// returned future ends when the thread is gone, false if it could not be taken out of the record.
    ///
    /// # Errors
    /// [`Reason::NotFound`], also for another user's thread; [`Reason::NotReady`] if the record has failed.
    pub fn forget(&self, id: &ThreadId) -> Result<impl Future<Output = bool> + Send + use<>, Rejection> {
        let gone = self.world.forget(&self.router.shared, &self.owner(), id)?;
        Ok(async move { gone.await.is_ok() })
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
    pub fn correspond(self, mode: Mode, outbox: Arc<Outbox>) -> Attachment {
        let world = Arc::clone(&self.world);
        let number = self.router.shared.connections.fetch_add(1, Ordering::Relaxed);
        Attachment { seat: self, world, mode, number, controls: AtomicU64::new(0), outbox }
    }

    /// Joins the user's world: from here on `outbox` receives the user's events. `resume` says where the client
    /// stands; what it missed is queued before anything new.
    pub fn attach(
        self,
        mode: Mode,
        outbox: Arc<Outbox>,
        established: impl FnOnce(ConnectionId) -> ServerMessage,
        resume: &Resume,
    ) -> Attachment {
        let world = match mode {
            Mode::Isolated => Arc::new(World::isolated(self.observed)),
            Mode::Main | Mode::Factory | Mode::Legacy => Arc::clone(&self.world),
        };
        let number = self.router.shared.connections.fetch_add(1, Ordering::Relaxed);
        let attachment = Attachment { seat: self, world, mode, number, controls: AtomicU64::new(0), outbox };
        attachment.notify(established(attachment.connection_id()));
        let nothing = Resume { threads: Vec::new() };
        let resume = if attachment.may_resume(resume) { resume } else { &nothing };
        let shared = &attachment.seat.router.shared;
        let reply = |message| attachment.notify(message);
        let owner = || attachment.owner();
        attachment.world.join(shared, owner, mode.format(), &attachment.outbox, resume, &reply);
        attachment
    }
}

impl Attachment {
    /// The verified user.
    pub const fn identity(&self) -> &Identity {
        &self.seat.identity
    }

    /// The mode of the connection.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    fn owner(&self) -> Owner {
        self.seat.owner()
    }

    /// The connection's name.
    pub fn connection_id(&self) -> ConnectionId {
        ConnectionId::new(&self.name()).expect("a node's name and a number are an identifier")
    }

    /// The text of the connection's name. It is made in every handshake: in one allocation, where `format!` grows it piece
    /// by piece, and not kept, since every idle connection would pay for it.
    fn name(&self) -> String {
        let node: &str = &self.seat.router.shared.node;
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(self.number);
        let mut name = String::with_capacity(3 + node.len() + digits.len());
        name.extend(["c-", node, "-", digits]);
        name
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
        if !self.outbox.push(self.control(message)) {
            self.world.observer(&self.seat.router.shared).overflow();
        }
    }

    /// The frame of a control message for this connection alone, which the caller sends by itself.
    pub fn control(&self, message: ServerMessage) -> Bytes {
        let shared = &self.seat.router.shared;
        let number = self.controls.fetch_add(1, Ordering::Relaxed);
        let id = EventId::numbered(&self.name(), number).expect("a connection's id has room for a number");
        encode(&Envelope::control(id, (shared.clock)(), message), self.mode.format())
    }

    /// Answers a message that was refused.
    pub fn refuse(&self, rejection: &Rejection, id: Option<MessageId>) {
        self.world.observer(&self.seat.router.shared).refused(rejection.reason);
        self.notify(ErrorNotice::new(rejection).for_message(id).into());
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
            Command::Resume(command) => {
                self.resume(&command);
                Ok(())
            }
            Command::Ping(ping) => {
                self.notify(Pong { echo: ping.echo }.into());
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
        thread: Option<ThreadId>,
        message: UserMessage,
    ) -> Result<(), Rejection> {
        let shared = &self.seat.router.shared;
        let fresh = self.mode == Mode::Factory;
        let UserMessage { content, agent, context } = message;
        let chosen = shared.agents.choose(agent.as_ref(), fresh)?;
        let named = thread.is_some();
        let kept = shared.options.repeat_runs
            && self.world.is_recorded(shared)
            && chosen.agent.may_repeat(&content, context.as_ref());
        let question = || Question { content: content.clone(), context: context.clone(), fresh };
        let repeat = if kept { Repeat::Once(question()) } else { Repeat::Never };
        let run = Run {
            id: RunId::new(&format!("run-{}", random::hex::<12>()))
                .expect("hexadecimal digits are an identifier"),
            thread_id: thread.unwrap_or_else(|| {
                ThreadId::new(&format!("thread-{}", random::hex::<12>()))
                    .expect("hexadecimal digits are an identifier")
            }),
            user_id: Arc::from(self.identity().subject()),
            chosen,
            content,
            context,
            remembers: !fresh,
            cancel: cancellation(shared),
            accepted: tokio::time::Instant::now().into_std(),
            owner: self.owner(),
            repeat,
            recorded: None,
            again: None,
        };
        let reply = |message| self.notify(message);
        let asking = Asking { outbox: &self.outbox, format: self.mode.format(), reply: &reply };
        match self.world.submit(shared, id, named, run, &asking)? {
            Submitted::Start(run) => run::start(&self.seat.router, &self.world, *run),
            Submitted::Nothing => {}
        }
        Ok(())
    }

    fn resume(&self, command: &Resume) {
        if self.may_resume(command) {
            let shared = &self.seat.router.shared;
            self.world.resume(shared, &self.owner(), &self.outbox, command, &|message| self.notify(message));
        }
    }

    /// Queues more of what this connection missed, after [`Outgoing::Behind`](crate::Outgoing::Behind).
    pub fn catch_up(&self) {
        let shared = &self.seat.router.shared;
        self.world.catch_up(shared, &self.owner(), &self.outbox, &|message| self.notify(message));
    }

    /// Whether events can be sent again here; if not, the client is told so for each thread that it names.
    fn may_resume(&self, command: &Resume) -> bool {
        // What is kept is written in v1, and older clients never learn a place to resume from.
        let may = self.mode.format() == Format::V1;
        if !may {
            for point in &command.threads {
                let gap = ResumeGap {
                    thread_id: point.thread_id.clone(),
                    epoch: None,
                    first_available_seq: None,
                    last_seq: 0,
                    reason: GapReason::NotResumable,
                };
                self.notify(gap.into());
            }
        }
        may
    }
}
