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

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use tokio::time::timeout;

use self::follow::Question;
use self::screen::Screen;
use super::client::{Client, Reach};
use super::output::tell;
use super::problem::Problem;
use super::signals::{ENDS, Signals};
use crate::config::Origin;

/// A longer prompt is not read; the gateway's own limits are below.
const PROMPT_BYTES: u64 = 16 * 1024 * 1024;
/// Whoever interrupts does not want to wait.
const CANCEL_TIME: Duration = Duration::from_secs(10);

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

impl Chat {
    /// Asks, and prints the answer to its end.
    ///
    /// # Errors
    /// Why it was not printed to its end.
    pub async fn run(self, origin: &Origin) -> Result<(), Problem> {
        let question = self.begin(origin)?;
        // It listens before anything is asked: what has begun must be cancellable.
        let mut signals = Signals::listen(ENDS);
        let end = self.converse(&question, &mut signals).await;
        if end.as_ref().is_err_and(may_run_on) {
            abandon(&question, &mut signals).await;
        }
        end
    }

    fn begin(&self, origin: &Origin) -> Result<Question, Problem> {
        let client = Client::new(&self.reach, origin)?;
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

    async fn converse(&self, question: &Question, signals: &mut Signals) -> Result<(), Problem> {
        let mut screen = Screen::new(self.json);
        let told = async { screen.tell_all(question.ask()).await };
        let end = tokio::select! {
            biased;
            signal = signals.next() => Err(Problem::Signal(signal)),
            end = told => end,
        };
        screen.leave();
        end
    }
}

/// Whether the stream may be at work still: not where it was refused, was ended by the gateway's own word
/// or was never asked for.
fn may_run_on(problem: &Problem) -> bool {
    match problem {
        Problem::Signal(_) | Problem::Output(_) | Problem::Strange(_) => true,
        _ => problem.is_loss() && !problem.is_unsent(),
    }
}

/// Ends a stream whose answer nobody waits for any more.
async fn abandon(question: &Question, signals: &mut Signals) {
    let cancelled = tokio::select! {
        cancelled = timeout(CANCEL_TIME, question.cancel()) => {
            let late = || Err(Problem::Lost("the gateway takes too long".to_owned()));
            cancelled.unwrap_or_else(|_| late())
        }
        // Asked twice: at once, then.
        _ = signals.next() => return,
    };
    match cancelled {
        Ok(()) => tell("cancelled"),
        Err(problem) => tell(&format!("not cancelled: {}", problem.line())),
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
