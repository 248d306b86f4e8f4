//! The time limits of one answer, kept by one timer.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tidegate_protocol::{ErrorKind, Failure};
use tokio::time::{Instant, Sleep};

/// What is waited for has a limit of its own, and the whole answer has one.
pub struct Limits<'a> {
    timer: Pin<&'a mut Sleep>,
    /// What is waited for now, and until when.
    what: &'static str,
    limit: Duration,
    due: Instant,
    total: Duration,
    end: Instant,
}

impl<'a> Limits<'a> {
    /// The whole answer takes no longer than `total` from now.
    pub fn start(timer: Pin<&'a mut Sleep>, total: Duration) -> Self {
        Self::until(timer, total, Instant::now() + total)
    }

    /// The whole answer takes no longer than `total`, which is over at `end`.
    pub fn until(timer: Pin<&'a mut Sleep>, total: Duration, end: Instant) -> Self {
        Self { timer, what: "", limit: total, due: end, total, end }
    }

    /// When the whole answer has to be there.
    pub fn end(&self) -> Instant {
        self.end
    }

    /// From now on so long is waited for something; `what` tells the failure.
    pub fn wait_for(&mut self, what: &'static str, limit: Duration) {
        (self.what, self.limit, self.due) = (what, limit, Instant::now() + limit);
    }

    /// The limit stays, but something else is waited for.
    pub fn rename(&mut self, what: &'static str) {
        self.what = what;
    }

    /// Waits for a piece of work until the nearer of both limits.
    pub async fn phase<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        self.by(self.due.min(self.end), work).await
    }

    /// Waits for a piece of work as long as the answer may take.
    ///
    /// # Errors
    /// When that is over.
    pub async fn whole<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let done = self.by(self.end, work).await;
        done.ok_or_else(|| late("the whole answer took longer than", self.total))
    }

    /// Whether there is no time left for anything.
    pub fn are_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// What to say of a phase that was too late.
    pub fn late(&self) -> Failure {
        if self.due < self.end {
            return late(self.what, self.limit);
        }
        late("the whole answer took longer than", self.total)
    }

    /// The timer is moved only when it fires too early, or would fire too late, so that a busy
    /// stream does not touch it.
    async fn by<T>(&mut self, due: Instant, work: impl Future<Output = T>) -> Option<T> {
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = &mut self.timer => {
                    if due <= self.timer.deadline() {
                        return None;
                    }
                    self.timer.as_mut().reset(due);
                }
            }
        }
    }
}

fn late(what: &str, limit: Duration) -> Failure {
    Failure::new(ErrorKind::UpstreamTimeout, format!("{what} {limit:?}"))
}
