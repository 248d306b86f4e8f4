//! The same target for the same session: targets and sessions lie on a ring of hashes, and a session
//! belongs to the first target behind it. When a target goes, only its own sessions move, each to the
//! next on the ring; they return when it does.
//!
//! The load is bounded: a target that is full, out, or far over its share is passed over.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Policy;
use super::tally::Tally;
use crate::routing::choice::Choice;
use crate::routing::field::{Facts, Field};

/// A target of the mean weight is on the ring so many times: enough for shares within some percent.
const POINTS: f64 = 100.0;
/// So many points are looked at before any target that may be asked will do.
const STEPS: usize = 256;
/// So many times its share is too much, where it takes this part of a target's slots.
const FAR_OVER: f64 = 1.5;
const MUCH: f64 = 0.5;

/// The ring, and how busy the targets on it are.
#[derive(Debug)]
pub struct Sticky {
    ring: Vec<(u64, usize)>,
    tally: Tally,
}

impl Sticky {
    #[must_use]
    pub fn new(field: &Field) -> Self {
        let weighing = field.all().iter().filter(|facts| facts.weight > 0);
        let (count, sum) = weighing
            .fold((0.0, 0.0), |(count, sum), facts| (count + 1.0, sum + f64::from(facts.weight)));
        let points = |facts: &Facts| POINTS * count * f64::from(facts.weight) / f64::max(sum, 1.0);
        let mut ring: Vec<_> = field
            .all()
            .iter()
            .enumerate()
            .flat_map(|(target, facts)| {
                let points = points(facts).ceil();
                // A number this small is exact.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
                (0..points as u64).map(move |point| (hash_of((facts.key, point)), target))
            })
            .collect();
        ring.sort_unstable();
        Self { ring, tally: Tally::default() }
    }

    fn is_far_over(&self, facts: &Facts) -> bool {
        self.tally.over_share(facts.active, facts.weight) > FAR_OVER && facts.busy() >= MUCH
    }
}

impl Policy for Sticky {
    fn choose(&mut self, choice: &mut Choice<'_>) -> Option<usize> {
        let session = hash_of(choice.need.session);
        let first = self.ring.partition_point(|(point, _)| *point < session);
        let (before, behind) = self.ring.split_at(first);
        let mut last = None;
        for (_, target) in behind.iter().chain(before).take(STEPS) {
            if last.replace(*target) == Some(*target) {
                continue;
            }
            let Some(facts) = choice.allowed(*target) else { continue };
            // A target that is coming back gets its sessions one after the other, each for good.
            if belongs_yet(session, choice.share(facts)) && !self.is_far_over(facts) {
                return Some(*target);
            }
        }
        choice.any()
    }

    fn loaded(&mut self, target: usize, field: &Field) {
        self.tally.note(target, field);
    }

    fn renewed(&mut self, field: &Field) {
        *self = Self::new(field);
    }
}

/// Whether a session is among the part `share` of all.
#[allow(clippy::cast_precision_loss, reason = "a share needs no last digit")]
fn belongs_yet(session: u64, share: f64) -> bool {
    share >= 1.0 || hash_of(session) as f64 / (u64::MAX as f64) < share
}

fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
