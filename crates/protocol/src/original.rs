//! The body as a client sent it.

use std::fmt;

use serde::ser::SerializeMap;

use crate::fields::Object;
use crate::fit::Wire;

/// The body as the client sent it: its fields in order, their values untouched.
#[derive(Clone)]
pub struct Original {
    pub(crate) fields: Object,
    form: Form,
    choices: u32,
}

/// The kinds of body that an upstream takes as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// OpenAI's `/v1/chat/completions`.
    OpenAiChat,
    /// OpenAI's `/v1/completions`.
    OpenAiCompletion,
    /// OpenAI's `/v1/embeddings`.
    OpenAiEmbedding,
    /// Ollama's `/api/chat`.
    OllamaChat,
    /// Ollama's `/api/generate`.
    OllamaGenerate,
    /// Ollama's `/api/embed`.
    OllamaEmbed,
}

impl Form {
    /// All there are of a wire.
    #[must_use]
    pub fn all(wire: Wire) -> [Self; 3] {
        match wire {
            Wire::OpenAi => [Self::OpenAiChat, Self::OpenAiCompletion, Self::OpenAiEmbedding],
            Wire::Ollama => [Self::OllamaChat, Self::OllamaGenerate, Self::OllamaEmbed],
        }
    }

    /// Where an upstream is sent it, behind its base URL.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::OpenAiChat => "/chat/completions",
            Self::OpenAiCompletion => "/completions",
            Self::OpenAiEmbedding => "/embeddings",
            Self::OllamaChat => "/api/chat",
            Self::OllamaGenerate => "/api/generate",
            Self::OllamaEmbed => "/api/embed",
        }
    }

    /// Whether its answer is vectors, which come in one piece whatever is asked for.
    #[must_use]
    pub fn is_embedding(self) -> bool {
        matches!(self, Self::OpenAiEmbedding | Self::OllamaEmbed)
    }

    /// The wire of which it is a part.
    #[must_use]
    pub fn wire(self) -> Wire {
        match self {
            Self::OpenAiChat | Self::OpenAiCompletion | Self::OpenAiEmbedding => Wire::OpenAi,
            Self::OllamaChat | Self::OllamaGenerate | Self::OllamaEmbed => Wire::Ollama,
        }
    }
}

impl Original {
    pub(crate) fn new(form: Form, fields: Object) -> Self {
        Self { fields, form, choices: 1 }
    }

    /// The request asks for so many answers.
    pub(crate) fn with_choices(self, choices: u32) -> Self {
        Self { choices, ..self }
    }

    /// Writes the fields as they came, but for the model, which has the upstream's name, and those
    /// in `replaced`, which are the gateway's to write.
    pub(crate) fn write<M: SerializeMap>(
        &self,
        map: &mut M,
        model: &str,
        replaced: &[&str],
    ) -> Result<(), M::Error> {
        map.serialize_entry("model", model)?;
        let is_kept = |name: &str| name != "model" && !replaced.contains(&name);
        self.fields
            .0
            .iter()
            .filter(|(name, _)| is_kept(name))
            .try_for_each(|(name, value)| map.serialize_entry(name, value))
    }

    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// How many answers are asked for (`n`).
    #[must_use]
    pub fn choices(&self) -> u32 {
        self.choices
    }
}

impl fmt::Debug for Original {
    /// Names only: values are the client's content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fields.names()).finish()
    }
}
