//! The command line: serve, check the configuration, simulate routing, ask a running gateway.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a command line speaks to people")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tidegate::app::{Gateway, shutdown_signal};
use tidegate::cli::chat::Chat;
use tidegate::cli::client::local_url;
use tidegate::cli::top::Top;
use tidegate::config::{Config, Loaded, Origin, Policy};
use tidegate::simulation;
use tidegate::telemetry::{logging, panics};

/// It keeps blocks of one size together and so holds many slow streams in fewer pages than glibc,
/// and gives back what a burst has left behind.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bad usage or a configuration with faults, as clap's own exit code.
const EXIT_USAGE: u8 = 2;
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);
/// As the configuration has it.
const MAX_FIRST_TOKEN: Duration = Duration::from_secs(3600);

/// An LLM streaming gateway: every answer is an actor that can be listed, cancelled and watched.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// The configuration file [default: config/tidegate.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Start the gateway; the same as no command
    Serve,
    /// Validate the configuration and print the one in effect, secrets hidden
    Check,
    /// Show what each routing policy makes of a fleet that misbehaves, on virtual time
    Simulate(Simulate),
    /// Exit 0 if a running gateway answers its health check
    Health {
        /// Where to ask [default: /health on this machine, at the configured address]
        #[arg(long)]
        url: Option<String>,
    },
    /// Ask a running gateway one prompt and print the answer as it arrives
    Chat(Chat),
    /// Show the live streams of a running gateway, and cancel them
    Top(Top),
}

#[derive(Args)]
struct Simulate {
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

#[derive(Clone)]
struct Policies(Vec<Policy>);

fn policies(name: &str) -> Result<Policies, String> {
    let named: Vec<_> =
        Policy::ALL.into_iter().filter(|p| name == "all" || name == p.as_str()).collect();
    let known = || Policy::ALL.map(Policy::as_str).join(", ");
    if named.is_empty() { Err(format!("there is: all, {}", known())) } else { Ok(Policies(named)) }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A variable that is not Unicode is none of ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let origin = Origin::new(cli.config.as_deref(), environment);
    let read = origin.text().and_then(|text| Ok((origin.load(text.as_deref())?, text)));
    let (loaded, text) = match read {
        Ok(read) => read,
        Err(faults) => {
            eprintln!("tidegate: the configuration is not valid\n{faults}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(loaded, origin, text),
        Command::Check => {
            for warning in &loaded.warnings {
                eprintln!("warning: {warning}");
            }
            println!("{}", loaded.render());
            ExitCode::SUCCESS
        }
        Command::Simulate(asked) => simulate(&loaded.config, asked),
        Command::Health { url } => {
            let url = url.unwrap_or_else(|| format!("{}/health", local_url(&loaded.config.server)));
            actix_rt::System::new().block_on(health(&url))
        }
        Command::Chat(chat) => actix_rt::System::new().block_on(chat.run(&loaded.config.server)),
        Command::Top(top) => actix_rt::System::new().block_on(top.run(&loaded.config.server)),
    }
}

fn serve(loaded: Loaded, origin: Origin, text: Option<String>) -> ExitCode {
    // Held to the end: then the last lines are written.
    let _logging = match logging::init(&loaded.config.log) {
        Ok(logging) => logging,
        Err(error) => {
            eprintln!("tidegate: no log can be written: {error}");
            return ExitCode::FAILURE;
        }
    };
    panics::log_panics();
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    actix_rt::System::new().block_on(async {
        let mut gateway = match Gateway::start(loaded.config).await {
            Ok(gateway) => gateway,
            Err(error) => {
                tracing::error!(%error, "the gateway could not start");
                eprintln!("tidegate: {error}");
                return ExitCode::FAILURE;
            }
        };
        gateway.watch(origin, text);
        let signal = shutdown_signal().await;
        tracing::info!(signal, "shutting down");
        tokio::select! {
            () = gateway.shutdown() => ExitCode::SUCCESS,
            signal = shutdown_signal() => {
                tracing::warn!(signal, "asked again: stopping at once, streams are cut");
                ExitCode::FAILURE
            }
        }
    })
}

fn simulate(config: &Config, asked: Simulate) -> ExitCode {
    let Simulate { replicas, policy, requests, load, seed, trace, json, .. } = asked;
    let timeout = Duration::try_from_secs_f64(asked.first_token_timeout).unwrap_or(Duration::MAX);
    let first_token_timeout = timeout.min(MAX_FIRST_TOKEN);
    let options = simulation::Options::new(&config.health);
    let options = simulation::Options {
        replicas,
        policies: policy.0,
        requests,
        load,
        seed,
        trace,
        first_token_timeout,
        ..options
    };
    match simulation::run(&options) {
        Ok(report) if json => println!("{}", report.to_json()),
        Ok(report) => println!("{report}"),
        Err(error) => {
            eprintln!("tidegate: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn health(url: &str) -> ExitCode {
    let client = awc::Client::builder().timeout(HEALTH_TIMEOUT).finish();
    match client.get(url).send().await {
        Ok(response) if response.status().is_success() => ExitCode::SUCCESS,
        Ok(response) => {
            eprintln!("tidegate: {url} answered {}", response.status());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tidegate: {url}: {error}");
            ExitCode::FAILURE
        }
    }
}
