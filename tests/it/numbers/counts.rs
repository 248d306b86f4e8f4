//! How often each of several things was met, and whether all who count it say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// How often each thing was met; what never was is not in it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    pub fn add(&mut self, what: &str, count: u64) {
        if count > 0 {
            *self.0.entry(what.to_owned()).or_default() += count;
        }
    }

    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    pub fn sum(&self) -> u64 {
        self.0.values().sum()
    }

    /// The same, by other names; by none, it is left out.
    pub fn by(&self, name: impl Fn(&str) -> Option<String>) -> Self {
        let mut counts = Self::default();
        for (what, count) in &self.0 {
            if let Some(name) = name(what) {
                counts.add(&name, *count);
            }
        }
        counts
    }
}

impl<S: AsRef<str>> FromIterator<S> for Counts {
    fn from_iter<T: IntoIterator<Item = S>>(all: T) -> Self {
        let mut counts = Self::default();
        all.into_iter().for_each(|what| counts.add(what.as_ref(), 1));
        counts
    }
}

/// Every count that was compared, and a table of those that differ.
#[derive(Default)]
pub struct Comparison {
    differences: String,
}

impl Comparison {
    /// Takes what each has counted of one thing.
    pub fn of(&mut self, what: &str, counters: &[(&str, &Counts)]) {
        let all: BTreeSet<_> = counters.iter().flat_map(|(_, counts)| counts.0.keys()).collect();
        assert!(!all.is_empty(), "nobody has counted {what}");
        for one in all {
            let counted = counters.iter().map(|(_, counts)| counts.get(one));
            if counted.collect::<BTreeSet<_>>().len() > 1 {
                let each =
                    counters.iter().map(|(who, counts)| format!("{who}: {}", counts.get(one)));
                let each = each.collect::<Vec<_>>().join(", ");
                let _ = writeln!(self.differences, "{what}, {one}: {each}");
            }
        }
    }

    /// The same, of a thing that is one number.
    pub fn number(&mut self, what: &str, counters: &[(&str, u64)]) {
        let counts = |count| {
            let mut counts = Counts::default();
            counts.add("in all", count);
            counts
        };
        let counters: Vec<_> = counters.iter().map(|(who, n)| (*who, counts(*n))).collect();
        let counters: Vec<_> = counters.iter().map(|(who, counts)| (*who, counts)).collect();
        self.of(what, &counters);
    }

    pub fn agrees(&self) {
        assert!(self.differences.is_empty(), "these differ:\n{}", self.differences);
    }
}
