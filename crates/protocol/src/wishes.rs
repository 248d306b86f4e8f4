//! What a request may ask for that not every upstream can be told.
//!
//! What is asked for is seen in the shared vocabulary, so that no dialect can forget it. Where it
//! is asked for is noted by the dialect that reads it, so that a client is told of its own fields.

use crate::chat::{Chat, Message, Part, Reasoning, ToolChoice};
use crate::request::{Completion, Embedding, Task};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// An image that the upstream would have to fetch.
    ImageByAddress,
    /// Sound for the model to hear.
    Sound,
    /// A call whose arguments are no JSON object.
    LooseArguments,
    Tools,
    /// That a tool be called.
    ForcedCall,
    /// That no two tools be called at once.
    OneCallAtATime,
    /// A form for the answer.
    Format,
    Reasoning,
    /// How many tokens may be spent on reasoning.
    ReasoningBudget,
    /// Who the client's own user is.
    User,
    /// A text to be continued of which there is nothing yet.
    EmptyPrompt,
    /// Texts to be cut where they are too long.
    CutTexts,
}

impl Wish {
    pub const ALL: [Self; 12] = [
        Self::ImageByAddress,
        Self::Sound,
        Self::LooseArguments,
        Self::Tools,
        Self::ForcedCall,
        Self::OneCallAtATime,
        Self::Format,
        Self::Reasoning,
        Self::ReasoningBudget,
        Self::User,
        Self::EmptyPrompt,
        Self::CutTexts,
    ];

    /// Whether `task` asks for it.
    #[must_use]
    pub fn is_in(self, task: &Task) -> bool {
        match task {
            Task::Chat(chat) => self.is_in_chat(chat),
            Task::Completion(completion) => self.is_in_completion(completion),
            Task::Embedding(embedding) => self.is_in_embedding(embedding),
        }
    }

    fn is_in_chat(self, chat: &Chat) -> bool {
        let any = |is_it: fn(&Message) -> bool| chat.messages.iter().any(is_it);
        match self {
            Self::ImageByAddress => any(|message| message.content.iter().any(is_fetched)),
            Self::Sound => any(|message| message.content.iter().any(is_sound)),
            Self::LooseArguments => any(|message| {
                message.tool_calls.iter().any(|call| call.argument_object().is_none())
            }),
            Self::Tools => !chat.tools.is_empty(),
            Self::ForcedCall => {
                matches!(chat.tool_choice, Some(ToolChoice::Required | ToolChoice::Function(_)))
            }
            Self::OneCallAtATime => {
                chat.parallel_tool_calls == Some(false) && !chat.tools.is_empty()
            }
            Self::Format => chat.response_format.is_some(),
            Self::Reasoning => chat.reasoning.is_some(),
            Self::ReasoningBudget => matches!(chat.reasoning, Some(Reasoning::Budget(_))),
            Self::User => chat.user.is_some(),
            Self::EmptyPrompt | Self::CutTexts => false,
        }
    }

    fn is_in_completion(self, completion: &Completion) -> bool {
        self == Self::EmptyPrompt && completion.prompt.is_empty()
    }

    fn is_in_embedding(self, embedding: &Embedding) -> bool {
        match self {
            Self::User => embedding.user.is_some(),
            Self::CutTexts => embedding.truncate == Some(true),
            _ => false,
        }
    }

    /// What it is called where no dialect has said.
    fn unnamed(self) -> &'static str {
        match self {
            Self::ImageByAddress => "(an image by address)",
            Self::Sound => "(sound)",
            Self::LooseArguments => "(the arguments of a call)",
            Self::Tools => "(tools)",
            Self::ForcedCall => "(a forced call)",
            Self::OneCallAtATime => "(one call at a time)",
            Self::Format => "(the form of the answer)",
            Self::Reasoning => "(reasoning)",
            Self::ReasoningBudget => "(the number of tokens for reasoning)",
            Self::User => "(the user)",
            Self::EmptyPrompt => "(the prompt)",
            Self::CutTexts => "(what becomes of long texts)",
        }
    }
}

fn is_fetched(part: &Part) -> bool {
    matches!(part, Part::Image(_)) && part.image_data().is_none()
}

fn is_sound(part: &Part) -> bool {
    matches!(part, Part::Audio { .. })
}

/// More places than this of one wish are not noted: a hostile body could hold a million.
const NOTED: usize = 64;

/// What a dialect calls what has one place in its bodies.
pub(crate) type Names = &'static [(Wish, &'static str)];

/// Where a client's body asks for what, in the names of its dialect.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    names: Names,
    /// What has many places, or another one from body to body.
    noted: Vec<(Wish, String)>,
}

impl Places {
    pub fn new(names: Names) -> Self {
        Self { names, noted: Vec::new() }
    }

    pub fn note(&mut self, wish: Wish, place: &str) {
        if self.noted(wish).count() < NOTED {
            self.noted.push((wish, place.to_owned()));
        }
    }

    /// Notes all that another body asks for at one place of this one.
    pub fn note_all(&mut self, other: &Self, place: &str) {
        for wish in Wish::ALL {
            if other.noted(wish).next().is_some() {
                self.note(wish, place);
            }
        }
    }

    /// At least one name.
    pub fn of(&self, wish: Wish) -> impl Iterator<Item = &str> {
        let named = self.names.iter().find(|(named, _)| *named == wish);
        let name = named.map_or_else(|| wish.unnamed(), |(_, name)| name);
        let is_noted = self.noted(wish).next().is_some();
        self.noted(wish).chain((!is_noted).then_some(name))
    }

    fn noted(&self, wish: Wish) -> impl Iterator<Item = &str> {
        self.noted.iter().filter(move |(noted, _)| *noted == wish).map(|(_, place)| place.as_str())
    }
}
