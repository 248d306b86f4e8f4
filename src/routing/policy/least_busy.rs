//! The least busy: who works on the fewest requests for its weight and slots. Those that are as busy
//! take turns.
//!
//! It sees load and not speed: a slow target is given less only because its requests stay longer.

use super::Policy;
use super::order::Order;
use crate::routing::choice::Choice;
use crate::routing::field::{Facts, Field};

/// The policy's memory: the targets that may be asked, the least busy first.
#[derive(Debug, Default)]
pub struct LeastBusy {
    order: Order,
}

impl Policy for LeastBusy {
    fn choose(&mut self, choice: &mut Choice<'_>) -> Option<usize> {
        let mut spared = None;
        for target in self.order.iter() {
            match choice.allowed(target) {
                Some(facts) if is_over(facts, choice) => spared = spared.or(Some(target)),
                Some(_) => return Some(target),
                None => {}
            }
        }
        spared
    }

    fn loaded(&mut self, target: usize, field: &Field) {
        match field.get(target).filter(|_| field.is_open(target)) {
            Some(facts) => self.order.put(target, facts.busy() / f64::from(facts.weight.max(1))),
            None => self.order.take(target),
        }
    }
}

/// Whether a target that came back not long ago has as much as it is to get for now.
#[allow(clippy::cast_precision_loss, reason = "small counts")]
fn is_over(facts: &Facts, choice: &Choice<'_>) -> bool {
    let share = choice.share(facts);
    share < 1.0 && facts.active as f64 >= (share * facts.slots as f64).max(1.0)
}

#[cfg(test)]
mod tests {
    use crate::config::Policy;
    use crate::routing::bed::{Bed, shares};

    #[test]
    fn who_works_on_the_least_is_asked() {
        let mut bed = Bed::new(Policy::LeastBusy, 4, |_| {});
        let mut picks: Vec<_> = (0..4).map(|_| bed.pick()).collect();
        let mut targets: Vec<_> = picks.iter().map(crate::routing::Pick::target).collect();
        targets.sort_unstable();
        assert_eq!(targets, [0, 1, 2, 3]);
        let freed = picks.swap_remove(2).target();
        assert_eq!(bed.pick().target(), freed);
    }

    #[test]
    fn what_is_held_is_shared_out_by_weight_and_slots() {
        let mut bed = Bed::new(Policy::LeastBusy, 3, |targets| {
            targets[1].weight = 2;
            targets[2].max_concurrency *= 3;
        });
        let held: Vec<_> = (0..600).map(|_| bed.pick()).collect();
        assert_eq!(shares(&held, 3), [100, 200, 300]);
    }
}
