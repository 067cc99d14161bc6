//! One connection of a client, over any stream.

use std::io;

use portcullis_frame::{Frame, FrameError, Limits, Message};
use portcullis_handshake::{ClientError, ClientRequest, encode_key};
use portcullis_units::random;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::{Incoming, Response};

/// One connection of a client: bytes as they are, answers to requests, and messages behind a 101.
///
/// It answers nothing by itself: when to pong, and when to say goodbye, is for its user to decide. It has no deadlines
/// either: whatever waits to read may be cancelled, by a timeout or in a `select!`, and loses nothing by it.
#[derive(Debug)]
pub struct Client<S> {
    stream: S,
    incoming: Incoming,
}

/// Why no answer came that can be used.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The connection failed, or ended early ([`io::ErrorKind::UnexpectedEof`]).
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There was an answer, and it does not do; a refusal can still be read ([`Client::response`]).
    #[error(transparent)]
    Answer(#[from] ClientError),
}

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The connection failed, or ended without a close frame ([`io::ErrorKind::UnexpectedEof`]).
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server broke the framing, or a limit.
    #[error(transparent)]
    Framing(#[from] FrameError),
}

impl<S> Client<S> {
    /// A client over a connected stream. The limits are those of messages.
    pub const fn new(stream: S, limits: Limits) -> Self {
        Self { stream, incoming: Incoming::new(limits) }
    }

    /// What has come and was not taken.
    pub const fn incoming(&mut self) -> &mut Incoming {
        &mut self.incoming
    }

    /// The stream.
    pub fn into_stream(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The stream's.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Sends a frame, masked with a key that nobody can guess (RFC 6455 §5.3).
    ///
    /// # Errors
    /// The stream's.
    pub async fn frame(&mut self, frame: Frame<'_>) -> io::Result<()> {
        self.send(&frame.masked(random::bytes()).to_vec()).await
    }

    /// Reads once, to [`incoming`](Self::incoming); 0 bytes are the end.
    ///
    /// # Errors
    /// The stream's.
    pub async fn read(&mut self) -> io::Result<usize> {
        let room = self.incoming.room();
        if room.capacity() - room.len() < CHUNK / 2 {
            room.reserve(CHUNK);
        }
        self.stream.read_buf(room).await
    }

    /// Asks for an upgrade and judges the answer; gives the selected subprotocol.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub async fn open<'p>(&mut self, request: &ClientRequest<'p>) -> Result<Option<&'p str>, AnswerError> {
        let mut head = Vec::with_capacity(1_024);
        request.write(&mut head)?;
        self.send(&head).await?;
        loop {
            if let Some(opened) = self.incoming.opened(request.key, request.protocols)? {
                return Ok(opened.protocol);
            }
            self.read_more().await?;
        }
    }

    /// Reads the head of an answer; its body may follow by [`body`](Self::body).
    ///
    /// # Errors
    /// [`AnswerError`].
    pub async fn response(&mut self) -> Result<Response, AnswerError> {
        loop {
            if let Some(response) = self.incoming.response()? {
                return Ok(response);
            }
            self.read_more().await?;
        }
    }

    /// Reads the body of `response` into it: up to its length, its last chunk, the end of the connection, or `most`
    /// bytes. Where it is cancelled, what had come is there.
    ///
    /// # Errors
    /// The stream's; again, what had come is there.
    pub async fn body(&mut self, response: &mut Response, most: usize) -> io::Result<()> {
        while !self.incoming.body(response, most) && self.read().await? > 0 {}
        Ok(())
    }

    /// Waits for the next message or control frame. After a close frame, for the end of the connection.
    ///
    /// # Errors
    /// [`MessageError`].
    pub async fn message(&mut self) -> Result<Message<'static>, MessageError> {
        loop {
            if let Some(message) = self.incoming.message()? {
                return Ok(message.into_owned());
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> io::Result<()> {
        match self.read().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// A value for `Sec-WebSocket-Key` that no other connection has (RFC 6455 §4.1 item 7).
pub fn random_key() -> String {
    encode_key(&random::bytes())
}

/// What one read has room for, at least half of it.
const CHUNK: usize = 2_048;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_frame::{Decoder, Role};
    use portcullis_handshake::accept_value;
    use tokio::{
        io::{DuplexStream, duplex},
        time::timeout,
    };

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn pair() -> (Client<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(16 << 10);
        (Client::new(ours, Limits::default()), theirs)
    }

    fn request() -> ClientRequest<'static> {
        ClientRequest { protocols: &["chat"], ..ClientRequest::new("/ws", "localhost", KEY) }
    }

    async fn read_head(server: &mut DuplexStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(server.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    async fn accept(server: &mut DuplexStream, behind: &[u8]) -> String {
        let head = read_head(server).await;
        let accept = accept_value(KEY);
        let accept = str::from_utf8(&accept).unwrap();
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        )
        .into_bytes();
        answer.extend_from_slice(behind);
        server.write_all(&answer).await.unwrap();
        head
    }

    #[tokio::test]
    async fn a_conversation() {
        let (mut client, mut server) = pair();
        let request = request();
        let greeting = Frame::text("hello").to_vec();
        let (selected, head) = tokio::join!(client.open(&request), accept(&mut server, &greeting));
        assert_eq!(selected.unwrap(), Some("chat"));
        assert!(head.starts_with("GET /ws HTTP/1.1\r\nHost: localhost\r\n"), "{head}");
        assert_eq!(client.message().await.unwrap(), Message::Text("hello".into()));

        client.frame(Frame::text("hi")).await.unwrap();
        let mut sent = [0; 2 + 4 + 2];
        server.read_exact(&mut sent).await.unwrap();
        assert_ne!(sent[2..6], [0; 4], "no key");
        let mut decoder = Decoder::new(Role::Server, Limits::default());
        assert_eq!(decoder.decode(&mut &mut sent[..]).unwrap(), Some(Message::Text("hi".into())));

        drop(server);
        let Err(MessageError::Io(error)) = client.message().await else { panic!("the end was not seen") };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_ping_is_left_to_the_caller_and_a_broken_frame_is_told() {
        let (mut client, mut server) = pair();
        let mut bytes = Frame::ping(b"1").to_vec();
        bytes.extend_from_slice(&Frame::text("x").masked([1; 4]).to_vec());
        server.write_all(&bytes).await.unwrap();
        assert_eq!(client.message().await.unwrap(), Message::Ping(b"1".as_slice().into()));
        let error = client.message().await.unwrap_err();
        assert!(matches!(error, MessageError::Framing(FrameError::Masked)), "{error}");
        drop(client);
        let mut sent = Vec::new();
        server.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent, b"", "something was answered");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_may_be_cancelled_and_loses_nothing() {
        let (mut client, mut server) = pair();
        for byte in Frame::text("in pieces").to_vec() {
            assert!(timeout(Duration::from_millis(1), client.message()).await.is_err());
            server.write_u8(byte).await.unwrap();
        }
        assert_eq!(client.message().await.unwrap(), Message::Text("in pieces".into()));

        let mut response = Response::default();
        server.write_all(b"abc").await.unwrap();
        assert!(timeout(Duration::from_millis(1), client.body(&mut response, 9)).await.is_err());
        assert_eq!(response.body, b"abc");
    }

    #[tokio::test]
    async fn a_refusal_is_read_with_its_body() {
        let (mut client, mut server) = pair();
        let refuse = async {
            read_head(&mut server).await;
            server.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\nwhy").await.unwrap();
            drop(server);
        };
        let request = request();
        let (opened, ()) = tokio::join!(client.open(&request), refuse);
        assert!(matches!(opened, Err(AnswerError::Answer(ClientError::Refused(403)))));
        let mut response = client.response().await.unwrap();
        client.body(&mut response, 100).await.unwrap();
        assert_eq!((response.status, response.body.as_slice()), (403, &b"why"[..]));
        let Err(AnswerError::Io(error)) = client.response().await else { panic!("the end was not seen") };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
