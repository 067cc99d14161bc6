//! Bytes into messages: the state between two reads, and the rules in the order in which they are checked.

#![expect(
    clippy::mut_mut,
    reason = "like `&mut &[u8]` for reading: messages borrow the chunk, and neither the cursor into it nor the decoder"
)]

use std::{borrow::Cow, fmt, mem};

use crate::{
    CloseFrame, FrameError, Header, Limits, Message, Opcode, Role, WireCode, apply_mask,
    header::{LengthForm, MAX_CONTROL_PAYLOAD, MAX_HEADER},
    text::TextAssembly,
};

/// Puts the peer's frames together to messages.
///
/// Call [`decode`](Self::decode) with the bytes just read until it gives none; then read again. Between messages the
/// decoder holds nothing on the heap, and a message that lies in one frame inside one chunk is lent from that chunk.
pub struct Decoder {
    limits: Limits,
    /// Everything that needs memory; none between messages.
    progress: Option<Box<Progress>>,
    /// The start of a header whose end has not arrived, `head_len` bytes.
    head: [u8; MAX_HEADER],
    head_len: u8,
    role: Role,
    /// A close or an error was given out.
    done: bool,
}

/// What has begun and not ended. At least one of the two is there.
#[derive(Default)]
struct Progress {
    /// The data message whose last frame has not ended.
    message: Option<Assembly>,
    /// The frame whose payload has not all arrived.
    frame: Option<OpenFrame>,
}

struct Assembly {
    body: Body,
    /// Frames begun so far.
    fragments: u32,
}

enum Body {
    Text(TextAssembly),
    Binary(Vec<u8>),
}

struct OpenFrame {
    kind: Kind,
    /// Payload bytes to come.
    rest: usize,
    /// The key, turned to meet the next byte.
    key: Option<[u8; 4]>,
}

enum Kind {
    /// Goes to the message under way.
    Data { fin: bool },
    /// Goes here: control frames stand between the frames of a message.
    Control { opcode: Opcode, payload: Vec<u8> },
}

impl Decoder {
    /// A decoder for one connection; `role` is ours, not the peer's.
    pub const fn new(role: Role, limits: Limits) -> Self {
        Self { limits, progress: None, head: [0; MAX_HEADER], head_len: 0, role, done: false }
    }

    /// Takes bytes off the front of `input` until a message is whole; none once all of `input` is used up.
    ///
    /// The bytes are unmasked where they lie. A fault is told as soon as its byte is there: bad UTF-8 within a frame, a
    /// frame too big with its header. What a header breaks is told in this order: reserved bits, opcode, masking, control
    /// frame, fragmentation, length, limits. After an error or a close there is nothing more: the rest of `input`
    /// is dropped and so is everything later (RFC 6455 §5.5.1, §7.1.7).
    ///
    /// # Errors
    /// [`Reason::ProtocolError`], [`Reason::InvalidPayload`] or [`Reason::MessageTooBig`], as
    /// [`FrameError::reason`] says.
    ///
    /// [`Reason::ProtocolError`]: portcullis_reason::Reason::ProtocolError
    /// [`Reason::InvalidPayload`]: portcullis_reason::Reason::InvalidPayload
    /// [`Reason::MessageTooBig`]: portcullis_reason::Reason::MessageTooBig
    pub fn decode<'c>(&mut self, input: &mut &'c mut [u8]) -> Result<Option<Message<'c>>, FrameError> {
        let result = if self.done { Ok(None) } else { self.advance(input) };
        if self.done || matches!(result, Err(_) | Ok(Some(Message::Close(_)))) {
            self.done = true;
            self.progress = None;
            *input = &mut [];
        }
        result
    }

    /// Whether nothing has begun that has not ended: neither a message nor a frame.
    pub const fn is_between_messages(&self) -> bool {
        self.progress.is_none() && self.head_len == 0
    }

    /// Whether a close or an error was given out, after which nothing comes.
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// Heap bytes held for what has begun; 0 between messages.
    pub fn heap_size(&self) -> usize {
        let Some(progress) = &self.progress else { return 0 };
        let message = progress.message.as_ref().map_or(0, |message| message.body.capacity());
        let control = match &progress.frame {
            Some(OpenFrame { kind: Kind::Control { payload, .. }, .. }) => payload.capacity(),
            _ => 0,
        };
        size_of::<Progress>() + message + control
    }

    fn advance<'c>(&mut self, input: &mut &'c mut [u8]) -> Result<Option<Message<'c>>, FrameError> {
        loop {
            let message =
                if let Some(frame) = self.progress.as_mut().and_then(|progress| progress.frame.take()) {
                    self.take_payload(frame, input)?
                } else {
                    let Some((header, opcode)) = self.take_header(input)? else { return Ok(None) };
                    self.begin_frame(&header, opcode, input)?
                };
            if message.is_some() || input.is_empty() {
                return Ok(message);
            }
        }
    }

    /// Takes a header off `input`, or as much of it as is there. What it gives was checked.
    fn take_header(&mut self, input: &mut &mut [u8]) -> Result<Option<(Header, Opcode)>, FrameError> {
        if self.head_len == 0
            && let Some((header, size)) = Header::decode(input)
        {
            take(input, size);
            let opcode = self.check_start(&header)?;
            self.check_length(&header, opcode)?;
            return Ok(Some((header, opcode)));
        }
        while !input.is_empty() {
            self.head[usize::from(self.head_len)] = take(input, 1)[0];
            self.head_len += 1;
            // The array is as long as the longest header, so what is missing reads as zeros: good enough to check the
            // first two bytes, without waiting for the others.
            let Some((header, size)) = Header::decode(&self.head).filter(|_| self.head_len >= 2) else {
                continue;
            };
            let opcode = self.check_start(&header)?;
            if usize::from(self.head_len) == size {
                self.check_length(&header, opcode)?;
                self.head = [0; MAX_HEADER];
                self.head_len = 0;
                return Ok(Some((header, opcode)));
            }
        }
        Ok(None)
    }

    /// The rules that a header's first two bytes can break.
    fn check_start(&self, header: &Header) -> Result<Opcode, FrameError> {
        if header.rsv != 0 {
            return Err(FrameError::ReservedBits(header.rsv));
        }
        let opcode = Opcode::from_bits(header.opcode).ok_or(FrameError::ReservedOpcode(header.opcode))?;
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(FrameError::Unmasked),
            (Role::Client, Some(_)) => return Err(FrameError::Masked),
            (Role::Server, Some(_)) | (Role::Client, None) => {}
        }
        match (opcode, self.message()) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) if !header.fin => {
                Err(FrameError::ControlFragmented)
            }
            (Opcode::Continuation, None) => Err(FrameError::UnexpectedContinuation),
            (Opcode::Text | Opcode::Binary, Some(_)) => Err(FrameError::ExpectedContinuation),
            _ => Ok(opcode),
        }
    }

    /// The rules that need the whole length.
    fn check_length(&self, header: &Header, opcode: Opcode) -> Result<(), FrameError> {
        let announced = header.length;
        if announced >> 63 != 0 {
            return Err(FrameError::LengthTopBit);
        }
        if header.form != LengthForm::shortest(announced) {
            return Err(FrameError::LengthNotShortest(announced));
        }
        if opcode.is_control() {
            // Not subject to the limits: a control frame is always allowed its 125 bytes.
            return if announced > MAX_CONTROL_PAYLOAD as u64 {
                Err(FrameError::ControlTooLong)
            } else {
                Ok(())
            };
        }
        let Limits { frame, message, fragments } = self.limits;
        if announced > frame as u64 {
            return Err(FrameError::FrameTooBig { announced, limit: frame });
        }
        let announced = announced + self.message().map_or(0, |message| message.body.len() as u64);
        if announced > message as u64 {
            return Err(FrameError::MessageTooBig { announced, limit: message });
        }
        if self.message().is_some_and(|message| message.fragments >= fragments) {
            return Err(FrameError::TooManyFragments { limit: fragments });
        }
        Ok(())
    }

    /// Starts on the payload of a frame whose header was checked.
    fn begin_frame<'c>(
        &mut self,
        header: &Header,
        opcode: Opcode,
        input: &mut &'c mut [u8],
    ) -> Result<Option<Message<'c>>, FrameError> {
        // Checked against the limits, which are `usize`.
        let length = header.length as usize;
        let whole = input.len() >= length;
        let alone = header.fin && opcode != Opcode::Continuation;
        if whole && alone {
            let payload = take(input, length);
            if let Some(key) = header.mask {
                apply_mask(payload, key);
            }
            return whole_message(opcode, payload).map(Some);
        }
        let progress = self.progress.get_or_insert_default();
        let kind = match opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong => {
                Kind::Control { opcode, payload: Vec::with_capacity(length) }
            }
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                progress.message.get_or_insert_with(|| Assembly::new(opcode)).fragments += 1;
                Kind::Data { fin: header.fin }
            }
        };
        self.take_payload(OpenFrame { kind, rest: length, key: header.mask }, input)
    }

    /// Takes as much of `frame`'s payload as there is.
    fn take_payload<'c>(
        &mut self,
        mut frame: OpenFrame,
        input: &mut &'c mut [u8],
    ) -> Result<Option<Message<'c>>, FrameError> {
        let progress = self.progress.get_or_insert_default();
        let piece = take(input, frame.rest.min(input.len()));
        frame.rest -= piece.len();
        if let Some(key) = &mut frame.key {
            apply_mask(piece, *key);
            key.rotate_left(piece.len() % 4);
        }
        match &mut frame.kind {
            Kind::Control { payload, .. } => payload.extend_from_slice(piece),
            Kind::Data { fin } => {
                let message = progress.message.as_mut().expect("a data frame belongs to a message");
                let end = message.body.len() + piece.len();
                let end = if *fin { end + frame.rest } else { self.limits.message };
                message.body.push(piece, end)?;
            }
        }
        if frame.rest > 0 {
            progress.frame = Some(frame);
            return Ok(None);
        }
        let message = match frame.kind {
            Kind::Data { fin: false } => return Ok(None),
            Kind::Data { fin: true } => {
                let message = progress.message.take().expect("a data frame belongs to a message");
                message.body.finish()?
            }
            Kind::Control { opcode: Opcode::Ping, payload } => Message::Ping(Cow::Owned(payload)),
            Kind::Control { opcode: Opcode::Pong, payload } => Message::Pong(Cow::Owned(payload)),
            Kind::Control { payload, .. } => {
                Message::Close(close_body(&payload)?.map(CloseFrame::into_owned))
            }
        };
        if progress.message.is_none() {
            self.progress = None;
        }
        Ok(Some(message))
    }

    fn message(&self) -> Option<&Assembly> {
        self.progress.as_ref().and_then(|progress| progress.message.as_ref())
    }
}

impl Assembly {
    /// The message that a frame of `opcode` begins.
    fn new(opcode: Opcode) -> Self {
        let body = match opcode {
            Opcode::Text => Body::Text(TextAssembly::default()),
            _ => Body::Binary(Vec::new()),
        };
        Self { body, fragments: 0 }
    }
}

impl Body {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) => bytes.capacity(),
        }
    }

    /// Appends `piece`; the message will not be longer than `end`.
    ///
    /// Memory follows what has arrived, at most twice as much, and not what was announced: a header costs its sender
    /// nothing. It never exceeds `end`.
    fn push(&mut self, piece: &[u8], end: usize) -> Result<(), FrameError> {
        let length = self.len();
        if self.capacity() - length < piece.len() {
            let wanted = (length * 2).max(length + piece.len()).max(SMALLEST_BUFFER).min(end);
            match self {
                Self::Text(text) => text.reserve(wanted - length),
                Self::Binary(bytes) => bytes.reserve_exact(wanted - length),
            }
        }
        match self {
            Self::Text(text) => text.push(piece),
            Self::Binary(bytes) => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<Message<'static>, FrameError> {
        Ok(match self {
            Self::Text(text) => Message::Text(Cow::Owned(text.finish()?)),
            Self::Binary(bytes) => Message::Binary(Cow::Owned(bytes)),
        })
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Sizes only: what has arrived may be a credential.
        f.debug_struct("Decoder")
            .field("role", &self.role)
            .field("limits", &self.limits)
            .field("done", &self.done)
            .field("between_messages", &self.is_between_messages())
            .field("heap_size", &self.heap_size())
            .finish_non_exhaustive()
    }
}

/// The message of a frame that came in one piece.
fn whole_message(opcode: Opcode, payload: &[u8]) -> Result<Message<'_>, FrameError> {
    Ok(match opcode {
        Opcode::Text => {
            let text = simdutf8::basic::from_utf8(payload).map_err(|_| FrameError::TextNotUtf8)?;
            Message::Text(Cow::Borrowed(text))
        }
        Opcode::Binary | Opcode::Continuation => Message::Binary(Cow::Borrowed(payload)),
        Opcode::Ping => Message::Ping(Cow::Borrowed(payload)),
        Opcode::Pong => Message::Pong(Cow::Borrowed(payload)),
        Opcode::Close => Message::Close(close_body(payload)?),
    })
}

/// Reads a close body (RFC 6455 §5.5.1).
fn close_body(payload: &[u8]) -> Result<Option<CloseFrame<'_>>, FrameError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(FrameError::CloseBodyTooShort) };
    };
    let code = u16::from_be_bytes(*code);
    let code = WireCode::new(code).ok_or(FrameError::CloseCode(code))?;
    let reason = str::from_utf8(reason).map_err(|_| FrameError::CloseReasonNotUtf8)?;
    Ok(Some(CloseFrame { code, reason: Cow::Borrowed(reason) }))
}

/// Takes `count` bytes off the front.
fn take<'c>(input: &mut &'c mut [u8], count: usize) -> &'c mut [u8] {
    let (front, rest) = mem::take(input).split_at_mut(count);
    *input = rest;
    front
}

/// A message that comes in pieces gets this much at once, or its own length if that is known and less.
const SMALLEST_BUFFER: usize = 256;

#[cfg(test)]
mod tests;
