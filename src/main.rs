//! The command line: serve, check the configuration, ask a running gateway for its health.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a command line speaks to people")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tidegate::app::{Gateway, shutdown_signal};
use tidegate::config::{Config, Loaded};
use tidegate::telemetry::{logging, panics};

/// It keeps blocks of one size together and so holds many slow streams in fewer pages than glibc,
/// and gives back what a burst has left behind.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bad usage or a configuration with faults, as clap's own exit code.
const EXIT_USAGE: u8 = 2;
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

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
    /// Exit 0 if a running gateway answers its health check
    Health {
        /// Where to ask [default: /health on this machine, at the configured port]
        #[arg(long)]
        url: Option<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A variable that is not Unicode is none of ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let loaded = match Config::load(cli.config.as_deref(), environment) {
        Ok(loaded) => loaded,
        Err(faults) => {
            eprintln!("tidegate: the configuration is not valid\n{faults}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(loaded),
        Command::Check => {
            for warning in &loaded.warnings {
                eprintln!("warning: {warning}");
            }
            println!("{}", loaded.render());
            ExitCode::SUCCESS
        }
        Command::Health { url } => {
            let port = loaded.config.server.port;
            let url = url.unwrap_or_else(|| format!("http://127.0.0.1:{port}/health"));
            actix_rt::System::new().block_on(health(&url))
        }
    }
}

fn serve(loaded: Loaded) -> ExitCode {
    logging::init(&loaded.config.log);
    panics::log_panics();
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    actix_rt::System::new().block_on(async {
        let gateway = match Gateway::start(loaded.config).await {
            Ok(gateway) => gateway,
            Err(error) => {
                tracing::error!(%error, "the gateway could not start");
                eprintln!("tidegate: {error}");
                return ExitCode::FAILURE;
            }
        };
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
