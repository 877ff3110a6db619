//! The checks of single records (`LogValidator.validateRecord`).

use crate::model::Timestamp;

use super::super::header::{BatchHeader, NO_TIMESTAMP};
use super::super::records::RecordIter;
use super::rules::{
    BatchError, REJECTIONS_KEPT, RecordFault, RecordRejection, RecordRejections, RecordSizes, Rules,
};
use crate::model::limits::BATCH_HEADER_LENGTH;

/// What the checks need to know of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordFacts {
    pub(super) timestamp: Timestamp,
    /// Relative to the batch.
    pub(super) offset: i64,
    pub(super) sizes: RecordSizes,
}

/// Looks at one record after the other and remembers what is wrong.
#[derive(Debug)]
pub(super) struct Inspector {
    header: BatchHeader,
    compacted: bool,
    topic_log_append_time: bool,
    now: i64,
    before_max_ms: i64,
    after_max_ms: i64,
    max_timestamp: Timestamp,
    index: i32,
    rejections: RecordRejections,
}

impl Inspector {
    pub(super) fn new(header: BatchHeader, rules: &Rules, now: Timestamp) -> Self {
        Self {
            header,
            compacted: rules.compacted,
            topic_log_append_time: rules.log_append_time,
            now: now.0,
            before_max_ms: rules.timestamp_before_max_ms,
            after_max_ms: rules.timestamp_after_max_ms,
            max_timestamp: NO_TIMESTAMP,
            index: 0,
            rejections: RecordRejections {
                total: 0,
                first: Vec::new(),
            },
        }
    }

    pub(super) fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Whether the header alone says that every record is allowed, as far as a header can be
    /// believed; see the table of the parent module.
    pub(super) fn header_answers(&self) -> bool {
        if self.compacted {
            return false;
        }
        let producer_stamped = self.header.is_log_append_time();
        if self.topic_log_append_time {
            return !producer_stamped;
        }
        let latest = self.header.max_timestamp;
        if producer_stamped {
            // Every record has the same timestamp, and Kafka lets it pass if that is in range.
            latest != NO_TIMESTAMP && !self.out_of_range(latest)
        } else {
            self.before_max_ms == i64::MAX && (latest == NO_TIMESTAMP || !self.out_of_range(latest))
        }
    }

    /// Checks all records of an uncompressed batch; the largest timestamp if all are allowed.
    pub(super) fn walk(mut self, batch: &[u8]) -> Result<Timestamp, BatchError> {
        let payload = batch.get(BATCH_HEADER_LENGTH..).unwrap_or_default();
        let mut records = RecordIter::new(&self.header, payload);
        while let Some(record) = records.next_lengths()? {
            self.check(RecordFacts {
                timestamp: record.timestamp,
                offset: record.offset.0,
                sizes: RecordSizes {
                    key: record.key,
                    value: record.value,
                    skipped: false,
                },
            });
        }
        self.finish()
    }

    /// Checks the next record.
    #[inline]
    pub(super) fn check(&mut self, record: RecordFacts) {
        if let Some(fault) = self.fault(&record) {
            self.rejections.total += 1;
            if self.rejections.first.len() < REJECTIONS_KEPT {
                self.rejections.first.push(RecordRejection {
                    index: self.index,
                    fault,
                });
            }
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.index = self.index.saturating_add(1);
    }

    /// The verdict: the largest timestamp, or the records that are not allowed.
    pub(super) fn finish(self) -> Result<Timestamp, BatchError> {
        if self.rejections.total > 0 {
            return Err(BatchError::Records(self.rejections));
        }
        Ok(self.max_timestamp)
    }

    fn fault(&self, record: &RecordFacts) -> Option<RecordFault> {
        if self.compacted && record.sizes.key.is_none() {
            return Some(RecordFault::KeyMissing);
        }
        if !self.topic_log_append_time && record.timestamp != NO_TIMESTAMP {
            return self
                .out_of_range(record.timestamp)
                .then(|| RecordFault::TimestampOutOfRange {
                    timestamp: record.timestamp,
                    offset: record.offset,
                    earliest: Timestamp(self.now.wrapping_sub(self.before_max_ms)),
                    latest: Timestamp(self.now.wrapping_add(self.after_max_ms)),
                });
        }
        // Kafka asks only where the clause above did not apply, and so do we.
        self.header
            .is_log_append_time()
            .then_some(RecordFault::LogAppendTimeByProducer {
                timestamp: record.timestamp,
                offset: record.offset,
                sizes: record.sizes,
            })
    }

    /// Java's arithmetic, which wraps.
    #[inline]
    fn out_of_range(&self, timestamp: Timestamp) -> bool {
        let age = self.now.wrapping_sub(timestamp.0);
        age > self.before_max_ms || age.wrapping_neg() > self.after_max_ms
    }
}
