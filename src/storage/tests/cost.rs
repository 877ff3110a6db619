//! What an append and a read cost. Run with `--release --ignored --nocapture`.

use std::time::Instant;

use super::*;
use crate::io::tests::ScratchDirectory;
use crate::io::{MemoryIo, RealIo};

fn measure(what: &str, count: u32, mut work: impl FnMut(u32)) {
    let start = Instant::now();
    for index in 0..count {
        work(index);
    }
    println!(
        "{what}: {} ns",
        start.elapsed().as_nanos() / u128::from(count)
    );
}

#[test]
#[ignore = "a measurement"]
fn cost_of_appends_and_reads() {
    let scratch = ScratchDirectory::new();
    for (name, io, durability) in [
        ("memory", MemoryIo::shared(), Durability::Memory),
        ("os", RealIo::shared(), Durability::Os),
        ("fsync", RealIo::shared(), Durability::Fsync),
    ] {
        for bytes in [1_024_usize, 16 * 1_024] {
            let dir = scratch.path().join(format!("{name}-{bytes}"));
            io.create_dir_all(&dir).unwrap();
            let mut bed = Bed::new(io.clone(), &dir);
            bed.config.durability = durability;
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            let count = (64 * 1024 * 1024 / bytes) as u32;
            let sample = batch(&[&"v".repeat(bytes)]);
            measure(&format!("{name}: append {bytes} bytes"), count, |_| {
                partition.append(sample.clone(), false).unwrap();
            });
            wait_committed(&partition, Offset(i64::from(count))).unwrap();
            let next = Offset(i64::from(count));
            measure(
                &format!("{name}: append {bytes} bytes and read them"),
                2_000,
                |index| {
                    partition.append(sample.clone(), false).unwrap();
                    let from = next.plus(i64::from(index));
                    let outcome = partition
                        .read(from, 1 << 20, true, Isolation::LogEnd)
                        .unwrap();
                    assert!(outcome.records.len() >= bytes);
                },
            );
            for max_bytes in [bytes, 1 << 20] {
                measure(
                    &format!("{name}: read {max_bytes} of {bytes}"),
                    20_000,
                    |index| {
                        let from = Offset(i64::from(index * 7919 % count));
                        let outcome = partition.read(from, max_bytes, true, Isolation::LogEnd);
                        assert!(!outcome.unwrap().records.is_empty());
                    },
                );
            }
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            measure(
                &format!("{name}: append {bytes} bytes, commit"),
                200,
                |_| {
                    let done = partition.append(sample.clone(), false).unwrap();
                    runtime
                        .block_on(partition.committed(done.next_offset))
                        .unwrap();
                },
            );
        }
    }
}
