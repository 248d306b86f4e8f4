//! A request, in the words all dialects share.
//!
//! Every dialect decodes to it, every upstream's wire is encoded from it. What these words cannot
//! say is kept in two places: [`Losses`] name it, and the [`Original`] body still has it for an
//! upstream that speaks the client's own dialect.

use crate::chat::{Chat, Sampling};
use crate::fit::Losses;
use crate::original::Original;

/// One call of a client, decoded and validated.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The model's public name; none asks for the active model.
    pub model: Option<String>,
    /// Whether the client wants the answer piece by piece.
    pub stream: bool,
    /// Whether a streamed OpenAI answer ends with a usage chunk.
    pub include_usage: bool,
    pub task: Task,
    /// What of the body the words all dialects share cannot say.
    pub losses: Losses,
    /// The body as the client sent it, in dialects that upstreams speak too: relayed to those, so
    /// that fields unknown to the gateway reach them.
    pub original: Option<Original>,
}

impl Request {
    /// The conversation to be continued, if that is what is asked for.
    #[must_use]
    pub fn chat(&self) -> Option<&Chat> {
        match &self.task {
            Task::Chat(chat) => Some(chat),
            _ => None,
        }
    }

    /// How many texts are to be turned into vectors.
    #[must_use]
    pub fn texts(&self) -> usize {
        match &self.task {
            Task::Embedding(embedding) => embedding.input.len(),
            _ => 0,
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Task {
    /// Continue a conversation.
    Chat(Chat),
    /// Continue a text, without roles and templates.
    Completion(Completion),
    /// Turn texts into vectors.
    Embedding(Embedding),
}

impl Default for Task {
    fn default() -> Self {
        Self::Chat(Chat::default())
    }
}

/// A text to be continued.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completion {
    pub prompt: String,
    /// What comes behind the text to be generated.
    pub suffix: Option<String>,
    pub sampling: Sampling,
}

/// Texts to be turned into vectors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Embedding {
    pub input: Vec<String>,
    /// How long the vectors should be; none leaves it to the model.
    pub dimensions: Option<u32>,
    /// Whether the client wants vectors in base64 (little-endian floats) and not as numbers.
    pub base64: bool,
    /// Whether a text that is too long may be cut; none leaves it to the upstream.
    pub truncate: Option<bool>,
    pub user: Option<String>,
}
