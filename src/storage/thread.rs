//! The background threads of a store.

use std::io;
use std::thread::{Builder, JoinHandle};

/// A background thread, or none yet. Whoever owns it tells it to end, in its own way, before
/// [`join`](Self::join).
#[derive(Debug, Default)]
pub(super) struct Thread(Option<JoinHandle<()>>);

impl Thread {
    /// Starts a thread with so many KiB of stack.
    ///
    /// # Errors
    /// If the system has none to give.
    pub(super) fn start(
        name: &str,
        stack_kib: usize,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let builder = Builder::new().name(name.to_owned());
        let thread = builder.stack_size(stack_kib * 1024).spawn(work)?;
        Ok(Self(Some(thread)))
    }

    pub(super) fn is_started(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for its end.
    pub(super) fn join(self) {
        let Some(thread) = self.0 else {
            return;
        };
        let name = thread.thread().name().unwrap_or_default().to_owned();
        if thread.join().is_err() {
            tracing::error!(name, "a thread of the store panicked");
        }
    }
}
