//! A thread that wakes its own tasks when others ask for it.
//!
//! A task that is woken from another thread costs a system call, a lock, and the memory of the
//! task coming over from the other processor. Two hundred readers of one partition are as many of
//! each; left at the bell of their thread, they are one.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;

thread_local! {
    /// The bell of this thread, while it is served.
    static HERE: RefCell<Option<Arc<Bell>>> = const { RefCell::new(None) };
}

/// What is to be woken on one thread.
#[derive(Debug, Default)]
pub struct Bell {
    left: Mutex<Vec<Slab<Waker>>>,
    rung: Notify,
}

impl Bell {
    /// Serves the bell of the thread that polls this, which must be one and the same: as long as it
    /// does, tasks that begin to wait on this thread are woken by it.
    pub async fn serve() {
        let bell = Arc::new(Self::default());
        let _served = Served::begin(&bell);
        loop {
            bell.rung.notified().await;
            let left = std::mem::take(&mut *bell.left.lock());
            left.into_iter().for_each(wake_all);
        }
    }

    /// That of the current thread, if one is served.
    pub(super) fn here() -> Option<Arc<Self>> {
        HERE.try_with(|here| here.borrow().clone()).ok().flatten()
    }

    /// Whether this is the one of the current thread.
    pub(super) fn is_here(&self) -> bool {
        let is_here = |here: &RefCell<Option<Arc<Self>>>| {
            here.borrow()
                .as_deref()
                .is_some_and(|here| std::ptr::eq(here, self))
        };
        HERE.try_with(is_here).unwrap_or(false)
    }

    /// Leaves wakers for its thread, and has it look.
    pub(super) fn ring(&self, wakers: Slab<Waker>) {
        let mut left = self.left.lock();
        let is_first = left.is_empty();
        left.push(wakers);
        drop(left);
        if is_first {
            self.rung.notify_one();
        }
    }
}

/// Wakes them here and now.
pub(super) fn wake_all(mut wakers: Slab<Waker>) {
    wakers.drain().for_each(Waker::wake);
}

/// From here to its end the thread has a bell.
struct Served;

impl Served {
    fn begin(bell: &Arc<Bell>) -> Self {
        HERE.set(Some(Arc::clone(bell)));
        Self
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // A thread that ends may have taken it away already.
        let _ = HERE.try_with(|here| here.take());
    }
}
