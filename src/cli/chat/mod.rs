//! `tidegate chat`: one prompt from the shell, its answer as it arrives.
//!
//! The answer goes to standard output and nothing else does. How it goes is told on standard error
//! where that is a terminal, and why it failed in any case.
//!
//! - [`event`]: what the events of an answer say.
//! - [`follow`]: one answer to its end, over as many connections as that takes.
//! - [`output`]: standard output, which may be slow.
//! - [`progress`]: how the answer goes.
//! - [`screen`]: what of all that is shown where.

mod event;
mod follow;
mod output;
mod progress;
mod screen;

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use tokio::time::timeout;

use self::follow::Question;
use self::screen::Screen;
use super::client::{Client, Problem, Reach};
use crate::app::shutdown_signal;
use crate::config::Server;

/// A longer prompt is not read; the gateway's own limits are below.
const PROMPT_BYTES: u64 = 16 * 1024 * 1024;
/// Whoever interrupts does not want to wait.
const CANCEL_TIME: Duration = Duration::from_secs(10);

/// Bad usage, as clap's own exit code.
const EXIT_USAGE: u8 = 2;
/// As shells tell an end by SIGPIPE, SIGINT and SIGTERM: 128 and the signal's number.
const EXIT_PIPE: u8 = 141;
const EXIT_INTERRUPTED: u8 = 130;
const EXIT_TERMINATED: u8 = 143;

/// One prompt, and how it is asked.
#[derive(Debug, Args)]
pub struct Chat {
    #[command(flatten)]
    reach: Reach,
    /// The model [default: the gateway's choice]
    #[arg(long)]
    model: Option<String>,
    /// What the model is told before the prompt
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// The most tokens of the answer [default: the gateway's]
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
    /// Print each event as a line of JSON, not the text
    #[arg(long)]
    json: bool,
    /// The prompt; `-` reads it from standard input
    prompt: String,
}

/// Why a chat ended before its answer did.
enum Stop {
    Signal(&'static str),
    Problem(Problem),
}

impl<P: Into<Problem>> From<P> for Stop {
    fn from(problem: P) -> Self {
        Self::Problem(problem.into())
    }
}

impl Chat {
    /// Asks, and prints the answer to its end.
    pub async fn run(self, local: &Server) -> ExitCode {
        let begun = self.begin(local);
        let stop = match begun {
            Ok(question) => match self.converse(&question).await {
                Ok(()) => return ExitCode::SUCCESS,
                Err(stop) => {
                    abandon(&question, &stop).await;
                    stop
                }
            },
            Err(problem) => Stop::Problem(problem),
        };
        let (code, told) = match stop {
            Stop::Signal("SIGINT") => (EXIT_INTERRUPTED, None),
            Stop::Signal(_) => (EXIT_TERMINATED, None),
            Stop::Problem(Problem::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                (EXIT_PIPE, None)
            }
            Stop::Problem(problem @ Problem::Usage(_)) => (EXIT_USAGE, Some(problem)),
            Stop::Problem(problem) => (1, Some(problem)),
        };
        if let Some(problem) = told {
            tell(&problem.told());
        }
        ExitCode::from(code)
    }

    fn begin(&self, local: &Server) -> Result<Question, Problem> {
        let client = Client::new(&self.reach, local)?;
        let prompt =
            if self.prompt == "-" { read_prompt(io::stdin().lock())? } else { self.prompt.clone() };
        Ok(Question::new(client, self.body(&prompt)?))
    }

    fn body(&self, prompt: &str) -> Result<Bytes, Problem> {
        let system = self.system.as_deref().map(|content| Message { role: "system", content });
        let user = Message { role: "user", content: prompt };
        let body = Body {
            messages: system.into_iter().chain([user]).collect(),
            model: self.model.as_deref(),
            max_tokens: self.max_tokens,
            stream: true,
        };
        let body = serde_json::to_vec(&body).map_err(io::Error::from)?;
        Ok(body.into())
    }

    async fn converse(&self, question: &Question) -> Result<(), Stop> {
        // It listens before anything is asked: what has begun must be cancellable.
        let signal = shutdown_signal();
        let mut screen = Screen::new(self.json);
        let told = async { screen.tell_all(question.ask()).await };
        let end = tokio::select! {
            biased;
            signal = signal => Err(Stop::Signal(signal)),
            end = told => end.map_err(Stop::from),
        };
        screen.leave();
        end
    }
}

/// Ends a stream whose answer nobody waits for any more.
async fn abandon(question: &Question, stop: &Stop) {
    // A refusal or an end by the gateway's own word leaves nothing to cancel.
    if matches!(stop, Stop::Problem(problem) if !matches!(problem, Problem::Output(_))) {
        return;
    }
    let cancelled = tokio::select! {
        cancelled = timeout(CANCEL_TIME, question.cancel()) => {
            let late = || Err(Problem::Lost("the gateway takes too long".to_owned()));
            cancelled.unwrap_or_else(|_| late())
        }
        // Asked twice: at once, then.
        _ = shutdown_signal() => return,
    };
    match cancelled {
        Ok(()) => tell("cancelled"),
        Err(problem) => tell(&format!("not cancelled: {}", problem.told())),
    }
}

#[derive(Serialize)]
struct Body<'a> {
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(rename = "maxTokens", skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    stream: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

fn read_prompt(input: impl Read) -> Result<String, Problem> {
    let mut prompt = String::new();
    let read = input.take(PROMPT_BYTES + 1).read_to_string(&mut prompt);
    let read = read.map_err(|error| Problem::Usage(format!("standard input: {error}")))?;
    if u64::try_from(read).unwrap_or(u64::MAX) > PROMPT_BYTES {
        return Err(Problem::Usage(format!("a prompt has at most {PROMPT_BYTES} bytes")));
    }
    Ok(prompt)
}

fn tell(message: &str) {
    // An error on standard error has nowhere to be told.
    let _ = writeln!(io::stderr(), "tidegate: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_bounded_and_text() {
        assert_eq!(read_prompt("a\nb".as_bytes()).ok().as_deref(), Some("a\nb"));
        assert!(matches!(read_prompt(io::repeat(b'a')), Err(Problem::Usage(_))));
        assert!(matches!(read_prompt(b"\xff".as_slice()), Err(Problem::Usage(_))));
    }
}
