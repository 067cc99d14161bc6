//! One client connection: polled without sleeping, and strict about what it is told.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis_dial::Incoming;
use portcullis_frame::{Frame, Limits, Message};
use portcullis_handshake::{ClientRequest, encode_key};
use socket2::{Domain, Socket, Type};

use crate::{clock::CLOCK, server::pause};

/// Where and as whom a client connects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial<'a> {
    pub(crate) gateway: SocketAddr,
    pub(crate) target: &'a str,
    pub(crate) token: &'a str,
    /// Tells connections apart: source address and key follow from it.
    pub(crate) number: usize,
    /// How long to wait with the request once connected.
    pub(crate) pause: Duration,
    /// Whether the system keeps as little as it can of what is sent and not read, on both sides.
    pub(crate) narrow: bool,
}

/// A connection whose upgrade request was written.
pub(crate) struct Peer {
    stream: TcpStream,
    key: String,
    incoming: Incoming,
    received: usize,
}

impl Peer {
    /// Connects and asks as a browser's page does: the token in a subprotocol element, with `Origin` and the fields
    /// that Chromium sends along.
    pub(crate) fn connect(dial: &Dial<'_>) -> anyhow::Result<Self> {
        let stream = connect(dial).context("cannot connect")?;
        let mut random = [0x5a; 16];
        random[..8].copy_from_slice(&(dial.number as u64).to_be_bytes());
        let key = encode_key(&random);
        let host = dial.gateway.to_string();
        let element = format!("jwt.{}", URL_SAFE_NO_PAD.encode(dial.token));
        let origin = format!("http://{host}");
        let request = ClientRequest {
            protocols: &["jwt-auth", &element],
            origin: Some(&origin),
            fields: BROWSER,
            ..ClientRequest::new(dial.target, &host, &key)
        };
        let mut head = Vec::with_capacity(1_536);
        request.write(&mut head)?;
        let mut peer = Self { stream, key, incoming: Incoming::new(Limits::default()), received: 0 };
        if !dial.pause.is_zero() {
            pause(dial.pause);
        }
        peer.stream.write_all(&head)?;
        peer.stream.set_nonblocking(true)?;
        Ok(peer)
    }

    /// Waits for the 101, judges it, and reads one message behind it where `greeted` says that one comes.
    pub(crate) fn established(&mut self, greeted: bool) -> anyhow::Result<()> {
        let opened = loop {
            match self.incoming.opened(&self.key, &["jwt-auth"])? {
                Some(opened) => break opened,
                None => self.fill()?,
            }
        };
        ensure!(opened.protocol.is_some(), "the server selected no subprotocol");
        if greeted {
            self.message()?;
        }
        Ok(())
    }

    /// Waits for a refusal and its end.
    pub(crate) fn refused(&mut self, status: u16) -> anyhow::Result<()> {
        while self.read()? > 0 {}
        let response = self.incoming.response()?.context("the answer is cut off")?;
        ensure!(response.status == status, "the server answered {} instead of {status}", response.status);
        Ok(())
    }

    /// Waits for the next message or control frame.
    pub(crate) fn message(&mut self) -> anyhow::Result<Message<'static>> {
        loop {
            if let Some(message) = self.incoming.message()? {
                return Ok(message.into_owned());
            }
            self.fill()?;
        }
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Sends bytes and reads as many as `expected` says, a chunk at a time, whatever they are.
    pub(crate) fn exchange(&mut self, bytes: &[u8], expected: usize, room: &mut [u8]) -> anyhow::Result<()> {
        self.send(bytes)?;
        receive(&mut self.stream, expected, room)
    }

    /// Bytes that came, the answer to the handshake included.
    pub(crate) const fn received(&self) -> usize {
        self.received
    }

    /// Whether the server has ended the connection, however much of what it sent is unread.
    pub(crate) fn was_ended(&self) -> bool {
        // Reads what there is up to the end, which nobody needs any more.
        let mut stream = &self.stream;
        let mut room = [0; 8 << 10];
        loop {
            match stream.read(&mut room) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    /// The socket, blocking, for two threads that read and write at the same time.
    pub(crate) fn into_stream(self) -> anyhow::Result<TcpStream> {
        self.stream.set_nonblocking(false)?;
        Ok(self.stream)
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        if self.read()? == 0 {
            bail!("the server closed: {}", String::from_utf8_lossy(self.incoming.bytes()));
        }
        Ok(())
    }

    fn read(&mut self) -> anyhow::Result<usize> {
        let mut chunk = [0; 16 << 10];
        let read = poll_read(&mut self.stream, &mut chunk)?;
        self.incoming.room().extend_from_slice(&chunk[..read]);
        self.received += read;
        Ok(read)
    }
}

/// Reads what is there, and waits awake for it: a sleeper would have to be woken, which the server would pay for.
fn poll_read(stream: &mut TcpStream, room: &mut [u8]) -> anyhow::Result<usize> {
    let began = CLOCK.instant();
    loop {
        match stream.read(room) {
            Ok(read) => return Ok(read),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                ensure!(CLOCK.since(began) < PATIENCE, "the server says nothing");
                thread::yield_now();
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads `expected` bytes.
pub(crate) fn receive(stream: &mut TcpStream, expected: usize, room: &mut [u8]) -> anyhow::Result<()> {
    let mut left = expected;
    while left > 0 {
        let most = left.min(room.len());
        match poll_read(stream, &mut room[..most])? {
            0 => bail!("the server closed"),
            read => left -= read,
        }
    }
    Ok(())
}

/// `count` text messages of `size` bytes as a client sends them, one behind the other; and the length of their echo.
pub(crate) fn messages(count: usize, size: usize) -> (Vec<u8>, usize) {
    let text = "x".repeat(size);
    let frame = Frame::text(&text);
    let echo = count * frame.size();
    let frame = frame.masked([0x12, 0x34, 0x56, 0x78]).to_vec();
    (frame.repeat(count), echo)
}

/// Connects from one of many loopback addresses, so that ports never run out.
fn connect(dial: &Dial<'_>) -> anyhow::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if dial.narrow {
        socket.set_recv_buffer_size(2_048)?;
        // For segments as large as loopback's the other side keeps megabytes.
        socket.set_tcp_mss(1_460)?;
    }
    let source = Ipv4Addr::new(127, 0, 0, 2 + (dial.number % SOURCES) as u8);
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&dial.gateway.into())?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

const PATIENCE: Duration = Duration::from_secs(30);

const SOURCES: usize = 200;

/// What Chromium sends beside the fields of the handshake itself.
const BROWSER: &[(&str, &str)] = &[
    ("Pragma", "no-cache"),
    ("Cache-Control", "no-cache"),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9"),
    ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_echo_of_a_burst_has_no_masks() {
        let (sent, echoed) = messages(3, 128);
        assert_eq!((sent.len(), echoed), (3 * (4 + 4 + 128), 3 * (4 + 128)));
    }
}
