//! How long the series of a label live: as long as somebody can write to them.
//!
//! A model that is gone from the configuration may still have streams that record what becomes of them.
//! Its series go with the last of their handles, and not before: a series that is removed while somebody
//! has a name for it would come back with the next count, and never go again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};

/// Removes from a family what has these labels.
pub(super) fn remove<T: MetricVecBuilder>(family: &MetricVec<T>, labels: &[(&str, &str)]) {
    for metric in family.collect().iter().flat_map(prometheus::proto::MetricFamily::get_metric) {
        let all: HashMap<_, _> =
            metric.get_label().iter().map(|pair| (pair.name(), pair.value())).collect();
        if labels.iter().all(|(name, value)| all.get(name) == Some(value)) {
            // Who removed it first does not matter.
            let _ = family.remove(&all);
        }
    }
}

/// The values of the labels that a set of series has in common.
type Values = Vec<String>;

/// Those whose series are there.
#[derive(Clone, Default)]
pub(super) struct Living(Arc<Mutex<HashMap<Values, Weak<Life>>>>);

/// Held by each handle of one set of series; the last to go takes them along.
pub(super) struct Life {
    values: Values,
    living: Living,
    remove: Box<dyn Fn() + Send + Sync>,
}

impl Living {
    /// What `make` makes of the life of a set of series, which it is to hold. None of them ends
    /// meanwhile.
    pub(super) fn hold<H>(
        &self,
        values: &[&str],
        remove: impl Fn() + Send + Sync + 'static,
        make: impl FnOnce(Arc<Life>) -> H,
    ) -> H {
        let values: Values = values.iter().map(|&value| value.to_owned()).collect();
        let mut all = self.lock();
        let life = all.get(&values).and_then(Weak::upgrade).unwrap_or_else(|| {
            let (living, remove) = (self.clone(), Box::new(remove));
            let life = Arc::new(Life { values: values.clone(), living, remove });
            all.insert(values, Arc::downgrade(&life));
            life
        });
        make(life)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Values, Weak<Life>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let mut all = self.living.lock();
        // Another may have come to life since the last handle went.
        if all.get(&self.values).is_some_and(|life| life.strong_count() == 0) {
            all.remove(&self.values);
            (self.remove)();
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounterVec, Opts};

    use super::*;

    fn family() -> IntCounterVec {
        IntCounterVec::new(Opts::new("x_total", "x"), &["model", "result"]).unwrap()
    }

    fn series(family: &IntCounterVec) -> usize {
        family.collect().iter().map(|found| found.get_metric().len()).sum()
    }

    #[test]
    fn only_what_has_the_labels_is_removed() {
        let family = family();
        for labels in [["a", "won"], ["a", "lost"], ["b", "won"]] {
            family.with_label_values(&labels).inc();
        }
        remove(&family, &[("model", "a")]);
        assert_eq!(series(&family), 1);
        assert_eq!(family.with_label_values(&["b", "won"]).get(), 1);
    }

    #[test]
    fn series_go_with_the_last_handle_and_come_back_with_the_next() {
        let (family, living) = (family(), Living::default());
        let hold = || {
            let of = family.clone();
            let remove = move || remove(&of, &[("model", "a")]);
            living.hold(&["a"], remove, |life| (life, family.with_label_values(&["a", "won"])))
        };
        let (first, second) = (hold(), hold());
        first.1.inc();
        drop(first);
        assert_eq!((series(&family), second.1.get()), (1, 1));
        drop(second);
        assert_eq!(series(&family), 0);
        let third = hold();
        assert_eq!((series(&family), third.1.get()), (1, 0));
        assert_eq!(living.lock().len(), 1);
    }
}
