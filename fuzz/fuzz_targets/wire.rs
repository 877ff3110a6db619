//! The decoders of records of the metadata log.
//!
//! Properties, asserted by [`klamm::wire::decode_any`]: nothing panics; a record that was read is
//! written again and read back as the same record.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    klamm::wire::decode_any(data);
});
