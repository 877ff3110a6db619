//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection stays on the thread that it was given. Whatever wakes it wakes that thread, which
//! is asleep at its sockets and goes on at once; a runtime whose threads share their tasks wakes
//! a second one to look for more, which costs each request of a quiet broker two hand-overs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use crate::wake::Bell;

/// The threads. They end when the last reference to them is dropped, and with them whatever is
/// still served.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<Handle>,
    next: AtomicUsize,
    /// Its end tells the threads.
    _ends: watch::Sender<()>,
}

impl Workers {
    /// Starts so many threads; with none of them connections are served on the runtime that
    /// accepts them.
    ///
    /// # Errors
    /// If a thread or its runtime cannot be had.
    pub fn start(count: usize) -> io::Result<Arc<Self>> {
        let (ends, _) = watch::channel(());
        let threads = (0..count).map(|_| start_one(ends.subscribe()));
        Ok(Arc::new(Self {
            threads: threads.collect::<io::Result<_>>()?,
            next: AtomicUsize::new(0),
            _ends: ends,
        }))
    }

    /// Where the next connection goes: to each in turn.
    pub(super) fn next(&self) -> Handle {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let thread = turn.checked_rem(self.threads.len());
        let thread = thread.and_then(|thread| self.threads.get(thread));
        thread.cloned().unwrap_or_else(Handle::current)
    }
}

fn start_one(mut ends: watch::Receiver<()>) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("klamm-network".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = Bell::serve() => {}
                    // Nothing is ever sent.
                    _ = ends.changed() => {}
                }
            });
            runtime.shutdown_background();
        })?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::current;

    #[tokio::test]
    async fn each_in_turn_serves_a_connection_and_without_any_the_caller_does() {
        let workers = Workers::start(2).unwrap();
        let mut threads = Vec::new();
        for _ in 0..4 {
            let served = workers.next().spawn(async { current().id() });
            threads.push(served.await.unwrap());
        }
        let [first, second, third, fourth] = threads[..] else {
            panic!("four connections");
        };
        assert!(first != second && ![first, second].contains(&current().id()));
        assert_eq!((first, second), (third, fourth));

        let none = Workers::start(0).unwrap();
        let served = none.next().spawn(async { current().id() });
        assert_eq!(served.await.unwrap(), current().id());
    }

    #[tokio::test]
    async fn what_is_still_served_ends_with_the_workers() {
        let workers = Workers::start(1).unwrap();
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        workers.next().spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(workers);
        assert!(dropped.await.is_err());
    }
}
