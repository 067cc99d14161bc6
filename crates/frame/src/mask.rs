//! Masking (RFC 6455 §5.3).

/// Masks or unmasks `bytes` in place; the first byte meets the first byte of `key`.
///
/// To go on in a later piece, turn the key with `key.rotate_left(done % 4)`. (RFC 6455 §5.3)
pub fn apply_mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    // Whole words without an aligned prefix: the compiler turns this loop into unaligned vector instructions.
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn masks_the_example_of_the_rfc() {
        // RFC 6455 §5.7: a single-frame masked text message, "Hello".
        let mut bytes = *b"Hello";
        apply_mask(&mut bytes, [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(bytes, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    proptest! {
        #[test]
        fn agrees_with_one_byte_at_a_time(
            bytes in prop::collection::vec(any::<u8>(), 0..300), key: [u8; 4], start in 0_usize..9, cut in 0_usize..300,
        ) {
            let start = start.min(bytes.len());
            let plain = &bytes[start..];
            let expected: Vec<u8> = plain.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            let mut whole = bytes.clone();
            apply_mask(&mut whole[start..], key);
            prop_assert_eq!(&whole[start..], &expected[..]);

            // In two pieces, with the key turned between them.
            let mut pieces = plain.to_vec();
            let (first, second) = pieces.split_at_mut(cut.min(plain.len()));
            let mut turned = key;
            turned.rotate_left(first.len() % 4);
            apply_mask(first, key);
            apply_mask(second, turned);
            prop_assert_eq!(pieces, expected);
        }
    }
}
