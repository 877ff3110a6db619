//! `partition.metadata`: the id of the topic that a partition's directory belongs to (Kafka's
//! `PartitionMetadataFile`).
//!
//! ```text
//! version: 0
//! topic_id: 8fSSFJzLQZSUV2wZ1xBzgw
//! ```
//!
//! No line feed ends the last line.

use crate::model::TopicId;

use super::{Malformed, number};

/// The file's content.
pub fn encode(topic: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic}")
}

/// The id in base64, as the file has it: compared, never parsed.
pub fn decode(content: &str) -> Result<&str, Malformed> {
    let mut topic = None;
    let mut version = None;
    for line in content.lines().filter(|line| !line.trim().is_empty()) {
        match line.split_once(':') {
            Some(("version", value)) => version = Some(number::<i64>(value)?),
            Some(("topic_id", value)) => topic = Some(value.trim()),
            _ => return Err(Malformed::Field(format!("'{line}' is not expected"))),
        }
    }
    match version {
        Some(0) => {}
        Some(other) => return Err(Malformed::Version(other)),
        None => return Err(Malformed::Short),
    }
    // 128 bits are 22 digits of base64. A power cut may leave zeros in their place: taken for the
    // id of another topic, they would cost the partition.
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    topic
        .filter(|topic| topic.len() == 22 && topic.bytes().all(is_digit))
        .ok_or(Malformed::Short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_survives_the_round_trip_and_a_cut_file_is_refused() {
        let content = encode(TopicId::METADATA);
        assert_eq!(content, "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(decode(&content), Ok("AAAAAAAAAAAAAAAAAAAAAQ"));
        for cut in 0..content.len() {
            assert!(decode(&content[..cut]).is_err(), "{:?}", &content[..cut]);
        }
        assert!(decode("version: 1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n").is_err());
        for zeros in 1..=22 {
            let cut = &content[..content.len() - 1 - zeros];
            let zeroed = format!("{cut}{}\n", "\0".repeat(zeros));
            assert!(decode(&zeroed).is_err(), "{zeroed:?}");
        }
    }
}
