//! The targets of one model, shared by all workers: choosing one for a request, and learning from how
//! it went. A lock is taken a few times per request and never per token.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::choice::Choice;
use super::circuit::CircuitState;
use super::fault::Fault;
use super::field::{Facts, Field, Load};
use super::need::Need;
use super::policy::{self, Policy, failover};
use crate::config::{Ejection, Routing, Target};

/// The targets of one model, as one configuration has them.
pub struct Fleet {
    /// Shared with those that the same model has had before, as long as requests of theirs go on.
    pub(super) state: Arc<Mutex<State>>,
    /// Where each of its targets stands in the field, in the order of the configuration. Others know
    /// them by their places in it.
    pub(super) slots: Box<[usize]>,
    /// Of all these fleets.
    pub(super) number: u64,
    /// One that is alone is always asked: there is nobody else.
    pub(super) is_alone: bool,
}

pub(super) struct State {
    pub field: Field,
    pub policy: Box<dyn Policy>,
    pub routing: Routing,
    /// The number of the fleet that the field and the policy are of.
    pub fleet: u64,
    rng: StdRng,
    /// The number of the next pick.
    next: u64,
    /// The last time that anybody told.
    latest: Instant,
}

/// Why no target is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTarget {
    /// All that could are at work.
    Busy,
    /// All that could are out of order, or have used up what they may be asked; the first may be asked
    /// again after this.
    Down(Duration),
    /// None can do what is needed.
    Unable,
    /// All that could were asked already.
    Tried,
}

/// A target as lists and metrics show it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TargetState {
    pub circuit: CircuitState,
    pub active: usize,
    pub first_token: Option<Duration>,
    /// The part of its last requests that failed.
    pub failing: f64,
    pub load: Option<Load>,
}

impl Fleet {
    /// A fleet of `targets`; `seed` is where its random choices come from.
    #[must_use]
    pub fn new(
        targets: &[Target],
        routing: &Routing,
        rules: Ejection,
        seed: u64,
        now: Instant,
    ) -> Arc<Self> {
        let field = Field::new(targets, rules, now);
        let policy = policy::of(routing, &field);
        let (routing, rng) = (routing.clone(), StdRng::seed_from_u64(seed));
        let state = State { field, policy, routing, fleet: 0, rng, next: 0, latest: now };
        let slots = (0..targets.len()).collect();
        Self::over(Arc::new(Mutex::new(state)), slots, 0)
    }

    /// Chooses a target for a request that `tried` some already, and counts it as at work there until
    /// the pick is dropped.
    ///
    /// # Errors
    /// Where there is none.
    pub fn pick(
        self: &Arc<Self>,
        need: &Need,
        tried: &[usize],
        now: Instant,
    ) -> Result<Pick, NoTarget> {
        let mut state = self.lock();
        state.latest = state.latest.max(now);
        state.catch_up(now);
        let tried: Vec<_> = tried.iter().filter_map(|place| self.slot(*place)).collect();
        let among = self.wanted(need);
        let chosen = match need.target {
            None if self.is_alone => among.first().copied(),
            None if state.fleet == self.number => state.choose(need, &tried, now),
            _ => state.one_of(among, need, &tried, now),
        };
        let slot = chosen.ok_or_else(|| state.why_none(among, need, &tried, now))?;
        let number = state.next;
        state.next += 1;
        if let Some(facts) = state.field.get_mut(slot) {
            facts.active += 1;
            facts.pending.insert(number, now);
            facts.circuit.begin(now);
        }
        state.changed(slot, now);
        let place = self.place(slot, &state);
        Ok(Pick { fleet: Arc::clone(self), place, slot, number, since: now, decided: false })
    }

    /// Whether any target can do what is needed, if it may be asked or not.
    #[must_use]
    pub fn is_able(&self, need: &Need) -> bool {
        let state = self.lock();
        let mut all = self.wanted(need).iter().filter_map(|slot| state.field.get(*slot));
        all.any(|facts| facts.is_able(need))
    }

    /// So many requests can be worked on at a time.
    #[must_use]
    pub fn capacity(&self, now: Instant) -> usize {
        let mut state = self.lock();
        state.catch_up(now);
        state.field.capacity()
    }

    /// A probe found a target, or did not.
    pub fn probed(&self, place: usize, found: bool, now: Instant) {
        let Some(target) = self.slot(place) else { return };
        let mut state = self.lock();
        if state.is_of_one() {
            return;
        }
        let rules = state.field.rules().clone();
        let facts = state.field.get_mut(target);
        if facts.is_some_and(|facts| facts.circuit.probed(now, found, &rules)) {
            state.changed(target, now);
        }
    }

    /// A probe was refused a connection.
    pub fn gone(&self, place: usize, now: Instant) {
        let Some(target) = self.slot(place) else { return };
        let mut state = self.lock();
        if state.is_of_one() {
            return;
        }
        let rules = state.field.rules().clone();
        if let Some(facts) = state.field.get_mut(target) {
            facts.circuit.gone(now, &rules);
        }
        state.changed(target, now);
    }

    /// A target told how busy it is, or tells it no more.
    pub fn told_load(&self, place: usize, load: Option<Load>) {
        let Some(target) = self.slot(place) else { return };
        let mut state = self.lock();
        if let Some(facts) = state.field.get_mut(target) {
            facts.load = load;
        }
        let State { field, policy, .. } = &mut *state;
        policy.loaded(target, field);
    }

    /// All targets, in their order.
    #[must_use]
    pub fn states(&self, now: Instant) -> Vec<TargetState> {
        let state = self.lock();
        let all = self.slots.iter().filter_map(|slot| state.field.get(*slot));
        let told = all.map(|facts| TargetState {
            circuit: facts.circuit.state(now),
            active: facts.active,
            first_token: facts.first_token.seconds().map(Duration::from_secs_f64),
            failing: facts.circuit.failing(now),
            load: facts.load,
        });
        told.collect()
    }

    pub(super) fn over(state: Arc<Mutex<State>>, slots: Box<[usize]>, number: u64) -> Arc<Self> {
        Arc::new(Self { is_alone: slots.len() < 2, state, slots, number })
    }

    fn slot(&self, place: usize) -> Option<usize> {
        self.slots.get(place).copied()
    }

    fn place(&self, slot: usize, state: &State) -> usize {
        let newest = state.field.get(slot).map_or(0, |facts| facts.place);
        if self.slot(newest) == Some(slot) {
            return newest;
        }
        self.slots.iter().position(|known| *known == slot).unwrap_or_default()
    }

    /// The targets that may be asked for a request: the one that it names, or all.
    fn wanted(&self, need: &Need) -> &[usize] {
        match need.target {
            Some(place) => self.slots.get(place..=place).unwrap_or_default(),
            None => &self.slots,
        }
    }

    /// A panic elsewhere does not make the counts wrong: each change is one assignment.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// By the policy; for another attempt by who is most surely up, whatever the policy.
    fn choose(&mut self, need: &Need, tried: &[usize], now: Instant) -> Option<usize> {
        let Self { field, policy, rng, .. } = self;
        let luck = rng.random();
        let mut choice = Choice { field, need, tried, now, luck, rng };
        let proven = if tried.is_empty() { None } else { failover::choose(&mut choice) };
        proven.or_else(|| policy.choose(&mut choice))
    }

    /// Any of a few that may be asked, without the policy: the one that the request names, or one of an
    /// earlier fleet, for a request which that one has let in. There it counts as it did what is retired.
    fn one_of(
        &mut self,
        few: &[usize],
        need: &Need,
        tried: &[usize],
        now: Instant,
    ) -> Option<usize> {
        let Self { field, rng, .. } = self;
        // Where there is no choice, none is drawn: those of the policy are to come as they would.
        let first = if few.len() > 1 { rng.random_range(0..few.len()) } else { 0 };
        let (before, behind) = few.split_at(first);
        behind.iter().chain(before).copied().find(|slot| {
            let may = |facts: &Facts| {
                facts.takes_requests()
                    && facts.has_room()
                    && facts.circuit.lets_pass(now)
                    && facts.is_able(need)
            };
            !tried.contains(slot) && field.get(*slot).is_some_and(may)
        })
    }

    /// Why none of these may be asked.
    fn why_none(&self, of: &[usize], need: &Need, tried: &[usize], now: Instant) -> NoTarget {
        let all = of.iter().filter_map(|slot| Some((*slot, self.field.get(*slot)?)));
        let able: Vec<_> =
            all.filter(|(_, facts)| facts.is_able(need) && facts.takes_requests()).collect();
        if able.is_empty() {
            return NoTarget::Unable;
        }
        let mut left = able.iter().filter(|(at, _)| !tried.contains(at)).peekable();
        if left.peek().is_none() {
            return NoTarget::Tried;
        }
        if left.clone().any(|(_, facts)| facts.circuit.lets_pass(now)) {
            return NoTarget::Busy;
        }
        let soonest = left.filter_map(|(_, facts)| facts.circuit.passes_at(now)).min();
        NoTarget::Down(soonest.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)))
    }

    /// Lets those be asked again whose time is over.
    fn catch_up(&mut self, now: Instant) {
        while let Some(target) = self.field.reopen(now) {
            self.policy.loaded(target, &self.field);
        }
    }

    /// Whether new requests have no choice. Then no circuit is opened, as the target is asked anyway.
    fn is_of_one(&self) -> bool {
        self.field.count() < 2
    }

    fn changed(&mut self, target: usize, now: Instant) {
        self.field.sort_in(target, now);
        self.policy.loaded(target, &self.field);
    }
}

/// A request at work at a target. Whoever has it says how it goes; dropped without a word it counts as
/// given up.
pub struct Pick {
    fleet: Arc<Fleet>,
    place: usize,
    /// Where the target stands in the field, as long as the fleet is there.
    slot: usize,
    number: u64,
    since: Instant,
    decided: bool,
}

impl Pick {
    /// The target's place among its model's.
    #[must_use]
    pub fn target(&self) -> usize {
        self.place
    }

    /// Its answer has begun.
    pub fn begun(&mut self, now: Instant) {
        let taken = now.saturating_duration_since(self.since);
        let mut state = self.fleet.lock();
        if let Some(facts) = state.field.get_mut(self.slot)
            && facts.pending.remove(&self.number).is_some()
        {
            facts.first_token.note(now, taken);
            facts.circuit.answered(now);
        }
        state.changed(self.slot, now);
    }

    /// Its answer comes in one piece, and when that begins says nothing.
    pub fn untimed(&mut self) {
        let mut state = self.fleet.lock();
        if let Some(facts) = state.field.get_mut(self.slot) {
            facts.pending.remove(&self.number);
        }
    }

    /// It went well.
    pub fn succeeded(&mut self, now: Instant) {
        self.decide(now, None);
    }

    /// It failed, and the target is to blame.
    pub fn failed(&mut self, now: Instant, fault: Fault) {
        self.decide(now, Some(fault));
    }

    /// Whether the target has answered others lately.
    #[must_use]
    pub fn is_proven(&self, now: Instant) -> bool {
        let state = self.fleet.lock();
        state.field.get(self.slot).is_some_and(|facts| facts.circuit.is_proven(now))
    }

    fn decide(&mut self, now: Instant, fault: Option<Fault>) {
        if std::mem::replace(&mut self.decided, true) {
            return;
        }
        let taken = now.saturating_duration_since(self.since);
        let mut state = self.fleet.lock();
        if state.is_of_one() {
            return;
        }
        state.latest = state.latest.max(now);
        let rules = state.field.rules().clone();
        // Where half of them are out already, the fault lies elsewhere.
        let may_open = 2 * (state.field.ejected() + 1) <= state.field.count();
        if let Some(facts) = state.field.get_mut(self.slot) {
            let has_begun = facts.pending.remove(&self.number).is_none();
            let mean = facts.first_token.seconds().unwrap_or(0.0);
            // Who waited in vain knows that it takes no less.
            if fault.is_some() && !has_begun && taken.as_secs_f64() > mean {
                facts.first_token.note(now, taken);
            }
            match fault {
                None => facts.circuit.succeed(now, &rules),
                Some(Fault::Failed) => facts.circuit.fail(now, &rules, may_open),
                Some(Fault::Busy(pause)) => facts.circuit.cool(now, &rules, pause),
            }
        }
        state.changed(self.slot, now);
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        let mut state = self.fleet.lock();
        let (target, now) = (self.slot, state.latest);
        if let Some(facts) = state.field.get_mut(target) {
            facts.active = facts.active.saturating_sub(1);
            facts.pending.remove(&self.number);
            if !self.decided {
                facts.circuit.abandon();
            }
        }
        state.changed(target, now);
    }
}

#[cfg(test)]
mod tests;
