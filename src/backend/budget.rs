//! What further requests may add to a model's load: a share of its requests, some of it saved up.

use std::sync::atomic::{AtomicU32, Ordering};

/// The price of a further request; a request brings in the share's percentage.
const PRICE: u32 = 100;
/// So many can be saved up. A gateway with few requests would never earn one.
pub const SAVED: u32 = 10;

/// What all requests to a model may spend, on all workers.
pub struct Budget {
    percent: u32,
    savings: AtomicU32,
}

impl Budget {
    /// With nothing in it.
    #[must_use]
    pub fn empty(percent: u32) -> Self {
        Self { percent, savings: AtomicU32::new(0) }
    }

    /// With all that can be saved up.
    #[must_use]
    pub fn full(percent: u32) -> Self {
        let savings = if percent == 0 { 0 } else { PRICE * SAVED };
        Self { percent, savings: AtomicU32::new(savings) }
    }

    /// A request goes out for the first time.
    pub fn earn(&self) {
        let most = PRICE * SAVED;
        let add = |savings: u32| (savings < most).then(|| (savings + self.percent).min(most));
        let _ = self.savings.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Whether there is enough for one more, which is then spent.
    #[must_use]
    pub fn spend(&self) -> bool {
        let take = |savings: u32| savings.checked_sub(PRICE);
        self.savings.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_spent_than_the_share() {
        let budget = Budget::empty(5);
        let spent = (0..1000).filter(|_| {
            budget.earn();
            budget.spend()
        });
        assert_eq!(spent.count(), 50);
    }

    #[test]
    fn no_more_is_saved_than_the_bound() {
        for budget in [Budget::empty(50), Budget::full(50)] {
            (0..1000).for_each(|_| budget.earn());
            assert_eq!((0..1000).filter(|_| budget.spend()).count(), SAVED as usize);
        }
        assert!(!Budget::full(0).spend());
    }
}
