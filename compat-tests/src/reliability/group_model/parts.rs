//! What consumers say to each other through a coordinator, in bytes of the model's own making
//! (`ConsumerProtocolSubscription`, `ConsumerProtocolAssignment`).

use bytes::Bytes;

/// Partitions by name, in the order in which they were assigned.
pub(super) type Named = Vec<(String, i32)>;

fn number(length: usize) -> i32 {
    i32::try_from(length).expect("a few")
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).expect("a name");
    bytes.extend(length.to_be_bytes());
    bytes.extend(text.bytes());
}

fn partitions(bytes: &mut Vec<u8>, parts: &[(String, i32)]) {
    bytes.extend(number(parts.len()).to_be_bytes());
    for (topic, partition) in parts {
        text(bytes, topic);
        bytes.extend(1_i32.to_be_bytes());
        bytes.extend(partition.to_be_bytes());
    }
}

/// An assignment of version 0, with each partition apart.
pub(super) fn assignment(parts: &[(String, i32)]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    partitions(&mut bytes, parts);
    bytes.extend((-1_i32).to_be_bytes());
    bytes
}

/// A subscription of version 1, which says what the member still has.
pub(super) fn subscription<'a>(
    topics: impl ExactSizeIterator<Item = &'a String>,
    owned: &[(String, i32)],
) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend(number(topics.len()).to_be_bytes());
    topics.for_each(|topic| text(&mut bytes, topic));
    bytes.extend((-1_i32).to_be_bytes());
    partitions(&mut bytes, owned);
    Bytes::from(bytes)
}

/// The partitions of an assignment; none if it is empty, or nonsense.
pub(super) fn read(bytes: &[u8]) -> Named {
    read_all(bytes).unwrap_or_default()
}

fn read_all(bytes: &[u8]) -> Option<Named> {
    let mut rest = bytes.get(2..)?;
    let mut parts = Named::new();
    for _ in 0..read_i32(&mut rest)? {
        let length = take(&mut rest, 2)?;
        let length = u16::from_be_bytes(length.try_into().ok()?);
        let topic = take(&mut rest, usize::from(length))?;
        let topic = String::from_utf8(topic.to_vec()).ok()?;
        for _ in 0..read_i32(&mut rest)? {
            parts.push((topic.clone(), read_i32(&mut rest)?));
        }
    }
    Some(parts)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn read_i32(rest: &mut &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
}
