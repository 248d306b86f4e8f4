//! The cheapest that can do what is needed and has room. Of those that cost the same, the better of two
//! by time to the first token and load.
//!
//! Targets of the same price are a tier. The tiers are put in order for each request, by what it would
//! cost there: its prompt, and the answer it asks for.

use std::collections::HashMap;

use super::Policy;
use super::fastest::cost;
use crate::config::Price;
use crate::routing::choice::Choice;
use crate::routing::field::Field;
use crate::routing::need::Need;
use crate::routing::sparse_set::SparseSet;

/// An answer is thought to be so long where the request does not bound it.
const ANSWER_TOKENS: u32 = 500;

/// The policy's memory.
#[derive(Debug, Default)]
pub struct Cheapest {
    tiers: Vec<Tier>,
    by_price: HashMap<Price, usize>,
    /// The tiers in the order of a request, kept for its room.
    order: Vec<(u128, usize)>,
}

/// Targets of one price.
#[derive(Debug)]
struct Tier {
    price: Price,
    /// Those that may be asked.
    open: SparseSet,
}

impl Policy for Cheapest {
    fn choose(&mut self, choice: &mut Choice<'_>) -> Option<usize> {
        self.order.clear();
        let costs = self.tiers.iter().map(|tier| price_of(tier.price, choice.need));
        self.order.extend(costs.zip(0..));
        self.order.sort_unstable();
        let tiers = self.order.iter().filter_map(|(_, tier)| self.tiers.get(*tier));
        tiers.map(|tier| tier.open.members()).find_map(|open| better_of_two(open, choice))
    }

    fn loaded(&mut self, target: usize, field: &Field) {
        let Some(facts) = field.get(target) else { return };
        let tiers = &mut self.tiers;
        let place = *self.by_price.entry(facts.price).or_insert_with(|| {
            tiers.push(Tier { price: facts.price, open: SparseSet::default() });
            tiers.len() - 1
        });
        if let Some(tier) = tiers.get_mut(place) {
            tier.open.set(target, field.is_open(target));
        }
    }

    /// Prices may be others.
    fn renewed(&mut self, _: &Field) {
        *self = Self::default();
    }
}

/// What a request costs, but for a constant factor.
fn price_of(price: Price, need: &Need) -> u128 {
    let answer = need.max_tokens.unwrap_or(ANSWER_TOKENS);
    u128::from(price.input_micros) * u128::from(need.prompt_tokens)
        + u128::from(price.output_micros) * u128::from(answer)
}

fn better_of_two(open: &[usize], choice: &mut Choice<'_>) -> Option<usize> {
    let one = choice.one_of(open)?;
    let two = choice.one_of(open)?;
    let rate = |target| choice.field.get(target).map_or(f64::MAX, |facts| cost(facts, choice.now));
    Some(if rate(two) < rate(one) { two } else { one })
}
