//! What is asked, and when: conversations that grow, and begin alike.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::chance::{exponential, log_normal, log_normal_mean, tokens};
use super::{Options, replica};
use crate::routing::Need;

/// So many instructions are in use, each of so many tokens, that conversations begin with.
const INSTRUCTIONS: u64 = 8;
const INSTRUCTION_TOKENS: u32 = 300;
/// What a user says, in tokens: the median, and how much it varies.
const QUESTION: (f64, f64) = (150.0, 0.8);
const ANSWER: (f64, f64) = (300.0, 0.6);
/// How many of ten requests go on with a conversation, and how many times one does at most.
const GOES_ON_OF_TEN: u32 = 7;
const MOST_TURNS: usize = 12;
/// So many conversations for each replica are open at a time.
const OPEN_EACH: usize = 20;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub at: Duration,
    /// What the router is told.
    pub need: Need,
    /// How long the prompt is up to the end of each of its beginnings.
    pub lengths: Vec<u32>,
    pub answer_tokens: u32,
}

/// All requests, by time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    pub requests: Vec<Asked>,
}

/// A conversation, up to its last answer.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    session: u64,
    turns: usize,
    prefixes: Vec<u64>,
    lengths: Vec<u32>,
}

impl Traffic {
    /// Traffic by the seed that takes `options.load` of what so many healthy replicas can do.
    #[must_use]
    pub fn synthetic(options: &Options, healthy: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(options.seed);
        let gap = mean_seconds() / (options.load.max(1e-6) * replica::slots(healthy));
        let (mut open, mut at) = (Vec::<Conversation>::new(), 0.0);
        let mut requests = Vec::with_capacity(options.requests);
        for number in 0..options.requests as u64 {
            at += exponential(&mut rng, gap);
            let goes_on = rng.random_ratio(GOES_ON_OF_TEN, 10) && !open.is_empty();
            let mut conversation = if goes_on {
                open.swap_remove(rng.random_range(0..open.len()))
            } else {
                Conversation::new(number, rng.random_range(0..INSTRUCTIONS))
            };
            let question = tokens(log_normal(&mut rng, QUESTION.0, QUESTION.1));
            let answer = tokens(log_normal(&mut rng, ANSWER.0, ANSWER.1));
            requests.push(conversation.ask(Duration::from_secs_f64(at), question, answer));
            if conversation.turns < MOST_TURNS {
                open.push(conversation);
            }
            if open.len() > OPEN_EACH * options.replicas.max(1) {
                open.swap_remove(rng.random_range(0..open.len()));
            }
        }
        Self { requests }
    }
}

impl Conversation {
    fn new(session: u64, instruction: u64) -> Self {
        let prefixes = vec![hash_of(("instruction", instruction))];
        Self { session, turns: 0, prefixes, lengths: vec![INSTRUCTION_TOKENS] }
    }

    /// One of a recording, of which only the lengths are known.
    pub(super) fn recorded(session: u64) -> Self {
        Self { session, turns: 0, prefixes: Vec::new(), lengths: Vec::new() }
    }

    /// How many tokens it has by now.
    pub(super) fn length(&self) -> u32 {
        self.lengths.last().copied().unwrap_or(0)
    }

    /// The next request: all there is, and a question. The answer becomes a part of what there is.
    pub(super) fn ask(&mut self, at: Duration, question: u32, answer_tokens: u32) -> Asked {
        self.turns += 1;
        self.add(question);
        let asked = Asked {
            at,
            need: Need {
                prompt_tokens: self.length(),
                max_tokens: Some(answer_tokens),
                session: self.session,
                prefixes: self.prefixes.clone(),
                ..Need::default()
            },
            lengths: self.lengths.clone(),
            answer_tokens,
        };
        self.add(answer_tokens);
        asked
    }

    fn add(&mut self, tokens: u32) {
        self.lengths.push(self.length().saturating_add(tokens));
        self.prefixes.push(hash_of((self.session, self.prefixes.len())));
    }
}

/// How long a replica works on a request, on the average.
fn mean_seconds() -> f64 {
    let answer = log_normal_mean(ANSWER.0, ANSWER.1);
    replica::seconds_for(answer)
}

pub(super) fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
