//! The time limit for clients that take nothing, where the kernel has none: over HTTP/2 the window
//! of a stream may stay shut while its connection is in good order.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix_rt::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::stream::Leaver;

/// Watches one answer's body until it is dropped.
pub struct WriteLimit {
    waits_since: Rc<Cell<Option<Instant>>>,
    watch: JoinHandle<()>,
}

impl WriteLimit {
    /// A client that takes less than one delivery in `limit` counts as gone.
    #[must_use]
    pub fn start(limit: Duration, leaver: Leaver) -> Self {
        let waits_since = Rc::new(Cell::new(None));
        let watch = actix_rt::spawn(watch(limit, Rc::clone(&waits_since), leaver));
        Self { waits_since, watch }
    }

    /// The connection was given something to write.
    pub fn given(&self) {
        self.waits_since.set(Some(Instant::now()));
    }

    /// It asks for more: it has written what it had.
    pub fn written(&self) {
        self.waits_since.set(None);
    }
}

impl Drop for WriteLimit {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

async fn watch(limit: Duration, waits_since: Rc<Cell<Option<Instant>>>, leaver: Leaver) {
    let mut left = limit;
    while !left.is_zero() {
        sleep(left).await;
        let waited = waits_since.get().map_or(Duration::ZERO, |since| since.elapsed());
        left = limit.saturating_sub(waited);
    }
    leaver.leave();
}
