//! What a request needs of a target, and by what it is kept together with others.

use std::hash::{DefaultHasher, Hash, Hasher};

use tidegate_protocol::chat::{Chat, Message, Part};
use tidegate_protocol::{Request, Task};

use crate::config::{Abilities, Policy, ProviderKind, Routing, StickyBy};

/// So many beginnings of a conversation are hashed: its first messages, which are what long
/// conversations share.
const PREFIXES: usize = 64;
/// A token is about so many bytes of a text. It decides only where a request fits and what it costs.
const BYTES_PER_TOKEN: usize = 4;

/// What a request needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Need {
    pub skills: Skills,
    /// It is the rest of an answer: only some go on with one.
    pub continues: bool,
    /// About how long the prompt is.
    pub prompt_tokens: u32,
    /// The longest answer it asks for.
    pub max_tokens: Option<u32>,
    /// Upstreams of these kinds cannot be told what it asks for.
    pub unfit: Vec<ProviderKind>,
    /// The place of the one target that it wants, if it wants one.
    pub target: Option<usize>,
    /// Requests of the same session have the same number.
    pub session: u64,
    /// One number for each of the conversation's beginnings, the shortest first. Equal beginnings have
    /// equal numbers.
    pub prefixes: Vec<u64>,
}

/// What not every model can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skills {
    pub tools: bool,
    pub images: bool,
    pub audio: bool,
}

impl Skills {
    /// Whether a target with these abilities can do it.
    #[must_use]
    pub fn are_within(self, abilities: &Abilities) -> bool {
        (abilities.tools || !self.tools)
            && (abilities.images || !self.images)
            && (abilities.audio || !self.audio)
    }
}

/// Who asks, for what stays together by user.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asker<'a> {
    /// What the request itself calls its session.
    pub session: Option<&'a str>,
    /// The name or address of the caller.
    pub caller: &'a str,
}

impl Need {
    /// What `request` needs; of sessions and beginnings only what `routing` goes by.
    #[must_use]
    pub fn of(request: &Request, routing: &Routing, asker: Asker<'_>) -> Self {
        let mut need = match &request.task {
            Task::Chat(chat) => of_chat(chat),
            Task::Completion(completion) => Self {
                prompt_tokens: tokens(completion.prompt.len()),
                max_tokens: completion.sampling.max_tokens,
                ..Self::default()
            },
            Task::Embedding(embedding) => Self {
                prompt_tokens: tokens(embedding.input.iter().map(String::len).sum()),
                ..Self::default()
            },
        };
        match routing.policy {
            Policy::Sticky => need.session = session(request, routing.sticky_by, asker),
            Policy::Prefix => need.prefixes = prefixes(request),
            _ => {}
        }
        need
    }
}

fn of_chat(chat: &Chat) -> Need {
    let parts = || chat.messages.iter().flat_map(|message| &message.content);
    let text = parts().map(|part| match part {
        Part::Text(text) | Part::Reasoning(text) => text.len(),
        Part::Image(_) | Part::Audio { .. } => 0,
    });
    let tools = chat.tools.iter().map(|tool| {
        let described = tool.description.as_ref().map_or(0, String::len);
        described + tool.parameters.as_ref().map_or(0, |schema| schema.get().len())
    });
    Need {
        skills: Skills {
            tools: !chat.tools.is_empty(),
            images: parts().any(|part| matches!(part, Part::Image(_))),
            audio: parts().any(|part| matches!(part, Part::Audio { .. })),
        },
        prompt_tokens: tokens(text.sum::<usize>() + tools.sum::<usize>()),
        max_tokens: chat.sampling.max_tokens,
        ..Need::default()
    }
}

fn tokens(bytes: usize) -> u32 {
    u32::try_from(bytes / BYTES_PER_TOKEN).unwrap_or(u32::MAX)
}

/// The number of the session that a request belongs to.
fn session(request: &Request, by: StickyBy, asker: Asker<'_>) -> u64 {
    if let Some(session) = asker.session {
        return hash_of(session);
    }
    match (by, &request.task) {
        (StickyBy::User, Task::Chat(chat)) => hash_of(chat.user.as_deref().unwrap_or(asker.caller)),
        // A conversation is known by how it begins: up to what its user said first.
        (StickyBy::Conversation, Task::Chat(chat)) => {
            let first = chat.messages.iter().position(|message| !is_preface(message));
            let begin = chat.messages.iter().take(first.map_or(0, |at| at + 1));
            let mut hasher = DefaultHasher::new();
            asker.caller.hash(&mut hasher);
            begin.for_each(|message| hash_message(message, &mut hasher));
            hasher.finish()
        }
        _ => hash_of(asker.caller),
    }
}

fn is_preface(message: &Message) -> bool {
    use tidegate_protocol::chat::Role;
    matches!(message.role, Role::System | Role::Developer)
}

fn prefixes(request: &Request) -> Vec<u64> {
    let mut hasher = DefaultHasher::new();
    match &request.task {
        Task::Chat(chat) => {
            for tool in &chat.tools {
                tool.name.hash(&mut hasher);
            }
            let messages = chat.messages.iter().take(PREFIXES);
            let numbers = messages.map(|message| {
                hash_message(message, &mut hasher);
                hasher.finish()
            });
            numbers.collect()
        }
        Task::Completion(completion) => vec![hash_of(&completion.prompt)],
        Task::Embedding(_) => Vec::new(),
    }
}

fn hash_message(message: &Message, hasher: &mut DefaultHasher) {
    (message.role as u8).hash(hasher);
    for part in &message.content {
        match part {
            Part::Text(text) | Part::Reasoning(text) | Part::Image(text) => text.hash(hasher),
            Part::Audio { data, .. } => data.hash(hasher),
        }
    }
    for call in &message.tool_calls {
        (&call.name, &call.arguments).hash(hasher);
    }
}

fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::chat::{Role, Tool};

    use super::*;

    fn chat(messages: &[(Role, &str)]) -> Request {
        let messages = messages.iter().map(|(role, text)| Message::text(*role, *text));
        let chat = Chat { messages: messages.collect(), ..Chat::default() };
        Request { task: Task::Chat(chat), ..Request::default() }
    }

    fn need(request: &Request, policy: Policy) -> Need {
        let routing = Routing { policy, ..Routing::default() };
        Need::of(request, &routing, Asker { session: None, caller: "alice" })
    }

    #[test]
    fn what_a_request_holds_is_what_it_needs() {
        let mut request = chat(&[(Role::User, &"x".repeat(400))]);
        let plain = need(&request, Policy::Fastest);
        assert_eq!(plain.skills, Skills::default());
        assert_eq!((plain.prompt_tokens, plain.max_tokens), (100, None));
        let Task::Chat(chat) = &mut request.task else { panic!("a chat") };
        chat.tools.push(Tool::default());
        chat.sampling.max_tokens = Some(7);
        chat.messages[0].content.push(Part::Image("data:".to_owned()));
        chat.messages[0].content.push(Part::Audio { data: String::new(), format: String::new() });
        let all = need(&request, Policy::Fastest);
        let skills = Skills { tools: true, images: true, audio: true };
        assert_eq!((all.skills, all.max_tokens), (skills, Some(7)));
    }

    #[test]
    fn a_conversation_stays_the_same_as_it_goes_on() {
        let begin = [(Role::System, "be brief"), (Role::User, "hi")];
        let later = [begin[0], begin[1], (Role::Assistant, "hello"), (Role::User, "and?")];
        let other = [begin[0], (Role::User, "ho")];
        let session = |messages: &[(Role, &str)]| need(&chat(messages), Policy::Sticky).session;
        assert_eq!(session(&begin), session(&later));
        assert_ne!(session(&begin), session(&other));
    }

    #[test]
    fn beginnings_have_the_same_numbers_up_to_where_they_differ() {
        let begin = [(Role::System, "be brief"), (Role::User, "hi")];
        let other = [begin[0], (Role::User, "ho")];
        let prefixes = |messages: &[(Role, &str)]| need(&chat(messages), Policy::Prefix).prefixes;
        let (one, two) = (prefixes(&begin), prefixes(&other));
        assert_eq!((one.len(), two.len(), one[0] == two[0], one[1] == two[1]), (2, 2, true, false));
        let long = vec![(Role::User, "x"); 1000];
        assert_eq!(prefixes(&long).len(), PREFIXES);
    }

    #[test]
    fn a_session_by_name_goes_before_what_is_said() {
        let routing = Routing { policy: Policy::Sticky, ..Routing::default() };
        let named = |messages: &[(Role, &str)], session| {
            Need::of(&chat(messages), &routing, Asker { session, caller: "alice" }).session
        };
        let (one, two) = ([(Role::User, "hi")], [(Role::User, "ho")]);
        assert_eq!(named(&one, Some("s")), named(&two, Some("s")));
        assert_ne!(named(&one, Some("s")), named(&one, Some("t")));
    }
}
