//! Names and ids of topics and partitions.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::PartitionId;

/// Identity of a topic (KIP-516): stable for its life, different after it is created again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub Uuid);

impl TopicId {
    /// Id of the topic `__cluster_metadata` (`Uuid.METADATA_TOPIC_ID`).
    pub const METADATA: Self = Self(Uuid::from_u128(1));

    /// The inverse of [`to_base64`](Self::to_base64); `None` for any other text.
    pub fn from_base64(text: &str) -> Option<Self> {
        let mut bits: u128 = 0;
        for (index, byte) in text.bytes().enumerate() {
            let digit = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return None,
            };
            // Of the last digit only the two high bits count.
            bits = match index {
                21 => bits << 2 | u128::from(digit >> 4),
                _ => bits << 6 | u128::from(digit),
            };
        }
        (text.len() == 22).then(|| Self(Uuid::from_u128(bits)))
    }

    /// The id as Kafka prints it: 22 characters of URL-safe base64 without padding.
    pub fn to_base64(self) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits = self.0.as_u128();
        // 128 bits are 21 digits of six bits and a last digit of two, in its high bits.
        (0..22)
            .map(|digit| {
                let sextet = match 122 - 6 * digit {
                    shift if shift >= 0 => (bits >> shift) & 63,
                    short => (bits << -short) & 63,
                };
                ALPHABET
                    .get(sextet as usize)
                    .map_or('A', |&byte| char::from(byte))
            })
            .collect()
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({})", self.to_base64())
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

/// One partition of one topic. Names are for the edge; everything within uses ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// Its partition.
    pub partition: PartitionId,
}

/// A legal topic name: 1 to 249 characters of `[a-zA-Z0-9._-]`, neither `.` nor `..`
/// (Kafka's `Topic.validate`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

/// Why a name was refused; the text is the one that Kafka gives its clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Topic name is invalid: {0}")]
pub struct InvalidTopicName(pub String);

impl TopicName {
    /// The topic that holds the metadata log (`Topic.CLUSTER_METADATA_TOPIC_NAME`).
    pub fn cluster_metadata() -> Self {
        Self(Arc::from("__cluster_metadata"))
    }

    /// Checks a name and copies it, so that it does not hold on to a request's buffer.
    pub fn new(name: &str) -> Result<Self, InvalidTopicName> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let refusal = if name.is_empty() {
            "the empty string is not allowed".to_owned()
        } else if name == "." || name == ".." {
            format!("'{name}' is not allowed")
        } else if name.chars().count() > super::limits::TOPIC_NAME_LENGTH_MAX {
            format!(
                "the length of '{name}' is longer than the max allowed length {}",
                super::limits::TOPIC_NAME_LENGTH_MAX
            )
        } else if !name.chars().all(legal) {
            format!(
                "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
            )
        } else {
            return Ok(Self(Arc::from(name)));
        };
        Err(InvalidTopicName(refusal))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as metrics see it: `.` and `_` are one. Two topics must not share it
    /// (`Topic.hasCollision`).
    pub fn collision_key(&self) -> String {
        self.0.replace('.', "_")
    }

    /// Whether clients may not produce to it (`Topic.isInternal`).
    pub fn is_internal(&self) -> bool {
        matches!(
            &*self.0,
            "__consumer_offsets" | "__transaction_state" | "__share_group_state"
        )
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_print_as_kafka_prints_them() {
        assert_eq!(TopicId::METADATA.to_base64(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(
            TopicId(Uuid::from_u128(u128::MAX)).to_base64(),
            "_____________________w"
        );
        for id in [TopicId::METADATA, TopicId(Uuid::from_u128(u128::MAX / 3))] {
            assert_eq!(TopicId::from_base64(&id.to_base64()), Some(id));
        }
        for text in [
            "",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAA+A",
        ] {
            assert_eq!(TopicId::from_base64(text), None, "{text}");
        }
    }

    #[test]
    fn names_follow_kafkas_rule() {
        for legal in ["a", "a.b", "a_b", "A-1", &"x".repeat(249)] {
            assert!(TopicName::new(legal).is_ok(), "{legal}");
        }
        for illegal in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
            assert!(TopicName::new(illegal).is_err(), "{illegal}");
        }
    }
}
