//! Moving the start of logs on request (DeleteRecords).

use crate::io::Persist;
use crate::model::Offset;

use crate::storage::core::Core;
use crate::storage::log::partition_log::Log;
use crate::storage::log::read::storage;
use crate::storage::outcome::ReadError;

/// Makes each offset the start of its log; durable when it returns, with one write for all of
/// them. The log starts then. Segments that lie below them go soon after.
pub(in crate::storage) fn delete(
    core: &Core,
    wanted: Vec<Result<(&Log, Offset), ReadError>>,
) -> Vec<Result<Offset, ReadError>> {
    let judged: Vec<_> = wanted
        .into_iter()
        .map(|wanted| {
            let (log, before) = wanted?;
            Ok((log, before, log.may_start_at(before)?))
        })
        .collect();
    let moves = judged.iter().flatten().any(|(_, _, moves)| *moves);
    let written = match moves {
        true => core.write_log_starts(Persist::Durable).map_err(storage),
        false => Ok(()),
    };
    let settle = |judged: Result<(&Log, Offset, bool), ReadError>| {
        let (log, before, moves) = judged?;
        if moves {
            written.clone()?;
            log.start_at(before);
        }
        Ok(log.published().load().log_start)
    };
    judged.into_iter().map(settle).collect()
}

impl Log {
    /// Whether the log start would move, and is noted for the next write of the checkpoint.
    fn may_start_at(&self, before: Offset) -> Result<bool, ReadError> {
        let (context, core) = (self.context(), &self.context().core);
        let offsets = self.published().load().offsets();
        if before < Offset(0) || before > offsets.high_watermark {
            return Err(ReadError::OutOfRange {
                offset: before,
                log_start: offsets.log_start,
                log_end: offsets.high_watermark,
            });
        }
        if before <= offsets.log_start {
            return Ok(false);
        }
        if let Some(refusal) = core.refusal() {
            return Err(ReadError::Storage(refusal));
        }
        match core.log_starts.raise(context, before) {
            true => Ok(true),
            false => Err(ReadError::Deleted),
        }
    }

    /// Publishes a log start that is durable.
    fn start_at(&self, log_start: Offset) {
        let (context, core) = (self.context(), &self.context().core);
        self.move_log_start(log_start);
        context.waiters.wake();
        let view = self.published().load();
        // Where room is low an active segment goes, too, that holds nothing any more.
        let next = view.segments.get(1).map(|second| second.base);
        let next = next.or(core.space.is_low().then_some(view.end.offset));
        if next.is_some_and(|next| next <= view.log_start) {
            core.upkeep.request(context.id, core.clock.monotonic());
        }
    }
}
