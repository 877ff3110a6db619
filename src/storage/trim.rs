//! Removing segments whose records were all deleted.

use std::io;
use std::sync::Arc;

use super::format::names::SegmentFile;
use super::log::Log;
use super::segment::Segment;

impl Log {
    /// Removes the files of segments that lie wholly below the log start. Waits for the disk.
    ///
    /// A segment goes only once the one after it has durable records: by then the round that
    /// wrote its indexes is over, so nothing brings its files back. A crash in between leaves
    /// files that the next removal, or a loader that finds an index without its log, disposes of.
    pub(super) fn remove_segments_below_start(&self) -> io::Result<()> {
        let context = self.context();
        let _nobody_replaces = self.begin_upkeep().map_err(io::Error::other)?;
        let mut removed: Vec<Arc<Segment>> = Vec::new();
        self.published().update(|view| {
            let old = view
                .segments
                .iter()
                .skip(1)
                .take_while(|next| next.base <= view.log_start && next.base < view.durable)
                .count();
            removed = view.segments.iter().take(old).cloned().collect();
            view.segments = view.segments.iter().skip(old).cloned().collect();
        });
        let dir = &context.path;
        for segment in removed {
            context.core.files.forget(segment.number);
            for kind in SegmentFile::ALL {
                match context.core.io.remove_file(&segment.path(dir, kind)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::io::tests::on_every_io;
    use crate::model::Offset;
    use crate::storage::Isolation;
    use crate::storage::tests::{Bed, batch, read_all, wait_committed};

    #[test]
    fn segments_below_the_log_start_go_and_the_rest_is_read_as_before() {
        on_every_io(|io, root| {
            let mut bed = Bed::new(io, root);
            bed.config.segment_bytes = 200;
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            for number in 0..10 {
                partition
                    .append(batch(&[&number.to_string()]), false)
                    .unwrap();
            }
            wait_committed(&partition, Offset(10)).unwrap();
            let before = partition.size();
            partition.remove_deleted_segments().unwrap();
            assert_eq!(partition.size(), before, "nothing is deleted yet");

            partition.delete_records(Offset(7)).unwrap();
            partition.remove_deleted_segments().unwrap();
            assert!(partition.size().bytes < before.bytes);
            let expected: Vec<_> = (7..10).map(|number| (number, number.to_string())).collect();
            assert_eq!(read_all(&partition, 7, 1_000, Isolation::LogEnd), expected);

            drop((partition, store));
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            assert_eq!(partition.offsets().unwrap().log_start, Offset(7));
            assert_eq!(read_all(&partition, 7, 1_000, Isolation::LogEnd), expected);
        });
    }
}
