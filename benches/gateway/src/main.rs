//! Measures the gateway beside nginx on this machine and prints one report.
//!
//! The gateway or nginx has a core to itself; the load and the scripted upstream run on others.
//! Every round measures each workload on each route, so that a machine that slows down slows all
//! of them. A token that is missing, doubled or out of order ends the run.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a report is printed")]

mod alarm;
mod answer;
mod chart;
mod client;
mod fleet;
mod load;
mod machine;
mod mishap;
mod pulse;
mod report;
mod response;
mod results;
mod route;
mod script;
mod soak;
mod target;
mod upstream;
mod watched;
mod workload;

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use tokio::task::LocalSet;

use crate::machine::Cores;
use crate::report::Run;
use crate::results::{FEWER, FLOOD, LINES, MANY, Results, name};
use crate::route::{DIRECT, NATIVE_OPENAI, RELAYED, RELAYED_KEPT, Route, TWO_WORKERS, proxies};
use crate::target::Programs;
use crate::workload::{Bench, Failure, Workload};

/// Measure the gateway beside nginx.
#[derive(Parser)]
struct Arguments {
    /// The gateway's binary, built with --release.
    #[arg(long, default_value = "target/release/tidegate")]
    gateway: PathBuf,
    /// nginx's binary.
    #[arg(long, default_value = "nginx")]
    nginx: PathBuf,
    /// Where the report, the chart and the logs go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// A tenth of the load, once: does everything work?
    #[arg(long)]
    quick: bool,
    /// Measure these workloads only: W1 to W8.
    #[arg(long)]
    only: Vec<String>,
    /// The longest that one measurement may take, in seconds.
    #[arg(long, default_value_t = 60)]
    limit: u64,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Soak(soak::Arguments),
    Idle(soak::idle::Arguments),
    Fleet(fleet::Arguments),
    Console(watched::Arguments),
}

const WORKLOADS: [Workload; 9] = [
    Workload::LowLoad,
    Workload::ShortAnswers,
    FLOOD,
    Workload::Paced,
    FEWER,
    MANY,
    Workload::ColdStart,
    Workload::Abort,
    Workload::NonReaders,
];

/// Streams, and tokens an answer, at which it is shown how costs grow.
const GROWTH: [u64; 4] = [1_000, 2_000, 4_000, 8_000];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Command::Soak(soak)) => soak::run(soak),
        Some(Command::Idle(idle)) => soak::idle::run(idle).map(|()| true),
        Some(Command::Fleet(fleet)) => fleet::run(fleet).map(|()| true),
        Some(Command::Console(console)) => watched::run(console).map(|()| true),
        None => run(&arguments).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let cores = Cores::assign()?;
    fs::create_dir_all(arguments.out.join("temp"))?;
    let upstream = upstream::start(cores.upstream)?;
    machine::pin(cores.load)?;
    let programs = Programs {
        gateway: arguments.gateway.clone(),
        nginx: arguments.nginx.clone(),
        folder: fs::canonicalize(&arguments.out)?,
        upstream: upstream.address,
    };
    let (is_quick, next_id) = (arguments.quick, Cell::new(1));
    let bench = Bench { programs, cores, seen: upstream.seen, is_quick, next_id };
    let rounds = if is_quick { 1 } else { arguments.rounds };
    let growth: &[u64] = if arguments.only.is_empty() { &GROWTH } else { &[] };
    let results = measure(&bench, &plan(arguments, rounds, growth), arguments.limit)?;
    if arguments.only.is_empty() {
        complete(&results)?;
    }
    let machine =
        machine::describe(&arguments.gateway.to_string_lossy(), &arguments.nginx.to_string_lossy());
    write(arguments, &Run { machine: &machine, rounds, results: &results, growth })
}

fn measure(bench: &Bench, plan: &[(u32, Workload, Route)], limit: u64) -> Result<Results, Failure> {
    let limit = Duration::from_secs(limit);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut results = Results::default();
    for (index, (round, workload, route)) in plan.iter().enumerate() {
        let begun = Instant::now();
        let measuring =
            async { tokio::time::timeout(limit, bench.measure(*workload, route)).await };
        let measured = LocalSet::new().block_on(&runtime, measuring);
        let what = format!("round {round}, {}, {}", name(*workload), route.name);
        let figures = measured
            .map_err(|_| Failure::Other(format!("{what}: not done in {limit:?}")))?
            .map_err(|failure| Failure::Other(format!("{what}: {failure}")))?;
        let (done, all, took) = (index + 1, plan.len(), begun.elapsed().as_secs_f64());
        eprintln!("{done:3}/{all} {what}: {took:.1} s");
        results.add(*workload, route, figures);
    }
    Ok(results)
}

/// What is measured, in order. Each pass starts with another route.
fn plan(arguments: &Arguments, rounds: u32, growth: &[u64]) -> Vec<(u32, Workload, Route)> {
    let wanted = |workload: &Workload| {
        let name = name(*workload);
        arguments.only.is_empty() || arguments.only.iter().any(|only| name.starts_with(only))
    };
    let mut plan = Vec::new();
    for round in 1..=rounds {
        for workload in WORKLOADS.into_iter().filter(wanted) {
            let mut routes = routes(workload);
            let shift = round as usize % routes.len();
            routes.rotate_left(shift);
            for _ in 0..passes(workload) {
                routes.rotate_left(1);
                plan.extend(routes.iter().map(|route| (round, workload, *route)));
            }
        }
    }
    for route in [RELAYED, NATIVE_OPENAI] {
        for size in growth {
            if !WORKLOADS.contains(&Workload::SlowStreams(*size)) {
                plan.push((1, Workload::SlowStreams(*size), route));
            }
            plan.push((1, Workload::Flood { tokens: *size }, route));
        }
    }
    plan
}

/// How often a workload is measured in a round. What is small wanders with whatever else the
/// machine does: several short looks, close together, tell more than one long one.
const fn passes(workload: Workload) -> u32 {
    match workload {
        Workload::LowLoad => 4,
        Workload::Flood { .. } | Workload::Paced => 2,
        _ => 1,
    }
}

fn routes(workload: Workload) -> Vec<Route> {
    let mut routes: Vec<_> = proxies().collect();
    match workload {
        Workload::ShortAnswers => {
            routes.extend([DIRECT, TWO_WORKERS].concat());
            routes.push(RELAYED_KEPT);
        }
        Workload::LowLoad => routes.extend(DIRECT),
        Workload::Flood { .. } => {
            routes.extend(DIRECT);
            routes.push(RELAYED_KEPT);
        }
        Workload::Paced | FEWER => routes.push(RELAYED_KEPT),
        _ => {}
    }
    routes
}

/// A table with holes would pass for a whole one.
fn complete(results: &Results) -> Result<(), Failure> {
    for (line, route) in LINES.iter().flat_map(|line| proxies().map(move |route| (line, route))) {
        if results.cell(line, &route).is_none_or(|cell| !cell.median.is_finite()) {
            let what = format!("{}, {}, {}", name(line.workload), line.figure, route.name);
            return Err(Failure::Other(format!("{what}: no figure")));
        }
    }
    Ok(())
}

fn write(arguments: &Arguments, run: &Run<'_>) -> Result<(), Failure> {
    let report = run.markdown();
    let json = serde_json::to_string_pretty(&run.json()).map_err(std::io::Error::from)?;
    fs::write(arguments.out.join("report.md"), &report)?;
    fs::write(arguments.out.join("report.json"), json)?;
    fs::write(arguments.out.join("chart.svg"), chart::svg(run.results, run.machine))?;
    println!("{report}");
    println!("Also written: report.md, report.json and chart.svg in {}", arguments.out.display());
    Ok(())
}
