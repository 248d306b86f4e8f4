//! What all clients saw, counted by what happened at the upstream and by what they did themselves.

use std::collections::BTreeMap;

use super::case::Case;

/// How one request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A stream, of which the client was told this outcome.
    Outcome(&'static str),
    /// A stream that the client left, when it could not have ended.
    Left,
    /// The same, but who plays the upstream was late himself: it may have timed out before.
    Unsure,
    /// No stream: refused with a status.
    Refused,
}

impl Seen {
    /// The outcome that the gateway must have counted.
    pub const fn outcome(self) -> Option<&'static str> {
        match self {
            Self::Outcome(outcome) => Some(outcome),
            Self::Left => Some("cancelled"),
            Self::Unsure | Self::Refused => None,
        }
    }
}

/// So many mistakes are kept with their words.
const KEPT: usize = 20;

pub type Counts = BTreeMap<&'static str, u64>;

#[derive(Debug, Default)]
pub struct Tally {
    pub requests: u64,
    /// The same, by their path.
    pub asked: BTreeMap<&'static str, u64>,
    pub deletes: u64,
    /// Times that the list of streams was asked for.
    pub lists: u64,
    /// Told to clients, by reason.
    pub queue_refusals: Counts,
    pub tokens: u64,
    /// Told to clients, or known to those that left.
    pub outcomes: Counts,
    /// Told to clients only: what the gateway has counted by the time.
    pub told: Counts,
    /// Streams whose outcome nobody but the gateway knows.
    pub unsure: u64,
    /// How often the soak itself did not get to run.
    pub stood_still: u64,
    pub by_mishap: BTreeMap<&'static str, Counts>,
    pub by_manner: BTreeMap<&'static str, Counts>,
    pub mistakes: u64,
    /// Scrapes that do not add up.
    pub torn: u64,
    pub kept: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, case: &Case, tokens: u64, seen: Result<Seen, String>) {
        self.requests += 1;
        *self.asked.entry(case.path()).or_default() += 1;
        self.tokens += tokens;
        let seen = match seen {
            Ok(seen) => seen,
            Err(what) => return self.mistake(format!("{case:?}: {what}")),
        };
        if seen == Seen::Unsure {
            self.unsure += 1;
            return;
        }
        let outcome = seen.outcome().unwrap_or("no stream");
        if seen != Seen::Refused {
            *self.outcomes.entry(outcome).or_default() += 1;
            let mishaps = self.by_mishap.entry(case.script.mishap.name()).or_default();
            *mishaps.entry(outcome).or_default() += 1;
        }
        if let Seen::Outcome(outcome) = seen {
            *self.told.entry(outcome).or_default() += 1;
        }
        let manners = self.by_manner.entry(case.manner.name()).or_default();
        *manners.entry(outcome).or_default() += 1;
    }

    /// Something that must not be.
    pub fn mistake(&mut self, what: String) {
        self.mistakes += 1;
        if self.kept.len() < KEPT {
            self.kept.push(what);
        }
    }

    pub fn streams(&self) -> u64 {
        self.unsure + self.outcomes.values().sum::<u64>()
    }
}
