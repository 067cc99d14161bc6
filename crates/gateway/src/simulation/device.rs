//! One device of a user, on a bad network: it comes back, asks again what was not accepted, and writes down what it saw.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use portcullis_dial::Incoming;
use portcullis_frame::{Frame, Limits, Message};
use portcullis_test::{Request, Witness, wrap};
use portcullis_units::Clock;
use rand::{
    RngExt as _, SeedableRng as _,
    rngs::SmallRng,
    seq::{IndexedMutRandom as _, IndexedRandom as _},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, duplex, split},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, sleep},
};

use super::Server;
use crate::{accept, line::Line};

/// What a user's devices talk in.
pub(super) const THREADS: [&str; 2] = ["one", "two"];

/// What agents are asked to do, beside what takes random numbers.
const WORDS: [&str; 8] = ["think", "delta", "delta", "broken", "panic", "fail", "panicking", "delta"];

/// Messages on their way at once.
const WINDOW: usize = 3;

/// A device, as it is between two connections.
pub(super) struct Device {
    pub(super) name: String,
    token: String,
    pub(super) witness: Witness,
    /// Messages of which nobody has said that they were accepted, and how often each was sent.
    pub(super) unaccepted: Vec<(Value, usize)>,
    /// Messages that were sent once, refused, and given up.
    pub(super) refused: Vec<String>,
    /// Every message.
    asked: Vec<Asked>,
    /// How many runs more there may be, as messages that are sent again may have been forgotten.
    pub(super) forgotten: usize,
    /// Threads that were asked for by message, and not answered: what comes of them before the answer is not for now.
    unanswered: HashSet<&'static str>,
    random: SmallRng,
    pub(super) connections: usize,
    /// What came and when, as a number that a second run with the same seed has to give again.
    trace: DefaultHasher,
}

/// A message that was asked.
struct Asked {
    id: String,
    thread: &'static str,
    /// When, in milliseconds since 1970.
    at: u64,
}

/// What a device does in one life of its server.
#[derive(Clone, Copy)]
pub(super) struct Mood {
    /// Whether it asks new questions.
    pub(super) asks: bool,
    /// Whether its line is cut, and it reads when it likes.
    pub(super) suffers: bool,
}

impl Device {
    pub(super) fn new(name: String, token: String, seed: u64) -> Self {
        let random = SmallRng::seed_from_u64(seed);
        let (witness, trace) = (Witness::default(), DefaultHasher::new());
        Self {
            name,
            token,
            witness,
            unaccepted: Vec::new(),
            refused: Vec::new(),
            asked: Vec::new(),
            forgotten: 0,
            unanswered: HashSet::new(),
            random,
            connections: 0,
            trace,
        }
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    pub(super) fn trace(&self) -> u64 {
        self.trace.finish()
    }

    pub(super) const fn asked(&self) -> usize {
        self.asked.len()
    }

    /// A deletion of the thread is over: what was asked in it before may have gone with it.
    pub(super) fn lost(&mut self, thread: &str) {
        for asked in self.asked.iter().filter(|asked| asked.thread == thread) {
            self.witness.excuse(&asked.id);
        }
    }

    /// Messages from before that time may be forgotten: one that is sent again is run again.
    pub(super) fn forget(&mut self, before: u64) {
        for asked in self.asked.iter().filter(|asked| asked.at < before) {
            self.witness.excuse(&asked.id);
            self.forgotten +=
                usize::from(self.unaccepted.iter().any(|(it, _)| it["id"] == asked.id.as_str()));
        }
    }

    fn within(&mut self, milliseconds: Range<u64>) -> Duration {
        Duration::from_millis(self.random.random_range(milliseconds))
    }

    /// The request by which it goes on where it stands, and the message where the request does not say that.
    fn request(&mut self) -> (Request, Option<Value>) {
        let by_message = self.random.random();
        let points = THREADS.map(|thread| match self.witness.last(thread) {
            Some(last) => (thread, last["epoch"].as_str().unwrap(), last["seq"].as_u64().unwrap()),
            None => (thread, "", 0),
        });
        let (target, message) = if by_message {
            let point = |(thread, epoch, after): (_, &str, _)| {
                let epoch = (!epoch.is_empty()).then_some(epoch);
                json!({ "thread_id": thread, "epoch": epoch, "after_seq": after })
            };
            let resume = json!({ "type": "resume", "payload": { "threads": points.map(point) } });
            ("/ws".to_owned(), Some(resume))
        } else {
            let points = points.map(|(thread, epoch, after)| format!("resume={thread}:{epoch}:{after}"));
            (format!("/ws?{}", points.join("&")), None)
        };
        self.unanswered = if by_message { THREADS.into() } else { HashSet::new() };
        let request = Request::upgrade(&target);
        let request = if self.random.random() {
            request.bearer(&self.token)
        } else {
            request.protocols(&["jwt-auth", &format!("jwt.{}", wrap(&self.token))])
        };
        (request, message)
    }

    /// The next thing to say; none for now.
    fn next(&mut self, mood: Mood, now: u64) -> Option<Value> {
        match self.random.random_range(0..10) {
            0..3 if !self.unaccepted.is_empty() => {
                let (message, sent) = self.unaccepted.choose_mut(&mut self.random)?;
                *sent += 1;
                Some(message.clone())
            }
            3 => Some(json!({ "type": "ping" })),
            4 if mood.asks => {
                let run = self.run()?;
                Some(json!({ "type": "cancel_run", "payload": { "run_id": run } }))
            }
            5.. if mood.asks && self.unaccepted.len() < WINDOW => Some(self.ask(now)),
            _ => None,
        }
    }

    /// A run of its own, or the one of which it heard last, whoever asked.
    fn run(&mut self) -> Option<Value> {
        let random = &mut self.random;
        if random.random() {
            let last = self.witness.last(THREADS.choose(random).unwrap());
            return last.map(|event| event["run_id"].clone());
        }
        let own: Vec<_> = self.witness.accepted().values().collect();
        own.choose(random).map(|run| json!(run))
    }

    fn ask(&mut self, now: u64) -> Value {
        let random = &mut self.random;
        let words: Vec<String> = (0..random.random_range(1..8))
            .map(|_| match random.random_range(0..6) {
                0 => format!("tool:{}", random.random_range(0..300)),
                1 => format!("wait:{}", random.random_range(0..800)),
                2 => format!("flood:{}", random.random_range(1..4_000)),
                _ => (*WORDS.choose(random).unwrap()).to_owned(),
            })
            .collect();
        let (id, thread) = (format!("{}-{}", self.name, self.asked.len()), *THREADS.choose(random).unwrap());
        // What is private is not asked again where a crash cut it off.
        let private = if random.random() { "private " } else { "" };
        let content = format!("{private}{}", words.join(" "));
        let message = json!({
            "type": "user_message", "id": id, "thread_id": thread, "payload": { "content": content },
        });
        self.asked.push(Asked { id, thread, at: now });
        self.unaccepted.push((message.clone(), 1));
        message
    }

    /// Takes what came, and says whether it has to come back for it.
    fn take(&mut self, message: &Value, since: Instant) -> bool {
        let payload = &message["payload"];
        let mut behind = false;
        match message["type"].as_str() {
            Some("message_accepted") => {
                self.unaccepted.retain(|(asked, _)| asked["id"] != payload["message_id"]);
            }
            Some("error") => {
                let place =
                    self.unaccepted.iter().position(|(asked, _)| asked["id"] == payload["message_id"]);
                // Of what was sent twice the other one may be taken yet.
                if let Some(place) = place.filter(|place| self.unaccepted[*place].1 == 1)
                    && self.random.random()
                {
                    let (asked, _) = self.unaccepted.swap_remove(place);
                    self.refused.push(asked["id"].as_str().unwrap().to_owned());
                }
            }
            Some("resumed") => {
                for thread in payload["threads"].as_array().unwrap() {
                    self.unanswered.retain(|it| thread["thread_id"] != *it);
                }
            }
            Some("resume_gap") => {
                self.unanswered.retain(|it| payload["thread_id"] != *it);
                // Another stream goes on, and its beginning is to be had.
                behind = payload["reason"] != "unknown_thread";
            }
            _ => {}
        }
        if !self.unanswered.iter().any(|it| message["thread_id"] == *it) {
            self.witness.take(message);
        }
        (since.elapsed(), message["type"].as_str(), message["seq"].as_u64()).hash(&mut self.trace);
        behind
    }
}

/// Connects again and again, for as long as the server lives.
pub(super) async fn live(device: Arc<Mutex<Device>>, server: Server, mood: Mood) {
    let since = Instant::now();
    loop {
        let pause = device.lock().within(0..300);
        sleep(pause).await;
        connect(&device, &server, mood, since).await;
    }
}

/// One connection, until somebody or something ends it.
async fn connect(device: &Mutex<Device>, server: &Server, mood: Mood, since: Instant) {
    let (room, (request, resume), cut) = {
        let mut device = device.lock();
        device.connections += 1;
        let room = device.random.random_range(256..16_384);
        let cut = if mood.suffers { device.within(0..6_000) } else { Duration::from_hours(1) };
        (room, device.request(), cut)
    };
    let (near, far) = duplex(room);
    server.accept(far);
    let (mut reader, mut writer) = split(near);
    let talk = async {
        writer.write_all(&request.bytes()).await.ok()?;
        let mut incoming = opened(&mut reader).await?;
        if let Some(resume) = resume {
            writer.write_all(&masked(Frame::text(&resume.to_string()))).await.ok()?;
        }
        let (answer, answers) = unbounded_channel();
        tokio::select! {
            biased;
            () = listen(device, &mut reader, &mut incoming, &answer, mood, since) => {}
            () = speak(device, &mut writer, answers, mood, &server.gate.clock) => {}
        }
        Some(())
    };
    // A cut line drops what is on its way, in both directions.
    let _ = tokio::time::timeout(cut, talk).await;
}

/// Reads the answer to the request; gives what came behind a 101, and nothing for a refusal.
async fn opened(reader: &mut ReadHalf<impl Line>) -> Option<Incoming> {
    let mut incoming = Incoming::new(Limits { frame: 1 << 20, message: 1 << 20, fragments: 16 });
    loop {
        if reader.read_buf(incoming.room()).await.ok()? == 0 {
            return None;
        }
        if let Some(response) = incoming.response().unwrap() {
            return (response.status == 101).then_some(incoming);
        }
    }
}

/// Reads and writes down what comes, at its own pace.
async fn listen(
    device: &Mutex<Device>,
    reader: &mut ReadHalf<impl Line>,
    incoming: &mut Incoming,
    answer: &UnboundedSender<Vec<u8>>,
    mood: Mood,
    since: Instant,
) {
    loop {
        while let Some(message) = incoming.message().unwrap() {
            match message {
                Message::Text(text) => {
                    if device.lock().take(&serde_json::from_str(&text).unwrap(), since) {
                        return;
                    }
                }
                Message::Ping(payload) => drop(answer.send(masked(Frame::pong(&payload)))),
                Message::Close(_) => return,
                Message::Binary(_) | Message::Pong(_) => {}
            }
        }
        let pause = {
            let mut device = device.lock();
            match device.random.random_range(0..40) {
                0 if mood.suffers => device.within(0..8_000),
                1..10 if mood.suffers => device.within(0..50),
                _ => Duration::ZERO,
            }
        };
        if !pause.is_zero() {
            sleep(pause).await;
        }
        if reader.read_buf(incoming.room()).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// Says what there is to say, and answers pings.
async fn speak(
    device: &Mutex<Device>,
    writer: &mut WriteHalf<impl Line>,
    mut answers: UnboundedReceiver<Vec<u8>>,
    mood: Mood,
    clock: &Clock,
) {
    loop {
        let pause = device.lock().within(0..400);
        let bytes = tokio::select! {
            biased;
            Some(bytes) = answers.recv() => Some(bytes),
            () = sleep(pause) => {
                let message = device.lock().next(mood, clock.unix_ms());
                message.map(|message| masked(Frame::text(&message.to_string())))
            }
        };
        if let Some(bytes) = bytes
            && writer.write_all(&bytes).await.is_err()
        {
            return;
        }
    }
}

fn masked(frame: Frame<'_>) -> Vec<u8> {
    frame.masked([0x37, 0xFA, 0x21, 0x3D]).to_vec()
}

impl Server {
    /// Takes a line as the listener takes a socket.
    fn accept(&self, line: impl Line) {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
        if let Some(permit) = self.gate.door.enter(IpAddr::V4(Ipv4Addr::LOCALHOST)) {
            let (gate, plain) = (Arc::clone(&self.gate), self.plain.clone());
            let serve = accept::serve(gate, plain, self.connections.clone(), line, peer, permit);
            self.connections.spawn(serve);
        }
    }
}
