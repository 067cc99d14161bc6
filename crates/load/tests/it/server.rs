//! A small server whose every fault is on purpose: a thread for each connection, blocking sockets.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use portcullis_frame::{Decoder, Frame, Limits, Message, Role, WireCode};
use portcullis_handshake::{Head, HeadLimits, accept_value};

use crate::TOKEN;

/// What the server does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Habits {
    /// After each so many messages everything stands still for so long.
    pub(crate) stall: Option<(u64, Duration)>,
    /// What is waited for before each answer.
    pub(crate) delay: Duration,
    /// Accepts every credential and closes with this code and reason.
    pub(crate) accepts_then_closes: Option<(u16, String)>,
    /// Refuses every handshake with this answer.
    pub(crate) refuses: Option<String>,
    /// Closes instead of answering each message of this rank.
    pub(crate) closes_each: Option<u64>,
    /// Says something first.
    pub(crate) greets: bool,
    /// Sends an unsolicited ping and a line before each answer.
    pub(crate) chatty: bool,
}

/// A running server; its connections end with this value, and it accepts no more.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    habits: Habits,
    open: Mutex<Vec<TcpStream>>,
    messages: AtomicU64,
    handshakes: AtomicU64,
    stalls: AtomicU64,
    pongs: AtomicU64,
    /// Held while everything stands still.
    still: Mutex<()>,
    over: AtomicBool,
    /// While set, connections are refused.
    down: AtomicBool,
}

/// What speaks over a socket: the socket itself, or TLS on it.
pub(crate) trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

impl Server {
    pub(crate) fn start(habits: Habits) -> Self {
        Self::over(habits, |socket| Box::new(socket))
    }

    /// Each socket is wrapped before anything is read from it.
    pub(crate) fn over(
        habits: Habits,
        wrap: impl Fn(TcpStream) -> Box<dyn Wire> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { habits, ..Shared::default() });
        let serving = Arc::clone(&shared);
        let wrap = Arc::new(wrap);
        thread::spawn(move || {
            for socket in listener.incoming() {
                if serving.over.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(socket) = socket else { continue };
                if serving.down.load(Ordering::SeqCst) {
                    continue;
                }
                let (serving, wrap) = (Arc::clone(&serving), Arc::clone(&wrap));
                thread::spawn(move || {
                    socket.set_nodelay(true).unwrap();
                    let ours = socket.try_clone().unwrap();
                    serving.open.lock().unwrap().push(socket.try_clone().unwrap());
                    // The client may leave at any time.
                    let _ = serving.serve(wrap(socket));
                    let _ = ours.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Ends every connection; while `down`, new ones are let go at once.
    pub(crate) fn drop_all(&self, down: bool) -> usize {
        self.shared.down.store(down, Ordering::SeqCst);
        let open = std::mem::take(&mut *self.shared.open.lock().unwrap());
        for socket in &open {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
        open.len()
    }

    pub(crate) fn come_up(&self) {
        self.shared.down.store(false, Ordering::SeqCst);
    }

    pub(crate) fn stalls(&self) -> u64 {
        self.shared.stalls.load(Ordering::SeqCst)
    }

    pub(crate) fn messages(&self) -> u64 {
        self.shared.messages.load(Ordering::SeqCst)
    }

    pub(crate) fn handshakes(&self) -> u64 {
        self.shared.handshakes.load(Ordering::SeqCst)
    }

    pub(crate) fn pongs(&self) -> u64 {
        self.shared.pongs.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.drop_all(true);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, mut wire: Box<dyn Wire>) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        let (answer, used, accepted) = loop {
            if let Ok(head) = Head::parse(&bytes, &HeadLimits::default()) {
                break (self.answer(&head), head.len(), self.accepts(&head));
            }
            match wire.read(&mut chunk)? {
                0 => return Ok(()),
                read => bytes.extend_from_slice(&chunk[..read]),
            }
        };
        self.handshakes.fetch_add(1, Ordering::SeqCst);
        wire.write_all(answer.as_bytes())?;
        if !accepted {
            return Ok(());
        }
        if let Some((code, reason)) = &self.habits.accepts_then_closes {
            let close = Frame::close(WireCode::new(*code).unwrap(), reason);
            return wire.write_all(&close.to_vec());
        }
        if self.habits.greets {
            wire.write_all(&Frame::text("welcome").to_vec())?;
        }
        let mut decoder = Decoder::new(Role::Server, Limits::default());
        let mut unread = bytes.split_off(used);
        loop {
            let mut input = unread.as_mut_slice();
            while let Ok(Some(message)) = decoder.decode(&mut input) {
                match message {
                    Message::Text(text) => {
                        let text = text.into_owned();
                        self.answer_message(&mut *wire, &text)?;
                    }
                    Message::Pong(_) => {
                        self.pongs.fetch_add(1, Ordering::SeqCst);
                    }
                    Message::Close(_) => return wire.write_all(&Frame::empty_close().to_vec()),
                    Message::Binary(_) | Message::Ping(_) => {}
                }
            }
            match wire.read(&mut chunk)? {
                0 => return Ok(()),
                read => unread = chunk[..read].to_vec(),
            }
        }
    }

    fn accepts(&self, head: &Head<'_>) -> bool {
        let good =
            head.field("Authorization").is_some_and(|value| value == format!("Bearer {TOKEN}").as_bytes());
        self.habits.refuses.is_none() && (good || self.habits.accepts_then_closes.is_some())
    }

    fn answer(&self, head: &Head<'_>) -> String {
        if let Some(refusal) = &self.habits.refuses {
            return refusal.clone();
        }
        if !self.accepts(head) {
            return refusal(401, "TOKEN_MALFORMED");
        }
        let key = head.field("Sec-WebSocket-Key").unwrap();
        let accept = accept_value(str::from_utf8(key).unwrap());
        let accept = str::from_utf8(&accept).unwrap();
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
    }

    fn answer_message(&self, wire: &mut dyn Wire, text: &str) -> io::Result<()> {
        let number = self.messages.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some((each, length)) = self.habits.stall {
            let still = self.still.lock().unwrap();
            if number.is_multiple_of(each) {
                self.stalls.fetch_add(1, Ordering::SeqCst);
                wait(length);
            }
            drop(still);
        }
        wait(self.habits.delay);
        if self.habits.closes_each.is_some_and(|each| number.is_multiple_of(each)) {
            return wire
                .write_all(&Frame::close(WireCode::new(1013).unwrap(), "SLOW_CONSUMER: later").to_vec());
        }
        let mut answer = Vec::new();
        if self.habits.chatty {
            Frame::ping(b"there?").append_to(&mut answer);
            Frame::text("something else").append_to(&mut answer);
        }
        Frame::text(text).append_to(&mut answer);
        wire.write_all(&answer)
    }
}

/// A refusal as a server of ours makes it.
pub(crate) fn refusal(status: u16, reason: &str) -> String {
    let body = format!("{{\"title\":\"no\",\"status\":{status},\"reason\":\"{reason}\"}}");
    format!(
        "HTTP/1.1 {status} No\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What a slow server does; nothing happens that could be waited for.
fn wait(time: Duration) {
    if !time.is_zero() {
        #[expect(clippy::disallowed_methods, reason = "this server is slow on purpose")]
        thread::sleep(time);
    }
}
