//! `floor`: the least that a server can do, to know what a machine asks for sockets alone.
//!
//! One thread, one epoll set, no checks: it finds the key, answers, and echoes raw bytes. What the gate costs above it
//! is the gate's; what it costs itself differs by a factor of five between a bare machine and a small virtual one.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    path::PathBuf,
};

use anyhow::Context as _;
use clap::ValueEnum;
use portcullis_handshake::accept_value;
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
};
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the address is written to.
    #[arg(long)]
    ready_file: PathBuf,
    /// What follows a request head.
    #[arg(long, value_enum)]
    answer: Answer,
}

/// What a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Answer {
    /// A 101 and a message of 350 bytes, as long as `connection_established`.
    Greet,
    /// A 101, and then all bytes come back as they were sent.
    Echo,
    /// A 401 with a body of 600 bytes, and the end.
    Refuse,
}

struct Connection {
    stream: TcpStream,
    head: Vec<u8>,
    upgraded: bool,
}

/// Serves until it is killed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let set = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&set, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let partial = args.ready_file.with_extension("partial");
    fs::write(&partial, json!({ "gateway": format!("http://{}", listener.local_addr()?) }).to_string())?;
    fs::rename(&partial, &args.ready_file)?;

    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = Vec::with_capacity(256);
    let mut room = vec![0; 64 * 1024];
    loop {
        events.clear();
        epoll::wait(&set, spare_capacity(&mut events), None)?;
        for event in &events {
            if event.data.u64() == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let number = stream.as_raw_fd().unsigned_abs() as usize;
                    epoll::add(
                        &set,
                        &stream,
                        EventData::new_u64(number as u64),
                        EventFlags::IN | EventFlags::ET,
                    )?;
                    connections.resize_with(connections.len().max(number + 1), || None);
                    connections[number] = Some(Connection { stream, head: Vec::new(), upgraded: false });
                }
                continue;
            }
            let place = &mut connections[event.data.u64() as usize];
            if let Some(connection) = place
                && !connection.serve(args.answer, &mut room).unwrap_or(false)
            {
                *place = None;
            }
        }
    }
}

impl Connection {
    /// Does what can be done now; false at the end.
    fn serve(&mut self, answer: Answer, room: &mut [u8]) -> anyhow::Result<bool> {
        loop {
            let read = match self.stream.read(room) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error.into()),
            };
            if self.upgraded {
                let mut rest = &room[..read];
                while !rest.is_empty() {
                    match self.stream.write(rest) {
                        Ok(written) => rest = &rest[written..],
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                continue;
            }
            self.head.extend_from_slice(&room[..read]);
            if !self.head.ends_with(b"\r\n\r\n") {
                continue;
            }
            if answer == Answer::Refuse {
                let body = "x".repeat(600);
                self.stream.write_all(
                    format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: 600\r\n\r\n{body}").as_bytes(),
                )?;
                return Ok(false);
            }
            let head = str::from_utf8(&self.head)?;
            let key = head.split_once("Sec-WebSocket-Key: ").context("no key")?.1;
            let accept = accept_value(key.get(..24).context("a short key")?);
            let mut out = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Protocol: jwt-auth\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                str::from_utf8(&accept)?
            )
            .into_bytes();
            if answer == Answer::Greet {
                out.extend_from_slice(&[0x81, 126, 1, 94]);
                out.resize(out.len() + 350, b'x');
            }
            self.stream.write_all(&out)?;
            self.head = Vec::new();
            self.upgraded = true;
        }
    }
}

const LISTENER: u64 = u64::MAX;
