//! `tidegate simulate`: what each routing policy makes of a fleet that misbehaves.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Problem;
use super::output::print;
use crate::config::{Origin, Policy};
use crate::simulation;

/// Of next to no load the same number of requests takes next to no end of virtual time.
const LOADS: RangeInclusive<f64> = 0.01..=100.0;
/// As the configuration has them.
const FIRST_TOKEN_SECONDS: RangeInclusive<f64> = 0.001..=3600.0;

/// The fleet, and what is asked of it.
#[derive(Debug, Args)]
pub struct Simulate {
    /// Of every eight two are slow, one fails 20 %, one hangs, one dies and comes back
    #[arg(long, default_value_t = 100)]
    replicas: usize,
    /// One of the policies, or all
    #[arg(long, default_value = "all", value_parser = policies)]
    policy: Policies,
    #[arg(long, default_value_t = 100_000)]
    requests: usize,
    /// The part of what the healthy replicas can do that is asked for
    #[arg(long, default_value_t = 0.6, value_parser = load)]
    load: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A recording to be played: JSON lines, as docs/routing.md has them
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = first_token)]
    first_token_timeout: Duration,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone)]
struct Policies(Vec<Policy>);

fn policies(name: &str) -> Result<Policies, String> {
    let named: Vec<_> =
        Policy::ALL.into_iter().filter(|p| name == "all" || name == p.as_str()).collect();
    let known = || Policy::ALL.map(Policy::as_str).join(", ");
    if named.is_empty() { Err(format!("there is: all, {}", known())) } else { Ok(Policies(named)) }
}

fn number(text: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be {} to {}", range.start(), range.end()))
}

fn load(text: &str) -> Result<f64, String> {
    number(text, LOADS)
}

fn first_token(text: &str) -> Result<Duration, String> {
    number(text, FIRST_TOKEN_SECONDS).map(Duration::from_secs_f64)
}

impl Simulate {
    /// Simulates, with the configuration's health checks, and prints what came of it.
    ///
    /// # Errors
    /// All faults of the configuration, where there is nothing to simulate, and where it cannot be printed.
    pub fn run(self, origin: &Origin) -> Result<(), Problem> {
        let config = origin.load(origin.text()?.as_deref())?.config;
        let options = simulation::Options {
            replicas: self.replicas,
            policies: self.policy.0,
            requests: self.requests,
            load: self.load,
            seed: self.seed,
            trace: self.trace,
            first_token_timeout: self.first_token_timeout,
            ..simulation::Options::new(&config.health)
        };
        let report = simulation::run(&options)?;
        print(&if self.json { format!("{}\n", report.to_json()) } else { format!("{report}\n") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_would_never_end_are_refused() {
        for text in ["0", "nan", "-1", "inf", "1e-6", "101", "x"] {
            assert!(load(text).is_err_and(|error| error == "must be 0.01 to 100"), "{text}");
        }
        assert_eq!(load("0.6"), Ok(0.6));
        for text in ["0", "nan", "3601", "1e300"] {
            assert!(first_token(text).is_err(), "{text}");
        }
        assert_eq!(first_token("0.5"), Ok(Duration::from_millis(500)));
    }
}
