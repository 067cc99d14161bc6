//! What is read: as it is, or unpacked where rotation has compressed it.

use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;

/// The input, unpacked if it is gzip's.
pub(super) fn unpacked(mut input: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let mut start = Vec::new();
    input.by_ref().take(MAGIC as u64).read_to_end(&mut start)?;
    let packer = packer(&start);
    let whole = Cursor::new(start).chain(input);
    match packer {
        None => Ok(Box::new(whole)),
        Some("gzip") => Ok(Box::new(Bounded { inner: MultiGzDecoder::new(whole), left: MOST })),
        Some(other) => Err(invalid(format!("it is compressed by {other}: unpack it first, into a pipe"))),
    }
}

/// What compressed it, by its first bytes.
pub(super) fn packer(start: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 4] =
        [(b"\x1f\x8b\x08", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ", "xz"), (b"BZh", "bzip2")];
    known.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, name)| name)
}

/// Gives up where more comes out than any log has: a file of some megabytes can stand for terabytes.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
            invalid("more comes out of it than is read of a compressed file; pipe it in: zcat FILE | portcullis diagnose")
        })?;
        Ok(length)
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// As many bytes as the longest mark has.
pub(super) const MAGIC: usize = 5;
/// How much is read at once.
pub(super) const BUFFER: usize = 256 * 1024;
/// 8 GiB.
const MOST: u64 = 8 << 30;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn text(input: Vec<u8>) -> io::Result<String> {
        let mut text = String::new();
        unpacked(Cursor::new(input))?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn what_is_packed_is_unpacked_and_the_rest_left_as_it_is() {
        // Rotated files are appended to each other.
        assert_eq!(text([packed(b"one\n"), packed(b"two\n")].concat()).unwrap(), "one\ntwo\n");
        for plain in ["", "a", "INFO: a line\n"] {
            assert_eq!(text(plain.as_bytes().to_vec()).unwrap(), plain);
        }
    }

    #[test]
    fn what_cannot_be_unpacked_is_told() {
        let error = text(b"\x28\xb5\x2f\xfd and more".to_vec()).unwrap_err().to_string();
        assert!(error.contains("zstd"), "{error}");
        let whole = packed(b"a log");
        assert!(text(whole[..whole.len() - 6].to_vec()).is_err(), "cut off");
    }

    #[test]
    fn more_than_any_log_has_is_not_read() {
        let bomb = packed(&vec![0; 1 << 20]);
        assert!(bomb.len() < 2000);
        let mut bounded = Bounded { inner: MultiGzDecoder::new(&bomb[..]), left: 100_000 };
        let mut seen = Vec::new();
        let error = bounded.read_to_end(&mut seen).unwrap_err().to_string();
        assert!(error.contains("zcat"), "{error}");
        assert!(seen.len() <= 100_000, "{}", seen.len());
    }
}
