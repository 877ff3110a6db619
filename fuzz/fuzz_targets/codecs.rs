//! The four codecs, with a cap on output.
//!
//! Properties:
//! 1. nothing panics, and memory stays within libFuzzer's limits (`-malloc_limit_mb=160`: a zstd
//!    frame may declare a window of 128 MiB, which fills only as output comes);
//! 2. no more than the cap comes out;
//! 3. what was compressed comes back.
#![no_main]

use klamm::batch::{Codec, Level, compress, decompress};
use libfuzzer_sys::fuzz_target;

const CAP: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((&id, bytes)) = data.split_first() else {
        return;
    };
    let Ok(codec) = Codec::from_id(i16::from(id % 5)) else {
        return;
    };
    if let Ok(output) = decompress(codec, bytes, CAP) {
        assert!(output.len() <= CAP);
    }
    let packed = compress(codec, Level::Default, bytes).expect("memory does not fail");
    assert_eq!(
        decompress(codec, &packed, bytes.len()).as_deref(),
        Ok(bytes)
    );
});
