//! How one of a model's targets is chosen: a policy each.
//!
//! A policy sees what is known of the targets and says which one it would ask. Which may be asked at
//! all, its circuit closed, with room, and able to do what is needed, [`Choice`] knows. To choose
//! costs the same for ten targets and ten thousand, or grows with their logarithm.

mod cheapest;
pub(super) mod failover;
mod fastest;
mod least_busy;
mod order;
mod prefix;
mod score;
mod sticky;
mod tally;
#[cfg(test)]
mod tests;
mod weighted;

use super::choice::Choice;
use super::field::Field;
use crate::config::{self, Routing};

/// Chooses targets.
pub trait Policy: Send {
    /// The target that is to be asked; none where none may be.
    fn choose(&mut self, choice: &mut Choice<'_>) -> Option<usize>;

    /// Something of a target has changed: it got a request or has done with one, may be asked or not.
    fn loaded(&mut self, _target: usize, _field: &Field) {}

    /// The targets are others, or have other settings; those that are still there are where they were.
    /// What is left of the others has no weight. Each is told as [`loaded`](Self::loaded) next.
    fn renewed(&mut self, _field: &Field) {}
}

/// Tells a policy of all targets.
pub fn load(policy: &mut dyn Policy, field: &Field) {
    (0..field.len()).for_each(|target| policy.loaded(target, field));
}

/// The policy that a model is configured to have.
#[must_use]
pub fn of(routing: &Routing, field: &Field) -> Box<dyn Policy> {
    let mut policy: Box<dyn Policy> = match routing.policy {
        config::Policy::Fastest => Box::new(fastest::Fastest::default()),
        config::Policy::Weighted => Box::new(weighted::Weighted::default()),
        config::Policy::LeastBusy => Box::new(least_busy::LeastBusy::default()),
        config::Policy::Score => Box::new(score::Score),
        config::Policy::Sticky => Box::new(sticky::Sticky::new(field)),
        config::Policy::Prefix => Box::new(prefix::Prefix::new(routing.prefix_entries)),
        config::Policy::Cheapest => Box::new(cheapest::Cheapest::default()),
    };
    load(policy.as_mut(), field);
    policy
}
