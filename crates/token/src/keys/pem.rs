//! PEM (RFC 7468), as far as a verification key or our own signing key needs it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::KeyError;

/// The DER of the one public key in `pem`.
pub(super) fn public_key(pem: &str) -> Result<Vec<u8>, KeyError> {
    let block = Block::find(pem)?;
    match block.label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => block.decode().map(|der| der.to_vec()),
        label if label.ends_with("PRIVATE KEY") => Err(KeyError::PrivateKey),
        label if label.ends_with("CERTIFICATE") => Err(KeyError::Certificate),
        _ => Err(KeyError::UnsupportedPem),
    }
}

/// The DER of the one PKCS#8 private key in `pem` (RFC 5958).
pub(crate) fn private_key(pem: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let block = Block::find(pem)?;
    if block.label == "PRIVATE KEY" { block.decode() } else { Err(KeyError::InvalidPrivateKey) }
}

/// A PKCS#8 private key as PEM, in lines of 64 (RFC 7468 §2).
pub(crate) fn write_private_key(der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 60));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    for at in (0..body.len()).step_by(64) {
        pem.push_str(&body[at..body.len().min(at + 64)]);
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}

struct Block<'a> {
    label: &'a str,
    body: &'a str,
}

impl<'a> Block<'a> {
    /// Text around the block is passed over; a second block is refused, since it is not clear which was meant.
    fn find(pem: &'a str) -> Result<Self, KeyError> {
        let (_, rest) = pem.split_once(BEGIN).ok_or(KeyError::NotPem)?;
        let (label, rest) = rest.split_once(DASHES).ok_or(KeyError::DamagedPem)?;
        let (body, rest) = rest.split_once(END).ok_or(KeyError::DamagedPem)?;
        let rest = rest
            .strip_prefix(label)
            .and_then(|rest| rest.strip_prefix(DASHES))
            .ok_or(KeyError::DamagedPem)?;
        if rest.contains(BEGIN) { Err(KeyError::SeveralKeys) } else { Ok(Self { label, body }) }
    }

    fn decode(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let text: Zeroizing<Vec<u8>> =
            Zeroizing::new(self.body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
        let der = STANDARD.decode(text.as_slice()).map_err(|_| KeyError::DamagedPem)?;
        Ok(Zeroizing::new(der))
    }
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
