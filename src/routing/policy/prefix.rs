//! By what a target has in its cache: who has seen the longest beginning of the prompt need not work
//! through it again.
//!
//! Where nobody has seen enough of it, or who has is slow or far busier than the others, the fastest is
//! asked; that one has seen it from then on. What is remembered is bounded: what was not used for
//! longest is forgotten first.

use std::collections::HashMap;

use super::Policy;
use super::fastest::Fastest;
use super::tally::Tally;
use crate::routing::choice::Choice;
use crate::routing::field::Field;

/// Far busier than the others is who has so many times what they have, and this part of its slots more.
const TIMES: f64 = 1.25;
const MORE: f64 = 0.125;

/// The policy's memory.
#[derive(Debug)]
pub struct Prefix {
    seen: Seen,
    fastest: Fastest,
    tally: Tally,
}

impl Prefix {
    #[must_use]
    pub fn new(entries: usize) -> Self {
        Self { seen: Seen::new(entries), fastest: Fastest::default(), tally: Tally::default() }
    }

    /// Who has seen the longest beginning and may be asked.
    fn known(&mut self, choice: &mut Choice<'_>) -> Option<usize> {
        let prefixes = &choice.need.prefixes;
        // Half a conversation is worth going back for. What all have in common, all will soon have.
        let worth = prefixes.len().div_ceil(2).saturating_sub(1);
        let mut known = prefixes.get(worth..)?.iter().rev();
        let target = known.find_map(|prefix| self.seen.get(*prefix))?;
        let facts = choice.allowed(target)?;
        let most = self.tally.busy() * TIMES + MORE;
        let is_fit = facts.busy() <= most && self.fastest.is_good(facts, choice.now);
        (is_fit && !choice.spares(facts)).then_some(target)
    }
}

impl Policy for Prefix {
    fn choose(&mut self, choice: &mut Choice<'_>) -> Option<usize> {
        self.fastest.measure(choice.field, choice.now);
        let target = match self.known(choice) {
            Some(target) => target,
            None => self.fastest.choose(choice)?,
        };
        for prefix in &choice.need.prefixes {
            self.seen.put(*prefix, target);
        }
        Some(target)
    }

    fn loaded(&mut self, target: usize, field: &Field) {
        self.tally.note(target, field);
    }
}

/// Who has seen what, in two generations: when the young one is full it becomes the old one, and what
/// was not used since is forgotten with the one before.
#[derive(Debug)]
struct Seen {
    young: HashMap<u64, usize>,
    old: HashMap<u64, usize>,
    /// Of one generation.
    most: usize,
}

impl Seen {
    fn new(entries: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), most: entries.div_ceil(2).max(1) }
    }

    fn get(&self, prefix: u64) -> Option<usize> {
        self.young.get(&prefix).or_else(|| self.old.get(&prefix)).copied()
    }

    fn put(&mut self, prefix: u64, target: usize) {
        if self.young.len() >= self.most && !self.young.contains_key(&prefix) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(prefix, target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_in_use_stays() {
        let mut seen = Seen::new(1000);
        for prefix in 0..100_000 {
            seen.put(prefix, 1);
            // In use all the time.
            let target = seen.get(7).unwrap_or(7);
            seen.put(7, target);
            assert!(seen.young.len() + seen.old.len() <= 1000);
        }
        assert_eq!(seen.get(7), Some(1));
        assert_eq!((seen.get(99_999), seen.get(99_600), seen.get(10)), (Some(1), Some(1), None));
    }
}
