//! `[queue]` and a model's own part of it: who gets the next turn where a model is busy.

use super::kind;
use super::section::Section;

const MAX_LENGTH: usize = 1_000_000;
const DEFAULT_LENGTH: usize = 100;

/// How urgent a request is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

impl Priority {
    /// The lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// How many turns each class gets while requests of all of them wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    pub high: u32,
    pub normal: u32,
    pub low: u32,
}

impl Default for Weights {
    fn default() -> Self {
        Self { high: 8, normal: 4, low: 1 }
    }
}

impl Weights {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let mut weight = |key, default| section.get(key, &kind::integer(1..=1000), default);
        let read = Self {
            high: weight("high_weight", default.high),
            normal: weight("normal_weight", default.normal),
            low: weight("low_weight", default.low),
        };
        for (key, more, less) in
            [("normal_weight", read.high, read.normal), ("low_weight", read.normal, read.low)]
        {
            if more < less {
                section.conflict(key, "must be no more than that of the class above it");
            }
        }
        read
    }

    #[must_use]
    pub fn of(&self, class: Priority) -> u32 {
        match class {
            Priority::Low => self.low,
            Priority::Normal => self.normal,
            Priority::High => self.high,
        }
    }
}

/// The queue of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueLimits {
    /// How many requests may wait for their turn; 0 refuses what cannot start at once.
    pub length: usize,
    /// How many of them one caller may have.
    pub per_caller: usize,
    /// Whether a request may take the turn of a less urgent one whose answer has not begun.
    pub preempt: bool,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { length: DEFAULT_LENGTH, per_caller: DEFAULT_LENGTH, preempt: false }
    }
}

impl QueueLimits {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let length = section.get("queue_length", &kind::integer(0..=MAX_LENGTH), DEFAULT_LENGTH);
        let per_caller = kind::integer(1..=MAX_LENGTH);
        let per_caller = section.get("max_queued_per_caller", &per_caller, length.max(1));
        let preempt = section.get("preempt", &kind::boolean(), false);
        if preempt && length == 0 {
            section.conflict("preempt", "must not be true without a queue: queue_length is 0");
        }
        Self { length, per_caller, preempt }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Faults};

    fn limits(more: &str) -> Result<QueueLimits, Faults> {
        let text = format!("[[models]]\nname = \"m\"\nprovider = \"builtin\"\n{more}\n");
        Config::parse(&text, []).map(|mut loaded| loaded.config.models.remove(0).queue)
    }

    #[test]
    fn one_caller_may_have_the_whole_queue_unless_it_is_told_otherwise() {
        assert_eq!(limits("").unwrap(), QueueLimits::default());
        assert_eq!(limits("queue_length = 7").unwrap().per_caller, 7);
        assert_eq!(limits("queue_length = 0").unwrap().per_caller, 1);
        assert_eq!(limits("max_queued_per_caller = 3").unwrap().per_caller, 3);
    }

    #[test]
    fn what_takes_a_turn_must_be_able_to_wait_for_it() {
        let faults = limits("preempt = true\nqueue_length = 0").unwrap_err().to_string();
        assert!(faults.contains("queue_length is 0"), "{faults}");
    }

    #[test]
    fn a_lower_class_has_no_more_weight() {
        let weights =
            |text: &str| Config::parse(&format!("[queue]\n{text}"), []).map(|l| l.config.queue);
        assert_eq!(weights("").unwrap(), Weights::default());
        let even = Weights { high: 2, normal: 2, low: 2 };
        assert_eq!(weights("high_weight = 2\nnormal_weight = 2\nlow_weight = 2").unwrap(), even);
        for text in ["high_weight = 3", "low_weight = 5", "low_weight = 0"] {
            assert_eq!(weights(text).unwrap_err().0.len(), 1, "{text}");
        }
    }
}
