//! Messages and what comes back.

use std::{
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use portcullis_frame::Message;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    Credentials, Dialer, Failure, clock::now, connection::Connection, engine::Work, recorder::Marks,
};

/// What a server does with a message: what counts as its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The message comes back as it is.
    Echo,
    /// Whatever comes next is the answer.
    Reply,
    /// Wire protocol v1: a `user_message`, accepted, answered by the events of a run.
    Portcullis,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Echo, Self::Reply, Self::Portcullis];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Reply => "reply",
            Self::Portcullis => "portcullis",
        }
    }
}

/// The text is not the name of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a profile: write echo, reply or portcullis")]
pub struct UnknownProfile;

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        Self::ALL.into_iter().find(|profile| profile.name() == text).ok_or(UnknownProfile)
    }
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A text of so many bytes that begins with its number.
    Bytes(usize),
    /// This text; `{n}` stands for the message's number. In the profile `portcullis`, the question.
    Text(String),
}

/// One message at a time on each of a number of connections, and its answer.
pub(crate) struct Exchanges {
    dialer: Arc<Dialer>,
    credentials: Credentials,
    profile: Profile,
    content: Content,
    free: Mutex<Vec<Slot>>,
    /// Sets the threads of this run apart from those of another one.
    run: u32,
    /// Numbers connections beyond the first ones.
    next: AtomicU64,
}

/// A place for a connection; empty once it was lost, until its next message.
struct Slot {
    number: u64,
    connection: Option<Connection>,
}

impl Exchanges {
    /// Makes room for `connections`; [`connect`](Self::connect) opens them.
    pub(crate) fn new(
        dialer: Arc<Dialer>,
        credentials: Credentials,
        profile: Profile,
        content: Content,
        connections: usize,
    ) -> Self {
        let slots = (0..connections as u64).map(|number| Slot { number, connection: None });
        Self {
            dialer,
            credentials,
            profile,
            content,
            free: Mutex::new(slots.collect()),
            run: rand::random(),
            next: AtomicU64::new(connections as u64),
        }
    }

    /// Opens the connections, one after the other: that is no part of what is measured.
    ///
    /// # Errors
    /// How the first one failed that did.
    pub(crate) async fn connect(&self) -> Result<(), Failure> {
        let slots = std::mem::take(&mut *self.free());
        let mut opened = Vec::with_capacity(slots.len());
        for slot in slots {
            let connection = self.open(slot.number).await?;
            opened.push(Slot { connection: Some(connection), ..slot });
        }
        if self.profile == Profile::Reply {
            // For all of them at once, since there may be many.
            sleep(GREETING).await;
        }
        self.free().extend(opened);
        Ok(())
    }

    /// Closes what is open.
    pub(crate) async fn close(&self) {
        let slots = std::mem::take(&mut *self.free());
        Connection::close_all(slots.into_iter().filter_map(|slot| slot.connection)).await;
    }

    async fn open(&self, number: u64) -> Result<Connection, Failure> {
        let (mut connection, _) = self.dialer.open(number, &self.credentials.good(number)).await?;
        if self.profile == Profile::Portcullis {
            // What is missed before the first message is read with its answer.
            let greeting = timeout(self.dialer.patience(), connection.next_text()).await;
            greeting.unwrap_or(Err(Failure::Timeout("the greeting")))?;
        }
        Ok(connection)
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Slot>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What message `number` says.
    fn text(&self, number: u64) -> String {
        match &self.content {
            Content::Text(text) => text.replace("{n}", &number.to_string()),
            Content::Bytes(size) => {
                // The number tells messages apart; it is cut where there is no room for it.
                let mut text = format!("{number} ");
                text.truncate(*size);
                text.extend(std::iter::repeat_n('x', size - text.len()));
                text
            }
        }
    }

    async fn exchange(&self, connection: &mut Connection, slot: u64, number: u64) -> Result<Marks, Failure> {
        match self.profile {
            Profile::Echo => {
                let text = self.text(number);
                connection.send(&text).await?;
                // What is not the message is something else that the server had to say.
                while connection.next().await? != Message::Text(text.as_str().into()) {}
                Ok(vec![(ANSWERED, now())])
            }
            Profile::Reply => {
                // What came before the message is no answer to it: a greeting, or news of something else.
                connection.discard(Duration::ZERO).await?;
                connection.send(&self.text(number)).await?;
                connection.next().await?;
                Ok(vec![(ANSWERED, now())])
            }
            Profile::Portcullis => self.ask(connection, slot, number).await,
        }
    }

    /// Asks a question and follows its run to the end. Events of other runs are of the same user's other connections.
    async fn ask(&self, connection: &mut Connection, slot: u64, number: u64) -> Result<Marks, Failure> {
        let id = format!("bench-{:08x}-{number}", self.run);
        let content = match &self.content {
            Content::Bytes(_) => "What does close code 1006 mean?".to_owned(),
            Content::Text(_) => self.text(number),
        };
        let question = json!({
            "type": "user_message",
            "id": id,
            "thread_id": format!("bench-{:08x}-{slot}", self.run),
            "payload": { "content": content },
        });
        connection.send(&question.to_string()).await?;
        let mut marks = Marks::new();
        let mut run = None;
        loop {
            let event: Value = serde_json::from_str(&connection.next_text().await?)
                .map_err(|_| Failure::Answered("a message that is not JSON".to_owned()))?;
            let payload = &event["payload"];
            match event["type"].as_str().unwrap_or_default() {
                "message_accepted" if payload["message_id"] == id.as_str() => {
                    run = payload["run_id"].as_str().map(ToOwned::to_owned);
                    marks.push((TAKEN, now()));
                }
                "error" if run.is_none() => {
                    let reason = payload["reason"].as_str().unwrap_or("error");
                    return Err(Failure::Answered(reason.to_owned()));
                }
                kind if run.is_some() && event["run_id"].as_str() == run.as_deref() => match kind {
                    "agent_started" => marks.push((STARTED, now())),
                    "agent_completed" => {
                        marks.insert(0, (COMPLETED, now()));
                        return Ok(marks);
                    }
                    "agent_failed" => {
                        let reason = payload["error"]["reason"].as_str().unwrap_or("agent_failed");
                        return Err(Failure::Answered(reason.to_owned()));
                    }
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

impl Work for Exchanges {
    fn steps(&self) -> &'static [&'static str] {
        match self.profile {
            Profile::Echo | Profile::Reply => &[ANSWERED],
            Profile::Portcullis => &[COMPLETED, TAKEN, STARTED],
        }
    }

    async fn operate(&self, number: u64) -> Result<Marks, Failure> {
        // As many operations are under way as there are slots; one more would be the engine's mistake, and gets its own.
        let slot = self.free().pop();
        let slot = slot
            .unwrap_or_else(|| Slot { number: self.next.fetch_add(1, Ordering::Relaxed), connection: None });
        let Slot { number: place, connection } = slot;
        let whole = async {
            let mut connection = if let Some(connection) = connection {
                connection
            } else {
                let mut connection = self.open(place).await?;
                if self.profile == Profile::Reply {
                    connection.discard(GREETING).await?;
                }
                connection
            };
            let outcome = self.exchange(&mut connection, place, number).await;
            // After a failure nobody knows which answer belongs to which message.
            outcome.map(|marks| (marks, connection))
        };
        let outcome = timeout(self.dialer.patience(), whole).await;
        let outcome = outcome.unwrap_or(Err(Failure::Timeout("the answer to a message")));
        let (outcome, connection) = match outcome {
            Ok((marks, connection)) => (Ok(marks), Some(connection)),
            Err(failure) => (Err(failure), None),
        };
        self.free().push(Slot { number: place, connection });
        outcome
    }
}

/// How long a server has to greet, where any message would be taken for an answer.
const GREETING: Duration = Duration::from_millis(100);

/// The answer was there.
const ANSWERED: &str = "answer";
/// `message_accepted` was there.
const TAKEN: &str = "accepted";
/// `agent_started` was there.
const STARTED: &str = "first event";
/// `agent_completed` was there.
const COMPLETED: &str = "completed";
