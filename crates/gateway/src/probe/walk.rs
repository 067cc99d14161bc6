//! One walk along the golden path, step by step: log in, connect, ask, five events, answer.

use std::{net::SocketAddr, time::Duration};

use portcullis_event::AgentId;
use portcullis_token::base64url;
use portcullis_units::Clock;
use serde_json::{Value, json};
use tokio::time::timeout_at;

use super::{
    account::ProbeAccount,
    said::{known, reason},
    wire,
};
use crate::{
    figures::probes::{Failed, Step, Walk},
    mark,
};

/// The events that come before the fifth, which is the answer: one of each at least, in the order of their first.
const EVENTS: [&str; 4] = ["agent_started", "agent_thinking", "tool_executing", "tool_completed"];

/// The fifth.
const ANSWER: &str = "agent_completed";

/// A question that the built-in agent answers by its tools.
const QUESTION: &str = "What does close code 1008 mean?";

/// Where the golden path leads through.
pub(crate) struct Path {
    pub(crate) gateway: SocketAddr,
    pub(crate) account: ProbeAccount,
    pub(crate) agent: AgentId,
    pub(crate) mark: String,
    pub(crate) clock: Clock,
}

/// A walk under way.
struct Course<'p> {
    walk: Walk,
    clock: &'p Clock,
    deadline: tokio::time::Instant,
}

impl Course<'_> {
    /// Takes one step, in what is left of the time.
    async fn step<T>(
        &mut self,
        name: &'static str,
        step: impl Future<Output = Result<T, String>>,
    ) -> Option<T> {
        let began = self.clock.instant();
        let outcome = timeout_at(self.deadline, step).await.unwrap_or_else(|_| Err("timeout".to_owned()));
        match outcome {
            Ok(value) => {
                self.walk.steps.push(Step::new(name, self.clock.since(began)));
                Some(value)
            }
            Err(reason) => {
                self.walk.failed = Some(Failed { step: name, reason });
                None
            }
        }
    }
}

impl Path {
    /// Walks from the login to the answer, for `timeout` at most; the session at the auth service is ended in any case.
    pub(crate) async fn walk(&self, timeout: Duration) -> Walk {
        let deadline = (self.clock.instant() + timeout).into();
        let mut course = Course { walk: Walk::default(), clock: &self.clock, deadline };
        if let Some(login) = course.step("login", self.login()).await {
            self.talk(&mut course, &login.access).await;
            let body = json!({ "refresh_token": login.refresh });
            // Sessions end by themselves too; this only keeps them few.
            let _ = timeout_at(course.deadline, wire::post(self.account.auth, "/auth/logout", &body)).await;
        }
        course.walk
    }

    async fn talk(&self, course: &mut Course<'_>, token: &str) {
        let Some(mut socket) = course.step("connect", self.connect(token)).await else { return };
        if course.step("ask", ask(&mut socket, &self.agent)).await.is_none() {
            return;
        }
        if course.step("events", events(&mut socket)).await.is_none() {
            return;
        }
        course.step("answer", answer(&mut socket)).await;
        socket.close().await;
    }

    async fn login(&self) -> Result<Login, String> {
        let password = String::from_utf8_lossy(self.account.password.expose());
        let body = json!({
            "username": self.account.name,
            "password": password,
            "device_token": self.account.device_token,
        });
        let (status, answer) = wire::post(self.account.auth, "/auth/login", &body).await?;
        if status != 200 {
            return Err(reason(&answer, status));
        }
        let text = |key: &str| answer[key].as_str().map(ToOwned::to_owned);
        match (text("access_token"), text("refresh_token")) {
            (Some(access), Some(refresh)) => Ok(Login { access, refresh }),
            _ => Err("the login's answer has no tokens".to_owned()),
        }
    }

    /// Up to `connection_established`. The token travels as from a browser.
    async fn connect(&self, token: &str) -> Result<wire::Socket, String> {
        let element = format!("jwt.{}", base64url::encode(token));
        let protocols = ["portcullis.v1", "jwt-auth", &element];
        let mark = [(mark::HEADER, self.mark.as_str())];
        let mut socket = wire::Socket::open(self.gateway, "/ws/isolated", &protocols, &mark).await?;
        socket.expect("connection_established").await?;
        Ok(socket)
    }
}

struct Login {
    access: String,
    refresh: String,
}

async fn ask(socket: &mut wire::Socket, agent: &AgentId) -> Result<(), String> {
    let message = json!({ "type": "user_message", "payload": { "content": QUESTION, "agent": agent } });
    socket.send(&message).await?;
    socket.expect("message_accepted").await.map(drop)
}

/// Waits until each event before the answer has come, the first of each kind in its order.
async fn events(socket: &mut wire::Socket) -> Result<(), String> {
    let mut met = 0;
    while met < EVENTS.len() {
        let event = run_event(socket).await?;
        let kind = event["type"].as_str().unwrap_or_default();
        if kind == ANSWER {
            return Err(format!("{ANSWER} came without {}", EVENTS[met]));
        }
        let Some(place) = EVENTS.iter().position(|known| *known == kind) else { continue };
        if place > met {
            return Err(format!("{kind} came before {}", EVENTS[met]));
        }
        met += usize::from(place == met);
    }
    Ok(())
}

/// Waits for the terminal event; its answer has to have text.
async fn answer(socket: &mut wire::Socket) -> Result<(), String> {
    loop {
        let event = run_event(socket).await?;
        if event["type"] != ANSWER {
            continue;
        }
        let text = event["payload"]["final_response"].as_str().unwrap_or_default();
        return if text.trim().is_empty() { Err("the answer is empty".to_owned()) } else { Ok(()) };
    }
}

/// The next event, unless it says that the run failed.
async fn run_event(socket: &mut wire::Socket) -> Result<Value, String> {
    let event = socket.next().await?;
    match event["type"].as_str() {
        Some("agent_failed") => Err(known(&event["payload"]["error"]["reason"])),
        Some("error") => Err(known(&event["payload"]["reason"])),
        _ => Ok(event),
    }
}
