//! By score: success rate over time to the first token and requests at work. Of a few targets drawn at
//! random the one with the highest score is asked.
//!
//! The rates are of the last while. A target of which little is known is thought to be good, but gets
//! one request at a time until it has answered. A request now and then goes to just any, or a target
//! that was bad once would never be heard of again.

use rand::Rng;

use super::Policy;
use crate::routing::choice::Choice;
use crate::routing::field::Facts;

/// So many targets are compared.
const DRAWS: usize = 6;
/// The part of requests that goes to any.
const EXPLORED: f64 = 0.005;
/// What a first token is thought to take where none has come; it takes no less for a score, or one
/// that fails at once would win.
const LEAST_SECONDS: f64 = 0.001;
/// The score falls with this power of the part that fails: who fails often must not win by being idle.
const FAILING_WEIGHS: i32 = 4;

/// The policy; what it goes by, the targets' facts have.
#[derive(Debug)]
pub struct Score;

impl Policy for Score {
    fn choose(&mut self, choice: &mut Choice<'_>) -> Option<usize> {
        if choice.tried.is_empty() && choice.rng.random::<f64>() < EXPLORED {
            return choice.any();
        }
        let mut best: Option<(f64, usize)> = None;
        for _ in 0..DRAWS {
            let target = choice.any()?;
            let Some(facts) = choice.field.get(target) else { continue };
            let score = score(facts, choice);
            if best.is_none_or(|(highest, _)| score > highest) {
                best = Some((score, target));
            }
        }
        best.map(|(_, target)| target)
    }
}

fn score(facts: &Facts, choice: &Choice<'_>) -> f64 {
    let works = (1.0 - facts.circuit.doubt(choice.now)).powi(FAILING_WEIGHS);
    let seconds = match facts.seconds(choice.now) {
        Some(seconds) => seconds.max(LEAST_SECONDS),
        None if facts.pending.is_empty() => LEAST_SECONDS,
        // Somebody is finding out.
        None => f64::MAX.sqrt(),
    };
    works * f64::from(facts.weight) / (seconds * facts.busy_with_one_more())
}
