//! Reading the batches of a segment for the cleaner, each checked to the last byte: nothing that
//! is damaged may get a new checksum, nor a gap that is damage become one that is legal.

use std::sync::Arc;

use super::CleanError;
use super::throttle::{Throttle, Throttled};
use crate::batch::BatchHeader;
use crate::storage::log::partition_log::Log;
use crate::storage::log::scan::{Depth, ScanError};
use crate::storage::log::segment::Segment;
use crate::storage::log::view::View;

/// Walks segments in their order.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    log: &'a Log,
    view: &'a View,
    throttle: &'a Arc<Throttle>,
    window_bytes: usize,
    /// Memory for what is read, between two segments.
    window: Vec<u8>,
    pub(super) bytes_read: u64,
}

impl<'a> Walk<'a> {
    /// A walk over segments of `view`, which reads so many bytes at once.
    pub(super) fn new(
        log: &'a Log,
        view: &'a View,
        throttle: &'a Arc<Throttle>,
        window_bytes: usize,
    ) -> Self {
        Self {
            log,
            view,
            throttle,
            window_bytes,
            window: Vec::new(),
            bytes_read: 0,
        }
    }

    /// Calls `each` with every batch of a sealed segment from the one at position `start` on, as
    /// long as it says so; whether it did to the end.
    pub(super) fn segment(
        &mut self,
        segment: &Segment,
        start: u64,
        mut each: impl FnMut(&BatchHeader, &[u8]) -> Result<bool, CleanError>,
    ) -> Result<bool, CleanError> {
        let file = Throttled {
            file: segment.log_file(self.log.context().files())?,
            throttle: self.throttle.clone(),
        };
        let len = segment.sealed_len().ok_or(CleanError::Changed)?;
        let damaged = |position: u64, reason: String| CleanError::Damaged {
            segment: segment.base,
            position,
            reason,
        };
        let mut scan = self
            .log
            .scan(segment, &file, Depth::Checksums, start, len)
            .with_epochs(&self.view.epochs)
            .with_window(self.window_bytes, std::mem::take(&mut self.window));
        if start == 0 {
            scan = scan.expecting(segment.base);
        }
        loop {
            let batch = match scan.next() {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(ScanError::Damaged { position, reason }) => {
                    return Err(damaged(position, reason));
                }
                Err(ScanError::Io(error)) => return Err(error.into()),
            };
            let header = &batch.header;
            self.bytes_read += header.total_len() as u64;
            let bytes = scan.bytes_of(&batch)?;
            if bytes.len() < header.total_len() {
                return Err(CleanError::Io(std::io::ErrorKind::UnexpectedEof.into()));
            }
            if !each(header, bytes)? {
                return Ok(false);
            }
        }
        // A lost end would become a gap that is legal.
        let next = scan.next_offset();
        let end = segment.end().unwrap_or(next);
        (_, self.window) = scan.into_window();
        if next < end && end > self.log.context().gaps_allowed_below() {
            let reason = format!("{next} is followed by {end}");
            return Err(damaged(len, reason));
        }
        Ok(true)
    }
}
