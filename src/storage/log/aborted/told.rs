//! Remembering over a restart what the transaction index files must contain.
//!
//! The file `klamm-transaction-indexes` is written when a segment was sealed, and at a clean stop,
//! and never speaks of offsets that are not durable: what is cut off a log was not told of. A
//! start replays the batches after the newest producer snapshot in any case, and that is written
//! at the same moments, so together they know everything without a look at older batches. Without
//! the file, or where it does not fit, the first `read_committed` reader looks.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::io::{Persist, replace_file};
use crate::model::Offset;

use crate::storage::core::Context;
use crate::storage::format::names;
use crate::storage::format::txn_index::AbortedEntry;
use crate::storage::format::txn_indexes::{self, IndexSummary};
use crate::storage::log::partition_log::Log;
use crate::storage::log::segment::Segment;
use crate::storage::log::view::View;
use crate::storage::options::Durability;

use super::Summary;

/// Bytes of segments that a writer of the file looks through itself, rather than leave it unwritten.
const LOOKED_THROUGH_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A log of fewer bytes, without aborted transactions, needs no file: its headers are read as
/// quickly.
const TOLD_BYTES_MIN: u64 = 1024 * 1024;

impl Log {
    /// Writes what the transaction index files contain, of everything durable that is known.
    pub(in crate::storage) fn tell_aborted(&self) -> io::Result<()> {
        if self.context().config.load().durability == Durability::Memory {
            return Ok(());
        }
        let view = self.published().load().kept();
        let unknown = view.segments.iter().filter(|each| !each.aborted.is_known());
        let bytes: u64 = unknown.map(|each| view.limit(each, view.end)).sum();
        if bytes > 0 && bytes <= LOOKED_THROUGH_BYTES_MAX {
            self.find_aborted().map_err(io::Error::other)?;
        }
        let _no_others = self.stop_naming();
        match self.context().is_deleted() {
            true => Ok(()),
            false => self.tell(&view),
        }
    }

    /// Brings the transaction indexes up to date at a clean stop: Kafka's tools, or a Kafka, may
    /// read them next.
    pub(in crate::storage) fn complete_aborted(&self) -> io::Result<()> {
        let view = self.published().load().kept();
        if view
            .segments
            .iter()
            .any(|each| each.aborted.is_known_in_part())
        {
            self.find_aborted().map_err(io::Error::other)?;
        }
        let _no_others = self.stop_naming();
        for segment in view.segments.iter() {
            segment.write_aborted(self.context().files())?;
        }
        Ok(())
    }

    /// As [`Self::tell_aborted`], by whoever writes files by their names.
    pub(super) fn tell(&self, view: &View) -> io::Result<()> {
        let mut indexes = Vec::with_capacity(view.segments.len());
        let mut bytes = 0;
        for (segment, end) in ends(&view.segments, view.end.offset) {
            bytes += view.limit(segment, view.end);
            let durable = end.min(view.durable);
            if durable < segment.base {
                continue;
            }
            // One that is not known is left out; so is one whose file speaks of more.
            let told = segment.aborted.summary(durable);
            let Some(Summary { entries, crc }) = told else {
                continue;
            };
            indexes.push(IndexSummary {
                base: segment.base,
                end: durable,
                entries,
                crc,
            });
        }
        if bytes < TOLD_BYTES_MIN && indexes.iter().all(|index| index.entries == 0) {
            return Ok(());
        }
        let context = self.context();
        let content = txn_indexes::encode(context.id, &indexes);
        let path = context.path.join(names::TXN_INDEXES);
        replace_file(&*context.core.io, &path, content.as_bytes(), Persist::Lazy)
    }
}

/// Segments, with the offset where each ends.
fn ends(segments: &[Arc<Segment>], end: Offset) -> impl Iterator<Item = (&Arc<Segment>, Offset)> {
    let bases = segments.iter().skip(1).map(|next| next.base);
    segments.iter().zip(bases.chain([end]))
}

/// Tells the segments of a log that was just found what is known of their aborted transactions:
/// by the file, and by the batches from `replayed_from` on, in which `replayed` were aborted.
pub(in crate::storage) fn recall(
    context: &Context,
    segments: &[Arc<Segment>],
    end: Offset,
    replayed_from: Offset,
    replayed: &[AbortedEntry],
) {
    let path = context.path.join(names::TXN_INDEXES);
    let mut told: HashMap<Offset, IndexSummary> = HashMap::new();
    if let Some(content) = context.core.io.read(&path).ok()
        && let Ok((partition, indexes)) = decode(&content)
        && partition == context.id
    {
        told = indexes.iter().map(|index| (index.base, *index)).collect();
    }
    for (number, (segment, segment_end)) in ends(segments, end).enumerate() {
        let told = told.get(&segment.base).copied();
        if told.is_some_and(|told| told.end > segment_end) {
            // What it speaks of is not there any more, and other batches may come to stand there.
            let _ = context.core.io.remove_file(&path);
            return;
        }
        let (told_end, summary) = match told {
            Some(IndexSummary {
                end, entries, crc, ..
            }) => (end, Summary { entries, crc }),
            None => (segment.base, Summary { entries: 0, crc: 0 }),
        };
        let sealed = number + 1 < segments.len();
        if sealed && told_end == segment_end {
            segment.aborted.set_file(summary);
            continue;
        }
        if told_end < segment_end && told_end < replayed_from {
            continue;
        }
        let Some(mut entries) = segment.told_aborted(context.files(), summary) else {
            continue;
        };
        let here = |entry: &&AbortedEntry| entry.last >= told_end && entry.last < segment_end;
        entries.extend(replayed.iter().filter(here));
        segment.aborted.set_entries(entries);
    }
}

fn decode(content: &[u8]) -> Result<(crate::model::TopicPartition, Vec<IndexSummary>), String> {
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    txn_indexes::decode(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, EndMarker};
    use crate::io::MemoryIo;
    use crate::model::{ProducerEpoch, ProducerId};
    use crate::storage::tests::{Bed, NOW, batch, wait_committed};
    use crate::storage::{Isolation, Partition};

    fn abort_one(partition: &Partition, producer: i64) {
        let (id, epoch) = (ProducerId(producer), ProducerEpoch(0));
        let mut builder = BatchBuilder::new().producer(id, epoch, 0).transactional();
        builder.push(NOW, None, Some(b"value"));
        partition.append(builder.build().unwrap(), false).unwrap();
        let marker = EndMarker {
            committed: false,
            coordinator_epoch: 0,
        };
        let marker = marker.batch(id, epoch, NOW).unwrap();
        partition.append(marker, false).unwrap();
    }

    fn unknown(partition: &Partition) -> usize {
        let view = partition.log().unwrap().published().load();
        let unknown = view.segments.iter().filter(|each| !each.aborted.is_known());
        unknown.count()
    }

    #[test]
    fn a_start_knows_every_aborted_transaction_without_looking() {
        for clean in [true, false] {
            let mut bed = Bed::new(MemoryIo::shared(), std::path::Path::new("/"));
            bed.config.segment_bytes = 400;
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            for producer in 0..10 {
                abort_one(&partition, producer);
                wait_committed(&partition, Offset(producer * 2 + 2)).unwrap();
            }
            if clean {
                store.close().unwrap();
            }
            drop((partition, store));
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            assert_eq!(unknown(&partition), 0, "clean: {clean}");
            let read = partition.read(Offset(0), 1, true, Isolation::ReadCommitted);
            assert_eq!(read.unwrap().aborted.len(), 1);
        }
    }

    #[test]
    fn a_short_log_without_aborts_has_no_file_and_a_lost_one_is_written_again() {
        let bed = Bed::new(MemoryIo::shared(), std::path::Path::new("/"));
        let told = bed.dir.join("topic.1-0").join(names::TXN_INDEXES);
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        partition.append(batch(&["a"]), false).unwrap();
        wait_committed(&partition, Offset(1)).unwrap();
        store.close().unwrap();
        assert!(bed.io.read(&told).is_err());
        drop((partition, store));

        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        abort_one(&partition, 7);
        wait_committed(&partition, Offset(3)).unwrap();
        store.close().unwrap();
        bed.io.remove_file(&told).unwrap();
        drop((partition, store));

        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        assert_eq!(unknown(&partition), 1);
        let read = partition.read(Offset(1), 1, true, Isolation::ReadCommitted);
        assert_eq!(read.unwrap().aborted.len(), 1);
        assert_eq!(unknown(&partition), 0);
        assert!(bed.io.read(&told).is_ok());
    }

    #[test]
    fn what_another_partition_was_told_is_not_believed() {
        let bed = Bed::new(MemoryIo::shared(), std::path::Path::new("/"));
        let (store, _) = bed.open();
        let partitions = [bed.attach(&store, 1), bed.attach(&store, 2)];
        abort_one(&partitions[0], 7);
        abort_one(&partitions[1], 8);
        for partition in &partitions {
            wait_committed(partition, Offset(2)).unwrap();
        }
        store.close().unwrap();
        drop((partitions, store));
        let of = |topic: u8, name: &str| bed.dir.join(format!("topic.{topic}-0")).join(name);
        for name in [names::TXN_INDEXES, "00000000000000000000.txnindex"] {
            let content = bed.io.read(&of(1, name)).unwrap();
            let file = bed
                .io
                .open(&of(2, name), crate::io::OpenMode::Write)
                .unwrap();
            file.set_len(0).unwrap();
            file.write_all_at(&[&content], 0).unwrap();
        }
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 2);
        let read = partition.read(Offset(0), 1, true, Isolation::ReadCommitted);
        assert_eq!(read.unwrap().aborted[0].producer_id, 8);
    }
}
