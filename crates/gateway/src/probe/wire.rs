//! What the probe says and hears: one HTTP request, one WebSocket, by the client that everybody uses.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use portcullis_dial::{AnswerError, Client, MessageError, connect, random_key};
use portcullis_frame::{Frame, Limits, Message, WireCode};
use portcullis_handshake::{ClientError, ClientRequest};
use serde_json::Value;
use tokio::net::TcpStream;

use super::said::{known, reason};

/// The longest body of an answer that is read.
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

async fn client(address: SocketAddr) -> Result<Client<TcpStream>, String> {
    let stream = connect(address, None).await.map_err(|error| error.kind().to_string())?;
    Ok(Client::new(stream, Limits::default()))
}

/// Posts JSON; gives the status and the JSON of the answer, null where it has none.
pub(super) async fn post(address: SocketAddr, path: &str, body: &Value) -> Result<(u16, Value), String> {
    let address = reachable(address);
    let mut client = client(address).await?;
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    client.send(request.as_bytes()).await.map_err(|error| error.kind().to_string())?;
    answer(&mut client).await
}

/// Reads status and body of an answer.
async fn answer(client: &mut Client<TcpStream>) -> Result<(u16, Value), String> {
    let mut response = client.response().await.map_err(|error| unanswered(&error))?;
    client.body(&mut response, MOST).await.map_err(|error| error.kind().to_string())?;
    Ok((response.status, serde_json::from_slice(&response.body).unwrap_or_default()))
}

fn unanswered(error: &AnswerError) -> String {
    match error {
        AnswerError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the answer ended early".to_owned()
        }
        AnswerError::Io(error) => error.kind().to_string(),
        AnswerError::Answer(error) => error.to_string(),
    }
}

/// A WebSocket, client side.
pub(super) struct Socket(Client<TcpStream>);

impl Socket {
    /// Opens a WebSocket, as a page of the gateway's own origin does.
    pub(super) async fn open(
        address: SocketAddr,
        path: &str,
        protocols: &[&str],
        fields: &[(&str, &str)],
    ) -> Result<Self, String> {
        let address = reachable(address);
        let mut client = client(address).await?;
        let key = random_key();
        let host = address.to_string();
        let origin = format!("http://{host}");
        let request = ClientRequest {
            protocols,
            origin: Some(&origin),
            fields,
            ..ClientRequest::new(path, &host, &key)
        };
        match client.open(&request).await {
            Ok(_) => Ok(Self(client)),
            Err(AnswerError::Answer(ClientError::Refused(_))) => {
                let (status, body) = answer(&mut client).await?;
                Err(reason(&body, status))
            }
            Err(error) => Err(unanswered(&error)),
        }
    }

    pub(super) async fn send(&mut self, message: &Value) -> Result<(), String> {
        let sent = self.0.frame(Frame::text(&message.to_string())).await;
        sent.map_err(|error| error.kind().to_string())
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Value, String> {
        loop {
            let message = self.0.message().await.map_err(|error| match error {
                MessageError::Framing(error) => error.reason().id().to_owned(),
                MessageError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    "the connection was lost".to_owned()
                }
                MessageError::Io(error) => error.kind().to_string(),
            })?;
            match message {
                Message::Text(text) => {
                    return serde_json::from_str(&text).map_err(|_| "a message is no JSON".to_owned());
                }
                Message::Close(Some(close)) => {
                    let id = close.reason.split(':').next().unwrap_or_default();
                    return Err(format!("closed with {} ({})", close.code.get(), known(&Value::from(id))));
                }
                Message::Close(None) => return Err("closed without a code".to_owned()),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => {}
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
        let _ = self.0.frame(Frame::close(WireCode::NORMAL, "")).await;
    }
}
