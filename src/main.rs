//! The command line: serve, check the configuration, simulate routing, ask a running gateway.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
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

const EXIT_CODES: &str = "\
Exit codes:
  0    done; for serve also ended by a signal, its streams told
  1    failed, for the reason on standard error; for serve also ended by a second signal
  2    bad usage, or a configuration with faults
  129, 130, 131, 143
       ended by SIGHUP, SIGINT (Ctrl-C), SIGQUIT, SIGTERM
  141  whoever read the output has left";

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
    let command = Cli::command().after_help(EXIT_CODES);
    let matches = command.mut_subcommands(|it| it.after_help(EXIT_CODES)).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
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
