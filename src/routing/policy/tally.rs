//! How busy the targets are that may be asked, together: what one of them is compared with.

use crate::routing::field::Field;

/// The sums over all targets that may be asked.
#[derive(Debug, Default)]
pub struct Tally {
    /// What of each target is in the sums.
    counted: Vec<Counts>,
    pub sum: Counts,
}

/// What is summed up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub active: usize,
    pub slots: usize,
    pub weight: u64,
}

impl Tally {
    /// A target has changed.
    pub fn note(&mut self, target: usize, field: &Field) {
        let Some(facts) = field.get(target) else { return };
        if self.counted.len() <= target {
            self.counted.resize(target + 1, Counts::default());
        }
        let Some(counted) = self.counted.get_mut(target) else { return };
        // One that is full is at work, and counts like the others.
        let counts = if field.is_shut(target) || facts.weight == 0 {
            Counts::default()
        } else {
            Counts { active: facts.active, slots: facts.slots, weight: facts.weight.into() }
        };
        let before = std::mem::replace(counted, counts);
        self.sum.active = self.sum.active + counts.active - before.active;
        self.sum.slots = self.sum.slots + counts.slots - before.slots;
        self.sum.weight = self.sum.weight + counts.weight - before.weight;
    }

    /// The part of all slots that is taken.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "small counts")]
    pub fn busy(&self) -> f64 {
        self.sum.active as f64 / self.sum.slots.max(1) as f64
    }

    /// How many more requests a target would have than one of such a weight has on the average, as a
    /// factor, were it given one more.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "small counts")]
    pub fn over_share(&self, active: usize, weight: u32) -> f64 {
        let all = (self.sum.active + 1) as f64;
        let share = all * f64::from(weight) / self.sum.weight.max(1) as f64;
        (active + 1) as f64 / share.max(f64::MIN_POSITIVE)
    }
}
