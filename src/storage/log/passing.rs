//! Writing out the producers now and then within a segment.
//!
//! Kafka writes a producer snapshot at each roll and at a clean stop, and a start after any other
//! reads all batches of the active segment to know its producers and its transactions. With one
//! that is never far behind the log end, what it reads does not grow with the segment.

use crate::model::Offset;

use crate::storage::format::producer_snapshot;
use crate::storage::log::producers::Producers;

/// Bytes of batches that a start may have to read again, about.
const EVERY_BYTES: u64 = 4 * 1024 * 1024;

/// How many times as long as the snapshot the batches before the next one are at least: with many
/// producers it must not become what is mostly written.
const TIMES_ITS_LENGTH: u64 = 32;

/// When the next one is due.
#[derive(Debug)]
pub(in crate::storage) struct PassingSnapshots {
    bytes_left: u64,
}

/// The producers as of an offset.
#[derive(Debug)]
pub(in crate::storage) struct PassingSnapshot {
    pub(in crate::storage) offset: Offset,
    /// The file's content.
    pub(in crate::storage) content: Vec<u8>,
}

impl Default for PassingSnapshots {
    fn default() -> Self {
        Self {
            bytes_left: EVERY_BYTES,
        }
    }
}

impl PassingSnapshots {
    /// Counts a batch of so many bytes; the snapshot at its end, if one is due.
    pub(in crate::storage) fn appended(
        &mut self,
        bytes: u64,
        end: Offset,
        producers: &Producers,
    ) -> Option<PassingSnapshot> {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        if self.bytes_left > 0 {
            return None;
        }
        let content = producer_snapshot::encode(&producers.snapshot());
        self.restart(content.len());
        Some(PassingSnapshot {
            offset: end,
            content,
        })
    }

    /// Counts anew: there is a snapshot of so many bytes here.
    pub(in crate::storage) fn restart(&mut self, snapshot_bytes: usize) {
        self.bytes_left = EVERY_BYTES.max(TIMES_ITS_LENGTH * snapshot_bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use crate::batch::BatchBuilder;
    use crate::io::MemoryIo;
    use crate::model::{Offset, ProducerEpoch, ProducerId};
    use crate::storage::format::names::SegmentFile;
    use crate::storage::tests::{Bed, NOW, sequenced, wait_committed};

    /// Offsets of the producer snapshots on disk.
    fn snapshots(bed: &Bed) -> Vec<i64> {
        let entries = bed.io.read_dir(&bed.dir.join("topic.1-0")).unwrap();
        let name = |path: &std::path::Path| path.file_name()?.to_str().map(str::to_owned);
        let names = entries.iter().filter_map(|entry| name(&entry.path));
        let parsed = names.filter_map(|name| SegmentFile::parse(&name));
        let snapshots = parsed.filter(|(kind, _)| *kind == SegmentFile::Snapshot);
        snapshots.map(|(_, offset)| offset.0).collect()
    }

    #[test]
    fn a_segment_has_one_snapshot_near_its_end_and_a_start_goes_on_from_there() {
        let bed = Bed::new(MemoryIo::shared(), std::path::Path::new("/"));
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        let value = vec![0; 600_000];
        for number in 0..30 {
            let (id, epoch) = (ProducerId(7), ProducerEpoch(0));
            let mut builder = BatchBuilder::new().producer(id, epoch, number);
            builder.push(NOW, None, Some(&value));
            partition.append(builder.build().unwrap(), false).unwrap();
            wait_committed(&partition, Offset(i64::from(number) + 1)).unwrap();
        }
        assert_eq!(snapshots(&bed), [28]);
        drop((partition, store));

        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        partition.append(sequenced(7, 0, 30, 1), false).unwrap();
        wait_committed(&partition, Offset(31)).unwrap();
        store.close().unwrap();
        assert_eq!(snapshots(&bed).into_iter().max(), Some(31));
        drop((partition, store));

        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        assert_eq!(partition.offsets().unwrap().log_end, Offset(31));
        assert_eq!(snapshots(&bed), [31]);
    }
}
