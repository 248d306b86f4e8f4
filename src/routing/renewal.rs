//! Another configuration of the same model: its fleet is renewed, and what was learnt stays.
//!
//! A target that is still the same upstream keeps its circuit, its times and its requests at work. One
//! that is gone is retired: requests which an earlier fleet let in may still be sent there, so that they
//! end as they would have, and no others. All fleets of a model count in one field, so that none of them
//! asks more of a target than it can do, and the last request of a retired one leaves nothing behind.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::circuit::Circuit;
use super::field::{Facts, Field, Upstream};
use super::fleet::Fleet;
use super::policy;
use crate::config::{Ejection, Routing, Target};

impl Fleet {
    /// The fleet of another configuration of the same model; this one, where it says the same.
    #[must_use]
    pub fn renewed(
        self: &Arc<Self>,
        targets: &[Target],
        routing: &Routing,
        rules: Ejection,
        now: Instant,
    ) -> Arc<Self> {
        let mut state = self.lock();
        let is_latest = state.fleet == self.number;
        let says_the_same = self.slots.len() == targets.len()
            && self.slots.iter().zip(targets).all(|(slot, target)| {
                state.field.get(*slot).is_some_and(|facts| facts.is_as(target))
            });
        if is_latest && says_the_same && state.routing == *routing && *state.field.rules() == rules
        {
            return Arc::clone(self);
        }
        let mut facts = state.field.take();
        let slots = place(&mut facts, targets);
        if let [only] = *slots
            && let Some(facts) = facts.get_mut(only)
        {
            // It is asked whatever becomes of it, and nobody closes what nobody asks.
            facts.circuit = Circuit::default();
        }
        state.field = Field::of(facts, rules, now);
        state.fleet += 1;
        let state_of_all = &mut *state;
        if state_of_all.routing == *routing {
            state_of_all.policy.renewed(&state_of_all.field);
            policy::load(state_of_all.policy.as_mut(), &state_of_all.field);
        } else {
            state_of_all.policy = policy::of(routing, &state_of_all.field);
            state_of_all.routing = routing.clone();
        }
        let number = state.fleet;
        drop(state);
        Self::over(Arc::clone(&self.state), slots, number)
    }
}

/// Gives each target its slot, by what it was before, and retires all others.
fn place(facts: &mut Vec<Facts>, targets: &[Target]) -> Box<[usize]> {
    facts.iter_mut().for_each(Facts::retire);
    let slots = targets.iter().zip(0..).map(|(target, place)| {
        let upstream = Upstream::of(target);
        let known = |facts: &Facts| facts.fleets > 0 && facts.is_retired;
        let same = facts.iter().position(|facts| known(facts) && facts.upstream == upstream);
        // One that has only another name is still the same upstream.
        let alike =
            || facts.iter().position(|facts| known(facts) && facts.upstream.is_like(&upstream));
        let free = || facts.iter().position(|facts| facts.fleets == 0);
        let (slot, is_new) = match same.or_else(alike) {
            Some(slot) => (slot, false),
            None => (free().unwrap_or(facts.len()), true),
        };
        match facts.get_mut(slot) {
            Some(facts) if is_new => *facts = Facts::new(target, place),
            Some(facts) => facts.take_over(target, place),
            None => facts.push(Facts::new(target, place)),
        }
        slot
    });
    slots.collect()
}

impl Facts {
    fn retire(&mut self) {
        (self.is_retired, self.weight) = (true, 0);
    }

    /// Other settings of the same upstream.
    fn take_over(&mut self, target: &Target, place: usize) {
        let old = std::mem::replace(self, Self::new(target, place));
        self.fleets += old.fleets;
        (self.active, self.pending, self.load) = (old.active, old.pending, old.load);
        (self.circuit, self.first_token) = (old.circuit, old.first_token);
    }

    /// Whether a target has the same settings, so far as they matter here.
    fn is_as(&self, target: &Target) -> bool {
        self.upstream == Upstream::of(target)
            && self.weight == target.weight
            && self.slots == target.max_concurrency
            && self.abilities == target.abilities
            && self.continues == target.continues
            && self.price == target.price
    }
}

/// The slots that only it had are free for others.
impl Drop for Fleet {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in &self.slots {
            if let Some(facts) = state.field.get_mut(*slot) {
                facts.fleets = facts.fleets.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
