//! What consumers that speak the classic protocol tell each other through the coordinator, as
//! Kafka 4.1.2 describes it (`ConsumerProtocolSubscription.json`, `ConsumerProtocolAssignment.json`).
//!
//! ```text
//! int16 version, then the fields of that version, never flexible
//! ```
//!
//! A newer version begins like the newest that is known, so it is read as that, and what follows
//! is passed over.

use bytes::Bytes;

use super::{DecodeError, EncodeError, Reader, Schema, Writer, schema};

schema! {
    /// What a consumer subscribes to.
    pub Subscription [versions 0..=3, flexible from 4] {
        /// Topics, by name.
        topics: Vec<String> = Vec::new(), since 0;
        /// For assignors of its own.
        user_data: Option<Bytes> = None, since 0;
        /// What it has, and would keep (KIP-429).
        owned_partitions: Vec<TopicPartitions> = Vec::new(), since 1;
        /// Generation in which it was assigned that.
        generation: i32 = -1, since 2;
        /// Rack.
        rack_id: Option<String> = None, since 3;
    }

    /// What a consumer is assigned.
    pub Assignment [versions 0..=3, flexible from 4] {
        /// Partitions.
        assigned_partitions: Vec<TopicPartitions> = Vec::new(), since 0;
        /// From assignors of its own.
        user_data: Option<Bytes> = None, since 0;
    }

    /// Partitions of one topic.
    pub TopicPartitions [versions 0..=3, flexible from 4] {
        /// Topic, by name.
        topic: String = String::new(), since 0;
        /// Partitions.
        partitions: Vec<i32> = Vec::new(), since 0;
    }
}

/// Reads a message after its version, which comes along.
fn read<T: Schema>(bytes: &[u8]) -> Result<(T, i16), DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    let known = u32::try_from(version).unwrap_or(u32::MAX);
    let newest = u32::from(T::VERSIONS.end().unsigned_abs());
    let value = match version >= 0 {
        true => T::read(&mut reader, known.min(newest))?,
        false => T::read(&mut reader, known)?,
    };
    Ok((value, version))
}

impl Subscription {
    /// Reads a subscription, and the version that its client speaks.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, i16), DecodeError> {
        read(bytes)
    }
}

impl Assignment {
    /// Reads an assignment.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        read(bytes).map(|(assignment, _version)| assignment)
    }

    /// Writes an assignment for a client that speaks `version`.
    pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let version = version.clamp(*Self::VERSIONS.start(), *Self::VERSIONS.end());
        let mut writer = Writer::new();
        writer.i16(version);
        self.write(&mut writer, version)?;
        Ok(writer.into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_of_every_version_are_read() {
        let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff];
        let (read, version) = Subscription::from_bytes(&bytes).unwrap();
        assert_eq!((read.topics, version), (vec!["t".to_owned()], 0));
        // Partition 7 of t; generation 5; rack r; and something of a version that is not known.
        bytes[1] = 9;
        bytes.extend([0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 7]);
        bytes.extend([0, 0, 0, 5, 0, 1, b'r', 42]);
        let (read, version) = Subscription::from_bytes(&bytes).unwrap();
        assert_eq!(version, 9);
        assert_eq!(read.owned_partitions[0].partitions, [7]);
        assert_eq!((read.generation, read.rack_id.as_deref()), (5, Some("r")));
    }

    #[test]
    fn garbage_is_no_subscription() {
        for bytes in [
            &[][..],
            &[0],
            &[0xff, 0xff, 0, 0, 0, 0],
            &[0, 1, 0x7f, 0, 0, 0],
        ] {
            assert!(Subscription::from_bytes(bytes).is_err());
            assert!(Assignment::from_bytes(bytes).is_err());
        }
    }

    #[test]
    fn an_assignment_is_read_as_it_was_written() {
        let assignment = Assignment {
            assigned_partitions: vec![TopicPartitions {
                topic: "t".to_owned(),
                partitions: vec![0, 2],
            }],
            user_data: None,
        };
        for version in 0..=7 {
            let bytes = assignment.to_bytes(version).unwrap();
            assert_eq!(bytes[..2], version.min(3).to_be_bytes());
            assert_eq!(Assignment::from_bytes(&bytes).unwrap(), assignment);
        }
        let bytes = assignment.to_bytes(1).unwrap();
        let golden = [
            0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2,
        ];
        assert_eq!(bytes[..21], golden);
        assert_eq!(bytes[21..], [0xff; 4]);
    }
}
