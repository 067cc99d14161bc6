//! Key material, parsed and checked once.

use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rsa::PublicKey as RsaKey,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
        RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
        RsaPublicKeyComponents, VerificationAlgorithm,
    },
};

use super::KeyError;
use crate::{Algorithm, algorithm::Family};

/// A key as the cryptographic library wants it, for one algorithm.
#[derive(Clone)]
pub(crate) enum Material {
    /// Boxed, because its precomputed state has 1.2 KB.
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Material {
    /// `algorithm` is one of HS*.
    pub(crate) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Self {
        let hash = match algorithm.hash_len() {
            32 => hmac::HMAC_SHA256,
            48 => hmac::HMAC_SHA384,
            _ => hmac::HMAC_SHA512,
        };
        Self::Hmac(Box::new(hmac::Key::new(hash, secret)))
    }

    pub(crate) fn public(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        let parsed = match (rsa_parameters(algorithm), algorithm) {
            (Some(parameters), _) => ParsedPublicKey::new(parameters, bytes),
            (None, Algorithm::Es256) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes),
            (None, Algorithm::Es384) => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, bytes),
            (None, Algorithm::EdDsa) => ParsedPublicKey::new(&ED25519, bytes),
            (None, _) => return Err(KeyError::WrongKind { algorithm, key: "a public key" }),
        };
        parsed.map(Self::Public).map_err(|_| KeyError::InvalidKey)
    }

    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match self {
            // In constant time, and for the whole tag only.
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => {
                // ECDSA values have one length, never DER (RFC 7518 §3.4).
                let expected = match algorithm {
                    Algorithm::Es256 | Algorithm::EdDsa => Some(64),
                    Algorithm::Es384 => Some(96),
                    _ => None,
                };
                expected.is_none_or(|len| signature.len() == len)
                    && key.verify_sig(message, signature).is_ok()
            }
        }
    }
}

const fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512
        | Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::EdDsa => None,
    }
}

/// A public key that passed its checks: long enough, on its curve, not from a known broken generator.
pub(super) struct PublicKey {
    family: Family,
    /// `SubjectPublicKeyInfo`, or the bare point of an elliptic curve.
    bytes: Vec<u8>,
}

impl PublicKey {
    /// From `SubjectPublicKeyInfo` (RFC 5280 §4.1), or PKCS#1 for RSA (RFC 8017 §A.1.1).
    pub(super) fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let curves: [(Family, &'static dyn VerificationAlgorithm); 3] = [
            (Family::P256, &ECDSA_P256_SHA256_FIXED),
            (Family::P384, &ECDSA_P384_SHA384_FIXED),
            (Family::Ed25519, &ED25519),
        ];
        for (family, algorithm) in curves {
            if ParsedPublicKey::new(algorithm, der).is_ok() {
                return Ok(Self { family, bytes: der.to_vec() });
            }
        }
        // Parsing checks the modulus and that the exponent is odd and more than one.
        let key = RsaKey::from_der(der).map_err(|_| KeyError::InvalidKey)?;
        let spki = key.as_der().map_err(|_| KeyError::InvalidKey)?;
        check_modulus(modulus(spki.as_ref()).ok_or(KeyError::InvalidKey)?)?;
        Ok(Self { family: Family::Rsa, bytes: spki.as_ref().to_vec() })
    }

    /// From the big-endian modulus and exponent (RFC 7518 §6.3.1).
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let trim = |number: &'_ [u8]| number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
        let (modulus, exponent) = (&modulus[trim(modulus)..], &exponent[trim(exponent)..]);
        check_modulus(modulus)?;
        let parsed = RsaPublicKeyComponents { n: modulus, e: exponent }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| KeyError::InvalidKey)?;
        // Parsed once more, because only the way through DER checks the exponent.
        Self::from_der(parsed.as_ref())
    }

    /// From the affine coordinates (RFC 7518 §6.2.1), each of the curve's full length. The point must be on the curve.
    pub(super) fn curve(family: Family, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        let (len, algorithm) = match family {
            Family::P256 => (32, Algorithm::Es256),
            Family::P384 => (48, Algorithm::Es384),
            Family::Hmac | Family::Rsa | Family::Ed25519 => return Err(KeyError::InvalidKey),
        };
        if x.len() != len || y.len() != len {
            return Err(KeyError::InvalidKey);
        }
        let bytes = [&[4], x, y].concat();
        Material::public(algorithm, &bytes)?;
        Ok(Self { family, bytes })
    }

    /// From the 32 bytes of RFC 8037 §2.
    pub(super) fn ed25519(x: &[u8]) -> Result<Self, KeyError> {
        if x.len() != 32 {
            return Err(KeyError::InvalidKey);
        }
        Material::public(Algorithm::EdDsa, x)?;
        Ok(Self { family: Family::Ed25519, bytes: x.to_vec() })
    }

    pub(super) const fn family(&self) -> Family {
        self.family
    }

    pub(super) fn material(&self, algorithm: Algorithm) -> Result<Material, KeyError> {
        Material::public(algorithm, &self.bytes)
    }
}

/// 2048 bits or more (RFC 7518 §3.3), and not of the family that ROCA factors.
fn check_modulus(modulus: &[u8]) -> Result<(), KeyError> {
    let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err(KeyError::RsaLength { bits });
    }
    if is_roca(modulus) { Err(KeyError::WeakRsa) } else { Ok(()) }
}

/// Whether the modulus has the mark of CVE-2017-15361: modulo each small prime it is a power of 65537. A modulus from a
/// sound generator has it with a chance below 2^-100.
fn is_roca(modulus: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|prime| {
        let prime = u32::from(*prime);
        let rest = modulus.iter().fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * 65537 % prime));
        powers.take(prime as usize).any(|power| power == rest)
    })
}

const ROCA_PRIMES: [u8; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// The modulus in a `SubjectPublicKeyInfo` that the library wrote: a sequence of the algorithm and a bit string, in
/// which a sequence starts with the modulus.
fn modulus(spki: &[u8]) -> Option<&[u8]> {
    let (info, _) = der_value(spki, 0x30)?;
    let (_, after_algorithm) = der_value(info, 0x30)?;
    let (bits, _) = der_value(after_algorithm, 0x03)?;
    let (numbers, _) = der_value(bits.strip_prefix(&[0])?, 0x30)?;
    let (modulus, _) = der_value(numbers, 0x02)?;
    Some(modulus.strip_prefix(&[0]).unwrap_or(modulus))
}

/// The content of the DER value at the start of `der`, if it has this tag, and what follows it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = der.strip_prefix(&[tag])?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(*first & 0x7f))?;
        if digits.len() > 3 {
            return None;
        }
        (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
    };
    rest.split_at_checked(len)
}
