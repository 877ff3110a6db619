//! What a connection is told when the broker stops.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::sync::watch;

/// One connection's ear for the end. It stays where the end is told from wait to wait, and costs a
/// request that comes and goes nothing.
pub(super) struct Stop {
    told: watch::Receiver<bool>,
    end: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    /// Whom the end wakes, once somebody waited for it.
    stands: Option<Waker>,
}

impl Stop {
    /// Whoever holds the sender tells the end by sending `true`, or by dropping it.
    pub(super) fn new(mut ending: watch::Receiver<bool>) -> Self {
        let mut told = ending.clone();
        // From here on every change is the end.
        let is_told = *told.borrow_and_update();
        if is_told {
            told.mark_changed();
        }
        let end = async move {
            // The guard that it gives must not live across an await.
            let _ = ending.wait_for(|ending| *ending).await.map(drop);
        };
        Self {
            told,
            end: Box::pin(end),
            stands: None,
        }
    }

    /// Whether the end was told.
    pub(super) fn is_told(&self) -> bool {
        self.told.has_changed().unwrap_or(true)
    }

    /// Waits for the end. Not to be called again once it came.
    pub(super) async fn wait(&mut self) {
        poll_fn(|cx| self.poll_end(cx)).await;
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wakes = |stands: &Waker| stands.will_wake(cx.waker());
        // Standing there costs a lock that all connections share.
        if self.stands.as_ref().is_some_and(wakes) && !self.is_told() {
            return Poll::Pending;
        }
        self.stands = Some(cx.waker().clone());
        self.end.as_mut().poll(cx)
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop")
            .field("is_told", &self.is_told())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn the_end_is_told_to_those_who_wait_and_to_those_who_come_later() {
        let (sender, receiver) = watch::channel(false);
        let mut early = Stop::new(receiver.clone());
        assert!(!early.is_told());
        for _ in 0..3 {
            assert_eq!(early.wait().now_or_never(), None);
        }
        sender.send(true).unwrap();
        let mut late = Stop::new(receiver);
        for stop in [&mut early, &mut late] {
            assert!(stop.is_told());
            assert_eq!(stop.wait().now_or_never(), Some(()));
        }
    }

    #[test]
    fn the_end_of_the_sender_is_the_end() {
        let (sender, receiver) = watch::channel(false);
        let mut stop = Stop::new(receiver);
        drop(sender);
        assert!(stop.is_told());
        assert_eq!(stop.wait().now_or_never(), Some(()));
    }
}
