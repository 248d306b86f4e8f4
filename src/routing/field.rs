//! The targets of one model as policies see them: what they can do, how busy they are, how they did.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use rand::Rng;

use super::circuit::Circuit;
use super::estimate::Estimate;
use super::need::Need;
use crate::config::{Abilities, Ejection, Price, ProviderKind, Target};

/// Random draws before all targets are looked through in turn.
const DRAWS: usize = 16;

/// What an upstream says of its own load.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Requests that wait there, whoever sent them.
    pub waiting: u32,
    /// The part of its cache that is taken, 0 to 1.
    pub cache: f64,
}

/// One target.
#[derive(Debug)]
pub struct Facts {
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
    fn new(target: &Target) -> Self {
        Self {
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
        let Abilities { context_length, tools, images, audio } = self.abilities;
        let asked = need.prompt_tokens.saturating_add(need.max_tokens.unwrap_or(0));
        !need.unfit.contains(&self.provider)
            && (tools || !need.tools)
            && (images || !need.images)
            && (audio || !need.audio)
            && (self.continues || !need.continues)
            && context_length.is_none_or(|length| asked <= length)
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

    /// The part of its slots that is taken, and more where requests of others wait there.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "small counts")]
    pub fn busy(&self) -> f64 {
        let waiting = self.load.map_or(0.0, |load| f64::from(load.waiting));
        (self.active as f64 + waiting) / self.slots as f64
    }
}

/// All targets of a model.
#[derive(Debug)]
pub struct Field {
    facts: Vec<Facts>,
    /// The targets that may be asked and have room, in no order, and where each stands among them.
    open: Vec<usize>,
    places: Vec<Option<usize>>,
    /// Whose circuits let requests pass, and the slots of all these together.
    passing: Vec<bool>,
    slots: usize,
    /// When circuits may let something pass again.
    shut: BinaryHeap<Reverse<(Instant, usize)>>,
    rules: Ejection,
}

impl Field {
    #[must_use]
    pub fn new(targets: &[Target], rules: Ejection, now: Instant) -> Self {
        let facts: Vec<_> = targets.iter().map(Facts::new).collect();
        let mut field = Self {
            open: Vec::with_capacity(facts.len()),
            places: vec![None; facts.len()],
            passing: vec![false; facts.len()],
            slots: 0,
            shut: BinaryHeap::new(),
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

    /// How many targets there are.
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
        &self.open
    }

    /// How many targets' circuits let nothing pass.
    #[must_use]
    pub fn ejected(&self) -> usize {
        self.passing.iter().filter(|passes| !**passes).count()
    }

    /// So many requests can be worked on at a time: by those that may be asked, or by all where none
    /// may, so that requests come to hear of it.
    #[must_use]
    pub fn capacity(&self) -> usize {
        match self.slots {
            0 => self.facts.iter().map(|facts| facts.slots).sum(),
            slots => slots,
        }
    }

    /// Takes note of what has changed of a target's circuit, or of its room.
    pub fn sort_in(&mut self, target: usize, now: Instant) {
        let (Some(facts), Some(passing)) = (self.facts.get(target), self.passing.get_mut(target))
        else {
            return;
        };
        let until = facts.circuit.passes_at(now);
        match (std::mem::replace(passing, until.is_none()), until) {
            (false, None) => self.slots += facts.slots,
            (true, Some(_)) => self.slots -= facts.slots,
            _ => {}
        }
        if let Some(until) = until {
            self.shut.push(Reverse((until, target)));
        }
        if until.is_none() && facts.has_room() && facts.weight > 0 {
            self.let_in(target);
        } else {
            self.keep_out(target);
        }
    }

    /// Lets those in again whose time is over.
    pub fn catch_up(&mut self, now: Instant) {
        while let Some(Reverse((until, target))) = self.shut.peek().copied() {
            if now < until {
                return;
            }
            self.shut.pop();
            if self.passing.get(target) == Some(&false) {
                self.sort_in(target, now);
            }
        }
    }

    /// When the first of those that may not be asked may be.
    #[must_use]
    pub fn opens_in(&self, now: Instant) -> Option<Duration> {
        let times = self.facts.iter().filter_map(|facts| facts.circuit.passes_at(now));
        times.min().map(|until| until.saturating_duration_since(now))
    }

    fn let_in(&mut self, target: usize) {
        if let Some(place @ None) = self.places.get_mut(target) {
            *place = Some(self.open.len());
            self.open.push(target);
        }
    }

    fn keep_out(&mut self, target: usize) {
        let Some(place) = self.places.get_mut(target).and_then(Option::take) else { return };
        self.open.swap_remove(place);
        if let Some(moved) = self.open.get(place) {
            self.places[*moved] = Some(place);
        }
    }
}

/// One choice to be made.
pub struct Choice<'a> {
    pub field: &'a Field,
    pub need: &'a Need,
    /// These were asked for the same answer already.
    pub tried: &'a [usize],
    pub now: Instant,
    /// Whether those that came back not long ago are to be spared.
    pub gentle: bool,
    pub rng: &'a mut dyn rand::RngCore,
}

impl Choice<'_> {
    /// Whether a target may be asked. One that came back not long ago may be now and then.
    #[must_use]
    pub fn may(&mut self, target: usize) -> bool {
        let Some(facts) = self.field.get(target) else { return false };
        let share = facts.circuit.share(self.now, &self.field.rules);
        facts.weight > 0
            && facts.has_room()
            && facts.circuit.lets_pass(self.now)
            && !self.tried.contains(&target)
            && facts.is_able(self.need)
            && !(self.gentle && share < 1.0 && self.rng.random::<f64>() >= share)
    }

    /// Any target that may be asked, each as likely as another.
    pub fn any(&mut self) -> Option<usize> {
        let open = self.field.open();
        for _ in 0..DRAWS.min(open.len()) {
            let target = *open.get(self.rng.random_range(0..open.len()))?;
            if self.may(target) {
                return Some(target);
            }
        }
        // Hardly any may: from a random place on, so that no neighbour of a busy one gets all.
        let first = if open.is_empty() { 0 } else { self.rng.random_range(0..open.len()) };
        let (before, behind) = open.split_at(first);
        behind.iter().chain(before).copied().find(|target| self.may(*target))
    }
}
