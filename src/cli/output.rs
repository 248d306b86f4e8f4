//! How commands write and how they end, the same for all of them.

use std::io::{self, Write};
use std::process::ExitCode;

use super::Problem;

/// Writes to standard output, all of it.
///
/// # Errors
/// Where the reader has left, or nothing more can be written.
pub fn print(text: &str) -> Result<(), Problem> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Tells people on standard error.
pub fn tell(message: &str) {
    say("tidegate", message);
}

/// Tells them what is hardly meant.
pub fn warn(message: &str) {
    say("warning", message);
}

fn say(what: &str, message: &str) {
    // An error on standard error has nowhere to be told.
    let _ = writeln!(io::stderr(), "{what}: {message}");
}

/// Tells why a command failed, if that is not known; gives what the program exits with.
#[must_use]
pub fn end(result: Result<(), Problem>) -> ExitCode {
    let Err(problem) = result else { return ExitCode::SUCCESS };
    if let Some(told) = problem.told() {
        tell(&told);
    }
    ExitCode::from(problem.exit_code())
}
