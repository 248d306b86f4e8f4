//! The permits of one model: how many requests its upstream works on at once, on all workers
//! together, and the bounded FIFO queue of those that wait.
//!
//! A lock is taken once per request and never per token.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::channel::oneshot;
use prometheus::IntGauge;

/// Gauges that follow the pool.
#[derive(Clone)]
pub struct PoolGauges {
    pub in_use: IntGauge,
    pub queued: IntGauge,
}

/// The permits of one model and the line before them.
pub struct PermitPool {
    state: Mutex<State>,
    queue_length: usize,
    gauges: PoolGauges,
}

struct State {
    free: usize,
    next_waiter: u64,
    waiting: VecDeque<(u64, oneshot::Sender<Permit>)>,
    /// Nobody's turn comes any more.
    closed: bool,
}

/// What asking for a permit gives.
pub enum Acquired {
    /// The permit.
    Now(Permit),
    /// A place in the queue.
    Later(Waiter),
    /// The queue is full.
    Full,
}

impl PermitPool {
    #[must_use]
    pub fn new(permits: usize, queue_length: usize, gauges: PoolGauges) -> Arc<Self> {
        let state =
            State { free: permits, next_waiter: 0, waiting: VecDeque::new(), closed: false };
        Arc::new(Self { state: Mutex::new(state), queue_length, gauges })
    }

    /// Takes a permit, or a place in the queue.
    #[must_use]
    pub fn acquire(self: &Arc<Self>) -> Acquired {
        let mut state = self.lock();
        if state.free > 0 {
            state.free -= 1;
            drop(state);
            return Acquired::Now(Permit::new(Arc::clone(self)));
        }
        if state.waiting.len() >= self.queue_length {
            return Acquired::Full;
        }
        let (sender, receiver) = oneshot::channel();
        let number = state.next_waiter;
        state.next_waiter += 1;
        state.waiting.push_back((number, sender));
        self.gauges.queued.inc();
        let position = state.waiting.len();
        Acquired::Later(Waiter { pool: Arc::clone(self), number, position, receiver })
    }

    /// Gives a returned permit to whoever waits longest, or keeps it.
    fn give_back(self: &Arc<Self>) {
        let mut state = self.lock();
        let next = if state.closed { None } else { state.waiting.pop_front() };
        let Some((_, sender)) = next else {
            state.free += 1;
            return;
        };
        self.gauges.queued.dec();
        drop(state);
        // A waiter that has just left drops the permit it is sent, which comes back here and goes
        // to the next in line. The lock is free by now.
        drop(sender.send(Permit::new(Arc::clone(self))));
    }

    /// From now on a permit that comes back stays: those in the queue are about to be told that
    /// their turn does not come, and none of them is to be sent upstream before it is told.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    fn leave(&self, number: u64) {
        let mut state = self.lock();
        if let Some(place) = state.waiting.iter().position(|(waiter, _)| *waiter == number) {
            state.waiting.remove(place);
            self.gauges.queued.dec();
        }
    }

    /// A panic elsewhere does not make the counters wrong: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to have the upstream work on one request; given back when dropped.
pub struct Permit {
    pool: Arc<PermitPool>,
}

impl Permit {
    fn new(pool: Arc<PermitPool>) -> Self {
        pool.gauges.in_use.inc();
        Self { pool }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pool.gauges.in_use.dec();
        self.pool.give_back();
    }
}

/// A place in the queue; resolves to the permit. Dropping it leaves the queue.
pub struct Waiter {
    pool: Arc<PermitPool>,
    number: u64,
    position: usize,
    receiver: oneshot::Receiver<Permit>,
}

impl Waiter {
    /// 1 for the next in line, at the time of joining.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }
}

impl Future for Waiter {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        match Pin::new(&mut self.receiver).poll(cx) {
            Poll::Ready(Ok(permit)) => Poll::Ready(permit),
            // The sender is dropped unsent only by `leave`, which only the waiter's own drop calls.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.pool.leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn gauges() -> PoolGauges {
        let gauge = |name: &str| IntGauge::new(name, "help").unwrap();
        PoolGauges { in_use: gauge("in_use"), queued: gauge("queued") }
    }

    fn now(acquired: Acquired) -> Permit {
        match acquired {
            Acquired::Now(permit) => permit,
            _ => panic!("a permit was free"),
        }
    }

    fn later(acquired: Acquired) -> Waiter {
        match acquired {
            Acquired::Later(waiter) => waiter,
            _ => panic!("a place in the queue was free"),
        }
    }

    #[test]
    fn permits_go_out_in_order_of_arrival() {
        let pool = PermitPool::new(1, 2, gauges());
        let first = now(pool.acquire());
        let mut second = later(pool.acquire());
        let mut third = later(pool.acquire());
        assert_eq!((second.position(), third.position()), (1, 2));
        assert!(matches!(pool.acquire(), Acquired::Full));
        drop(first);
        assert!((&mut third).now_or_never().is_none());
        let permit = (&mut second).now_or_never().unwrap();
        drop(permit);
        assert!((&mut third).now_or_never().is_some());
    }

    #[test]
    fn nobodys_turn_comes_once_the_pool_is_closed() {
        let pool = PermitPool::new(1, 1, gauges());
        let first = now(pool.acquire());
        let mut second = later(pool.acquire());
        pool.close();
        drop(first);
        assert!((&mut second).now_or_never().is_none());
        drop(second);
        assert_eq!((pool.gauges.in_use.get(), pool.gauges.queued.get()), (0, 0));
    }

    #[test]
    fn a_permit_sent_to_a_waiter_that_leaves_goes_to_the_next() {
        let pool = PermitPool::new(1, 2, gauges());
        let first = now(pool.acquire());
        let second = later(pool.acquire());
        let third = later(pool.acquire());
        drop(first);
        drop(second);
        assert!(third.now_or_never().is_some());
        assert_eq!((pool.gauges.in_use.get(), pool.gauges.queued.get()), (0, 0));
    }

    proptest! {
        /// Whatever the order of arriving, leaving and finishing: never more permits than there
        /// are, none lost at the end.
        #[test]
        fn permits_are_conserved(steps in proptest::collection::vec((0..3u8, 0..8usize), 1..200)) {
            let pool = PermitPool::new(3, 4, gauges());
            let (mut held, mut waiting) = (Vec::new(), Vec::new());
            for (step, which) in steps {
                match step {
                    0 => match pool.acquire() {
                        Acquired::Now(permit) => held.push(permit),
                        Acquired::Later(waiter) => waiting.push(waiter),
                        Acquired::Full => prop_assert_eq!(pool.lock().waiting.len(), 4),
                    },
                    1 if which < held.len() => drop(held.remove(which)),
                    2 if which < waiting.len() => drop(waiting.remove(which)),
                    _ => {}
                }
                let mut still = Vec::new();
                for mut waiter in waiting {
                    match (&mut waiter).now_or_never() {
                        Some(permit) => held.push(permit),
                        None => still.push(waiter),
                    }
                }
                waiting = still;
                prop_assert!(held.len() <= 3);
                prop_assert_eq!(pool.gauges.in_use.get(), i64::try_from(held.len()).unwrap());
                prop_assert_eq!(pool.gauges.queued.get(), i64::try_from(waiting.len()).unwrap());
            }
            drop(waiting);
            drop(held);
            prop_assert_eq!(pool.lock().free, 3);
            prop_assert_eq!(pool.gauges.in_use.get(), 0);
        }
    }
}
