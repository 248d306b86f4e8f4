//! Who is asked behind a failure, whatever the policy: the one that is most surely up.
//!
//! A request has few attempts, and what failed one may fail others. So among some targets drawn at
//! random one is chosen that gives an answer right now, as that is certainly there; of these the one
//! that has answered most requests since one failed there, for what it costs in time and load: else all
//! that fails would go to the same one.

use std::cmp::Ordering;

use super::fastest::cost;
use crate::routing::choice::Choice;
use crate::routing::field::Facts;

/// So many draws are made.
const DRAWS: usize = 48;
/// What a part of requests that fails counts for: one of ten that failed, for as much as twice the load.
const DOUBT: f64 = 30.0;
/// More answers in a row than this prove no more.
const ENOUGH: u32 = 32;

/// The target for another attempt, if any is known to be up.
pub fn choose(choice: &mut Choice<'_>) -> Option<usize> {
    let mut best: Option<Rated> = None;
    for _ in 0..DRAWS {
        let Some(target) = choice.any() else { break };
        let Some(facts) = choice.field.get(target) else { break };
        let rated = Rated::new(target, facts, choice);
        if rated.streak > 0 && best.as_ref().is_none_or(|best| rated.beats(best)) {
            best = Some(rated);
        }
    }
    best.map(|best| best.target)
}

struct Rated {
    target: usize,
    is_answering: bool,
    streak: u32,
    cost: f64,
}

impl Rated {
    fn new(target: usize, facts: &Facts, choice: &Choice<'_>) -> Self {
        let streak = facts.circuit.streak(choice.now).min(ENOUGH);
        let is_answering = facts.active > facts.pending.len();
        let proof =
            (1.0 + f64::from(streak)).powi(2) / (1.0 + facts.circuit.doubt(choice.now) * DOUBT);
        let cost = cost(facts, choice.now) / proof;
        Self { target, is_answering, streak, cost }
    }

    fn beats(&self, best: &Self) -> bool {
        match self.is_answering.cmp(&best.is_answering) {
            Ordering::Equal => self.cost < best.cost,
            order => order == Ordering::Greater,
        }
    }
}
