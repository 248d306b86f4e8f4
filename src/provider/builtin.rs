//! The model inside the binary: deterministic, labelled, there to try the gateway without any
//! other server. It shows streaming, cancelling, queueing and errors:
//!
//! - `count to N` counts, one token each, until N or the request's `max_tokens`;
//! - `/slow` anywhere in the prompt waits a second between tokens;
//! - `/fail` breaks off in mid-answer, as a dying upstream would;
//! - anything else is answered with a few words about itself.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture, ready};
use futures::stream::{self, StreamExt};
use tidegate_protocol::{
    Batch, Chat, Completion, ErrorKind, Event, Failure, FinishReason, Message, Request, Role, Task,
    Usage, Wish,
};

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
        let script = match &call.request.task {
            Task::Chat(chat) => Script::for_chat(chat),
            Task::Completion(completion) => {
                Script::new(&completion.prompt, completion.sampling.max_tokens)
            }
            Task::Embedding(_) => return ready(Err(no_vectors().into())).boxed_local(),
        };
        ready(Ok(script.play())).boxed_local()
    }

    /// Words, as its answers report them.
    fn count_tokens(&self, request: Arc<Request>) -> LocalBoxFuture<'static, Result<u64, Failure>> {
        ready(Ok(request.chat().map_or(0, prompt_tokens))).boxed_local()
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
    fn for_chat(chat: &Chat) -> Self {
        let last = chat.messages.iter().rev().find(|message| message.role == Role::User);
        let prompt = last.map(Message::joined_text).unwrap_or_default();
        Self { prompt_tokens: prompt_tokens(chat), ..Self::new(&prompt, chat.sampling.max_tokens) }
    }

    fn new(prompt: &str, max_tokens: Option<u32>) -> Self {
        let limit = max_tokens.map_or(DEFAULT_MAX_TOKENS, |tokens| tokens as usize);
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
        Self {
            tokens,
            finish,
            fails,
            pace: if prompt.contains("/slow") { SLOW_PACE } else { TOKEN_PACE },
            prompt_tokens: word_count(prompt),
        }
    }

    fn play(self) -> Answer {
        let Self { tokens, finish, fails, pace, prompt_tokens } = self;
        let completion_tokens = tokens.len() as u64;
        let end = if fails {
            Err(Failure::new(ErrorKind::UpstreamError, "the builtin model was told to fail"))
        } else {
            let usage = Usage { prompt_tokens, completion_tokens, ..Usage::default() };
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

fn prompt_tokens(chat: &Chat) -> u64 {
    chat.messages.iter().map(|message| word_count(&message.joined_text())).sum()
}

fn word_count(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

fn no_vectors() -> Failure {
    Failure::new(ErrorKind::InvalidRequest, "the builtin model makes no embeddings")
}

/// The fields of the client's body that the builtin model passes over. How the next token is
/// chosen is none of them: it has no choice.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] when vectors are asked for.
pub fn ignored(request: &Request) -> Result<Vec<String>, Failure> {
    match &request.task {
        Task::Embedding(_) => return Err(no_vectors()),
        Task::Completion(completion) => return ignored_of(completion, request),
        Task::Chat(_) => {}
    }
    let refused = request.losses.refused().iter().map(|fault| fault.field.as_str());
    let unheard = [Wish::Tools, Wish::Format, Wish::Reasoning].into_iter();
    let unheard = unheard.filter(|wish| wish.is_in(&request.task));
    let unheard = unheard.flat_map(|wish| request.losses.places(wish));
    let names = request.losses.ignored().iter().map(String::as_str);
    Ok(names.chain(refused).chain(unheard).map(str::to_owned).collect())
}

/// A prompt that is no text, several of them, and what else has no place in a text of its own is
/// refused.
fn ignored_of(completion: &Completion, request: &Request) -> Result<Vec<String>, Failure> {
    let refused = request.losses.refused();
    if !refused.is_empty() {
        return Err(Failure::invalid(refused.to_vec()));
    }
    let suffix = completion.suffix.as_ref().map(|_| "suffix".to_owned());
    Ok(request.losses.ignored().iter().cloned().chain(suffix).collect())
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
    use tidegate_protocol::Sampling;

    fn script(prompt: &str, max_tokens: Option<u32>) -> Script {
        let messages = vec![Message::text(Role::User, prompt)];
        let sampling = Sampling { max_tokens, ..Sampling::default() };
        Script::for_chat(&Chat { messages, sampling, ..Chat::default() })
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
