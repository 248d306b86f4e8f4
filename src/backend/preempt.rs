//! Which of the requests an upstream works on may lose their turn to a more urgent one: those whose
//! answer has not begun.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::config::Priority;

/// One that may lose its turn, and how it is told.
pub struct Claim {
    key: Key,
    told: Notify,
    has_begun: AtomicBool,
}

/// The lowest class first, and of that the one that was sent last: it loses least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    class: Priority,
    age: u64,
}

impl Claim {
    /// Says that the turn is wanted.
    pub fn tell(&self) {
        self.told.notify_one();
    }

    /// Waits until somebody says so.
    pub async fn told(&self) {
        self.told.notified().await;
    }

    /// Notes that the answer has begun; true the first time.
    pub fn begin(&self) -> bool {
        !self.has_begun.swap(true, Ordering::Relaxed)
    }

    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }
}

/// Those that may lose their turn and whose turn nobody wants yet.
#[derive(Default)]
pub struct Running {
    claims: BTreeMap<Key, Arc<Claim>>,
    sent: u64,
}

impl Running {
    /// One more is sent.
    pub fn add(&mut self, class: Priority) -> Arc<Claim> {
        self.sent += 1;
        let key = Key { class, age: u64::MAX - self.sent };
        let claim = Claim { key, told: Notify::new(), has_begun: AtomicBool::new(false) };
        let claim = Arc::new(claim);
        self.claims.insert(key, Arc::clone(&claim));
        claim
    }

    /// The turn that a request of a class may have. It is nobody else's then.
    pub fn claim_below(&mut self, class: Priority) -> Option<Arc<Claim>> {
        let lowest = self.claims.first_entry().filter(|lowest| lowest.key().class < class)?;
        Some(lowest.remove())
    }

    /// It is over, or its answer has begun. Whether nobody wanted its turn.
    pub fn remove(&mut self, claim: &Claim) -> bool {
        self.claims.remove(&claim.key).is_some()
    }

    /// Its turn is not wanted any more.
    pub fn put_back(&mut self, claim: &Arc<Claim>) {
        self.claims.insert(claim.key, Arc::clone(claim));
    }
}
