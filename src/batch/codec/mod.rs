//! The four codecs of record batches, as streams.
//!
//! Decompression yields at most what its caller allows and holds one block or window at a time,
//! so a small input cannot make the process grow: gzip 32 KiB, snappy one block (at most 22 times
//! its input), lz4 8 MiB, zstd the window that its frame declares, which fills only as output
//! comes.
//!
//! What is written here is what Java's and librdkafka's readers take: snappy in the framing of
//! snappy-java, lz4 in independent blocks of 64 KiB.

mod gzip;
mod snappy;

use std::io::{self, BufRead, Read, Write};

use self::gzip::GzipReader;
use self::snappy::{SnappyReader, SnappyWriter};

/// How the records of a batch are compressed (`CompressionType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// Gzip (RFC 1952).
    Gzip,
    /// Snappy: snappy-java's framing, or one raw block.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// A codec number that Kafka has not given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Unknown compression type id: {0}")]
pub struct UnknownCodec(pub i16);

impl Codec {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with that number in the attributes of a batch.
    pub fn from_id(id: i16) -> Result<Self, UnknownCodec> {
        match id {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            unknown => Err(UnknownCodec(unknown)),
        }
    }

    /// Its number.
    pub const fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Its name in `compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

/// How hard to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Level {
    /// The codec's own default: gzip 6, zstd 3.
    #[default]
    Default,
    /// gzip 1 to 9, zstd -131072 to 22. Snappy has no levels, and our lz4 encoder has one:
    /// `compression.lz4.level` changes nothing.
    Exactly(i32),
}

/// Why compressed bytes could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// More came out than was allowed.
    #[error("more than {0} bytes after decompression")]
    TooLarge(usize),
    /// Not what the codec writes.
    #[error("failed to decompress: {0}")]
    Corrupt(String),
}

/// Marks, inside an [`io::Error`], that the cap was reached.
#[derive(Debug, thiserror::Error)]
#[error("more than {0} bytes after decompression")]
struct CapReached(usize);

impl From<io::Error> for DecompressError {
    fn from(error: io::Error) -> Self {
        match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<CapReached>())
        {
            Some(CapReached(cap)) => Self::TooLarge(*cap),
            None => Self::Corrupt(error.to_string()),
        }
    }
}

/// Largest window of a zstd frame that is decoded, as a power of two: what level 22 asks for, and
/// the bound that libzstd has by default.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// A decompressed stream that fails once more than a cap has come out of it.
pub(super) struct Decoder<'a> {
    stream: Box<dyn Read + 'a>,
    left: usize,
    cap: usize,
}

impl<'a> Decoder<'a> {
    /// Reads what `codec` made of `input`.
    pub(super) fn new(codec: Codec, input: &'a [u8], cap: usize) -> Result<Self, DecompressError> {
        let stream: Box<dyn Read + 'a> = match codec {
            Codec::None => Box::new(input),
            Codec::Gzip => Box::new(GzipReader::new(input)),
            Codec::Snappy => Box::new(SnappyReader::new(input, cap)),
            Codec::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
            Codec::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        };
        Ok(Self {
            stream,
            left: cap,
            cap,
        })
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(CapReached(self.cap))),
        }
        Ok(read)
    }
}

/// All that `codec` made of `input`, if it is at most `cap` bytes.
///
/// Memory grows with what really comes out, never with what the input claims.
pub fn decompress(codec: Codec, input: &[u8], cap: usize) -> Result<Vec<u8>, DecompressError> {
    let mut output = Vec::new();
    Decoder::new(codec, input, cap)?.read_to_end(&mut output)?;
    Ok(output)
}

/// `input`, compressed.
pub fn compress(codec: Codec, level: Level, input: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = Encoder::new(codec, level, Vec::new())?;
    encoder.write_all(input)?;
    encoder.finish()
}

/// A stream that compresses what is written to it, behind what its buffer held already.
pub(super) enum Encoder {
    None(Vec<u8>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Snappy(SnappyWriter),
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    pub(super) fn new(codec: Codec, level: Level, output: Vec<u8>) -> io::Result<Self> {
        Ok(match codec {
            Codec::None => Self::None(output),
            Codec::Gzip => Self::Gzip(flate2::write::GzEncoder::new(
                output,
                match level {
                    Level::Exactly(level @ 1..=9) => flate2::Compression::new(level.unsigned_abs()),
                    Level::Exactly(_) | Level::Default => flate2::Compression::default(),
                },
            )),
            Codec::Snappy => Self::Snappy(SnappyWriter::new(output)),
            Codec::Lz4 => {
                // Java refuses frames with linked blocks.
                let frame = lz4_flex::frame::FrameInfo::new()
                    .block_mode(lz4_flex::frame::BlockMode::Independent)
                    .block_size(lz4_flex::frame::BlockSize::Max64KB);
                Self::Lz4(Box::new(lz4_flex::frame::FrameEncoder::with_frame_info(
                    frame, output,
                )))
            }
            Codec::Zstd => {
                let level = match level {
                    Level::Exactly(level) => level,
                    Level::Default => zstd::DEFAULT_COMPRESSION_LEVEL,
                };
                Self::Zstd(zstd::stream::write::Encoder::new(output, level)?)
            }
        })
    }

    /// Bytes of output so far; some may still be in the encoder.
    pub(super) fn written(&self) -> usize {
        match self {
            Self::None(output) => output.len(),
            Self::Gzip(encoder) => encoder.get_ref().len(),
            Self::Snappy(encoder) => encoder.written(),
            Self::Lz4(encoder) => encoder.get_ref().len(),
            Self::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    /// Ends the stream.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::None(output) => Ok(output),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Snappy(encoder) => encoder.finish(),
            Self::Lz4(encoder) => encoder.finish().map_err(io::Error::from),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }

    fn stream(&mut self) -> &mut dyn Write {
        match self {
            Self::None(output) => output,
            Self::Gzip(encoder) => encoder,
            Self::Snappy(encoder) => encoder,
            Self::Lz4(encoder) => encoder.as_mut(),
            Self::Zstd(encoder) => encoder,
        }
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream().flush()
    }
}

/// Whether a stream has ended.
pub(super) fn at_end(stream: &mut impl BufRead) -> io::Result<bool> {
    Ok(stream.fill_buf()?.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMPRESSING: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    #[test]
    fn codecs_come_back_from_their_numbers_and_names() {
        for codec in Codec::ALL {
            assert_eq!(Codec::from_id(codec.id()), Ok(codec));
            assert_eq!(Codec::from_name(codec.name()), Some(codec));
        }
        for id in 5..8 {
            assert_eq!(Codec::from_id(id), Err(UnknownCodec(id)));
        }
    }

    #[test]
    fn every_level_can_be_read_again() {
        let text = b"so it goes ".repeat(1000);
        for level in [1, 9] {
            let packed = compress(Codec::Gzip, Level::Exactly(level), &text).unwrap();
            assert_eq!(decompress(Codec::Gzip, &packed, text.len()).unwrap(), text);
        }
        for level in [-5, 1, 22] {
            let packed = compress(Codec::Zstd, Level::Exactly(level), &text).unwrap();
            assert_eq!(decompress(Codec::Zstd, &packed, text.len()).unwrap(), text);
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_cap() {
        let zeros = vec![0; 64 << 20];
        for codec in COMPRESSING {
            let bomb = compress(codec, Level::Default, &zeros).unwrap();
            assert!(
                bomb.len() < zeros.len() / 20,
                "{codec:?}: {} bytes",
                bomb.len()
            );
            assert_eq!(
                decompress(codec, &bomb, 1 << 20),
                Err(DecompressError::TooLarge(1 << 20)),
                "{codec:?}"
            );
        }
    }

    #[test]
    fn output_of_exactly_the_cap_is_allowed() {
        let text = vec![b'x'; 100_000];
        for codec in COMPRESSING {
            let packed = compress(codec, Level::Default, &text).unwrap();
            assert_eq!(
                decompress(codec, &packed, text.len()).unwrap(),
                text,
                "{codec:?}"
            );
            assert_eq!(
                decompress(codec, &packed, text.len() - 1),
                Err(DecompressError::TooLarge(text.len() - 1)),
                "{codec:?}"
            );
        }
    }

    #[test]
    fn noise_is_refused_by_every_codec() {
        for codec in COMPRESSING {
            let noise = [0x5a; 64];
            assert!(
                matches!(
                    decompress(codec, &noise, 1 << 20),
                    Err(DecompressError::Corrupt(_))
                ),
                "{codec:?}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_was_compressed_comes_back(
            bytes in proptest::collection::vec(any::<u8>(), 0..100_000),
            id in 0_i16..5,
        ) {
            let codec = Codec::from_id(id).unwrap();
            let packed = compress(codec, Level::Default, &bytes).unwrap();
            prop_assert_eq!(decompress(codec, &packed, bytes.len()).unwrap(), bytes);
        }

        #[test]
        fn damaged_streams_never_panic_or_exceed_the_cap(
            seed in proptest::collection::vec(0_u8..4, 0..5000),
            id in 1_i16..5,
            at: prop::sample::Index,
            to: u8,
        ) {
            let codec = Codec::from_id(id).unwrap();
            let mut packed = compress(codec, Level::Default, &seed).unwrap();
            let at = at.index(packed.len());
            packed[at] = to;
            if let Ok(output) = decompress(codec, &packed, 10_000) {
                prop_assert!(output.len() <= 10_000);
            }
        }
    }
}
