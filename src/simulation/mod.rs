//! The router on virtual time: the very code that routes real requests, before replicas that are
//! simulated, thousands of times faster than they would be.
//!
//! - [`traffic`]: what is asked and when, made up by a seed. `trace`: the same as it was recorded.
//! - `replica`: how an upstream answers: slots, a cache, and how it misbehaves.
//! - `engine`: one event after the other, each request's attempts as the gateway makes them.
//! - [`report`]: what came out, for people and for programs.
//!
//! The same options and the same seed give the same results, but for how long it took.

mod chance;
mod engine;
mod replica;
pub mod report;
mod requests;
mod trace;
pub mod traffic;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use self::engine::Engine;
use self::replica::Behaviour;
use self::report::{Report, Row};
use self::traffic::Traffic;
use crate::config::{Ejection, Health, Policy, Retries};

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Options {
    pub replicas: usize,
    pub policies: Vec<Policy>,
    /// Of made-up traffic; of a recording no more than so many are read.
    pub requests: usize,
    /// Made-up traffic takes this part of what the healthy replicas can do.
    pub load: f64,
    pub seed: u64,
    /// A recording to be played instead.
    pub trace: Option<PathBuf>,
    pub first_token_timeout: Duration,
    /// Time between two probes of one replica.
    pub probe_every: Duration,
    pub ejection: Ejection,
    pub retries: Retries,
}

impl Options {
    /// A fleet of 100 under moderate load, by all policies, watched as `health` says.
    #[must_use]
    pub fn new(health: &Health) -> Self {
        Self {
            replicas: 100,
            policies: Policy::ALL.to_vec(),
            requests: 100_000,
            load: 0.6,
            seed: 1,
            trace: None,
            first_token_timeout: Duration::from_secs(10),
            probe_every: health.interval,
            ejection: health.ejection.clone(),
            retries: Retries::default(),
        }
    }
}

/// Why nothing is simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    #[error("the recording cannot be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("line {line} of the recording is not a request: {why}")]
    Line { line: usize, why: String },
    #[error("there is nothing to simulate: no request or no replica")]
    Nothing,
}

/// Runs the same traffic by each policy, and to the healthy replicas alone.
///
/// # Errors
/// Where there is no traffic, or it cannot be read.
pub fn run(options: &Options) -> Result<Report, SimulationError> {
    let fleet = replica::mix(options.replicas);
    let healthy: Vec<_> = fleet.iter().copied().filter(|b| *b == Behaviour::Healthy).collect();
    let traffic = match &options.trace {
        Some(path) => trace::read(path, options.requests)?,
        None => Traffic::synthetic(options, healthy.len()),
    };
    if traffic.requests.is_empty() || fleet.is_empty() {
        return Err(SimulationError::Nothing);
    }
    let row = |name: &str, policy, fleet: &[Behaviour]| {
        let begun = std::time::Instant::now();
        let outcome = Engine::new(options, policy, fleet, &traffic).run();
        Row::new(name, &outcome, begun.elapsed())
    };
    let reference = row("healthy alone", Policy::default(), &healthy);
    let rows = options.policies.iter().map(|policy| row(policy.as_str(), *policy, &fleet));
    Ok(Report::new(options, reference, rows.collect()))
}
