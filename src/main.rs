//! The command line: serve, check the configuration, simulate routing, ask a running gateway.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tidegate::cli::chat::Chat;
use tidegate::cli::health::Health;
use tidegate::cli::output::end;
use tidegate::cli::simulate::Simulate;
use tidegate::cli::top::Top;
use tidegate::cli::{Problem, check, serve};
use tidegate::config::Origin;

/// It keeps blocks of one size together and so holds many slow streams in fewer pages than glibc,
/// and gives back what a burst has left behind.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    Health(Health),
    /// Ask a running gateway one prompt and print the answer as it arrives
    Chat(Chat),
    /// Show the live streams of a running gateway, and cancel them
    Top(Top),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A variable that is not Unicode is none of ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let origin = Origin::new(cli.config.as_deref(), environment);
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(origin),
        Command::Check => end(check::run(&origin)),
        Command::Simulate(simulate) => end(simulate.run(&origin)),
        Command::Health(health) => ask(health.run(&origin)),
        Command::Chat(chat) => ask(chat.run(&origin)),
        Command::Top(top) => ask(top.run(&origin)),
    }
}

fn ask(asking: impl Future<Output = Result<(), Problem>>) -> ExitCode {
    end(actix_rt::System::new().block_on(asking))
}
