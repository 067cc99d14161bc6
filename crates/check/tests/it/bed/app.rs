//! The live connection: a few messages of the portcullis protocol, answered from a script.

use std::{sync::atomic::Ordering, time::Duration};

use portcullis_frame::{Decoder, Frame, Limits, Message, Role};
use portcullis_units::Clock;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

use super::{
    Member, State,
    door::{Guest, Late, close},
    frames::{self, Bent},
    now,
};

/// What a thread's readers may come back for.
#[derive(Default)]
pub(super) struct Thread {
    events: Vec<String>,
    seen: Vec<String>,
}

struct Session<'a> {
    stream: TcpStream,
    state: &'a State,
    guest: Guest,
    number: u64,
    decoder: Decoder,
    pings: usize,
}

/// Serves one connection to its end.
pub(super) async fn live(stream: TcpStream, state: &State, guest: Guest, rest: Vec<u8>, number: u64) {
    let (send, mut received) = mpsc::unbounded_channel();
    state.users.lock().insert(number, Member { user: guest.user.clone(), send });
    let decoder = Decoder::new(Role::Server, Limits { frame: 64 << 10, message: 64 << 10, fragments: 256 });
    let mut session = Session { stream, state, guest, number, decoder, pings: 0 };
    let _ = session.serve(rest, &mut received).await;
    state.users.lock().remove(&number);
}

impl Session<'_> {
    /// `None` ends it.
    async fn serve(
        &mut self,
        mut buffer: Vec<u8>,
        received: &mut mpsc::UnboundedReceiver<String>,
    ) -> Option<()> {
        let user = if self.state.is("rule/greeting") { "somebody" } else { &self.guest.user };
        let greeting = json!({ "type": "connection_established", "payload": { "user_id": user } });
        if let Some(late) = self.guest.leaves {
            return self.send_away(late, &buffer).await;
        }
        self.text(&greeting.to_string()).await?;
        let (mut heard, mut pinged) = (Clock::system().instant(), false);
        loop {
            self.read_frames(&mut buffer).await?;
            let expiry = self.expires_in();
            let beat = if self.beats() {
                BEAT.saturating_sub(Clock::system().since(heard))
            } else {
                Duration::from_secs(30)
            };
            tokio::select! {
                message = received.recv() => self.text(&message?).await?,
                read = self.stream.read_buf(&mut buffer) => {
                    if read.ok()? == 0 {
                        return None;
                    }
                    (heard, pinged) = (Clock::system().instant(), false);
                }
                () = tokio::time::sleep(expiry) => {
                    let code = if self.state.is("rule/expiry-code") { 1000 } else { 1008 };
                    return self.leave(code, "TOKEN_EXPIRED").await;
                }
                () = tokio::time::sleep(beat) => {
                    if pinged || self.state.is("rule/silence") {
                        return self.leave(1001, "HEARTBEAT_TIMEOUT").await;
                    }
                    (heard, pinged) = (Clock::system().instant(), true);
                    self.put(&Frame::ping(b"there?").to_vec()).await?;
                }
            }
        }
    }

    fn beats(&self) -> bool {
        !self.state.is("rule/heartbeat")
    }

    fn expires_in(&self) -> Duration {
        match self.guest.exp {
            Some(exp) if !self.state.is("rfc7519/4.1.4/live") => {
                Duration::from_secs(exp.saturating_sub(now()))
            }
            _ => Duration::from_hours(1),
        }
    }

    /// A guest who should not have come in: is answered, and leaves late.
    async fn send_away(&mut self, late: Late, buffer: &[u8]) -> Option<()> {
        if !buffer.is_empty() {
            self.text("{\"type\":\"pong\"}").await?;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        match late {
            Late::Closed(code) => self.leave(code, "late").await,
            Late::Dropped => None,
        }
    }

    async fn read_frames(&mut self, buffer: &mut Vec<u8>) -> Option<()> {
        while let Some(bent) = frames::next(buffer, self.state) {
            match bent {
                Bent::Skipped => {}
                Bent::Answer(bytes) => self.put(&bytes).await?,
                Bent::Close(code) => return self.leave(code, "").await,
                Bent::Bytes(mut bytes) => {
                    let mut input = &mut bytes[..];
                    let mut messages = Vec::new();
                    let ended = loop {
                        match self.decoder.decode(&mut input) {
                            Ok(Some(message)) => messages.push(message.into_owned()),
                            Ok(None) => break None,
                            Err(error) => break Some(error),
                        }
                    };
                    for message in messages {
                        self.message(message).await?;
                    }
                    if let Some(error) = ended {
                        let code = portcullis_reason::CloseProfile::Standard;
                        let code = error.reason().close_code(code).unwrap_or(1002);
                        return self.leave(code, error.reason().id()).await;
                    }
                }
            }
        }
        Some(())
    }

    async fn message(&mut self, message: Message<'_>) -> Option<()> {
        match message {
            Message::Ping(payload) => {
                self.pings += 1;
                if self.pings > 100 {
                    if self.state.is("rule/survives") {
                        self.state.dead.store(1, Ordering::Relaxed);
                    }
                    if self.state.is("rule/ping-flood") {
                        return self.leave(1011, "too much").await;
                    }
                }
                self.put(&Frame::pong(&payload).to_vec()).await
            }
            Message::Pong(_) => Some(()),
            Message::Binary(_) => self.leave(1003, "UNSUPPORTED_DATA").await,
            Message::Close(body) => {
                if self.state.is("rfc6455/5.5.1/close") {
                    return None;
                }
                let code = body.map_or(1000, |body| body.code.get());
                self.put(&close(code, "")).await?;
                if self.state.is("rfc6455/7.1.1/tcp-end") {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                }
                None
            }
            Message::Text(text) => match serde_json::from_str::<Value>(&text) {
                Ok(message) => self.command(&message).await,
                Err(_) => {
                    self.text("{\"type\":\"error\",\"payload\":{\"reason\":\"MESSAGE_MALFORMED\"}}").await
                }
            },
        }
    }

    async fn command(&mut self, message: &Value) -> Option<()> {
        match message["type"].as_str().unwrap_or_default() {
            "ping" => self.text(&json!({ "type": "pong" }).to_string()).await,
            "user_message" => self.question(message).await,
            "resume" => self.resume(&message["payload"]["threads"][0]).await,
            "reauthenticate" => self.renew(message["payload"]["token"].as_str().unwrap_or_default()).await,
            _ => self.text("{\"type\":\"error\",\"payload\":{\"reason\":\"MESSAGE_MALFORMED\"}}").await,
        }
    }

    async fn question(&mut self, message: &Value) -> Option<()> {
        let id = message["id"].as_str().unwrap_or_default().to_owned();
        let name = message["thread_id"].as_str().unwrap_or_default().to_owned();
        self.text(&json!({ "type": "message_accepted", "thread_id": name, "payload": {} }).to_string())
            .await?;
        let events = {
            let mut threads = self.state.threads.lock();
            let thread = threads.entry(format!("{}/{name}", self.guest.user)).or_default();
            if thread.seen.contains(&id) && !self.state.is("rule/once") {
                return Some(());
            }
            thread.seen.push(id);
            let events = self.script(&name, thread.events.len());
            thread.events.extend(events.clone());
            events
        };
        let all = self.state.is("rule/two-users");
        for member in self.state.users.lock().values().filter(|member| all || member.user == self.guest.user)
        {
            for event in &events {
                // One that is leaving needs it no more.
                let _ = member.send.send(event.clone());
            }
        }
        Some(())
    }

    fn script(&self, thread: &str, before: usize) -> Vec<String> {
        let mut kinds =
            ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];
        match self.state.defect {
            "rule/answer" => kinds[4] = "agent_failed",
            "rule/events-in-order" => kinds.swap(2, 3),
            _ => {}
        }
        let gap = usize::from(self.state.is("rule/sequence"));
        let event = |(at, kind): (usize, &&str)| {
            let seq = before + 1 + at + if at > 2 { gap } else { 0 };
            json!({ "type": kind, "thread_id": thread, "epoch": "e", "seq": seq, "payload": {} }).to_string()
        };
        kinds.iter().enumerate().map(event).collect()
    }

    async fn resume(&mut self, from: &Value) -> Option<()> {
        let name = format!("{}/{}", self.guest.user, from["thread_id"].as_str().unwrap_or_default());
        let skip = usize::from(self.state.is("rule/resume"));
        let after = usize::try_from(from["after_seq"].as_u64().unwrap_or_default()).ok()? + skip;
        let events: Vec<String> = self
            .state
            .threads
            .lock()
            .get(&name)
            .map(|thread| thread.events.iter().skip(after).cloned().collect())?;
        for event in events {
            self.text(&event).await?;
        }
        Some(())
    }

    async fn renew(&mut self, token: &str) -> Option<()> {
        let identity = self.state.verifier.verify(token, now()).ok();
        let good = identity.filter(|identity| {
            identity.subject() == self.guest.user || self.state.is("rule/renewal-other-user")
        });
        match good {
            Some(identity) => {
                if !self.state.is("rule/renewal") {
                    self.guest.exp = identity.expires_at();
                }
                Some(())
            }
            None => self.text("{\"type\":\"error\",\"payload\":{\"reason\":\"TOKEN_REVOKED\"}}").await,
        }
    }

    async fn text(&mut self, text: &str) -> Option<()> {
        self.put(&Frame::text(text).to_vec()).await
    }

    async fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).await.ok()
    }

    /// Closes, and waits a moment for the answer.
    async fn leave(&mut self, code: u16, reason: &str) -> Option<()> {
        self.state.users.lock().remove(&self.number);
        self.put(&close(code, reason)).await?;
        let _ = self.stream.shutdown().await;
        let mut sink = vec![0; 64 * 1024];
        let drained = async { while self.stream.read(&mut sink).await.is_ok_and(|read| read > 0) {} };
        let _ = timeout(Duration::from_millis(500), drained).await;
        None
    }
}

/// Silence after which a ping is sent, and silence after that which ends the connection.
const BEAT: Duration = Duration::from_millis(800);
