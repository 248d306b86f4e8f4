//! What came of a simulation: a table for people, and the same for programs.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::Serialize;

use super::Options;
use super::requests::Outcome;

/// What came of all policies.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub replicas: usize,
    pub load: f64,
    pub seed: u64,
    /// The same traffic to the healthy replicas alone, by the default policy.
    pub reference: Row,
    pub rows: Vec<Row>,
}

/// What came of one policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub name: String,
    pub requests: usize,
    /// Seconds to the first token.
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub errors: usize,
    /// Answers that broke off with a replica.
    pub cut: usize,
    pub attempts_per_request: f64,
    /// The most that a replica was asked, over the mean.
    pub spread: f64,
    /// The part of all prompts that was in a cache.
    pub cache_hits: f64,
    /// Of a thousand requests.
    pub cost: f64,
    /// Seconds after its return that a replica was asked again, nine times in ten.
    pub back_after: f64,
    pub virtual_seconds: f64,
    #[serde(flatten)]
    pub pace: Pace,
}

/// How fast it went; of all this alone differs from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pace {
    pub picks_per_second: f64,
    pub virtual_seconds_per_second: f64,
}

impl Report {
    pub(super) fn new(options: &Options, reference: Row, rows: Vec<Row>) -> Self {
        let Options { replicas, load, seed, .. } = *options;
        Self { replicas, load, seed, reference, rows }
    }

    /// As one JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Numbers and names: nothing that could not be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
impl Row {
    pub(super) fn new(name: &str, outcome: &Outcome, took: Duration) -> Self {
        let requests = outcome.requests.max(1) as f64;
        let most = outcome.asked.iter().max().copied().unwrap_or(0) as f64;
        let mean = outcome.attempts.max(1) as f64 / outcome.asked.len().max(1) as f64;
        let lasted = outcome.lasted.as_secs_f64();
        let quantile = |part| quantile(&outcome.first_tokens, part);
        Self {
            name: name.to_owned(),
            requests: outcome.requests,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            errors: outcome.errors,
            cut: outcome.cut,
            attempts_per_request: outcome.attempts as f64 / requests,
            spread: most / mean,
            cache_hits: outcome.cached_tokens as f64 / outcome.prompt_tokens.max(1) as f64,
            cost: outcome.cost as f64 / 1e12 / requests * 1000.0,
            back_after: self::quantile(&outcome.back_after, 0.9),
            virtual_seconds: lasted,
            pace: Pace {
                picks_per_second: outcome.picks as f64 / outcome.picking.as_secs_f64().max(1e-9),
                virtual_seconds_per_second: lasted / took.as_secs_f64().max(1e-9),
            },
        }
    }
}

/// Of sorted times, in seconds.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
fn quantile(times: &[Duration], part: f64) -> f64 {
    let place = ((times.len() as f64 * part).ceil() as usize).max(1) - 1;
    times.get(place).map_or(0.0, Duration::as_secs_f64)
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { replicas, load, seed, reference, .. } = self;
        let Row { requests, virtual_seconds, .. } = reference;
        writeln!(
            f,
            "{replicas} replicas, {requests} requests in {virtual_seconds:.0} s at load {load}, seed {seed}\n"
        )?;
        writeln!(
            f,
            "| policy | TTFT p50, ms | p90 | p99 | p99 to healthy alone | errors | cut | attempts a request | most to mean load | cache hits | cost of 1000 | back after, s | picks/s | times real time |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        for row in std::iter::once(reference).chain(&self.rows) {
            let Row { name, errors, cut, attempts_per_request, spread, cost, .. } = row;
            let [p50, p90, p99] = [row.p50, row.p90, row.p99].map(|seconds| seconds * 1000.0);
            let ratio = row.p99 / reference.p99.max(1e-9);
            let (hits, back) = (row.cache_hits * 100.0, row.back_after);
            let Pace { picks_per_second, virtual_seconds_per_second } = row.pace;
            writeln!(
                f,
                "| {name} | {p50:.0} | {p90:.0} | {p99:.0} | {ratio:.2} | {errors} | {cut} | {attempts_per_request:.3} | {spread:.2} | {hits:.0} % | {cost:.2} | {back:.1} | {picks_per_second:.0} | {virtual_seconds_per_second:.0} |"
            )?;
        }
        Ok(())
    }
}
