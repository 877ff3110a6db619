//! Snappy in the two shapes that clients send.
//!
//! ```text
//! snappy-java (Java, and what is written here):
//!   82 'S' 'N' 'A' 'P' 'P' 'Y' 00 │ version i32 = 1 │ compatible version i32 = 1 │ block*
//!   block: length i32 │ that many bytes of raw snappy, at most 32 KiB when decompressed
//! raw (librdkafka): one raw snappy block, no header
//! ```
//!
//! Snappy's frame format with stream identifier is a third one, which no Kafka client uses.

use std::io::{self, Read, Write};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Magic and the two version numbers.
const HEADER_LENGTH: usize = 16;
/// What `SnappyOutputStream` puts in one block.
const BLOCK_BYTES: usize = 32 * 1024;
/// The densest element of the format turns three bytes into 64.
const EXPANSION_MAX: usize = 22;

/// Decompresses block by block.
pub(super) struct SnappyReader<'a> {
    input: Input<'a>,
    /// Most bytes that one block may decompress to.
    cap: usize,
    block: Vec<u8>,
    /// First byte of `block` that was not read yet.
    at: usize,
}

enum Input<'a> {
    /// Blocks with lengths before them.
    Framed(&'a [u8]),
    /// One raw block, until it was read.
    Raw(Option<&'a [u8]>),
}

impl<'a> SnappyReader<'a> {
    pub(super) fn new(input: &'a [u8], cap: usize) -> Self {
        let input = match without_header(input) {
            Some(blocks) => Input::Framed(blocks),
            None => Input::Raw(Some(input)),
        };
        Self {
            input,
            cap,
            block: Vec::new(),
            at: 0,
        }
    }

    /// Decompresses the next block that is not empty; `false` at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        loop {
            let compressed = match &mut self.input {
                Input::Raw(block) => match block.take() {
                    Some(block) => block,
                    None => return Ok(false),
                },
                Input::Framed(rest) => {
                    // Streams may be joined: another header may stand where a block could.
                    *rest = without_header(rest).unwrap_or(rest);
                    if rest.is_empty() {
                        return Ok(false);
                    }
                    let (block, after) = split_block(rest)?;
                    *rest = after;
                    block
                }
            };
            let len = snap::raw::decompress_len(compressed)?;
            if len > compressed.len().saturating_mul(EXPANSION_MAX) {
                return Err(corrupt("a block claims more than snappy can pack"));
            }
            if len > self.cap {
                return Err(io::Error::other(super::CapReached(self.cap)));
            }
            self.block.resize(len, 0);
            let written = snap::raw::Decoder::new().decompress(compressed, &mut self.block)?;
            self.block.truncate(written);
            self.at = 0;
            if written > 0 {
                return Ok(true);
            }
        }
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() && !self.next_block()? {
            return Ok(0);
        }
        let mut unread = self.block.get(self.at..).unwrap_or_default();
        let read = unread.read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

fn without_header(input: &[u8]) -> Option<&[u8]> {
    input
        .starts_with(&MAGIC)
        .then(|| input.get(HEADER_LENGTH..))
        .flatten()
}

fn split_block(input: &[u8]) -> io::Result<(&[u8], &[u8])> {
    let (len, rest) = input
        .split_first_chunk()
        .ok_or_else(|| corrupt("a block's length is cut off"))?;
    usize::try_from(i32::from_be_bytes(*len))
        .ok()
        .and_then(|len| rest.split_at_checked(len))
        .ok_or_else(|| corrupt("a block is longer than the rest"))
}

fn corrupt(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Compresses block by block.
pub(in crate::batch) struct SnappyWriter {
    output: Vec<u8>,
    /// Not compressed yet; shorter than a block between writes.
    pending: Vec<u8>,
}

impl SnappyWriter {
    pub(super) fn new(mut output: Vec<u8>) -> Self {
        output.extend_from_slice(&MAGIC);
        output.extend_from_slice(&1_i32.to_be_bytes());
        output.extend_from_slice(&1_i32.to_be_bytes());
        Self {
            output,
            pending: Vec::new(),
        }
    }

    pub(super) fn written(&self) -> usize {
        self.output.len()
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.put_block()?;
        Ok(self.output)
    }

    fn put_block(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let block = snap::raw::Encoder::new().compress_vec(&self.pending)?;
        // A block of 32 KiB compresses to less than 40 KiB.
        let len = i32::try_from(block.len()).map_err(io::Error::other)?;
        self.output.extend_from_slice(&len.to_be_bytes());
        self.output.extend_from_slice(&block);
        self.pending.clear();
        Ok(())
    }
}

impl Write for SnappyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BLOCK_BYTES - self.pending.len();
        let (taken, _) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.pending.extend_from_slice(taken);
        if self.pending.len() == BLOCK_BYTES {
            self.put_block()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.put_block()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> io::Result<Vec<u8>> {
        let mut output = Vec::new();
        SnappyReader::new(input, 1 << 20).read_to_end(&mut output)?;
        Ok(output)
    }

    #[test]
    fn raw_blocks_are_read_as_librdkafka_writes_them() {
        let raw = snap::raw::Encoder::new()
            .compress_vec(b"hello hello hello")
            .unwrap();
        assert_eq!(read(&raw).unwrap(), b"hello hello hello");
    }

    #[test]
    fn joined_streams_are_read_as_one() {
        let mut one = SnappyWriter::new(Vec::new());
        one.write_all(b"one").unwrap();
        let mut two = SnappyWriter::new(one.finish().unwrap());
        two.write_all(b"two").unwrap();
        assert_eq!(read(&two.finish().unwrap()).unwrap(), b"onetwo");
    }

    #[test]
    fn a_block_that_claims_too_much_is_refused_before_memory_is_taken() {
        // Varint 2^31 - 1 as the decompressed length, then nothing like it.
        assert!(read(&[0xff, 0xff, 0xff, 0xff, 0x07, 0, 0]).is_err());
    }

    #[test]
    fn a_stream_that_is_cut_is_refused() {
        let mut writer = SnappyWriter::new(Vec::new());
        writer.write_all(b"some bytes").unwrap();
        let whole = writer.finish().unwrap();
        assert!(read(&whole[..whole.len() - 1]).is_err());
        assert!(read(&whole[..HEADER_LENGTH + 2]).is_err());
        assert_eq!(read(&whole[..HEADER_LENGTH]).unwrap(), b"");
    }
}
