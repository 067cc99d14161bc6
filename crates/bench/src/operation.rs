//! The operations that are measured.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use crate::{
    peer::{Dial, Peer, messages},
    server::pause,
    tokens::{Algorithm, Keys},
};

/// One thing that a client does, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Connect, shake hands on `/ws`, hear `connection_established`, leave.
    Hs256,
    /// The same with an ES256 token that was seen before.
    Es256Hit,
    /// The same with a new ES256 token each time.
    Es256Miss,
    /// Connect, shake hands on `/ws/echo`, leave: without router and greeting, as in the comparison of servers.
    Hs256Echo,
    /// Be refused for a token that has expired.
    Refusal,
    /// Send one text message of 128 bytes to `/ws/echo` and wait for it to come back.
    Echo128,
    /// The same with 16 KiB.
    Echo16K,
}

impl Operation {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "handshake_hs256",
            Self::Es256Hit => "handshake_es256_hit",
            Self::Es256Miss => "handshake_es256_miss",
            Self::Hs256Echo => "handshake_hs256_echo",
            Self::Refusal => "refusal_401",
            Self::Echo128 => "echo_128",
            Self::Echo16K => "echo_16k",
        }
    }
}

/// How a client repeats its operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Connections begun before the oldest is finished.
    pub(crate) window: usize,
    /// Waits between the steps of an operation, so that each finds the server at rest.
    pub(crate) pause: Duration,
    /// Different users, in turns.
    pub(crate) users: usize,
    /// The server echoes bytes instead of messages.
    pub(crate) raw: bool,
}

/// A client that repeats one operation. It makes its tokens up front, so that none of that falls into a measurement.
pub(crate) struct Repeater {
    operation: Operation,
    gateway: SocketAddr,
    tokens: Vec<String>,
    style: Style,
    begun: usize,
    echo: Option<Echo>,
}

struct Echo {
    peer: Peer,
    message: Vec<u8>,
    answer: usize,
    room: Vec<u8>,
}

impl Repeater {
    /// For `repetitions` repetitions in all.
    pub(crate) fn new(
        operation: Operation,
        gateway: SocketAddr,
        keys: &Keys,
        repetitions: usize,
        style: Style,
    ) -> anyhow::Result<Self> {
        let users = 0..style.users;
        let tokens: Vec<String> = match operation {
            Operation::Hs256 | Operation::Hs256Echo | Operation::Echo128 | Operation::Echo16K => {
                users.map(|user| keys.mint(Algorithm::Hs256, user, 0)).collect()
            }
            Operation::Es256Hit => users.map(|user| keys.mint(Algorithm::Es256, user, 0)).collect(),
            Operation::Es256Miss => (0..repetitions)
                .map(|serial| keys.mint(Algorithm::Es256, serial % style.users, serial))
                .collect(),
            Operation::Refusal => users.map(|user| keys.mint_expired(user)).collect(),
        };
        let mut repeater = Self { operation, gateway, tokens, style, begun: 0, echo: None };
        let size = match operation {
            Operation::Echo128 => 128,
            Operation::Echo16K => 16 * 1024,
            _ => return Ok(repeater),
        };
        let mut peer = repeater.begin()?;
        peer.established(false)?;
        let (message, answer) = messages(1, size);
        let answer = if style.raw { message.len() } else { answer };
        repeater.echo = Some(Echo { peer, message, answer, room: vec![0; 64 * 1024] });
        Ok(repeater)
    }

    /// Repeats it so many times more.
    pub(crate) fn run(&mut self, repetitions: usize) -> anyhow::Result<()> {
        if let Some(Echo { peer, message, answer, room }) = &mut self.echo {
            return (0..repetitions).try_for_each(|_| peer.exchange(message, *answer, room));
        }
        let mut waiting = VecDeque::with_capacity(self.style.window);
        for _ in 0..repetitions {
            waiting.push_back(self.begin()?);
            if waiting.len() == self.style.window {
                self.finish(waiting.pop_front())?;
                if !self.style.pause.is_zero() {
                    pause(self.style.pause);
                }
            }
        }
        waiting.into_iter().try_for_each(|peer| self.finish(Some(peer)))
    }

    fn begin(&mut self) -> anyhow::Result<Peer> {
        let number = self.begun;
        self.begun += 1;
        let target = match self.operation {
            Operation::Hs256 | Operation::Es256Hit | Operation::Es256Miss | Operation::Refusal => "/ws",
            Operation::Hs256Echo | Operation::Echo128 | Operation::Echo16K => "/ws/echo",
        };
        let token = &self.tokens[number % self.tokens.len()];
        Peer::connect(&Dial {
            gateway: self.gateway,
            target,
            token,
            number,
            pause: self.style.pause,
            narrow: false,
        })
    }

    fn finish(&self, peer: Option<Peer>) -> anyhow::Result<()> {
        let Some(mut peer) = peer else { return Ok(()) };
        match self.operation {
            Operation::Refusal => peer.refused(401),
            Operation::Hs256 | Operation::Es256Hit | Operation::Es256Miss => peer.established(true),
            Operation::Hs256Echo | Operation::Echo128 | Operation::Echo16K => peer.established(false),
        }
    }
}
