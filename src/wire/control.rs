//! The records of control batches of the metadata log and its snapshots (`ControlRecordType`).
//!
//! The key is a version and a type, both `int16`; the value is a message that begins with its own
//! version.

use uuid::Uuid;

use super::{DecodeError, EncodeError, Reader, Schema, Writer, schema};

schema! {
    /// A member of the quorum.
    pub Voter [versions 0..=1, flexible from 0] {
        /// Node id.
        voter_id: i32 = 0, since 0;
        /// Its data directory (KIP-853).
        voter_directory_id: Uuid = Uuid::nil(), since 1;
    }

    /// A leader of the metadata log begins its term; stands first in it.
    pub LeaderChangeMessage [versions 0..=1, flexible from 0] {
        /// The message's version.
        version: i16 = 0, since 0;
        /// The leader.
        leader_id: i32 = 0, since 0;
        /// All voters.
        voters: Vec<Voter> = Vec::new(), since 0;
        /// Those who voted for it.
        granting_voters: Vec<Voter> = Vec::new(), since 0;
    }

    /// First record of a snapshot.
    pub SnapshotHeaderRecord [versions 0..=0, flexible from 0] {
        /// The message's version.
        version: i16 = 0, since 0;
        /// Append time of the last record that the snapshot stands for.
        last_contained_log_timestamp: i64 = 0, since 0;
    }

    /// Last record of a snapshot; one without it is not whole.
    pub SnapshotFooterRecord [versions 0..=0, flexible from 0] {
        /// The message's version.
        version: i16 = 0, since 0;
    }

    /// The finalized level of `kraft.version`.
    pub KRaftVersionRecord [versions 0..=0, flexible from 0] {
        /// The message's version.
        version: i16 = 0, since 0;
        /// The level.
        kraft_version: i16 = 0, since 0;
    }
}

/// Version of a control record's key (`ControlRecordType.CURRENT_CONTROL_RECORD_KEY_VERSION`).
const KEY_VERSION: i16 = 0;

macro_rules! control_set {
    ($($(#[$doc:meta])* $key:literal => $variant:ident($message:ident),)*) => {
        /// A control record of the metadata log.
        #[derive(Clone, Debug, PartialEq)]
        pub enum ControlRecord {$(
            #[doc = concat!("Type ", $key, ".")]
            $variant($message),
        )*}

        impl ControlRecord {
            /// Key and value of the record.
            pub fn encode(&self) -> Result<(Vec<u8>, Vec<u8>), EncodeError> {
                let mut key = Writer::new();
                let mut value = Writer::new();
                key.i16(KEY_VERSION);
                match self {$(
                    Self::$variant(message) => {
                        key.i16($key);
                        message.write(&mut value, message.version)?;
                    }
                )*}
                Ok((key.into_bytes(), value.into_bytes()))
            }

            /// Reads a record from its key and value.
            pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, DecodeError> {
                let mut key = Reader::new(key);
                let _version = key.i16()?;
                let kind = key.i16()?;
                let mut reader = Reader::new(value);
                let version = u32::from(reader.clone().u16()?);
                let record = match kind {
                    $($key => Self::$variant($message::read(&mut reader, version)?),)*
                    unknown => return Err(DecodeError::RecordType(u32::from(unknown.cast_unsigned()))),
                };
                reader.finish()?;
                Ok(record)
            }
        }

        $(impl From<$message> for ControlRecord {
            fn from(message: $message) -> Self {
                Self::$variant(message)
            }
        })*
    };
}

control_set! {
    2 => LeaderChange(LeaderChangeMessage),
    3 => SnapshotHeader(SnapshotHeaderRecord),
    4 => SnapshotFooter(SnapshotFooterRecord),
    5 => KRaftVersion(KRaftVersionRecord),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex
            .chars()
            .filter_map(|c| c.to_digit(16))
            .map(|digit| digit as u8)
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    /// Captured from a log directory that Kafka 4.1.2 formatted and ran on.
    #[test]
    fn control_records_have_kafkas_bytes() {
        let cases: [(&str, &str, ControlRecord); 3] = [
            (
                "0000 0003",
                "0000 0000000000000000 00",
                SnapshotHeaderRecord::default().into(),
            ),
            (
                "0000 0004",
                "0000 00",
                SnapshotFooterRecord::default().into(),
            ),
            (
                "0000 0002",
                "0000 00000001 02 00000001 00 02 00000001 00 00",
                LeaderChangeMessage {
                    leader_id: 1,
                    voters: vec![Voter {
                        voter_id: 1,
                        ..Voter::default()
                    }],
                    granting_voters: vec![Voter {
                        voter_id: 1,
                        ..Voter::default()
                    }],
                    ..LeaderChangeMessage::default()
                }
                .into(),
            ),
        ];
        for (key, value, record) in cases {
            assert_eq!(
                ControlRecord::decode(&bytes(key), &bytes(value)),
                Ok(record.clone())
            );
            assert_eq!(record.encode(), Ok((bytes(key), bytes(value))));
        }
    }
}
