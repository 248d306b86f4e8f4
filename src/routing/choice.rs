//! One choice to be made: which targets may be asked for a request, and draws among them.

use std::time::Instant;

use rand::{Rng, RngCore};

use super::field::{Facts, Field};
use super::need::Need;

/// Random draws before all targets are looked through in turn.
const DRAWS: usize = 16;

/// One choice to be made.
pub struct Choice<'a> {
    pub field: &'a Field,
    pub need: &'a Need,
    /// These were asked for the same answer already.
    pub tried: &'a [usize],
    pub now: Instant,
    /// From 0 to 1, drawn for this choice: it spares those that get no such share yet, however often
    /// they are drawn.
    pub luck: f64,
    pub rng: &'a mut dyn RngCore,
}

impl<'a> Choice<'a> {
    /// A target, if it may be asked.
    #[must_use]
    pub fn allowed(&self, target: usize) -> Option<&'a Facts> {
        let facts = self.field.get(target)?;
        let may =
            facts.is_open(self.now) && !self.tried.contains(&target) && facts.is_able(self.need);
        may.then_some(facts)
    }

    /// Which part of its share a target is to get: less than all for a while when it is back.
    #[must_use]
    pub fn share(&self, facts: &Facts) -> f64 {
        facts.circuit.share(self.now, self.field.rules())
    }

    /// Whether a target that came back not long ago is passed over this time.
    #[must_use]
    pub fn spares(&self, facts: &Facts) -> bool {
        self.share(facts) <= self.luck
    }

    /// Any target that may be asked, each as likely as another but those that are spared.
    pub fn any(&mut self) -> Option<usize> {
        self.one_of(self.field.open())
    }

    /// The same among `targets`. Those that are spared are asked where there is nobody else.
    pub fn one_of(&mut self, targets: &[usize]) -> Option<usize> {
        if targets.is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let target = *targets.get(self.rng.random_range(0..targets.len()))?;
            if let Some(facts) = self.allowed(target)
                && !self.spares(facts)
            {
                return Some(target);
            }
        }
        // Hardly any may: from a random place on, so that no neighbour of a busy one gets all.
        let (before, behind) = targets.split_at(self.rng.random_range(0..targets.len()));
        let mut spared = None;
        for target in behind.iter().chain(before).copied() {
            match self.allowed(target) {
                Some(facts) if self.spares(facts) => spared = spared.or(Some(target)),
                Some(_) => return Some(target),
                None => {}
            }
        }
        spared
    }
}
