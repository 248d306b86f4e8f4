//! The targets of one model as policies see them: what they can do, how busy they are, how they did.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use super::circuit::Circuit;
use super::estimate::Estimate;
use super::need::Need;
use super::sparse_set::SparseSet;
use crate::config::{Abilities, Ejection, Price, ProviderKind, Target};

/// What an upstream says of its own load.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Requests that it works on, whoever sent them.
    pub running: u32,
    /// Requests that wait there, whoever sent them.
    pub waiting: u32,
    /// The part of its cache that is taken, 0 to 1, where it says so.
    pub cache: Option<f64>,
}

/// By what a target is known again, whatever else is changed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    name: String,
    provider: ProviderKind,
    base_url: String,
    model: String,
}

impl Upstream {
    #[must_use]
    pub fn of(target: &Target) -> Self {
        Self {
            name: target.name.clone(),
            provider: target.provider,
            base_url: target.base_url.clone(),
            model: target.upstream_model.clone(),
        }
    }

    /// Whether it is the same upstream under another name.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let Self { name: _, provider, base_url, model } = other;
        self.provider == *provider && self.base_url == *base_url && self.model == *model
    }
}

/// One target.
#[derive(Debug)]
pub struct Facts {
    /// A number of its own by which it is known again, though others come and go before it.
    pub key: u64,
    pub upstream: Upstream,
    /// Where it stands among the targets of the newest fleet.
    pub place: usize,
    /// How many fleets have it among their targets.
    pub fleets: usize,
    /// Only earlier fleets have it: it is asked for their requests, and counts for nothing else.
    pub is_retired: bool,
    pub provider: ProviderKind,
    pub weight: u32,
    /// It works on so many requests at a time.
    pub slots: usize,
    pub abilities: Abilities,
    pub continues: bool,
    pub price: Price,
    /// Requests that it works on, of this gateway.
    pub active: usize,
    /// Those whose answer has not begun, by their number: the oldest first.
    pub pending: BTreeMap<u64, Instant>,
    pub circuit: Circuit,
    pub first_token: Estimate,
    pub load: Option<Load>,
}

impl Facts {
    pub(super) fn new(target: &Target, place: usize) -> Self {
        let mut hasher = DefaultHasher::new();
        target.name.hash(&mut hasher);
        Self {
            key: hasher.finish(),
            upstream: Upstream::of(target),
            place,
            fleets: 1,
            is_retired: false,
            provider: target.provider,
            weight: target.weight,
            slots: target.max_concurrency,
            abilities: target.abilities.clone(),
            continues: target.continues,
            price: target.price,
            active: 0,
            pending: BTreeMap::new(),
            circuit: Circuit::default(),
            first_token: Estimate::default(),
            load: None,
        }
    }

    /// Whether it can do what a request needs.
    #[must_use]
    pub fn is_able(&self, need: &Need) -> bool {
        let context_length = self.abilities.context_length;
        let asked = need.prompt_tokens.saturating_add(need.max_tokens.unwrap_or(0));
        !need.unfit.contains(&self.provider)
            && need.skills.are_within(&self.abilities)
            && (self.continues || !need.continues)
            && context_length.is_none_or(|length| asked <= length)
    }

    /// Whether it is asked at all, for new requests or for those of earlier fleets.
    #[must_use]
    pub fn takes_requests(&self) -> bool {
        self.weight > 0 || self.is_retired
    }

    /// Whether anything may be asked of it now.
    #[must_use]
    pub fn is_open(&self, now: Instant) -> bool {
        self.weight > 0 && self.has_room() && self.circuit.lets_pass(now)
    }

    #[must_use]
    pub fn has_room(&self) -> bool {
        self.active < self.slots
    }

    /// How soon it answers, in seconds: as it did lately, or as long as somebody has waited for it by
    /// now, if that is longer. None where nothing is known.
    #[must_use]
    pub fn seconds(&self, now: Instant) -> Option<f64> {
        let oldest = self.pending.first_key_value().map(|(_, since)| *since);
        let waited = oldest.map(|since| now.saturating_duration_since(since).as_secs_f64());
        self.first_token.seconds().map(|mean| waited.map_or(mean, |waited| mean.max(waited)))
    }

    /// The part of its slots that is taken: by what this gateway knows, or by what the server said of all
    /// its clients when it was probed, if that is more.
    #[must_use]
    pub fn busy(&self) -> f64 {
        self.busy_with(0)
    }

    /// The same, were it given one more request.
    #[must_use]
    pub fn busy_with_one_more(&self) -> f64 {
        self.busy_with(1)
    }

    #[allow(clippy::cast_precision_loss, reason = "small counts")]
    fn busy_with(&self, more: usize) -> f64 {
        let told = self.load.map_or(0.0, |load| f64::from(load.running) + f64::from(load.waiting));
        (told.max(self.active as f64) + more as f64) / self.slots.max(1) as f64
    }
}

/// All targets of a model.
#[derive(Debug)]
pub struct Field {
    facts: Vec<Facts>,
    /// Those that are not retired.
    count: usize,
    /// The targets that may be asked and have room.
    open: SparseSet,
    /// Until when the circuits of each let nothing pass; none where they do.
    shut_until: Vec<Option<Instant>>,
    /// The same, the first to end on top. What has changed since is in it all the same.
    shut: BinaryHeap<Reverse<(Instant, usize)>>,
    /// How many are shut, and the slots of the others.
    ejected: usize,
    slots: usize,
    rules: Ejection,
}

impl Field {
    #[must_use]
    pub fn new(targets: &[Target], rules: Ejection, now: Instant) -> Self {
        let facts = targets.iter().zip(0..).map(|(target, place)| Facts::new(target, place));
        Self::of(facts.collect(), rules, now)
    }

    pub(super) fn of(facts: Vec<Facts>, rules: Ejection, now: Instant) -> Self {
        let current = facts.iter().filter(|facts| !facts.is_retired);
        let mut field = Self {
            open: SparseSet::default(),
            shut_until: vec![None; facts.len()],
            shut: BinaryHeap::new(),
            ejected: 0,
            slots: current.clone().map(|facts| facts.slots).sum(),
            count: current.count(),
            facts,
            rules,
        };
        (0..field.facts.len()).for_each(|target| field.sort_in(target, now));
        field
    }

    #[must_use]
    pub fn rules(&self) -> &Ejection {
        &self.rules
    }

    /// Its targets, to make another of them.
    pub(super) fn take(&mut self) -> Vec<Facts> {
        std::mem::take(&mut self.facts)
    }

    /// How many targets there are that may be asked for new requests, now or later.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many targets there are, with those that are retired.
    #[must_use]
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    #[must_use]
    pub fn get(&self, target: usize) -> Option<&Facts> {
        self.facts.get(target)
    }

    pub fn get_mut(&mut self, target: usize) -> Option<&mut Facts> {
        self.facts.get_mut(target)
    }

    #[must_use]
    pub fn all(&self) -> &[Facts] {
        &self.facts
    }

    /// The targets whose circuits let requests pass and that have room, in no order.
    #[must_use]
    pub fn open(&self) -> &[usize] {
        self.open.members()
    }

    /// Whether a target is one of them.
    #[must_use]
    pub fn is_open(&self, target: usize) -> bool {
        self.open.contains(target)
    }

    /// Whether a target's circuit lets nothing pass.
    #[must_use]
    pub fn is_shut(&self, target: usize) -> bool {
        self.shut_until.get(target).is_some_and(Option::is_some)
    }

    /// How many targets' circuits let nothing pass.
    #[must_use]
    pub fn ejected(&self) -> usize {
        self.ejected
    }

    /// So many requests can be worked on at a time: by those that may be asked, or by all where none
    /// may, so that requests come to hear of it.
    #[must_use]
    pub fn capacity(&self) -> usize {
        match self.slots {
            0 => {
                let current = self.facts.iter().filter(|facts| !facts.is_retired);
                current.map(|facts| facts.slots).sum()
            }
            slots => slots,
        }
    }

    /// Takes note of what has changed of a target's circuit, or of its room.
    pub fn sort_in(&mut self, target: usize, now: Instant) {
        let (Some(facts), Some(known)) = (self.facts.get(target), self.shut_until.get_mut(target))
        else {
            return;
        };
        if facts.is_retired {
            return;
        }
        let until = facts.circuit.passes_at(now);
        match (*known, until) {
            (None, Some(_)) => {
                (self.ejected, self.slots) = (self.ejected + 1, self.slots - facts.slots);
            }
            (Some(_), None) => {
                (self.ejected, self.slots) = (self.ejected - 1, self.slots + facts.slots);
            }
            _ => {}
        }
        let has_changed = std::mem::replace(known, until) != until;
        if let Some(until) = until.filter(|_| has_changed) {
            self.shut.push(Reverse((until, target)));
        }
        self.open.set(target, facts.is_open(now));
    }

    /// Lets the next one in again whose time is over, and says which that is.
    pub fn reopen(&mut self, now: Instant) -> Option<usize> {
        loop {
            let Reverse((until, target)) = self.shut.peek().copied()?;
            if now < until {
                return None;
            }
            self.shut.pop();
            if self.shut_until.get(target) == Some(&Some(until)) {
                self.sort_in(target, now);
                return Some(target);
            }
        }
    }
}
