//! `tidegate simulate`: what each routing policy makes of a fleet that misbehaves.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Problem;
use super::output::print;
use crate::config::{Origin, Policy};
use crate::simulation;

/// As the configuration has it.
const MAX_FIRST_TOKEN: Duration = Duration::from_secs(3600);

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
    #[arg(long, default_value_t = 0.6)]
    load: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A recording to be played: JSON lines, as docs/routing.md has them
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    first_token_timeout: f64,
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

impl Simulate {
    /// Simulates, with the configuration's health checks, and prints what came of it.
    ///
    /// # Errors
    /// All faults of the configuration, where there is nothing to simulate, and where it cannot be printed.
    pub fn run(self, origin: &Origin) -> Result<(), Problem> {
        let config = origin.load(origin.text()?.as_deref())?.config;
        let timeout =
            Duration::try_from_secs_f64(self.first_token_timeout).unwrap_or(Duration::MAX);
        let options = simulation::Options {
            replicas: self.replicas,
            policies: self.policy.0,
            requests: self.requests,
            load: self.load,
            seed: self.seed,
            trace: self.trace,
            first_token_timeout: timeout.min(MAX_FIRST_TOKEN),
            ..simulation::Options::new(&config.health)
        };
        let report = simulation::run(&options)?;
        print(&if self.json { format!("{}\n", report.to_json()) } else { format!("{report}\n") })
    }
}
