//! The proof that a handshake was understood.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

/// Computes `Sec-WebSocket-Accept` from the client's key as sent (RFC 6455 §4.2.2 item 5.4).
pub fn accept_value(key: &str) -> [u8; 28] {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    let mut value = [0; 28];
    STANDARD.encode_slice(hash.finalize(), &mut value).expect("20 bytes are 28 characters of base64");
    value
}

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
