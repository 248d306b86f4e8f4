//! Targets in the order of a number each: the first that will do is found in logarithmic time.

use std::collections::BTreeSet;

/// The order.
#[derive(Debug, Default)]
pub struct Order {
    /// By rank, and by turn where ranks are equal.
    sorted: BTreeSet<(u64, u64, usize)>,
    /// Where each target stands.
    places: Vec<Option<(u64, u64)>>,
    turn: u64,
}

impl Order {
    /// Puts a target in, behind those of the same rank. A rank is no less than 0.
    pub fn put(&mut self, target: usize, rank: f64) {
        self.take(target);
        if self.places.len() <= target {
            self.places.resize(target + 1, None);
        }
        // The bits of numbers from 0 on are in the numbers' order.
        let place = (rank.max(0.0).to_bits(), self.turn);
        self.turn += 1;
        if let Some(known) = self.places.get_mut(target) {
            *known = Some(place);
            self.sorted.insert((place.0, place.1, target));
        }
    }

    /// Takes a target out.
    pub fn take(&mut self, target: usize) {
        if let Some((rank, turn)) = self.places.get_mut(target).and_then(Option::take) {
            self.sorted.remove(&(rank, turn, target));
        }
    }

    /// The rank of a target that is in.
    #[must_use]
    pub fn rank(&self, target: usize) -> Option<f64> {
        self.places.get(target).copied().flatten().map(|(rank, _)| f64::from_bits(rank))
    }

    /// Targets, the lowest rank first.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.sorted.iter().map(|(_, _, target)| *target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_rank_is_first_and_equal_ones_take_turns() {
        let mut order = Order::default();
        for (target, rank) in [(0, 0.5), (1, 0.0), (2, 0.5), (3, 1e9)] {
            order.put(target, rank);
        }
        assert_eq!(order.iter().collect::<Vec<_>>(), [1, 0, 2, 3]);
        order.put(0, 0.5);
        order.take(3);
        order.take(3);
        assert_eq!(order.iter().collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!((order.rank(2), order.rank(3), order.rank(9)), (Some(0.5), None, None));
    }
}
