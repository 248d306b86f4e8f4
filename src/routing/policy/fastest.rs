//! The better of two: of two targets drawn at random the one whose answers begin sooner and that is
//! less busy, so that load spreads without all running to the same one.
//!
//! Two draws may both hit a slow target, and then every so many-th request would be slow. So the two are
//! drawn from those that are good: not far slower than the others, and not failing. The rest gets what
//! these have no room for, and a few requests that find out whether it has become better. One of which
//! nothing is known gets one request at a time, until something is.

use std::time::{Duration, Instant};

use super::Policy;
use crate::routing::choice::Choice;
use crate::routing::circuit::CircuitState;
use crate::routing::field::{Facts, Field};

/// So many times the median is far slower.
const SLOW: f64 = 2.0;
/// A target of whose requests a larger part fails is failing.
const FAILING: f64 = 0.05;
/// Such a handicap leaves a target to those requests that find no other.
const UNWANTED: f64 = 1e6;
/// The median is found anew after this, at the earliest; later where there are many targets, so that
/// it stays a small part of the work.
const MEASURE_EVERY: Duration = Duration::from_millis(250);
const MEASURE_EACH: Duration = Duration::from_micros(10);
/// One request of so many goes where nobody has been for a while.
const EXPLORE_ONE_OF: u32 = 400;
const UNSEEN_FOR: Duration = Duration::from_secs(5);
/// A first token takes no less, or load would count for nothing.
const LEAST_SECONDS: f64 = 0.001;
/// So many draws are made for two good targets.
const DRAWS: usize = 12;

/// The policy's memory.
#[derive(Debug, Default)]
pub struct Fastest {
    /// Who takes longer, in seconds, is far slower than the others.
    slow: Option<f64>,
    measured: Option<Instant>,
    /// Requests since one was sent to find something out.
    since: u32,
}

impl Policy for Fastest {
    fn choose(&mut self, choice: &mut Choice<'_>) -> Option<usize> {
        self.measure(choice.field, choice.now);
        self.since = self.since.saturating_add(1);
        if self.since >= EXPLORE_ONE_OF
            && choice.tried.is_empty()
            && let Some(unseen) = unseen(choice)
        {
            self.since = 0;
            return Some(unseen);
        }
        self.better(choice)
    }
}

impl Fastest {
    /// The better of two good targets, unless that is so busy that another is the better one, slow as
    /// it is; the best of the others where no good one is drawn.
    fn better(&self, choice: &mut Choice<'_>) -> Option<usize> {
        let (mut best, mut good, mut reserve) = (None, 0, None);
        for _ in 0..DRAWS {
            let Some(target) = choice.any() else { break };
            let Some(facts) = choice.field.get(target) else { break };
            let cost = cost(facts, choice.now);
            if !self.is_good(facts, choice.now) {
                reserve = Some(lesser(reserve, (cost * self.handicap(facts, choice.now), target)));
            } else if best.is_none_or(|(_, other)| other != target) {
                best = Some(lesser(best, (cost, target)));
                good += 1;
            }
            if good == 2 {
                break;
            }
        }
        match (best, reserve) {
            (Some(best), Some(reserve)) => Some(lesser(Some(best), reserve)),
            (best, reserve) => best.or(reserve),
        }
        .map(|(_, target)| target)
    }

    /// By how much a target that is not good must be the less busy: the slower it is the more, and not
    /// at all where it fails, or nobody knows yet.
    fn handicap(&self, facts: &Facts, now: Instant) -> f64 {
        match (facts.seconds(now), self.slow) {
            (Some(seconds), Some(slow)) if !is_failing(facts, now) => (seconds / slow).max(1.0),
            _ => UNWANTED,
        }
    }

    /// Finds out what is slow, if that has not been done lately.
    pub fn measure(&mut self, field: &Field, now: Instant) {
        let count = u32::try_from(field.len()).unwrap_or(u32::MAX);
        let fresh = MEASURE_EVERY.max(MEASURE_EACH.saturating_mul(count));
        if self.measured.is_some_and(|at| now.saturating_duration_since(at) < fresh) {
            return;
        }
        self.measured = Some(now);
        let mut known: Vec<f64> =
            field.all().iter().filter_map(|facts| facts.first_token.seconds()).collect();
        let middle = known.len().saturating_sub(1) / 2;
        self.slow = (!known.is_empty())
            .then(|| *known.select_nth_unstable_by(middle, f64::total_cmp).1 * SLOW);
    }

    /// Whether a target is one of the better ones.
    #[must_use]
    pub fn is_good(&self, facts: &Facts, now: Instant) -> bool {
        let is_soon = match (facts.seconds(now), self.slow) {
            (Some(seconds), Some(slow)) => seconds <= slow,
            (Some(_), None) => true,
            (None, _) => facts.pending.is_empty(),
        };
        is_soon && !is_failing(facts, now)
    }
}

/// Whether too many requests fail there. For a trial all may come whose time is over.
fn is_failing(facts: &Facts, now: Instant) -> bool {
    facts.circuit.state(now) == CircuitState::Closed && facts.circuit.doubt(now) > FAILING
}

/// Of some targets drawn at random that nobody has asked for a while, the one that was best.
fn unseen(choice: &mut Choice<'_>) -> Option<usize> {
    let mut best = None;
    for _ in 0..DRAWS {
        let target = choice.any()?;
        let facts = choice.field.get(target)?;
        if is_unseen(facts, choice.now) {
            best = Some(lesser(best, (cost(facts, choice.now), target)));
        }
    }
    best.map(|(_, target)| target)
}

fn is_unseen(facts: &Facts, now: Instant) -> bool {
    let at = facts.first_token.at();
    facts.pending.is_empty() && at.is_none_or(|at| now.saturating_duration_since(at) >= UNSEEN_FOR)
}

/// What a request would cost there; next to nothing, where nothing is known and it would be found out.
/// Times vary as prompts do, and load is exact: so twice the time counts for less than twice the load.
pub(super) fn cost(facts: &Facts, now: Instant) -> f64 {
    let seconds = facts.seconds(now).unwrap_or(0.0).max(LEAST_SECONDS);
    seconds.sqrt() * facts.busy_with_one_more() / f64::from(facts.weight.max(1))
}

fn lesser(best: Option<(f64, usize)>, rated: (f64, usize)) -> (f64, usize) {
    match best {
        Some(best) if best.0 <= rated.0 => best,
        _ => rated,
    }
}
