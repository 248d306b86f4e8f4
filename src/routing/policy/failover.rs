//! Who is asked behind a failure, whatever the policy: the one that is most surely up.
//!
//! A request has few attempts, and what failed one may fail others. So among some targets drawn at
//! random those count that have answered most requests since one failed there, and of these the one
//! whose answers begin soonest.

use crate::routing::choice::Choice;
use crate::routing::field::Facts;

/// So many draws are made.
const DRAWS: usize = 24;
/// More answers in a row than this prove no more.
const ENOUGH: u32 = 64;

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
    streak: u32,
    cost: f64,
}

impl Rated {
    fn new(target: usize, facts: &Facts, choice: &Choice<'_>) -> Self {
        let seconds = facts.seconds(choice.now).unwrap_or(0.0);
        let streak = facts.circuit.streak(choice.now).min(ENOUGH);
        Self { target, streak, cost: seconds * (1.0 + facts.busy()) }
    }

    /// One that has half as many answers behind it is about as sure.
    fn beats(&self, best: &Self) -> bool {
        match (self.streak > 2 * best.streak, best.streak > 2 * self.streak) {
            (true, _) => true,
            (_, true) => false,
            _ => self.cost < best.cost,
        }
    }
}
