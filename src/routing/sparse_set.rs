//! A set of small numbers from which any can be drawn at once: each knows its place in a list without
//! order.

/// The set.
#[derive(Debug, Default)]
pub struct SparseSet {
    members: Vec<usize>,
    /// Where each number stands among the members.
    places: Vec<Option<usize>>,
}

impl SparseSet {
    /// The members, in no order.
    #[must_use]
    pub fn members(&self) -> &[usize] {
        &self.members
    }

    #[must_use]
    pub fn contains(&self, number: usize) -> bool {
        self.places.get(number).is_some_and(Option::is_some)
    }

    /// Puts a number in or takes it out.
    pub fn set(&mut self, number: usize, is_member: bool) {
        if is_member { self.insert(number) } else { self.remove(number) }
    }

    fn insert(&mut self, number: usize) {
        if self.places.len() <= number {
            self.places.resize(number + 1, None);
        }
        if let Some(place @ None) = self.places.get_mut(number) {
            *place = Some(self.members.len());
            self.members.push(number);
        }
    }

    fn remove(&mut self, number: usize) {
        let Some(place) = self.places.get_mut(number).and_then(Option::take) else { return };
        self.members.swap_remove(place);
        if let Some(moved) = self.members.get(place) {
            self.places[*moved] = Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_was_put_in_and_not_taken_out(
            changes in prop::collection::vec((0_usize..20, any::<bool>()), 0..200),
        ) {
            let (mut set, mut expected) = (SparseSet::default(), BTreeSet::new());
            for (number, is_member) in changes {
                set.set(number, is_member);
                if is_member { expected.insert(number); } else { expected.remove(&number); }
                let members: BTreeSet<_> = set.members().iter().copied().collect();
                prop_assert_eq!(&members, &expected);
                prop_assert_eq!(set.members().len(), expected.len());
                prop_assert_eq!(set.contains(number), is_member);
            }
        }
    }
}
