//! What readers see of a log, and the one place that changes it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use crossbeam_utils::atomic::AtomicCell;
use parking_lot::Mutex;

use crate::model::Offset;

use crate::storage::log::epochs::Epochs;
use crate::storage::log::offsets::{Mark, Offsets};
use crate::storage::log::segment::Segment;
use crate::storage::log::transactions::Unsettled;

/// What changes rarely of a log: with its segments, its leaders, or what is deleted of it.
#[derive(Clone, Debug)]
pub(in crate::storage) struct Shape {
    /// All segments in the order of their offsets; the last one is the active one.
    pub(in crate::storage) segments: Arc<[Arc<Segment>]>,
    /// Where the leader epochs began.
    pub(in crate::storage) epochs: Arc<Epochs>,
    /// First readable offset.
    pub(in crate::storage) log_start: Offset,
}

/// Everything that a reader needs, as of one moment: the [`Shape`], and what every append changes.
#[derive(Debug)]
pub(in crate::storage) struct View {
    published: Guard<Arc<Numbered>>,
    /// What is to be published instead.
    changed: Option<Shape>,
    /// The log end.
    pub(in crate::storage) end: Mark,
    /// The high watermark.
    pub(in crate::storage) committed: Mark,
    /// The last stable offset. It follows from the rest, at each [`Published::update`]. Where
    /// records of a transaction that is open were deleted, it is the log start, and its place
    /// that of the transaction: below all that can be read.
    pub(in crate::storage) last_stable: Mark,
    /// Below it everything is on disk.
    pub(in crate::storage) durable: Offset,
}

impl Deref for View {
    type Target = Shape;

    fn deref(&self) -> &Shape {
        self.changed.as_ref().unwrap_or(&self.published.shape)
    }
}

/// The first change copies the shape.
impl DerefMut for View {
    fn deref_mut(&mut self) -> &mut Shape {
        let published = &self.published.shape;
        self.changed.get_or_insert_with(|| published.clone())
    }
}

impl View {
    /// A log of which all is committed and on disk.
    pub(in crate::storage) fn new(shape: Shape, end: Mark) -> Self {
        let shape = Arc::new(Numbered { number: 0, shape });
        Self {
            published: Guard::from_inner(shape),
            changed: None,
            end,
            committed: end,
            last_stable: end,
            durable: end.offset,
        }
    }

    /// The view, to be kept for as long as something takes.
    pub(in crate::storage) fn kept(self) -> Self {
        let published = Guard::from_inner(Guard::into_inner(self.published));
        Self { published, ..self }
    }

    fn marks(&self, shape: u64) -> Marks {
        Marks {
            shape,
            end: self.end,
            committed: self.committed,
            last_stable: self.last_stable,
            durable: self.durable,
        }
    }

    /// The offsets of this moment.
    pub(in crate::storage) fn offsets(&self) -> Offsets {
        Offsets {
            log_start: self.log_start,
            last_stable: self.last_stable.offset,
            high_watermark: self.committed.offset,
            log_end: self.end.offset,
            durable: self.durable,
        }
    }
}

/// A published shape, and how many were published before it.
#[derive(Debug)]
struct Numbered {
    number: u64,
    shape: Shape,
}

/// What a view has beside its shape.
#[derive(Clone, Copy, Debug)]
struct Marks {
    /// Number of the shape that they belong to.
    shape: u64,
    end: Mark,
    committed: Mark,
    last_stable: Mark,
    durable: Offset,
}

/// The view that readers load and writers replace.
///
/// An append changes the marks alone, in place. Replacing what is shared by reference would have
/// it look through the hazards of all threads, which cost more than the rest of publishing.
#[derive(Debug)]
pub(in crate::storage) struct Published {
    /// Replaced before the marks that belong to it.
    shape: ArcSwap<Numbered>,
    marks: AtomicCell<Marks>,
    /// The transactions that keep the last stable offset back. Two threads change views: the one
    /// that appends and the one that commits. Held for the computation of one view, never during
    /// I/O; readers take it only where they came between a shape and its marks.
    change: Mutex<Unsettled>,
}

impl Published {
    /// The view of a log, not changed yet, in which these transactions are open.
    pub(in crate::storage) fn new(mut view: View, mut unsettled: Unsettled) -> Self {
        view.last_stable = unsettled.last_stable(&view);
        view.offsets().assert_follow(view.offsets());
        Self {
            marks: AtomicCell::new(view.marks(view.published.number)),
            shape: ArcSwap::new(Guard::into_inner(view.published)),
            change: Mutex::new(unsettled),
        }
    }

    /// The view of this moment.
    pub(in crate::storage) fn load(&self) -> View {
        loop {
            // In this order: a shape that has the number of marks that were there before it was
            // there with them.
            let marks = self.marks.load();
            let shape = self.shape.load();
            if shape.number == marks.shape {
                return View {
                    published: shape,
                    changed: None,
                    end: marks.end,
                    committed: marks.committed,
                    last_stable: marks.last_stable,
                    durable: marks.durable,
                };
            }
            drop(self.change.lock());
        }
    }

    /// Publishes what `change` makes of the newest view.
    pub(in crate::storage) fn update(&self, change: impl FnOnce(&mut View)) {
        self.update_transactions(|view, _unsettled| change(view));
    }

    /// As [`Self::update`], for an append that may begin or end a transaction.
    pub(in crate::storage) fn update_transactions(
        &self,
        change: impl FnOnce(&mut View, &mut Unsettled),
    ) {
        let mut unsettled = self.change.lock();
        let mut view = self.load();
        let before = view.offsets();
        change(&mut view, &mut unsettled);
        view.last_stable = unsettled.last_stable(&view);
        view.offsets().assert_follow(before);
        let mut number = view.published.number;
        if let Some(shape) = view.changed.take() {
            number += 1;
            self.shape.store(Arc::new(Numbered { number, shape }));
        }
        self.marks.store(view.marks(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64, segment: Offset) -> Mark {
        Mark {
            offset: Offset(offset),
            segment,
            position: 0,
        }
    }

    fn published() -> Published {
        let start = Offset(0);
        let shape = Shape {
            segments: Arc::new([Arc::new(Segment::fresh(0, start))]),
            epochs: Arc::new(Epochs::default()),
            log_start: start,
        };
        Published::new(View::new(shape, at(0, start)), Unsettled::default())
    }

    /// Moves the end and the high watermark.
    fn append(published: &Published, offset: i64) {
        published.update(|view| {
            view.end = at(offset, view.end.segment);
            view.committed = view.end;
        });
    }

    fn roll(published: &Published, number: u64) {
        published.update(|view| {
            let fresh = Arc::new(Segment::fresh(number, view.end.offset));
            view.end.segment = fresh.base;
            view.segments = view.segments.iter().cloned().chain([fresh]).collect();
        });
    }

    #[test]
    fn a_change_of_marks_alone_shares_the_shape() {
        let published = published();
        let before = published.load();
        append(&published, 5);
        let after = published.load();
        assert!(Arc::ptr_eq(&before.segments, &after.segments));
        assert_eq!(
            (before.end.offset, after.end.offset),
            (Offset(0), Offset(5))
        );
        assert_eq!(after.offsets().last_stable, Offset(5));
        roll(&published, 1);
        assert_eq!(after.segments.len(), 1);
        assert_eq!(published.load().kept().segments.len(), 2);
    }

    #[test]
    fn nobody_sees_marks_with_a_shape_of_another_moment() {
        const ROLLS: u64 = 2_000;
        let published = published();
        let is_over = |view: &View| view.segments.len() as u64 > ROLLS;
        let look = || {
            let mut seen = Offset(0);
            loop {
                let view = published.load();
                let active = view.segments.last().unwrap();
                assert_eq!(active.base, view.end.segment);
                assert!(seen <= view.end.offset);
                seen = view.end.offset;
                if is_over(&view) {
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(look);
            scope.spawn(look);
            for number in 1..=ROLLS {
                append(&published, 10 * number as i64);
                roll(&published, number);
            }
        });
    }
}
