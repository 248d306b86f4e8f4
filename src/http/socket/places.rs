//! How many sockets may be open at a time, over all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;
use tidegate_protocol::{ErrorKind, Failure};

/// Places for sockets.
pub struct Places {
    taken: Arc<AtomicUsize>,
    most: usize,
    gauge: IntGauge,
}

impl Places {
    #[must_use]
    pub fn new(most: usize, gauge: IntGauge) -> Self {
        Self { taken: Arc::default(), most, gauge }
    }

    /// Takes one.
    ///
    /// # Errors
    /// [`ErrorKind::ConnectionLimit`] when there is none left.
    pub fn take(&self) -> Result<Place, Failure> {
        let next = |taken| (taken < self.most).then_some(taken + 1);
        if self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_err() {
            let message = format!("{} sockets are open, and no more may be", self.most);
            return Err(Failure::new(ErrorKind::ConnectionLimit, message));
        }
        self.gauge.inc();
        Ok(Place { taken: Arc::clone(&self.taken), gauge: self.gauge.clone() })
    }
}

/// The place of one socket, given back when it is dropped.
pub struct Place {
    taken: Arc<AtomicUsize>,
    gauge: IntGauge,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        self.gauge.dec();
    }
}
