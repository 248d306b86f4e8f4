//! The permits of one model: how many requests its upstream works on at once, on all workers
//! together, and the bounded queue of those that wait.
//!
//! A lock is taken a few times per request and never per token.

pub mod gauges;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::channel::oneshot;

use self::gauges::PoolGauges;
use super::preempt::{Claim, Running};
use super::queue::{Bounds, Joined, Line, Pace, Ticket};
use crate::access::Party;
use crate::config::{Priority, QueueLimits, Weights};

/// All places are found out anew after this, at the earliest; later where many wait, so that it
/// stays a small part of the work.
const SURVEY_EVERY: Duration = Duration::from_secs(1);
/// So many that wait make it that much later once more.
const SURVEY_STEP: usize = 10_000;

/// The permits of one model and those that wait for them.
pub struct PermitPool {
    state: Mutex<State>,
    gauges: PoolGauges,
}

struct State {
    /// So many there are.
    permits: usize,
    /// So many are out.
    taken: usize,
    line: Line<Seat>,
    preempt: bool,
    /// Those whose turn may be taken: empty where the model does not have it so.
    running: Running,
    pace: Pace,
    surveyed: Option<Instant>,
    /// Nobody's turn comes any more.
    closed: bool,
}

/// Where the turn of one that waits is told.
struct Seat {
    sender: oneshot::Sender<Result<Permit, PushedOut>>,
    since: Instant,
    /// Whether its turn may be taken, once it has it.
    may_lose: bool,
}

impl Seat {
    fn new(may_lose: bool) -> (Self, oneshot::Receiver<Result<Permit, PushedOut>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender, since: Instant::now(), may_lose }, receiver)
    }
}

/// The place in the queue went to a request that goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushedOut;

/// What asking for a permit gives.
pub enum Acquired {
    /// The permit.
    Now(Permit),
    /// A place in the queue.
    Later(Waiter),
    /// The queue is full.
    Full,
    /// So many of the caller's own wait already.
    TooMany(usize),
    /// No permit is free, and the request may not wait.
    Busy,
}

/// A place in the queue, and when its turn comes, where that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// 1 is the next.
    pub position: usize,
    pub wait: Option<Duration>,
}

impl PermitPool {
    #[must_use]
    pub fn new(
        permits: usize,
        limits: &QueueLimits,
        weights: Weights,
        gauges: PoolGauges,
    ) -> Arc<Self> {
        let state = State {
            permits,
            taken: 0,
            line: Line::new(weights, bounds(limits)),
            preempt: limits.preempt,
            running: Running::default(),
            pace: Pace::default(),
            surveyed: None,
            closed: false,
        };
        gauges.all.set(i64::try_from(permits).unwrap_or(i64::MAX));
        Arc::new(Self { state: Mutex::new(state), gauges })
    }

    /// Takes a permit, or a place in the queue. A request that may not wait takes a place from
    /// nobody, and its turn is never taken.
    #[must_use]
    pub fn acquire(self: &Arc<Self>, class: Priority, caller: Party, may_wait: bool) -> Acquired {
        let mut state = self.lock();
        if state.taken < state.permits {
            let ticket = state.line.ticket(class, caller);
            let permit = self.permit(&mut state, ticket, may_wait);
            drop(state);
            return Acquired::Now(permit.taken());
        }
        if !may_wait {
            return Acquired::Busy;
        }
        let (seat, receiver) = Seat::new(true);
        let (ticket, position, pushed_out) = match state.line.join(class, caller, seat) {
            Joined::In { ticket, place, pushed_out } => (ticket, place, pushed_out),
            Joined::Full => return Acquired::Full,
            Joined::TooMany(own) => return Acquired::TooMany(own),
        };
        self.gauges.follow(&state.line);
        let claim = state.running.claim_below(class);
        let wait = state.pace.wait(position, state.permits);
        drop(state);
        if let Some(seat) = pushed_out {
            drop(seat.sender.send(Err(PushedOut)));
        }
        if let Some(claim) = claim {
            claim.tell();
        }
        let standing = Standing { position, wait };
        Acquired::Later(Waiter { pool: Arc::clone(self), ticket, standing, receiver })
    }

    /// Gives a returned permit to whose turn it is, or keeps it. One that was given up goes to a
    /// request above its class.
    fn give_back(self: &Arc<Self>, permit: &Permit) {
        self.gauges.in_use.dec();
        let mut state = self.lock();
        state.taken -= 1;
        if let Some(losable) = &permit.losable {
            state.running.remove(&losable.claim);
        }
        if let Some(since) = permit.since.filter(|_| !permit.is_yielded) {
            state.pace.note(since.elapsed());
        }
        let losable = permit.losable.as_ref().filter(|_| permit.is_yielded);
        let taken_from = losable.map(|losable| losable.ticket.class);
        // Where there are fewer than there were, this one stays.
        let stays = state.closed || state.taken >= state.permits;
        let line = if stays { None } else { Some(&mut state.line) };
        let next = line.and_then(|line| {
            let above = taken_from.and_then(|class| line.next_above(class));
            above.or_else(|| line.next())
        });
        let Some((ticket, seat)) = next else { return };
        self.gauges.follow(&state.line);
        let permit = self.permit(&mut state, ticket, seat.may_lose);
        drop(state);
        // A waiter that has just left drops the permit it is sent, which comes back here and goes
        // to the next in line. The lock is free by now.
        drop(seat.sender.send(Ok(permit)));
    }

    /// From now on there are so many permits. Those that are out stay out.
    pub fn resize(self: &Arc<Self>, permits: usize) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.permits, permits) == permits {
            return;
        }
        self.gauges.all.set(i64::try_from(permits).unwrap_or(i64::MAX));
        let mut turns = Vec::new();
        while !state.closed && state.taken < state.permits {
            let Some((ticket, seat)) = state.line.next() else { break };
            let permit = self.permit(&mut state, ticket, seat.may_lose);
            turns.push((seat, permit));
        }
        self.gauges.follow(&state.line);
        drop(state);
        // As in `give_back`: the lock is free by now.
        for (seat, permit) in turns {
            drop(seat.sender.send(Ok(permit)));
        }
    }

    /// From now on the queue has other limits. Who waits already goes on waiting.
    pub fn set_limits(&self, limits: &QueueLimits, weights: Weights) {
        let mut state = self.lock();
        state.line.set(weights, bounds(limits));
        state.preempt = limits.preempt;
    }

    /// Brings the age of its queue up to date, for those who ask for metrics.
    pub fn measure(&self, now: Instant) {
        self.gauges.measure(&self.lock().line, now);
    }

    /// From now on a permit that comes back stays: those in the queue are about to be told that
    /// their turn does not come, and none of them is to be sent upstream before it is told.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    fn permit(self: &Arc<Self>, state: &mut State, ticket: Ticket, may_lose: bool) -> Permit {
        state.taken += 1;
        self.gauges.in_use.inc();
        let may_lose = state.preempt && may_lose && ticket.class != Priority::High;
        let losable = may_lose.then(|| {
            let claim = state.running.add(ticket.class);
            Box::new(Losable { ticket, claim })
        });
        Permit { pool: Arc::clone(self), losable, since: None, is_yielded: false }
    }

    /// A panic elsewhere does not make the counters wrong: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bounds(limits: &QueueLimits) -> Bounds {
    Bounds { length: limits.length, per_caller: limits.per_caller }
}

/// The right to have the upstream work on one request; given back when dropped.
pub struct Permit {
    pool: Arc<PermitPool>,
    /// Of one whose turn may be taken.
    losable: Option<Box<Losable>>,
    /// When it came to whoever asked for it.
    since: Option<Instant>,
    is_yielded: bool,
}

/// What it takes to lose a turn and to get another.
struct Losable {
    ticket: Ticket,
    claim: Arc<Claim>,
}

impl Permit {
    fn taken(mut self) -> Self {
        self.since = Some(Instant::now());
        self
    }

    /// The answer has begun: from now on nobody takes the turn.
    pub fn begin(&self) {
        let Some(Losable { ticket, claim }) = self.losable.as_deref() else { return };
        if !claim.begin() {
            return;
        }
        let mut state = self.pool.lock();
        if state.running.remove(claim) {
            return;
        }
        // It was wanted already: whoever wanted it may want another.
        let highest = state.line.highest().filter(|highest| *highest > ticket.class);
        let other = highest.and_then(|highest| state.running.claim_below(highest));
        drop(state);
        if let Some(other) = other {
            other.tell();
        }
    }

    /// Does work of this turn, unless the turn is taken meanwhile: then nothing is given, and the work
    /// is to be dropped before the permit is given up.
    pub async fn unless_taken<F: Future>(&self, mut work: Pin<&mut F>) -> Option<F::Output> {
        let Some(losable) = &self.losable else { return Some(work.await) };
        loop {
            tokio::select! {
                biased;
                () = losable.claim.told() => if self.must_yield(losable) { return None },
                done = &mut work => return Some(done),
            }
        }
    }

    /// Whether the turn is still wanted, and may be taken. Whoever wanted it may have left or got
    /// another.
    fn must_yield(&self, Losable { ticket, claim }: &Losable) -> bool {
        if claim.has_begun() {
            return false;
        }
        let mut state = self.pool.lock();
        let is_wanted = state.line.highest().is_some_and(|highest| highest > ticket.class);
        if !is_wanted {
            state.running.put_back(claim);
        }
        is_wanted
    }

    /// Gives the turn up to a request of a higher class, for a place at the front of the line.
    ///
    /// # Errors
    /// The permit itself, where it cannot be taken.
    pub fn give_way(mut self) -> Result<Waiter, Self> {
        let Some(losable) = &self.losable else { return Err(self) };
        let ticket = losable.ticket.clone();
        let (seat, receiver) = Seat::new(false);
        let pool = Arc::clone(&self.pool);
        let mut state = pool.lock();
        let position = state.line.rejoin(&ticket, seat);
        pool.gauges.follow(&state.line);
        let standing = Standing { position, wait: state.pace.wait(position, state.permits) };
        drop(state);
        pool.gauges.preemptions.inc();
        self.is_yielded = true;
        Ok(Waiter { pool, ticket, standing, receiver })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pool.give_back(self);
    }
}

/// A place in the queue; resolves to the permit. Dropping it leaves the queue.
pub struct Waiter {
    pool: Arc<PermitPool>,
    ticket: Ticket,
    standing: Standing,
    receiver: oneshot::Receiver<Result<Permit, PushedOut>>,
}

impl Waiter {
    /// The place on joining, or a worse one.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// The place as it is, or was not long ago: all are found out at once, and for all that wait.
    #[must_use]
    pub fn standing_now(&self, now: Instant) -> Option<Standing> {
        let mut state = self.pool.lock();
        let steps = u32::try_from(state.line.len() / SURVEY_STEP).unwrap_or(u32::MAX);
        let fresh = SURVEY_EVERY.saturating_mul(steps.saturating_add(1));
        if state.surveyed.is_none_or(|at| now.saturating_duration_since(at) >= fresh) {
            state.line.survey();
            state.surveyed = Some(now);
        }
        let position = state.line.place(&self.ticket)?;
        Some(Standing { position, wait: state.pace.wait(position, state.permits) })
    }
}

impl Future for Waiter {
    type Output = Result<Permit, PushedOut>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.receiver).poll(cx) {
            Poll::Ready(Ok(turn)) => Poll::Ready(turn.map(Permit::taken)),
            // The sender is dropped unsent only by the waiter's own drop.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        if state.line.leave(&self.ticket).is_some() {
            self.pool.gauges.follow(&state.line);
        }
    }
}

#[cfg(test)]
mod tests;
