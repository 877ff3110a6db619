//! Kafka's rules: when segments are begun, and which go.

use super::operations::Settings;
use crate::storage::Haste;

/// A log as the model sees it.
#[derive(Clone, Debug)]
pub(super) struct ModelLog {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) segments: Vec<ModelSegment>,
}

#[derive(Clone, Debug)]
pub(super) struct ModelSegment {
    pub(super) base: i64,
    pub(super) batches: Vec<ModelBatch>,
    /// Largest timestamp of its first batch.
    pub(super) first_timestamp: Option<i64>,
    /// When it was begun, or opened.
    pub(super) created: i64,
    /// When a batch without timestamp was last appended, or the log opened.
    pub(super) changed: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModelBatch {
    pub(super) base: i64,
    pub(super) next: i64,
    pub(super) bytes: u64,
    pub(super) timestamp: i64,
}

impl ModelSegment {
    pub(super) fn at(base: i64, now: i64) -> Self {
        Self {
            base,
            batches: Vec::new(),
            first_timestamp: None,
            created: now,
            changed: now,
        }
    }

    fn bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.bytes).sum()
    }

    /// `LogSegment.largestTimestamp`
    fn largest_timestamp(&self) -> i64 {
        let largest = self.batches.iter().map(|batch| batch.timestamp).max();
        largest.filter(|at| *at >= 0).unwrap_or(self.changed)
    }
}

impl ModelLog {
    /// An empty one, begun now.
    pub(super) fn new(now: i64) -> Self {
        Self {
            start: 0,
            end: 0,
            segments: vec![ModelSegment::at(0, now)],
        }
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(ModelSegment::bytes).sum()
    }

    /// `LogSegment.shouldRoll`
    pub(super) fn append(&mut self, batch: ModelBatch, settings: &Settings, now: i64) {
        let due = self.segments.last().is_none_or(|active| {
            let waited = match active.first_timestamp.filter(|first| *first >= 0) {
                Some(first) => batch.timestamp - first,
                None => now - active.created,
            };
            let too_large = active.bytes() + batch.bytes > settings.segment_bytes;
            !active.batches.is_empty() && (too_large || waited > settings.segment_ms)
        });
        if due {
            self.segments.push(ModelSegment::at(self.end, now));
        }
        if let Some(active) = self.segments.last_mut() {
            if active.batches.is_empty() {
                active.first_timestamp = Some(batch.timestamp);
            }
            if batch.timestamp < 0 {
                active.changed = now;
            }
            active.batches.push(batch);
        }
        self.end = batch.next;
    }

    /// `UnifiedLog.deleteOldSegments`; how many went.
    pub(super) fn delete_old_segments(
        &mut self,
        settings: &Settings,
        believed: Option<i64>,
        haste: Haste,
        now: i64,
    ) -> usize {
        let before = self.segments.len();
        let start = self.start;
        let mut gone = self.delete_while(now, |_, next, end| match (next, haste) {
            (Some(next), _) => next <= start,
            (None, Haste::AtOnce) => end <= start,
            (None, Haste::Usual) => false,
        });
        if settings.delete {
            let size = i64::try_from(self.bytes()).unwrap_or(i64::MAX);
            if settings.retention_bytes >= 0 && size >= settings.retention_bytes {
                let mut excess = size - settings.retention_bytes;
                gone += self.delete_while(now, |segment, _, _| {
                    let rest = excess - i64::try_from(segment.bytes()).unwrap_or(i64::MAX);
                    let goes = rest >= 0;
                    if goes {
                        excess = rest;
                    }
                    goes
                });
            }
            if let Some(wall) = believed
                && settings.retention_ms >= 0
            {
                gone += self.delete_while(now, |segment, _, _| {
                    wall - segment.largest_timestamp() > settings.retention_ms
                });
            }
        }
        debug_assert!(gone <= before + 1);
        gone
    }

    /// `UnifiedLog.deletableSegments` and `deleteSegments`. The rule is told the segment, the base
    /// of the next, and the log end.
    fn delete_while(
        &mut self,
        now: i64,
        mut rule: impl FnMut(&ModelSegment, Option<i64>, i64) -> bool,
    ) -> usize {
        let mut count = 0;
        while let Some(segment) = self.segments.get(count) {
            let next = self.segments.get(count + 1).map(|next| next.base);
            let last_and_empty = next.is_none() && segment.batches.is_empty();
            if !rule(segment, next, self.end) || last_and_empty {
                break;
            }
            count += 1;
        }
        if count > 0 && count == self.segments.len() {
            self.segments.push(ModelSegment::at(self.end, now));
        }
        self.segments.drain(..count);
        if count > 0
            && let Some(first) = self.segments.first()
        {
            self.start = self.start.max(first.base);
        }
        count
    }
}
