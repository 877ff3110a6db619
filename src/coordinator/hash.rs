//! Which partition of an internal topic holds a key (`Utils.abs(key.hashCode) % partitions`).

/// The partition of `key` among `partitions`, by Java's `String.hashCode`.
///
/// Java hashes UTF-16 units; `abs` of the smallest integer is 0.
pub fn partition_for(key: &str, partitions: u32) -> i32 {
    let hash = key.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    let positive = hash.checked_abs().unwrap_or(0).unsigned_abs();
    (positive % partitions.max(1)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_where_kafka_looks_for_them() {
        // Computed with Java: Utils.abs(s.hashCode()) % 50.
        for (key, partition) in [
            ("", 0),
            ("a", 47),
            ("grüppe", 12),
            ("polygenelubricants", 0),
        ] {
            assert_eq!(partition_for(key, 50), partition, "{key}");
        }
    }
}
