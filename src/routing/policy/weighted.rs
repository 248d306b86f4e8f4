//! In turn, by weight: each target is due again after a time that is the shorter the greater its
//! weight, and who is due first is asked. So a target's turns are spread evenly among the others'.
//!
//! One that may not be asked is passed over and stays due: its turn comes when it may.

use super::Policy;
use super::order::Order;
use crate::routing::choice::Choice;
use crate::routing::field::Field;

/// The policy's memory.
#[derive(Debug, Default)]
pub struct Weighted {
    /// The targets that may be asked, by when they are due.
    order: Order,
    /// The same of the others.
    due: Vec<Option<f64>>,
    /// When the last one that was asked was due.
    now: f64,
}

impl Policy for Weighted {
    fn choose(&mut self, choice: &mut Choice<'_>) -> Option<usize> {
        let (target, facts) =
            self.order.iter().find_map(|target| Some((target, choice.allowed(target)?)))?;
        let due = self.order.rank(target).unwrap_or(self.now);
        // Who was passed over for long gets its turn, and not all those it has missed.
        self.now = self.now.max(due);
        let weight = f64::from(facts.weight.max(1)) * choice.share(facts);
        self.order.put(target, self.now.max(due) + weight.recip());
        Some(target)
    }

    fn loaded(&mut self, target: usize, field: &Field) {
        let Some(facts) = field.get(target) else { return };
        if self.due.len() <= target {
            self.due.resize(target + 1, None);
        }
        match (field.is_open(target), self.order.rank(target)) {
            (true, None) => {
                let first = self.now + f64::from(facts.weight.max(1)).recip();
                let due = self.due.get_mut(target).and_then(Option::take);
                self.order.put(target, due.unwrap_or(first));
            }
            (false, Some(due)) => {
                self.order.take(target);
                if let Some(known) = self.due.get_mut(target) {
                    *known = Some(due);
                }
            }
            _ => {}
        }
    }
}
