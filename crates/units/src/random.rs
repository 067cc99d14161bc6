//! Bytes that nobody can guess, from the operating system.
//!
//! There is no other source in the server, and none that can be seeded: keys, secrets and marks come from here.

/// Fills `bytes`.
// Not aws-lc's generator: its first use measures the clock's jitter for some 60 ms, at every start of a server.
#[expect(clippy::disallowed_methods, reason = "the one source")]
pub fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// So many bytes.
pub fn bytes<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    fill(&mut bytes);
    bytes
}

/// So many bytes as twice as many hexadecimal digits.
pub fn hex<const BYTES: usize>() -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes::<BYTES>().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A number below `end`, or 0 if that is 0; even enough for what spreads load, not for keys.
pub fn below(end: u32) -> u32 {
    u32::from_be_bytes(bytes()) % end.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        assert_ne!(bytes::<16>(), bytes::<16>());
        assert_ne!(bytes::<16>(), [0; 16]);
    }

    #[test]
    fn hexadecimal_digits_are_two_for_each_byte_and_of_all_kinds() {
        let text = hex::<512>();
        assert_eq!(text.len(), 1_024);
        for digit in "0123456789abcdef".chars() {
            assert!(text.contains(digit), "{digit}");
        }
        assert!(text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')));
    }

    #[test]
    fn numbers_stay_below_their_end() {
        assert_eq!((below(0), below(1)), (0, 0));
        assert!((0..100).all(|_| below(7) < 7));
    }
}
