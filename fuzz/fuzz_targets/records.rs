//! The records of a batch, as views.
//!
//! Properties:
//! 1. nothing panics, and memory stays within libFuzzer's limits (`-malloc_limit_mb=160`);
//! 2. reading ends, at the latest with an error, whatever the counts say;
//! 3. a record has as many headers as it says.
#![no_main]

use klamm::batch::records;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut batch = data.to_vec();
    if batch.len() >= 61 {
        // The form of a batch is not what this is about.
        let length = u32::try_from(batch.len() - 12).expect("fuzzers are modest");
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[16] = 2;
    }
    let Ok(opened) = records(&batch) else { return };
    let mut ended = false;
    for record in &opened {
        assert!(!ended, "an error is the end");
        match record {
            Ok(record) => assert_eq!(record.headers.iter().count(), record.headers.len()),
            Err(_) => ended = true,
        }
    }
});
