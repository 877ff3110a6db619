//! What a start after a crash reads: what was not flushed, not what there is.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::io::hooked::{Hooks, hooked};
use crate::io::{File, MemoryIo};

/// Counts the bytes that are read.
#[derive(Debug, Default)]
struct ReadCount(AtomicU64);

impl Hooks for ReadCount {
    fn read(&self, file: &dyn File, buf: &mut [u8], position: u64) -> std::io::Result<usize> {
        let count = file.read_at(buf, position)?;
        self.0.fetch_add(count as u64, Ordering::SeqCst);
        Ok(count)
    }
}

/// Bytes that a start reads after a crash of a log of so many batches of about 10 KiB; an
/// idempotent producer wrote every third, small ones.
fn read_at_start(bed: &Bed, batches: i32) -> u64 {
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let value = "v".repeat(15_000);
    for number in 0..batches {
        let batch = match number % 3 {
            0 => sequenced(7, 0, number / 3, 1),
            _ => {
                // Times rise: a log whose times stand still has no more than one entry for them,
                // and is walked along from there.
                let mut builder = BatchBuilder::new();
                let time = Timestamp(NOW.0 + i64::from(number));
                builder.push(time, None, Some(value.as_bytes()));
                builder.build().unwrap()
            }
        };
        let done = partition.append(batch, false).unwrap();
        wait_committed(&partition, done.next_offset).unwrap();
    }
    // Notes what the last round made durable, as it does by itself soon after.
    bed.clock.advance(Duration::from_secs(1));
    let last = partition.append(batch(&["last"]), false).unwrap();
    wait_committed(&partition, last.next_offset).unwrap();
    drop((partition, store));
    let read = Arc::<ReadCount>::default();
    let mut counting = Bed::new(hooked(bed.io.clone(), &read), Path::new("/"));
    counting.config = bed.config.clone();
    let (store, opened) = counting.open();
    assert!(!opened.clean);
    let before = read.0.load(Ordering::SeqCst);
    let partition = counting.attach(&store, 1);
    let end = partition.offsets().unwrap().log_end;
    let at_start = read.0.load(Ordering::SeqCst) - before;
    assert_eq!(end, Offset(i64::from(batches) + 1));
    // Answers do not depend on how it was found.
    for from in [0, i64::from(batches) / 2, i64::from(batches) - 1] {
        let outcome = partition.read(Offset(from), 1, true, Isolation::LogEnd);
        let header = BatchHeader::parse(&bytes_of(&outcome.unwrap().records)).unwrap();
        assert_eq!(header.base_offset, Offset(from));
    }
    let newest = sequenced(7, 0, (batches - 1) / 3, 1);
    assert!(partition.append(newest, false).unwrap().duplicate);
    for back in 1..5 {
        let older = sequenced(7, 0, (batches - 1) / 3 - back, 1);
        assert!(partition.append(older, false).unwrap().duplicate, "{back}");
    }
    at_start
}

#[test]
fn a_start_reads_no_more_where_there_is_more_data() {
    let mut reads = Vec::new();
    for batches in [900, 3_600] {
        let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
        reads.push(read_at_start(&bed, batches));
    }
    // The logs differ by 27 MB. A start reads some headers of the last 4 MiB, twice, and what is
    // read back for retries.
    assert!(reads[1] < reads[0] + 4_000_000, "{reads:?}");
    assert!(reads[1] < 8_000_000, "{reads:?}");
}

#[test]
fn the_indexes_on_disk_name_batches_while_a_segment_is_written() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    read_at_start(&bed, 900);
    let dir = bed.dir.join("topic.1-0");
    let index = bed.io.read(&dir.join("00000000000000000000.index"));
    let entries = crate::storage::format::offset_index::decode(&index.unwrap());
    assert!(entries.len() > 100);
    let log = bed.io.read(&dir.join("00000000000000000000.log")).unwrap();
    for entry in entries {
        let header = BatchHeader::parse(&log[entry.position as usize..]).unwrap();
        assert!(entry.names(Offset(0), &header));
    }
}
