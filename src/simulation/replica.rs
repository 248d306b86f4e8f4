//! How a simulated upstream answers: so many requests at a time, the others wait; the first token after
//! it has worked through what of the prompt is not in its cache; and as it misbehaves.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;

use super::chance::{log_normal, log_normal_mean};
use super::traffic::Asked;
use crate::config::{Price, ProviderKind, Target};

/// It works on so many at a time; the gateway sends it more, as who configures it does not know.
const SLOTS: u32 = 8;
const MAX_CONCURRENCY: usize = 12;
/// To the first token: at least this, and so many tokens of the prompt a second. It varies a little.
const LEAST_SECONDS: f64 = 0.1;
const PROMPT_TOKENS_A_SECOND: f64 = 5000.0;
const VARIES: f64 = 0.2;
/// Tokens of an answer a second, for a request that is alone; with all slots taken everything takes
/// so much longer.
const TOKENS_A_SECOND: f64 = 40.0;
const CROWDED: f64 = 0.5;
/// A slow one takes so many times as long to the first token.
const SLOW: f64 = 10.0;
/// So many beginnings of prompts are in its cache.
const CACHED: usize = 2000;
/// What a million tokens of prompt cost, in millionths; an answer's cost three times that.
const PRICES: [u64; 3] = [1_000_000, 1_500_000, 3_000_000];

/// What a replica is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Healthy,
    Slow,
    /// Fails 20 of 100 requests, at once.
    Fails,
    /// No answer ever begins, and probes find nothing wrong.
    Hangs,
    /// Is gone for a minute of every five.
    Dies,
}

pub const FAILS: f64 = 0.2;
pub const DIES_EVERY: Duration = Duration::from_secs(300);
pub const DEAD_FOR: Duration = Duration::from_secs(60);

/// Of every eight two are slow, one fails, one hangs, one dies and comes back, and three are in order.
pub fn mix(replicas: usize) -> Vec<Behaviour> {
    use Behaviour::{Dies, Fails, Hangs, Healthy, Slow};
    let of_eight = [Healthy, Slow, Fails, Healthy, Hangs, Dies, Slow, Healthy];
    of_eight.into_iter().cycle().take(replicas).collect()
}

/// The slots of so many replicas.
#[allow(clippy::cast_precision_loss, reason = "small counts")]
pub fn slots(replicas: usize) -> f64 {
    replicas.max(1) as f64 * f64::from(SLOTS)
}

/// How long an answer of so many tokens takes, first token included, where things are middling busy.
pub fn seconds_for(answer_tokens: f64) -> f64 {
    let first = log_normal_mean(LEAST_SECONDS * 2.0, VARIES);
    (first + answer_tokens / TOKENS_A_SECOND) * (1.0 + CROWDED / 2.0)
}

/// The replica's target, as it is configured.
pub fn target(place: usize) -> Target {
    let input_micros = PRICES.get(place % PRICES.len()).copied().unwrap_or_default();
    Target {
        name: format!("replica-{place}"),
        max_concurrency: MAX_CONCURRENCY,
        price: Price { input_micros, output_micros: 3 * input_micros },
        ..Target::of(ProviderKind::Vllm, "", "simulated")
    }
}

/// A request at a replica: its number, and which of its attempts.
pub type Visit = (usize, u32);

/// One replica.
#[derive(Debug)]
pub struct Replica {
    pub behaviour: Behaviour,
    pub is_dead: bool,
    /// When it came back, until it is asked again.
    pub back: Option<Duration>,
    pub asked: u64,
    working: Vec<Visit>,
    waiting: VecDeque<Visit>,
    cache: HashSet<u64>,
    /// What is in the cache, the oldest first.
    cached: VecDeque<u64>,
}

impl Replica {
    pub fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            is_dead: false,
            back: None,
            asked: 0,
            working: Vec::new(),
            waiting: VecDeque::new(),
            cache: HashSet::new(),
            cached: VecDeque::new(),
        }
    }

    /// Takes a request in, to be worked on when there is a slot.
    pub fn queue(&mut self, visit: Visit) {
        self.waiting.push_back(visit);
    }

    /// The next request to be worked on, if there is a slot.
    pub fn next(&mut self) -> Option<Visit> {
        if self.working.len() >= SLOTS as usize {
            return None;
        }
        let visit = self.waiting.pop_front()?;
        self.working.push(visit);
        Some(visit)
    }

    /// A request is over, or not waited for any more.
    pub fn leave(&mut self, visit: Visit) {
        self.working.retain(|known| *known != visit);
        self.waiting.retain(|known| *known != visit);
    }

    /// It is gone, and all that was there with it.
    pub fn die(&mut self) -> Vec<Visit> {
        self.is_dead = true;
        self.cache.clear();
        self.cached.clear();
        self.working.drain(..).chain(self.waiting.drain(..)).collect()
    }

    /// How long a request takes to its first token, and how much of its prompt was in the cache. From
    /// now on all of it is.
    pub fn first_token(&mut self, asked: &Asked, rng: &mut StdRng) -> (Duration, u32) {
        let prefixes = &asked.need.prefixes;
        let known = prefixes.iter().rposition(|prefix| self.cache.contains(prefix));
        let cached = known.and_then(|at| asked.lengths.get(at)).copied().unwrap_or(0);
        let first_new = known.map_or(0, |at| at + 1);
        for prefix in prefixes.iter().skip(first_new) {
            if self.cache.insert(*prefix) {
                self.cached.push_back(*prefix);
            }
        }
        while self.cached.len() > CACHED {
            if let Some(oldest) = self.cached.pop_front() {
                self.cache.remove(&oldest);
            }
        }
        let left = asked.need.prompt_tokens.saturating_sub(cached);
        let seconds = LEAST_SECONDS + f64::from(left) / PROMPT_TOKENS_A_SECOND;
        let slow = if self.behaviour == Behaviour::Slow { SLOW } else { 1.0 };
        let seconds = log_normal(rng, seconds, VARIES) * slow * self.crowd();
        (Duration::from_secs_f64(seconds), cached)
    }

    /// How long the rest of an answer takes.
    pub fn rest(&self, asked: &Asked) -> Duration {
        let seconds = f64::from(asked.answer_tokens) / TOKENS_A_SECOND;
        Duration::from_secs_f64(seconds * self.crowd())
    }

    #[allow(clippy::cast_precision_loss, reason = "small counts")]
    fn crowd(&self) -> f64 {
        1.0 + CROWDED * self.working.len() as f64 / f64::from(SLOTS)
    }
}
