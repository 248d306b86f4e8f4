//! Whether a request can be said to an upstream, and what of it cannot.
//!
//! Nothing is lost in silence: what would make the answer another one is refused, and the client
//! is told the names of the fields that are left out otherwise.

use crate::error::{Failure, FieldFault};
use crate::fields::{Faults, Object, join};
use crate::original::{Form, Original};
use crate::request::{Request, Task};
use crate::{ollama, openai};

/// What upstreams speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// OpenAI's API, as many servers speak it.
    OpenAi,
    /// Ollama's own API.
    Ollama,
}

/// A request as an upstream is sent it.
#[derive(Debug)]
pub struct Encoded {
    pub body: Vec<u8>,
    /// The fields of the client's body that are left out.
    pub ignored: Vec<String>,
}

/// Whether the upstream is sent the client's own body.
#[must_use]
pub fn relays(request: &Request, wire: Wire) -> bool {
    request.original.as_ref().is_some_and(|original| original.form().wire() == wire)
}

/// The kind of body that an upstream is sent for `request`: the client's own where it is relayed.
#[must_use]
pub fn form(request: &Request, wire: Wire) -> Form {
    let own = request.original.as_ref().map(Original::form).filter(|form| form.wire() == wire);
    own.unwrap_or(match (wire, &request.task) {
        (Wire::OpenAi, Task::Chat(_)) => Form::OpenAiChat,
        (Wire::OpenAi, Task::Completion(_)) => Form::OpenAiCompletion,
        (Wire::OpenAi, Task::Embedding(_)) => Form::OpenAiEmbedding,
        (Wire::Ollama, Task::Chat(_)) => Form::OllamaChat,
        (Wire::Ollama, Task::Completion(_)) => Form::OllamaGenerate,
        (Wire::Ollama, Task::Embedding(_)) => Form::OllamaEmbed,
    })
}

/// The fields of `request` that an upstream is not told.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every field that cannot be
/// said and must not be left out.
pub fn ignored(request: &Request, wire: Wire) -> Result<Vec<String>, Failure> {
    if relays(request, wire) {
        return Ok(Vec::new());
    }
    let encoded = match wire {
        Wire::OpenAi => openai::encode_request(request, "", request.stream),
        Wire::Ollama => ollama::encode_request(request, ""),
    };
    encoded.map(|encoded| encoded.ignored)
}

/// More ignored fields than this are not named: a hostile body could hold a million.
const NAMED: usize = 32;

/// What of a request cannot be said.
#[derive(Debug, Clone, Default)]
pub struct Losses {
    ignored: Vec<String>,
    refused: Faults,
}

impl Losses {
    /// A field without which the answer is as good.
    pub(crate) fn ignore(&mut self, field: impl Into<String>) {
        if self.ignored.len() < NAMED {
            self.ignored.push(field.into());
        }
    }

    /// A field without which the answer would be another one.
    pub(crate) fn refuse(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.refused.add(field, message);
    }

    /// The fields of an object that nobody knows.
    pub(crate) fn unknown(&mut self, path: &str, object: &Object, known: &[&str]) {
        for name in object.names().filter(|name| !known.contains(name)) {
            // `null` says nothing.
            if object.get(name).is_some() {
                self.ignore(join(path, name));
            }
        }
    }

    /// # Errors
    /// With every field that is refused, when there is one.
    pub(crate) fn into_ignored(self) -> Result<Vec<String>, Failure> {
        self.refused.into_result()?;
        Ok(self.ignored)
    }

    /// The fields that are left out for an upstream of another dialect.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The fields that an upstream of another dialect cannot be sent, and why.
    #[must_use]
    pub fn refused(&self) -> &[FieldFault] {
        self.refused.listed()
    }
}
