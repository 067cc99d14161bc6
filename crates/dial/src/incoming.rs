//! What has come on a client's connection and was not taken yet, sans-I/O: first an answer, then messages.

use portcullis_frame::{Decoder, FrameError, Limits, Message, Role};
use portcullis_handshake::{ClientError, ResponseHead};

use crate::Response;

/// Bytes of a server's, from where they were read to where they are understood.
///
/// Whoever owns the socket appends to [`room`](Self::room), and takes an answer ([`response`](Self::response),
/// [`opened`](Self::opened)) or messages ([`message`](Self::message)) until there is none; then it reads again. A head is
/// bounded by [`MOST_HEAD`], a body by what its reader asks for, a message by the limits.
#[derive(Debug)]
pub struct Incoming {
    unread: Vec<u8>,
    /// Where what was not taken begins.
    at: usize,
    decoder: Decoder,
}

/// A 101 that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened<'p> {
    /// The subprotocol that the server selected.
    pub protocol: Option<&'p str>,
}

impl Incoming {
    /// Nothing has come yet. The limits are those of messages.
    pub const fn new(limits: Limits) -> Self {
        Self { unread: Vec::new(), at: 0, decoder: Decoder::new(Role::Client, limits) }
    }

    /// Where to append what was read. Bytes in it have not been taken, and may be changed.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.unread.drain(..self.at);
        self.at = 0;
        if self.unread.is_empty() && self.unread.capacity() > KEPT {
            self.unread = Vec::new();
        }
        &mut self.unread
    }

    /// What has come and was not taken.
    pub fn bytes(&self) -> &[u8] {
        &self.unread[self.at..]
    }

    /// Drops so many bytes, or all.
    pub fn skip(&mut self, count: usize) {
        self.at += count.min(self.unread.len() - self.at);
    }

    /// Takes the head of an answer, once it is whole; the body is left. Some servers answer in the older version, most of all
    /// a request that is broken: that is taken too (RFC 9110 §2.5).
    ///
    /// # Errors
    /// [`ClientError::NotHttp`], also for a head that does not end.
    pub fn response(&mut self) -> Result<Option<Response>, ClientError> {
        if self.bytes().starts_with(b"HTTP/1.0 ") {
            self.unread[self.at + 7] = b'1';
        }
        let Some(head) = self.head()? else { return Ok(None) };
        let (response, len) = (Response::from(&head), head.len());
        self.skip(len);
        Ok(Some(response))
    }

    /// Moves what has come of the body into `response`; true once it is whole, or `most` bytes long. Without a length
    /// or a last chunk it is whole with the end of the connection alone, which nobody sees here.
    pub fn body(&mut self, response: &mut Response, most: usize) -> bool {
        let whole = response.announced().unwrap_or(usize::MAX).min(most);
        let wanted = (whole - response.body.len().min(whole)).min(self.bytes().len());
        response.body.extend_from_slice(&self.unread[self.at..][..wanted]);
        self.skip(wanted);
        response.body.len() >= whole || response.has_last_chunk()
    }

    /// Judges the answer to an upgrade with that key and those subprotocols, once its head is whole. A 101 that passes
    /// is taken; everything else is left where it is, for [`response`](Self::response).
    ///
    /// # Errors
    /// [`ClientError`]: a refusal, or the first rule of RFC 6455 §4.1 that the answer breaks.
    pub fn opened<'p>(&mut self, key: &str, offered: &[&'p str]) -> Result<Option<Opened<'p>>, ClientError> {
        let Some(head) = self.head()? else { return Ok(None) };
        let (protocol, len) = (head.check(key, offered)?, head.len());
        self.skip(len);
        Ok(Some(Opened { protocol }))
    }

    /// The next message or control frame, once it is whole. After a close or an error there is nothing more.
    ///
    /// # Errors
    /// [`FrameError`] where the server broke the framing, or a limit.
    pub fn message(&mut self) -> Result<Option<Message<'_>>, FrameError> {
        let end = self.unread.len();
        let mut input = &mut self.unread[self.at..];
        let message = self.decoder.decode(&mut input);
        self.at = end - input.len();
        message
    }

    fn head(&self) -> Result<Option<ResponseHead<'_>>, ClientError> {
        match ResponseHead::parse(self.bytes())? {
            None if self.bytes().len() > MOST_HEAD => Err(ClientError::NotHttp),
            head => Ok(head),
        }
    }
}

/// The longest head of an answer.
pub const MOST_HEAD: usize = 64 * 1024;

/// An empty buffer is kept for the next read unless it has grown beyond this: an idle connection holds little.
const KEPT: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use portcullis_frame::{Frame, WireCode};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn incoming(bytes: &[u8]) -> Incoming {
        let mut incoming = Incoming::new(Limits::default());
        incoming.room().extend_from_slice(bytes);
        incoming
    }

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    const ACCEPTED: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

    fn session() -> Vec<u8> {
        let close = Frame::close(WireCode::NORMAL, "bye");
        let frames = [Frame::text("hello"), Frame::ping(b"1"), Frame::binary(&[0; 300]), close];
        frames.iter().fold(ACCEPTED.to_vec(), |mut bytes, frame| {
            frame.append_to(&mut bytes);
            bytes
        })
    }

    /// The whole session, read in pieces of these lengths, and what is left in one.
    fn read(session: &[u8], pieces: &[usize]) -> Vec<String> {
        let mut incoming = incoming(b"");
        let (mut seen, mut opened, mut rest) = (Vec::new(), false, session);
        for piece in pieces.iter().copied().chain([usize::MAX]) {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            incoming.room().extend_from_slice(now);
            rest = later;
            if !opened && let Some(answer) = incoming.opened(KEY, &["other", "chat"]).unwrap() {
                opened = true;
                seen.push(format!("{answer:?}"));
            }
            while opened && let Some(message) = incoming.message().unwrap() {
                seen.push(format!("{message:?}"));
            }
        }
        seen
    }

    proptest! {
        #[test]
        fn any_split_of_what_comes_gives_the_same(pieces in vec(1_usize..200, 0..20)) {
            let session = session();
            let whole = read(&session, &[]);
            prop_assert_eq!(whole.len(), 5);
            prop_assert_eq!(read(&session, &pieces), whole);
        }
    }

    #[test]
    fn a_refusal_is_left_to_be_read() {
        let mut incoming =
            incoming(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\nX-A: 1\r\nx-a: 2\r\n\r\nno!!behind");
        assert_eq!(incoming.opened(KEY, &[]), Err(ClientError::Refused(401)));
        let mut response = incoming.response().unwrap().unwrap();
        assert_eq!((response.status, response.field("x-A")), (401, Some("1")));
        assert_eq!(response.values("X-A").collect::<Vec<_>>(), ["1", "2"]);
        assert!(incoming.body(&mut response, 100));
        assert_eq!(response.body, b"no!!");
        assert_eq!(incoming.bytes(), b"behind");
    }

    #[test]
    fn a_body_ends_where_its_head_says() {
        for (fields, body, most, whole, taken) in [
            ("Content-Length: 3", "abc", 9, true, "abc"),
            ("Content-Length: 4", "abc", 9, false, "abc"),
            ("Content-Length: 4", "abcdef", 2, true, "ab"),
            ("X: none", "abc", 9, false, "abc"),
            ("X: none", "abc", 3, true, "abc"),
            ("Transfer-Encoding: chunked", "1\r\na\r\n0\r\n\r\n", 99, true, "1\r\na\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "1\r\na\r\n", 99, false, "1\r\na\r\n"),
            ("Content-Length: no", "abc", 9, false, "abc"),
        ] {
            let mut incoming = incoming(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}").as_bytes());
            let mut response = incoming.response().unwrap().unwrap();
            assert_eq!(incoming.body(&mut response, most), whole, "{fields}");
            assert_eq!(response.body, taken.as_bytes(), "{fields}");
        }
        let mut incoming = incoming(b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc");
        let mut response = incoming.response().unwrap().unwrap();
        assert!(incoming.body(&mut response, 9));
        assert_eq!((response.body.len(), incoming.bytes()), (0, &b"abc"[..]));
    }

    #[test]
    fn a_head_without_an_end_is_no_answer() {
        let head = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(MOST_HEAD));
        assert_eq!(incoming(head.as_bytes()).response(), Err(ClientError::NotHttp));
        assert_eq!(incoming(b"SSH-2.0-OpenSSH\r\n").response(), Err(ClientError::NotHttp));
    }

    #[test]
    fn the_older_version_may_refuse_and_not_accept() {
        let older = |answer: &[u8]| String::from_utf8_lossy(answer).replace("HTTP/1.1", "HTTP/1.0");
        let refused = incoming(older(b"HTTP/1.1 400 Bad Request\r\n\r\n").as_bytes()).response();
        assert_eq!(refused.unwrap().unwrap().status, 400);
        let accepted = incoming(older(ACCEPTED).as_bytes()).opened(KEY, &["chat"]);
        assert_eq!(accepted, Err(ClientError::NotHttp));
    }

    #[test]
    fn an_empty_buffer_that_grew_is_given_back() {
        let mut incoming = incoming(&Frame::binary(&vec![0; 4 * KEPT]).to_vec());
        assert!(matches!(incoming.message(), Ok(Some(Message::Binary(_)))));
        assert!(incoming.unread.capacity() > KEPT);
        assert_eq!(incoming.room().capacity(), 0);
    }

    #[test]
    fn there_is_nothing_behind_a_close() {
        let mut bytes = Frame::close(WireCode::NORMAL, "").to_vec();
        bytes.extend_from_slice(&Frame::text("late").to_vec());
        let mut incoming = incoming(&bytes);
        assert!(matches!(incoming.message(), Ok(Some(Message::Close(Some(_))))));
        assert_eq!(incoming.message(), Ok(None));
        assert!(incoming.bytes().is_empty());
    }
}
