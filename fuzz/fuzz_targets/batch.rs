//! The batch validator, under every kind of rules.
//!
//! The input is rules, then a batch. In three of four cases length, magic and checksum are made
//! good, so that the fuzzer gets behind them.
//!
//! Properties:
//! 1. nothing panics, and memory stays within libFuzzer's limits (`-malloc_limit_mb=64`);
//! 2. what is accepted is exactly one batch, its checksum holds, and its header is the one that
//!    is told;
//! 3. it is not larger than `max.message.bytes`;
//! 4. what was looked into can be read: as many records as the header says, each well formed;
//! 5. validation is idempotent: what is stored is accepted again and stays as it is, unless it
//!    came with LogAppendTime, which changes what the timestamps of its records are.
#![no_main]

use bytes::Bytes;
use klamm::batch::{
    BatchHeader, Codec, CompressionTarget, Level, Origin, Rules, records, validate,
};
use klamm::model::Timestamp;
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fuzz_target!(|data: &[u8]| {
    let Some((&[flags, codec, size], batch)) = data.split_first_chunk() else {
        return;
    };
    let compression = match Codec::from_id(i16::from(codec % 8)) {
        Ok(codec) => CompressionTarget::Fixed(codec, Level::Default),
        Err(_) => CompressionTarget::Producer,
    };
    let rules = Rules {
        max_message_bytes: 64 << (size % 16),
        log_append_time: flags & 1 != 0,
        timestamp_before_max_ms: if flags & 2 != 0 { 1000 } else { i64::MAX },
        timestamp_after_max_ms: if flags & 4 != 0 { 1000 } else { i64::MAX },
        compression,
        compacted: flags & 8 != 0,
        origin: if flags & 16 != 0 {
            Origin::Broker
        } else {
            Origin::Client
        },
    };
    let mut batch = batch.to_vec();
    if flags & 0xc0 != 0 {
        mend(&mut batch);
    }
    let stamped = BatchHeader::parse(&batch).is_ok_and(|header| header.is_log_append_time());
    let Ok(accepted) = validate(Bytes::from(batch), &rules, NOW) else {
        return;
    };
    let stored = accepted.batch;
    assert_eq!(BatchHeader::parse(&stored.bytes), Ok(stored.header));
    assert_eq!(stored.header.total_len(), stored.bytes.len());
    assert!(stored.header.crc_matches(&stored.bytes));
    assert!(stored.bytes.len() <= rules.max_message_bytes);
    assert_eq!(stored.header.is_log_append_time(), rules.log_append_time);

    let codec = stored.header.codec().expect("a known codec");
    if codec == Codec::None || rules.compacted {
        let opened = records(&stored.bytes).expect("it was looked into");
        let count = opened
            .iter()
            .map(|record| record.expect("well formed"))
            .count();
        assert_eq!(i32::try_from(count), Ok(stored.header.record_count));
    }
    if !stamped && !rules.log_append_time {
        let again = validate(stored.bytes.clone(), &rules, NOW).expect("accepted before");
        assert_eq!(again.batch, stored);
    }
});

/// Makes the framing of a batch true to its bytes.
fn mend(batch: &mut Vec<u8>) {
    if batch.len() < 61 {
        batch.resize(61, 0);
    }
    batch[..8].fill(0);
    let length = u32::try_from(batch.len() - 12).expect("fuzzers are modest");
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    let header = BatchHeader::parse(batch).expect("a header");
    // The checksum that the batch should have had.
    let crc = (0..batch.len()).skip(21).fold(!0_u32, |crc, at| {
        (0..8).fold(crc ^ u32::from(batch[at]), |crc, _| {
            if crc & 1 != 0 {
                (crc >> 1) ^ 0x82f6_3b78
            } else {
                crc >> 1
            }
        })
    });
    batch[17..21].copy_from_slice(&(!crc).to_be_bytes());
    debug_assert_eq!(header.total_len(), batch.len());
}
