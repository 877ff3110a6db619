//! A deadline that moves with every wait.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that stays set from wait to wait. A deadline mostly moves away before it comes, once for
/// each request; the timer is left where it is, and goes on to the deadline of that time when it
/// goes off. Only an earlier deadline sets it anew: setting one may cost a system call, by which
/// the runtime tells itself to sleep no longer than that.
#[derive(Debug, Default)]
pub struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
    /// Whom the timer wakes as it is set.
    stands: Option<Waker>,
}

/// A deadline passed.
#[derive(Debug)]
pub struct Passed;

impl Alarm {
    /// What the future gives, if that is before the deadline; without one it may take forever.
    ///
    /// # Errors
    /// If the deadline passed first.
    pub async fn before<T>(
        &mut self,
        deadline: Option<Instant>,
        future: impl Future<Output = T>,
    ) -> Result<T, Passed> {
        let mut future = std::pin::pin!(future);
        poll_fn(|cx| match (future.as_mut().poll(cx), deadline) {
            (Poll::Ready(output), _) => Poll::Ready(Ok(output)),
            (Poll::Pending, None) => Poll::Pending,
            (Poll::Pending, Some(deadline)) => self.poll_passed(cx, deadline).map(Err),
        })
        .await
    }

    fn poll_passed(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<Passed> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        let wakes = |stands: &Waker| stands.will_wake(cx.waker());
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        } else if self.stands.as_ref().is_some_and(wakes) && !timer.is_elapsed() {
            return Poll::Pending;
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(Passed);
            }
            timer.as_mut().reset(deadline);
        }
        self.stands = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::time::{sleep, timeout};

    const MOMENT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(300);

    /// Whether a wait that nothing ends but its deadline, after that time, ends then.
    async fn ends(alarm: &mut Alarm, after: Duration) -> bool {
        let start = Instant::now();
        let wait = alarm.before(Some(start + after), pending::<()>());
        wait.await.is_err() && (after..LONG / 2).contains(&start.elapsed())
    }

    #[tokio::test]
    async fn a_wait_ends_at_its_own_deadline_whatever_those_before_it_were() {
        let mut alarm = Alarm::default();
        for moments in [3, 1, 4] {
            for earlier in [MOMENT / 2, LONG] {
                let deadline = Instant::now() + earlier;
                let begun = alarm.before(Some(deadline), pending::<()>());
                let has_ended = begun.now_or_never().is_some();
                assert!(!has_ended || Instant::now() >= deadline);
                assert!(ends(&mut alarm, moments * MOMENT).await);
            }
        }
    }

    #[tokio::test]
    async fn what_comes_before_the_deadline_is_given() {
        let mut alarm = Alarm::default();
        let later = Some(Instant::now() + LONG);
        assert!(alarm.before(later, ready(())).await.is_ok());
        assert!(alarm.before(later, sleep(MOMENT)).await.is_ok());
        // A deadline that has passed does not take away what is there.
        let passed = Some(Instant::now());
        assert!(alarm.before(passed, ready(())).await.is_ok());
        assert!(alarm.before(passed, pending::<()>()).await.is_err());
    }

    #[tokio::test]
    async fn without_a_deadline_a_wait_does_not_end() {
        let mut alarm = Alarm::default();
        assert!(ends(&mut alarm, MOMENT).await);
        let forever = alarm.before(None, pending::<()>());
        assert!(timeout(MOMENT, forever).await.is_err());
    }
}
