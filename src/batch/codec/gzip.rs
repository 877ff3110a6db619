//! Gzip, as Java reads it: members may follow each other, and what follows the last and does not
//! begin like a member is ignored.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Decompresses member by member.
pub(super) struct GzipReader<'a> {
    /// `None` after the last member.
    member: Option<GzDecoder<&'a [u8]>>,
}

impl<'a> GzipReader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self {
            member: Some(GzDecoder::new(input)),
        }
    }
}

impl Read for GzipReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            let rest = *member.get_ref();
            self.member = rest.starts_with(&MAGIC).then(|| GzDecoder::new(rest));
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn member(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(input: &[u8]) -> io::Result<Vec<u8>> {
        let mut output = Vec::new();
        GzipReader::new(input).read_to_end(&mut output)?;
        Ok(output)
    }

    #[test]
    fn members_are_joined_and_a_foreign_tail_is_ignored() {
        let two = [
            member(b"one"),
            member(b""),
            member(b"two"),
            b"tail".to_vec(),
        ]
        .concat();
        assert_eq!(read(&two).unwrap(), b"onetwo");
    }

    #[test]
    fn a_member_that_is_cut_is_refused() {
        let whole = member(b"some bytes");
        assert!(read(&whole[..whole.len() - 1]).is_err());
        assert!(read(&whole[..5]).is_err());
        assert!(read(b"").is_err());
    }
}
