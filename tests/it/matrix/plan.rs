//! Trials: which fault, where, for whom, and what the client must see.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_protocol::ErrorKind;

use super::answer::Said;
use super::reply::{Case, Told};
use crate::upstream::Step;

/// One request before one scripted answer.
pub struct Trial {
    pub fault: &'static str,
    pub place: &'static str,
    pub case: Case,
    /// What the model's name has behind the provider's.
    pub model: &'static str,
    pub steps: Vec<Step>,
    pub expect: Expect,
    /// Where exactly, for people.
    pub position: String,
}

/// What the client must see.
#[derive(Debug, Clone)]
pub struct Expect {
    /// All that it is told, no more and no less. A client that wants it whole is told nothing
    /// of an answer that failed.
    pub said: Said,
    /// Whether a streaming client sees something of the answer, so that the failure has no
    /// status of its own.
    pub shows: bool,
    /// How it fails; none for a clean end.
    pub failure: Option<ErrorKind>,
    pub retry_after: Wait,
}

/// Which `Retry-After` a refusal must carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// None, or a sensible number.
    Any,
    Exactly(u32),
}

impl Expect {
    /// A clean end with evidence, else a failure of the kind.
    pub fn of(told: &Told, kind: ErrorKind) -> Self {
        if told.finished { Self::whole(&told.said) } else { Self::failed(told, kind) }
    }

    pub fn whole(said: &Said) -> Self {
        Self { said: said.clone(), shows: true, failure: None, retry_after: Wait::Any }
    }

    pub fn failed(told: &Told, kind: ErrorKind) -> Self {
        let Told { said, shows, .. } = told.clone();
        Self { said, shows, failure: Some(kind), retry_after: Wait::Any }
    }

    /// A failure before anything was told.
    pub fn refused(kind: ErrorKind) -> Self {
        Self::failed(&Told::default(), kind)
    }
}

/// All trials of a run. The seed decides how bytes are divided into writes, and the order.
pub struct Plan {
    pub trials: Vec<Trial>,
    rng: StdRng,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        Self { trials: Vec::new(), rng: StdRng::seed_from_u64(seed) }
    }

    /// Adds a trial before the usual model.
    pub fn add(
        &mut self,
        (fault, place): (&'static str, &'static str),
        case: Case,
        position: impl Into<String>,
        steps: Vec<Step>,
        expect: Expect,
    ) {
        let position = position.into();
        self.trials.push(Trial { fault, place, case, model: "", steps, expect, position });
    }

    /// The trials added since `from` go to another model.
    pub fn before_model(&mut self, from: usize, model: &'static str) {
        self.trials[from..].iter_mut().for_each(|trial| trial.model = model);
    }

    /// `raw` in one write, or in a few at places of chance.
    pub fn write(&mut self, raw: &[u8]) -> Vec<Step> {
        let mut ends: Vec<usize> = (0..self.rng.random_range(0..4))
            .map(|_| self.rng.random_range(0..=raw.len()))
            .collect();
        ends.push(raw.len());
        ends.sort_unstable();
        let mut begin = 0;
        let mut steps = Vec::new();
        for end in ends {
            if end > begin {
                steps.extend([Step::Raw(raw[begin..end].to_vec()), Step::Yield]);
                begin = end;
            }
        }
        steps
    }

    /// Mixes the trials, so that each runs beside others of any kind.
    pub fn shuffle(&mut self) {
        for last in (1..self.trials.len()).rev() {
            let other = self.rng.random_range(0..=last);
            self.trials.swap(last, other);
        }
    }
}
