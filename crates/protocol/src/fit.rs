//! Whether a request can be said to an upstream, and what of it cannot.
//!
//! Nothing is lost in silence: what would make the answer another one is refused, and the client
//! is told the names of the fields that are left out otherwise.

use crate::chat::{Part, ToolCall};
use crate::error::{Failure, FieldFault};
use crate::fields::{Faults, Object, join};
use crate::original::{Form, Original};
use crate::request::{Request, Task};
use crate::wishes::{Names, Places, Wish};

/// What upstreams speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// OpenAI's API, as many servers speak it.
    OpenAi,
    /// Ollama's own API.
    Ollama,
}

/// What becomes of something that a client asks for.
enum Fate {
    Carried,
    /// The answer is as good without it.
    Ignored,
    /// The answer would be another one without it. Why, in words that every dialect understands.
    Refused(&'static str),
}

impl Wire {
    fn fate(self, wish: Wish) -> Fate {
        match self {
            Self::OpenAi => match wish {
                // A text that is too long is an error on this wire.
                Wish::ReasoningBudget | Wish::CutTexts => Fate::Ignored,
                _ => Fate::Carried,
            },
            Self::Ollama => match wish {
                Wish::ImageByAddress => Fate::Refused(
                    "this model's upstream fetches nothing: the image itself must be sent, in base64",
                ),
                Wish::Sound => {
                    Fate::Refused("this model's upstream takes text and images only, no sound")
                }
                Wish::LooseArguments => Fate::Refused("must be the text of a JSON object"),
                Wish::ForcedCall => Fate::Refused(
                    "this model's upstream cannot be made to call a tool: leave it to the model",
                ),
                Wish::OneCallAtATime => {
                    Fate::Refused("this model's upstream cannot be kept from several calls at once")
                }
                // It would load the model and say nothing.
                Wish::EmptyPrompt => Fate::Refused("must not be empty for this model's upstream"),
                Wish::User | Wish::ReasoningBudget => Fate::Ignored,
                Wish::Tools | Wish::Format | Wish::Reasoning | Wish::CutTexts => Fate::Carried,
            },
        }
    }
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
    let mut losses = request.losses.clone();
    for wish in Wish::ALL {
        let fate = wire.fate(wish);
        if matches!(fate, Fate::Carried) || !wish.is_in(&request.task) {
            continue;
        }
        for place in request.losses.places(wish) {
            match fate {
                Fate::Carried => {}
                Fate::Ignored => losses.ignore(place),
                Fate::Refused(_) if losses.refuses(place) => {}
                Fate::Refused(why) => losses.refuse(place, why),
            }
        }
    }
    losses.refused.into_result()?;
    Ok(losses.ignored)
}

/// More ignored fields than this are not named: a hostile body could hold a million.
const NAMED: usize = 32;

/// What of a request cannot be said to an upstream of another dialect, and where it asks for what
/// only some of them can be told.
#[derive(Debug, Clone, Default)]
pub struct Losses {
    ignored: Vec<String>,
    refused: Faults,
    places: Places,
}

impl Losses {
    /// None yet, of a body whose dialect has these names.
    pub(crate) fn named_by(names: Names) -> Self {
        Self { places: Places::new(names), ..Self::default() }
    }

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

    /// Where the client asks for something, in the names of its dialect.
    pub(crate) fn note(&mut self, wish: Wish, place: &str) {
        self.places.note(wish, place);
    }

    /// A part of a message that was read at `place`.
    pub(crate) fn note_part(&mut self, part: &Part, place: &str) {
        match part {
            Part::Image(_) if part.image_data().is_none() => {
                self.note(Wish::ImageByAddress, place);
            }
            Part::Audio { .. } => self.note(Wish::Sound, place),
            Part::Image(_) | Part::Text(_) | Part::Reasoning(_) => {}
        }
    }

    /// A call whose arguments were read at `place`.
    pub(crate) fn note_call(&mut self, call: &ToolCall, place: &str) {
        if call.argument_object().is_none() {
            self.note(Wish::LooseArguments, place);
        }
    }

    /// What is asked for by something that the client refers to at `place`.
    pub(crate) fn note_within(&mut self, referred: &Self, place: &str) {
        self.places.note_all(&referred.places, place);
    }

    /// Where the client asks for something.
    pub fn places(&self, wish: Wish) -> impl Iterator<Item = &str> {
        self.places.of(wish)
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

    /// Whether a field is refused already.
    fn refuses(&self, field: &str) -> bool {
        self.refused.listed().iter().any(|fault| fault.field == field)
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
