//! The probe's own small client: one HTTP request, one WebSocket. It shares the sans-I/O cores with the server and
//! nothing else, and reads no more than it needs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portcullis_frame::{Decoder, Frame, Limits, Message, Role, WireCode};
use portcullis_handshake::{ClientError, ClientRequest, ResponseHead, encode_key};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::said::{known, reason};

/// The longest answer that is read.
const MOST: usize = 256 * 1024;

/// Where a listener is reached from this machine: one on every address is on loopback too.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(reachable(address)).await.map_err(|error| error.kind().to_string())?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Posts JSON; gives the status and the JSON of the answer, null where it has none.
pub(super) async fn post(address: SocketAddr, path: &str, body: &Value) -> Result<(u16, Value), String> {
    let mut stream = connect(address).await?;
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        reachable(address),
        body.len()
    );
    let mut read = Vec::new();
    let exchange = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        stream.take(MOST as u64).read_to_end(&mut read).await
    };
    exchange.await.map_err(|error| error.kind().to_string())?;
    answer(&read)
}

/// Status and body of a whole answer.
fn answer(read: &[u8]) -> Result<(u16, Value), String> {
    let head = ResponseHead::parse(read).map_err(|error| error.to_string())?;
    let head = head.ok_or_else(|| "the answer ended early".to_owned())?;
    Ok((head.status(), serde_json::from_slice(&read[head.len()..]).unwrap_or_default()))
}

/// A WebSocket, client side.
pub(super) struct Socket {
    stream: TcpStream,
    decoder: Decoder,
    /// Bytes that were read and not decoded.
    read: Vec<u8>,
}

impl Socket {
    /// Opens a WebSocket, as a page of the gateway's own origin does.
    pub(super) async fn open(
        address: SocketAddr,
        path: &str,
        protocols: &[&str],
        fields: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mut stream = connect(address).await?;
        let key = encode_key(&random());
        let host = reachable(address).to_string();
        let origin = format!("http://{host}");
        let request = ClientRequest {
            protocols,
            origin: Some(&origin),
            fields,
            ..ClientRequest::new(path, &host, &key)
        };
        let mut out = Vec::new();
        request.write(&mut out).map_err(|error| error.to_string())?;
        stream.write_all(&out).await.map_err(|error| error.kind().to_string())?;
        let mut read = Vec::new();
        loop {
            if let Some(head) = ResponseHead::parse(&read).map_err(|error| error.to_string())? {
                match head.check(&key, protocols) {
                    Ok(_) => {
                        let rest = read[head.len()..].to_vec();
                        return Ok(Self {
                            stream,
                            decoder: Decoder::new(Role::Client, Limits::default()),
                            read: rest,
                        });
                    }
                    Err(ClientError::Refused(status)) => {
                        let _ = (&mut stream).take(MOST as u64).read_to_end(&mut read).await;
                        return Err(
                            answer(&read).map_or_else(|error| error, |(_, body)| reason(&body, status))
                        );
                    }
                    Err(error) => return Err(error.to_string()),
                }
            }
            if read.len() > MOST || fill(&mut stream, &mut read).await? == 0 {
                return Err("the answer ended early".to_owned());
            }
        }
    }

    pub(super) async fn send(&mut self, message: &Value) -> Result<(), String> {
        let frame = Frame::text(&message.to_string()).masked(random()).to_vec();
        self.stream.write_all(&frame).await.map_err(|error| error.kind().to_string())
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Value, String> {
        loop {
            let mut input = &mut self.read[..];
            let message = self.decoder.decode(&mut input).map_err(|error| error.reason().id().to_owned())?;
            let outcome = match message {
                Some(Message::Text(text)) => {
                    Some(serde_json::from_str(&text).map_err(|_| "a message is no JSON".to_owned()))
                }
                Some(Message::Close(close)) => Some(Err(close.map_or_else(
                    || "closed without a code".to_owned(),
                    |close| {
                        let id = close.reason.split(':').next().unwrap_or_default();
                        format!("closed with {} ({})", close.code.get(), known(&Value::from(id)))
                    },
                ))),
                Some(_) | None => None,
            };
            let rest = input.len();
            self.read.drain(..self.read.len() - rest);
            match outcome {
                Some(outcome) => return outcome,
                None if rest > 0 => {}
                None => {
                    if fill(&mut self.stream, &mut self.read).await? == 0 {
                        return Err("the connection was lost".to_owned());
                    }
                }
            }
        }
    }

    /// The next message, if it is of that type.
    pub(super) async fn expect(&mut self, kind: &str) -> Result<Value, String> {
        let message = self.next().await?;
        match message["type"].as_str() {
            Some(found) if found == kind => Ok(message),
            Some("error") => Err(known(&message["payload"]["reason"])),
            _ => Err(format!("no {kind} came")),
        }
    }

    /// Says goodbye; whether it is heard does not matter any more.
    pub(super) async fn close(mut self) {
        let frame = Frame::close(WireCode::NORMAL, "").masked(random()).to_vec();
        let _ = self.stream.write_all(&frame).await;
    }
}

async fn fill(stream: &mut TcpStream, read: &mut Vec<u8>) -> Result<usize, String> {
    stream.read_buf(read).await.map_err(|error| error.kind().to_string())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}
