//! The model inside the binary: deterministic, labelled, there to try the gateway without any
//! other server. It shows streaming, cancelling, queueing and errors:
//!
//! - `count to N` counts, one token each, until N or the request's `max_tokens`;
//! - `/slow` anywhere in the prompt waits a second between tokens;
//! - `/fail` breaks off in mid-answer, as a dying upstream would;
//! - anything else is answered with a few words about itself.

use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture, ready};
use futures::stream::{self, StreamExt};
use tidegate_protocol::{Batch, ChatRequest, ErrorKind, Event, Failure, FinishReason, Role, Usage};

use super::{Answer, Call, Provider, Refused};

/// 50 tokens a second: a pace people can watch.
const TOKEN_PACE: Duration = Duration::from_millis(20);
const SLOW_PACE: Duration = Duration::from_secs(1);
/// `/fail` breaks off after this many tokens.
const FAIL_AFTER: usize = 8;
/// Used where the request sets no `max_tokens`.
const DEFAULT_MAX_TOKENS: usize = 2048;

pub struct Builtin;

impl Provider for Builtin {
    fn open(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Refused>> {
        let script = Script::for_request(&call.request);
        ready(Ok(script.play())).boxed_local()
    }

    fn probe(&self) -> LocalBoxFuture<'static, Result<(), Failure>> {
        ready(Ok(())).boxed_local()
    }
}

/// What will be said, decided when the request arrives.
#[derive(Debug)]
struct Script {
    tokens: Vec<String>,
    finish: FinishReason,
    fails: bool,
    pace: Duration,
    prompt_tokens: u64,
}

impl Script {
    fn for_request(request: &ChatRequest) -> Self {
        let last = request.messages.iter().rev().find(|message| message.role == Role::User);
        let prompt = last.map_or("", |message| message.content.as_str());
        let limit =
            request.sampling.max_tokens.map_or(DEFAULT_MAX_TOKENS, |tokens| tokens as usize);
        let mut tokens = match count_target(prompt) {
            Some(target) => (1..=target.min(limit + 1)).map(|n| format!("{n} ")).collect(),
            None => words(&introduction(prompt)),
        };
        let finish = if tokens.len() > limit { FinishReason::Length } else { FinishReason::Stop };
        tokens.truncate(limit);
        let fails = prompt.contains("/fail");
        if fails {
            tokens.truncate(FAIL_AFTER);
        }
        let all = request.messages.iter().map(|message| message.content.split_whitespace().count());
        Self {
            tokens,
            finish,
            fails,
            pace: if prompt.contains("/slow") { SLOW_PACE } else { TOKEN_PACE },
            prompt_tokens: all.sum::<usize>() as u64,
        }
    }

    fn play(self) -> Answer {
        let Self { tokens, finish, fails, pace, prompt_tokens } = self;
        let completion_tokens = tokens.len() as u64;
        let end = if fails {
            Err(Failure::new(ErrorKind::UpstreamError, "the builtin model was told to fail"))
        } else {
            let usage = Usage { prompt_tokens, completion_tokens };
            let events = vec![Event::Finish(finish), Event::Usage(usage), Event::Done];
            Ok(Batch { events, ..Batch::default() })
        };
        let paced = stream::iter(tokens).then(move |token| async move {
            tokio::time::sleep(pace).await;
            Ok(Batch { events: vec![Event::Text(token)], chunks: 1, ..Batch::default() })
        });
        paced.chain(stream::once(ready(end))).boxed_local()
    }
}

/// The N of `count to N`.
fn count_target(prompt: &str) -> Option<usize> {
    let lower = prompt.to_ascii_lowercase();
    let (_, rest) = lower.split_once("count to ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn introduction(prompt: &str) -> String {
    format!(
        "[builtin demo model, no LLM] You wrote {} characters. I am the small deterministic model \
         inside the gateway; I answer when no real model is configured. Ask me to count to 100, \
         add /slow to watch a queue, or /fail to see an honest error. To get real answers, start \
         Ollama or name a model in the configuration.",
        prompt.chars().count()
    )
}

/// Cuts a text into words that keep their blank, as tokenizers do.
fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_protocol::Message;

    fn script(prompt: &str, max_tokens: Option<u32>) -> Script {
        let mut request = ChatRequest {
            messages: vec![Message { content: prompt.to_owned(), ..Message::default() }],
            ..ChatRequest::default()
        };
        request.sampling.max_tokens = max_tokens;
        Script::for_request(&request)
    }

    #[test]
    fn it_counts_and_stops() {
        let script = script("Please count to 3", None);
        assert_eq!(script.tokens.concat(), "1 2 3 ");
        assert_eq!(script.finish, FinishReason::Stop);
        assert_eq!(script.prompt_tokens, 4);
    }

    #[test]
    fn it_keeps_to_max_tokens() {
        let script = script("count to 999999999", Some(5));
        assert_eq!(script.tokens.len(), 5);
        assert_eq!(script.finish, FinishReason::Length);
    }

    #[test]
    fn it_labels_itself() {
        assert!(script("hello", None).tokens.concat().starts_with("[builtin demo model"));
    }
}
