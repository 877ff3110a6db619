//! Who waits for a change.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use slab::Slab;
use smallvec::SmallVec;

use super::bell::{Bell, wake_all};

/// Changes of one thing, and the tasks that wait for the next one.
#[derive(Debug, Default)]
pub struct Waiters {
    /// Changes so far; written under the lock.
    count: AtomicU64,
    groups: Mutex<Groups>,
}

/// A group for each thread that has a bell, and one for all others.
type Groups = SmallVec<[Group; 1]>;

/// Tasks of one thread.
#[derive(Debug)]
struct Group {
    bell: Option<Arc<Bell>>,
    wakers: Slab<Waker>,
}

impl Waiters {
    /// How often there was a change. Whoever takes this before a look misses no change that comes
    /// after the look.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Ends when there are more changes than `count`.
    pub fn changed(&self, count: u64) -> Changed<'_> {
        Changed {
            waiters: self,
            count,
            place: None,
        }
    }

    /// There was a change: wakes everybody who waits.
    pub fn wake(&self) {
        let mut groups = self.groups.lock();
        let count = self.count.load(Ordering::Relaxed).wrapping_add(1);
        self.count.store(count, Ordering::Release);
        let woken = std::mem::take(&mut *groups);
        drop(groups);
        for Group { bell, wakers } in woken {
            match bell {
                Some(bell) if !bell.is_here() => bell.ring(wakers),
                Some(_) | None => wake_all(wakers),
            }
        }
    }
}

/// Waits for a change of [`Waiters`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Changed<'a> {
    waiters: &'a Waiters,
    count: u64,
    /// Where the task stands, if it does: the group, and the place in it. Nobody stands anywhere
    /// any more once there was a change.
    place: Option<(usize, usize)>,
}

impl Changed<'_> {
    fn has_come(&self) -> bool {
        self.waiters.count() != self.count
    }
}

impl Future for Changed<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_come() {
            return Poll::Ready(());
        }
        let mut groups = self.waiters.groups.lock();
        // Nobody adds to the count before this lets go.
        if self.has_come() {
            return Poll::Ready(());
        }
        match self.place {
            Some((group, place)) => {
                let stands = groups
                    .get_mut(group)
                    .and_then(|group| group.wakers.get_mut(place));
                let replaced = stands
                    .filter(|waker| !waker.will_wake(cx.waker()))
                    .map(|waker| std::mem::replace(waker, cx.waker().clone()));
                // Whatever goes with a waker goes without the lock.
                drop(groups);
                drop(replaced);
            }
            None => {
                let place = stand(&mut groups, cx.waker().clone());
                drop(groups);
                self.place = Some(place);
            }
        }
        Poll::Pending
    }
}

/// Has a task stand among those of this thread.
fn stand(groups: &mut Groups, waker: Waker) -> (usize, usize) {
    let is_this_one = |group: &Group| match &group.bell {
        Some(bell) => bell.is_here(),
        None => Bell::here().is_none(),
    };
    let mut numbered = groups.iter_mut().enumerate();
    if let Some((index, group)) = numbered.find(|(_, group)| is_this_one(group)) {
        return (index, group.wakers.insert(waker));
    }
    let mut wakers = Slab::new();
    let place = wakers.insert(waker);
    let bell = Bell::here();
    groups.push(Group { bell, wakers });
    (groups.len() - 1, place)
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        let Some((group, place)) = self.place.filter(|_| !self.has_come()) else {
            return;
        };
        let mut groups = self.waiters.groups.lock();
        if self.has_come() {
            return;
        }
        let left = groups
            .get_mut(group)
            .and_then(|group| group.wakers.try_remove(place));
        // As above.
        drop(groups);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// Counts how often it was asked to wake.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn whoever_waits_since_a_count_is_woken_once_by_the_next_change() {
        let waiters = Waiters::default();
        let counter = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&counter));
        let mut cx = Context::from_waker(&waker);
        let mut changed: Vec<_> = (0..5).map(|_| waiters.changed(waiters.count())).collect();
        for changed in &mut changed {
            assert!(changed.poll_unpin(&mut cx).is_pending());
            assert!(changed.poll_unpin(&mut cx).is_pending());
        }
        drop(changed.pop());
        waiters.wake();
        waiters.wake();
        assert_eq!(counter.0.load(Ordering::SeqCst), 4);
        for changed in &mut changed {
            assert!(changed.poll_unpin(&mut cx).is_ready());
        }
        assert!(waiters.changed(1).now_or_never().is_some(), "it was missed");
        assert!(waiters.changed(2).now_or_never().is_none());
        assert!(
            waiters
                .groups
                .lock()
                .iter()
                .all(|group| group.wakers.is_empty())
        );
    }

    #[test]
    fn the_task_that_polled_last_is_the_one_that_is_woken() {
        let waiters = Waiters::default();
        let counters = [(); 2].map(|()| Arc::new(Counter::default()));
        let mut changed = waiters.changed(0);
        for counter in &counters {
            let waker = Waker::from(Arc::clone(counter));
            assert!(
                changed
                    .poll_unpin(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
        waiters.wake();
        let woken = counters.map(|counter| counter.0.load(Ordering::SeqCst));
        assert_eq!(woken, [0, 1]);
    }

    /// A thread with a runtime of its own that serves its bell.
    fn thread_with_bell() -> (tokio::runtime::Handle, tokio::sync::oneshot::Sender<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let handle = runtime.handle().clone();
        let (end, ends) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = Bell::serve() => {}
                    _ = ends => {}
                }
            });
        });
        (handle, end)
    }

    #[tokio::test]
    async fn tasks_of_all_threads_see_every_change_that_comes_after_their_count() {
        const CHANGES: u64 = 2_000;
        let waiters = Arc::new(Waiters::default());
        let threads = [thread_with_bell(), thread_with_bell()];
        let here = tokio::runtime::Handle::current();
        let handles = threads.iter().map(|(handle, _)| handle).chain([&here]);
        let mut tasks = Vec::new();
        for handle in handles {
            for task in 0..20 {
                let waiters = Arc::clone(&waiters);
                tasks.push(handle.spawn(async move {
                    let mut seen = 0;
                    while seen < CHANGES {
                        if task % 3 == 0 {
                            // Some leave before it comes, and stand again.
                            let _ = waiters.changed(seen).now_or_never();
                        }
                        waiters.changed(seen).await;
                        seen = waiters.count();
                    }
                }));
            }
        }
        for _ in 0..CHANGES {
            waiters.wake();
            yield_now().await;
        }
        for task in tasks {
            timeout(SOON, task).await.unwrap().unwrap();
        }
        assert!(waiters.groups.lock().is_empty(), "nobody waits any more");
    }

    #[tokio::test]
    async fn tasks_of_another_thread_stand_together_and_are_woken_by_its_bell() {
        let waiters = Arc::new(Waiters::default());
        let (handle, _end) = thread_with_bell();
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let waiters = Arc::clone(&waiters);
                handle.spawn(async move { waiters.changed(0).await })
            })
            .collect();
        let all_stand = || {
            let groups = waiters.groups.lock();
            let standing: Vec<_> = groups.iter().map(|group| group.wakers.len()).collect();
            standing == [10]
        };
        while !all_stand() {
            yield_now().await;
        }
        let bell = waiters.groups.lock()[0].bell.clone().unwrap();
        assert!(!bell.is_here());
        waiters.wake();
        for task in tasks {
            timeout(SOON, task).await.unwrap().unwrap();
        }
    }
}
