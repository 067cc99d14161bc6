//! Users, their devices, and what each of them has seen.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    num::NonZeroU32,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use portcullis_event::{
    AgentStarted, CancelRun, ClientMessage, Command, ConnectionEstablished, Envelope, ExecutionId, MessageId,
    Mode, Resume, ResumePoint, RunId, ServerMessage, Steer, ThreadId, UserMessage,
};
use portcullis_frame::{self as frame, Decoder, Message, Role};
use portcullis_log::{EventLog, Limits, Memory};
use portcullis_reason::Reason;
use portcullis_router::{Agents, Attachment, Observer, Options, Outbox, Outgoing, Router, ThreadPolicy};
use portcullis_test::runtime_clock;
use portcullis_token::{Identity, Issuer, KeySet, Policy, Secret, Signer, Verifier};
use portcullis_units::{Clock, Rate};
use serde_json::{Value, json};

use crate::{
    homes::{Hesitant, admitted},
    script::scripted,
};

pub(crate) struct Deaf;

impl Observer for Deaf {
    fn overflow(&self) {
        panic!("a queue of a test has room for all");
    }
}

/// Limits that nothing meets by chance.
pub(crate) fn roomy() -> Options {
    Options {
        runs_per_user: 1_000,
        runs: 10_000,
        thread_policy: ThreadPolicy::Queue,
        run_timeout: Duration::from_mins(10),
        run_steps: 10_000,
        run_output_bytes: 1 << 20,
        threads_per_user: 1_000,
        retention: Duration::from_hours(1),
        reads: Rate::per_second(NonZeroU32::MAX, NonZeroU32::MAX),
        repeat_runs: true,
        redact: Some(|words| words.replace("secret", "[redacted]")),
    }
}

/// How much a record of a test keeps where nothing is to go.
pub(crate) const LIMITS: Limits =
    Limits { events: 100_000, bytes: 64 << 20, threads: 1_000, owner_bytes: u64::MAX, all_bytes: u64::MAX };

/// A router with a record in memory.
pub(crate) fn router(options: Options) -> Router {
    recording(options, Arc::new(Memory::new(LIMITS)))
}

pub(crate) fn recording(options: Options, log: Arc<dyn EventLog>) -> Router {
    recording_with(options, scripted(), log)
}

/// Lets tasks go as far as they come without time or the log.
pub(crate) async fn turn() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn recording_with(options: Options, agents: Agents, log: Arc<dyn EventLog>) -> Router {
    recording_at(options, agents, log, runtime_clock(0))
}

pub(crate) fn recording_at(options: Options, agents: Agents, log: Arc<dyn EventLog>, clock: Clock) -> Router {
    let homes = Arc::new(Hesitant::default());
    Router::new(options, agents, Arc::new(Deaf), log, homes, Arc::from("node"), clock)
}

/// A verified user. There is no other way to one than through a verifier.
pub(crate) fn identity(subject: &str) -> Identity {
    let signer = Signer::hs256(None, &Secret::from("a secret for tests of the router, long enough")).unwrap();
    let mut keys = KeySet::new();
    keys.add_signer(&signer).unwrap();
    let claims = json!({ "sub": subject, "exp": 2_000_000_000 });
    Verifier::new([Issuer::unnamed(keys)], Policy::default(), 0)
        .verify(&signer.sign(claims.as_object().unwrap()), 1)
        .unwrap()
}

/// One connection of a user, or what is left of it.
pub(crate) struct Device {
    pub(crate) user: String,
    pub(crate) mode: Mode,
    outbox: Arc<Outbox>,
    attachment: Option<Attachment>,
    decoder: Decoder,
    /// Why the connection was ended from the other side.
    pub(crate) ended: Option<Reason>,
    /// Everything that came in v1, in order.
    pub(crate) seen: Vec<Envelope>,
    /// Everything that came in the older form.
    pub(crate) flat: Vec<Value>,
}

impl Device {
    /// A connection of each of some users.
    pub(crate) async fn each<const COUNT: usize>(router: &Router, users: [&str; COUNT]) -> [Self; COUNT] {
        let devices = users.map(|user| Self::connect(router, user, Mode::Main));
        let devices = futures_util::future::join_all(devices).await;
        devices.try_into().unwrap_or_else(|_| panic!("as many as users"))
    }

    pub(crate) async fn connect(router: &Router, user: &str, mode: Mode) -> Self {
        Self::resume(router, user, mode, &Resume { threads: Vec::new() }).await
    }

    pub(crate) async fn resume(router: &Router, user: &str, mode: Mode, resume: &Resume) -> Self {
        Self::narrow(router, user, mode, resume, 64 << 20).await
    }

    /// With a queue of so many bytes.
    pub(crate) async fn narrow(
        router: &Router,
        user: &str,
        mode: Mode,
        resume: &Resume,
        queue: usize,
    ) -> Self {
        let seat = admitted(router, user, u32::MAX).await.unwrap();
        let outbox = Arc::new(Outbox::new(queue));
        let established = |connection_id| {
            ServerMessage::from(ConnectionEstablished {
                connection_id,
                user_id: user.into(),
                mode,
                protocol: None,
                heartbeat_interval_ms: 0,
                max_message_bytes: 0,
                token_expires_at: None,
                node: "node".into(),
            })
        };
        let attachment = seat.attach(mode, mode.wire(), Arc::clone(&outbox), established, resume);
        turn().await;
        Self {
            user: user.to_owned(),
            mode,
            outbox,
            attachment: Some(attachment),
            decoder: Decoder::new(
                Role::Client,
                frame::Limits { frame: 8 << 20, message: 8 << 20, fragments: 1 },
            ),
            ended: None,
            seen: Vec::new(),
            flat: Vec::new(),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.attachment.is_some()
    }

    /// Takes what came and leaves.
    pub(crate) async fn disconnect(&mut self) {
        self.read().await;
        self.attachment = None;
    }

    pub(crate) async fn say(&self, id: Option<&str>, thread: &str, script: &str) {
        let content = script.to_owned();
        let command = Command::UserMessage(UserMessage { content, agent: None, context: None });
        self.send(id, Some(thread), command);
        turn().await;
    }

    pub(crate) fn cancel(&self, run: &RunId) {
        self.send(Some("cancel"), None, Command::CancelRun(CancelRun { run_id: run.clone() }));
    }

    pub(crate) async fn steer(&self, id: Option<&str>, run: &RunId, words: &str) {
        let command = Command::Steer(Steer { run_id: run.clone(), content: words.to_owned() });
        self.send(id, None, command);
        turn().await;
    }

    /// Says so much to a run that it cannot hear anything in between.
    pub(crate) fn burst(&self, run: &RunId, count: usize) {
        for _ in 0..count {
            let content = "again".to_owned();
            self.send(None, None, Command::Steer(Steer { run_id: run.clone(), content }));
        }
    }

    fn send(&self, id: Option<&str>, thread: Option<&str>, command: Command) {
        if let Some(attachment) = &self.attachment {
            attachment.handle(ClientMessage {
                id: id.map(|id| MessageId::new(id).unwrap()),
                thread_id: thread.map(|thread| ThreadId::new(thread).unwrap()),
                command,
            });
        }
    }

    /// Reads everything that waits or can be had.
    pub(crate) async fn read(&mut self) {
        while self.read_piece().await {}
    }

    /// Bytes that wait.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.outbox.queued_bytes()
    }

    /// Reads what waits in the queue, and says whether there was something.
    pub(crate) async fn read_piece(&mut self) -> bool {
        turn().await;
        let mut frames = VecDeque::new();
        loop {
            match self.outbox.poll_take(&Context::from_waker(Waker::noop()), &mut frames) {
                Poll::Ready(Outgoing::Behind) => {
                    if let Some(attachment) = &self.attachment {
                        attachment.catch_up();
                        turn().await;
                    }
                }
                Poll::Ready(Outgoing::End(reason)) => {
                    self.ended = Some(reason);
                    break;
                }
                Poll::Ready(Outgoing::Frames { .. }) | Poll::Pending => break,
                Poll::Ready(other) => panic!("{other:?}"),
            }
        }
        let any = !frames.is_empty();
        for frame in frames {
            let mut bytes = frame.frame.to_vec();
            let mut input = &mut bytes[..];
            let Ok(Some(Message::Text(text))) = self.decoder.decode(&mut input) else {
                panic!("a text frame")
            };
            if self.mode == Mode::Legacy {
                self.flat.push(serde_json::from_str(&text).unwrap());
            } else {
                let envelope = Envelope::parse(&text).unwrap();
                let position = frame.position.map(|at| (at.stream.epoch.clone(), at.seq));
                let told = envelope.position.as_ref().map(|told| (told.epoch.clone(), told.seq));
                assert_eq!(position, told, "what is delivered knows where it stands");
                self.seen.push(envelope);
            }
        }
        any
    }

    /// The events of runs, without the control messages.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Envelope> {
        self.seen.iter().filter(|envelope| envelope.position.is_some())
    }

    /// The types of everything that came.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.seen.iter().map(|envelope| envelope.message.kind().as_str()).collect()
    }

    /// The place in each thread that it has come to.
    pub(crate) fn places(&self) -> Resume {
        let mut places: HashMap<&ThreadId, ResumePoint> = HashMap::new();
        for event in self.events() {
            let (Some(thread_id), Some(position)) = (&event.thread_id, &event.position) else { continue };
            let (epoch, after_seq) = (Some(position.epoch.clone()), position.seq);
            places.insert(thread_id, ResumePoint { thread_id: thread_id.clone(), epoch, after_seq });
        }
        Resume { threads: places.into_values().collect() }
    }

    /// The runs that were accepted here, with whether each was so before.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = (&MessageId, &RunId, bool)> {
        self.seen.iter().filter_map(|envelope| match &envelope.message {
            ServerMessage::MessageAccepted(it) => Some((&it.message_id, &it.run_id, it.duplicate)),
            _ => None,
        })
    }

    /// The reasons of the errors that came.
    pub(crate) fn errors(&self) -> Vec<Reason> {
        let error = |envelope: &Envelope| match &envelope.message {
            ServerMessage::Error(error) => Some(error.reason),
            _ => None,
        };
        self.seen.iter().filter_map(error).collect()
    }
}

/// Lets every run come to its end, and says how many are left after an hour.
pub(crate) async fn settle(router: &Router) -> usize {
    turn().await;
    for _ in 0..3_600 {
        if router.runs() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    router.runs()
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Answer(String),
    Failure(Reason),
}

/// Asserts the order that docs/protocol.md promises of each run and thread, and gives each run's end.
///
/// One run at a time on each thread: a second message waits for the first one's run. One that is cancelled while it waits,
/// or that is not run again after a crash, has its start and its end at once, between two events of the other. One that is
/// run again begins anew, with no tool going on.
#[track_caller]
pub(crate) fn assert_order<'e>(events: impl Iterator<Item = &'e Envelope>) -> HashMap<RunId, End> {
    let mut last = HashMap::new();
    let mut going_on: HashMap<ThreadId, Vec<(RunId, Vec<ExecutionId>)>> = HashMap::new();
    let mut ended: HashMap<RunId, End> = HashMap::new();
    let mut told = HashSet::new();
    for event in events {
        let (thread, run) = (event.thread_id.clone().unwrap(), event.run_id.clone().unwrap());
        let position = event.position.clone().unwrap();
        if let Some((epoch, seq)) = last.insert(thread.clone(), (position.epoch.clone(), position.seq)) {
            assert_eq!((epoch, seq + 1), (position.epoch, position.seq), "a gap in {thread}");
        }
        if let ServerMessage::UserMessage(said) = &event.message {
            assert_eq!(said.run_id, run);
            assert!(told.insert(run), "a message is told twice");
            continue;
        }
        assert!(told.contains(&run), "a message is told before its run begins");
        let runs = going_on.entry(thread).or_default();
        if let ServerMessage::AgentStarted(AgentStarted { attempt: Some(2), .. }) = event.message {
            let tools = runs.iter().find(|(id, _)| *id == run).map(|(_, tools)| tools.len());
            assert_eq!(tools, Some(0), "a second attempt follows a first one whose tools have ended");
            continue;
        }
        if let ServerMessage::AgentStarted(_) = event.message {
            assert!(!ended.contains_key(&run), "a second start");
            runs.push((run, Vec::new()));
            continue;
        }
        let between = runs.len() > 1;
        let (current, tools) = runs.last_mut().expect("an event outside a run");
        assert_eq!(*current, run, "an event of another run");
        let end = match &event.message {
            ServerMessage::ToolExecuting(tool) => {
                tools.push(tool.execution_id.clone());
                None
            }
            ServerMessage::ToolCompleted(tool) => {
                let place = tools.iter().position(|open| *open == tool.execution_id);
                tools.remove(place.expect("no such tool is going on"));
                None
            }
            ServerMessage::AgentCompleted(end) => Some(End::Answer(end.final_response.clone())),
            ServerMessage::AgentFailed(end) => Some(End::Failure(end.error.reason)),
            _ => None,
        };
        assert!(
            !between || matches!(end, Some(End::Failure(Reason::RunCancelled | Reason::Internal))),
            "two runs at a time on a thread"
        );
        if let Some(end) = end {
            assert!(tools.is_empty(), "a tool without its end");
            runs.pop();
            assert!(ended.insert(run, end).is_none(), "a second end");
        }
    }
    assert!(going_on.values().all(Vec::is_empty), "a run without its end");
    ended
}
