//! The frame header, bit by bit, without judgement: whatever can be said on the wire can be said here.

/// The most bytes a header has: two, eight of length, four of key.
pub const MAX_HEADER: usize = 14;

/// The most payload bytes of a control frame (RFC 6455 §5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// What a frame is (RFC 6455 §5.2, §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further frame of a message.
    Continuation = 0x0,
    /// The first frame of a text message.
    Text = 0x1,
    /// The first frame of a binary message.
    Binary = 0x2,
    /// Connection close.
    Close = 0x8,
    /// Ping.
    Ping = 0x9,
    /// Pong.
    Pong = 0xA,
}

impl Opcode {
    /// The opcode of these four bits, or none if they are reserved.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// The four bits.
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Whether it is a control frame: close, ping or pong (RFC 6455 §5.5).
    pub const fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

/// How a payload length is written (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LengthForm {
    /// In the seven bits of the second byte: 0 to 125.
    Bits7,
    /// In two more bytes: up to 65,535.
    Bits16,
    /// In eight more bytes.
    Bits64,
}

impl LengthForm {
    /// The form that a sender has to use for `length` (RFC 6455 §5.2: "the minimal number of bytes MUST be used").
    pub const fn shortest(length: u64) -> Self {
        match length {
            0..=125 => Self::Bits7,
            126..=0xFFFF => Self::Bits16,
            _ => Self::Bits64,
        }
    }
}

/// A frame header as it stands on the wire, legal or not.
///
/// [`Header::new`] makes legal ones; its fields are public so that a tester can make any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The last (or only) frame of its message.
    pub fin: bool,
    /// RSV1 to RSV3 as bits 2 to 0.
    pub rsv: u8,
    /// Four bits; see [`Opcode`] for those with a meaning.
    pub opcode: u8,
    /// The masking key, where the mask bit is set.
    pub mask: Option<[u8; 4]>,
    /// Announced payload bytes.
    pub length: u64,
    /// How `length` is written. A form too short for it drops the upper bits.
    pub form: LengthForm,
}

impl Header {
    /// The header of a whole, unmasked frame.
    pub const fn new(opcode: Opcode, length: u64) -> Self {
        Self {
            fin: true,
            rsv: 0,
            opcode: opcode.bits(),
            mask: None,
            length,
            form: LengthForm::shortest(length),
        }
    }

    /// How many bytes the header takes: 2 to [`MAX_HEADER`].
    pub const fn size(&self) -> usize {
        let length = match self.form {
            LengthForm::Bits7 => 0,
            LengthForm::Bits16 => 2,
            LengthForm::Bits64 => 8,
        };
        2 + length + if self.mask.is_some() { 4 } else { 0 }
    }

    /// Reads the header at the start of `bytes`: none until all of it is there, else the header and its size.
    ///
    /// Takes everything that the bits can say: judging is the [`Decoder`](crate::Decoder)'s.
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
        let (form, length, rest) = match second & 0x7F {
            126 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (LengthForm::Bits16, u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk::<8>()?;
                (LengthForm::Bits64, u64::from_be_bytes(*length), rest)
            }
            short => (LengthForm::Bits7, u64::from(short), rest),
        };
        let mask = if second & MASK_BIT == 0 { None } else { Some(*rest.first_chunk::<4>()?) };
        let header = Self {
            fin: first & FIN_BIT != 0,
            rsv: first >> 4 & 0x7,
            opcode: first & 0xF,
            mask,
            length,
            form,
        };
        Some((header, header.size()))
    }

    /// Appends the header's bytes to `out`.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let (bytes, size) = self.to_array();
        out.extend_from_slice(&bytes[..size]);
    }

    /// The header's bytes and how many of them count.
    pub(crate) fn to_array(self) -> ([u8; MAX_HEADER], usize) {
        let mut bytes = [0; MAX_HEADER];
        let fin = if self.fin { FIN_BIT } else { 0 };
        bytes[0] = fin | (self.rsv & 0x7) << 4 | self.opcode & 0xF;
        let mut size = match self.form {
            LengthForm::Bits7 => {
                bytes[1] = self.length as u8 & 0x7F;
                2
            }
            LengthForm::Bits16 => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(self.length as u16).to_be_bytes());
                4
            }
            LengthForm::Bits64 => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&self.length.to_be_bytes());
                10
            }
        };
        if let Some(key) = self.mask {
            bytes[1] |= MASK_BIT;
            bytes[size..size + 4].copy_from_slice(&key);
            size += 4;
        }
        (bytes, size)
    }
}

const FIN_BIT: u8 = 0x80;
const MASK_BIT: u8 = 0x80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_the_shortest_form() {
        // RFC 6455 §5.2.
        let cases: &[(u64, &[u8])] = &[
            (0, &[0x82, 0]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (0xFFFF, &[0x82, 126, 0xFF, 0xFF]),
            (0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ];
        for &(length, expected) in cases {
            let mut out = Vec::new();
            Header::new(Opcode::Binary, length).append_to(&mut out);
            assert_eq!(out, expected, "{length}");
        }
    }

    #[test]
    fn knows_six_opcodes() {
        let known: Vec<u8> = (0..=u8::MAX).filter(|&bits| Opcode::from_bits(bits).is_some()).collect();
        assert_eq!(known, [0, 1, 2, 8, 9, 10]);
        for bits in known {
            let opcode = Opcode::from_bits(bits).unwrap();
            assert_eq!((opcode.bits(), opcode.is_control()), (bits, bits >= 8));
        }
    }

    proptest! {
        #[test]
        fn every_header_survives_the_round_trip(
            fin: bool, rsv in 0_u8..8, opcode in 0_u8..16, mask: Option<[u8; 4]>, length: u64, form in 0..3,
        ) {
            let (form, length) = match form {
                0 => (LengthForm::Bits7, length % 126),
                1 => (LengthForm::Bits16, length & 0xFFFF),
                _ => (LengthForm::Bits64, length),
            };
            let header = Header { fin, rsv, opcode, mask, length, form };
            let mut bytes = Vec::new();
            header.append_to(&mut bytes);
            prop_assert_eq!(bytes.len(), header.size());
            for short in 0..bytes.len() {
                prop_assert_eq!(Header::decode(&bytes[..short]), None);
            }
            bytes.push(0);
            prop_assert_eq!(Header::decode(&bytes), Some((header, header.size())));
        }

        #[test]
        fn every_bit_pattern_is_written_back(bytes in prop::collection::vec(any::<u8>(), 0..16)) {
            if let Some((header, size)) = Header::decode(&bytes) {
                let mut again = Vec::new();
                header.append_to(&mut again);
                prop_assert_eq!(&again[..], &bytes[..size]);
            }
        }
    }
}
