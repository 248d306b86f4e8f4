//! Why a command could not do what it was asked, and the exit code that says so.

use std::io;
use std::time::Duration;

use actix_web::http::StatusCode;
use awc::error::SendRequestError;
use tokio::signal::unix::SignalKind;

use super::printable;
use crate::config::Faults;
use crate::simulation::SimulationError;

const FAILURE: u8 = 1;
/// Bad usage or a configuration with faults, as clap's own exit code.
const USAGE: u8 = 2;
/// As shells tell an end by SIGPIPE.
const PIPE: u8 = 141;
/// As shells tell an end by a signal: this and its number.
const SIGNALS: i32 = 128;

/// Why a command could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{0}")]
    Usage(String),
    #[error("the configuration is not valid\n{0}")]
    Configuration(#[from] Faults),
    #[error("{url}: {error}")]
    Unreachable { url: String, error: SendRequestError },
    #[error("{url}: said nothing for {} s", .after.as_secs())]
    Silent { url: String, after: Duration },
    #[error("the connection was lost: {0}")]
    Lost(String),
    #[error("{status}: {message}")]
    Refused { status: StatusCode, message: String },
    #[error("{url} answered {status}")]
    Unhealthy { url: String, status: StatusCode },
    #[error("this is no answer of a gateway: {0}")]
    Strange(String),
    /// The gateway's own word on how a stream ended.
    #[error("{code}: {message}")]
    Ended { code: String, message: String },
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    /// Somebody asked it to end.
    #[error("ended by signal {}", .0.as_raw_value())]
    Signal(SignalKind),
}

impl Problem {
    /// Whether the same may go well at another try.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Silent { .. } | Self::Lost(_))
    }

    /// Whether nobody took the connection, so that nothing has been sent.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        let Self::Unreachable { error, .. } = self else { return false };
        matches!(error, SendRequestError::Connect(_) | SendRequestError::Url(_))
    }

    /// As people are told it: without what a terminal would obey, and on one line but for the faults
    /// of a configuration. None where whoever ended it knows.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        match self {
            Self::Signal(_) => None,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Self::Configuration(_) => Some(printable::text(&self.to_string()).into_owned()),
            _ => Some(self.line()),
        }
    }

    /// The same on one line, whatever it is.
    #[must_use]
    pub fn line(&self) -> String {
        printable::name(&self.to_string()).into_owned()
    }

    /// What the program exits with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Configuration(_) => USAGE,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => PIPE,
            Self::Signal(signal) => {
                u8::try_from(SIGNALS + signal.as_raw_value()).unwrap_or(FAILURE)
            }
            _ => FAILURE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_cannot_steer_a_terminal() {
        let message = "no \u{1b}[31msuch\nmodel".to_owned();
        let told = Problem::Ended { code: "X".to_owned(), message }.told().unwrap();
        assert!(!told.chars().any(char::is_control), "{told:?}");
    }

    #[test]
    fn whoever_ended_it_is_told_nothing_and_a_shell_can_tell() {
        let problem = |kind: io::ErrorKind| Problem::Output(kind.into());
        let ends = [
            (problem(io::ErrorKind::BrokenPipe), 141, false),
            (problem(io::ErrorKind::StorageFull), 1, true),
            (Problem::Signal(SignalKind::hangup()), 129, false),
            (Problem::Signal(SignalKind::interrupt()), 130, false),
            (Problem::Signal(SignalKind::terminate()), 143, false),
            (Problem::Usage("no".to_owned()), 2, true),
        ];
        for (problem, code, is_told) in ends {
            assert_eq!((problem.exit_code(), problem.told().is_some()), (code, is_told));
        }
    }
}
