//! How a model's requests are shared out among its targets, and where they go when none answers.

use super::kind;
use super::model_list::name_kind;
use super::models::Model;
use super::section::Section;

/// By what a target is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// The better of two by the time to their first token and their load.
    #[default]
    Fastest,
    /// In turn, by weight.
    Weighted,
    /// The least loaded, by weight.
    LeastBusy,
    /// Success rate over latency and load.
    Score,
    /// The same one for the same user or conversation.
    Sticky,
    /// The one that has seen the longest beginning of the prompt.
    Prefix,
    /// The cheapest that has room.
    Cheapest,
}

impl Policy {
    pub const ALL: [Self; 7] = [
        Self::Fastest,
        Self::Weighted,
        Self::LeastBusy,
        Self::Score,
        Self::Sticky,
        Self::Prefix,
        Self::Cheapest,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fastest => "fastest",
            Self::Weighted => "weighted",
            Self::LeastBusy => "least-busy",
            Self::Score => "score",
            Self::Sticky => "sticky",
            Self::Prefix => "prefix",
            Self::Cheapest => "cheapest",
        }
    }
}

/// What stays with the same target under [`Policy::Sticky`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StickyBy {
    /// Whom the request is for: what it says of its user, else its caller.
    User,
    /// How the conversation begins.
    #[default]
    Conversation,
}

impl StickyBy {
    const ALL: [Self; 2] = [Self::User, Self::Conversation];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Conversation => "conversation",
        }
    }
}

/// Why another model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No target took the request: none could be reached, was up or had no fault.
    Refused,
    /// The targets have used up what they may be asked.
    RateLimited,
    /// No first token in time.
    Timeout,
    /// The prompt is longer than the targets take.
    Context,
    /// No target can do what the request needs.
    Capability,
}

impl Cause {
    pub const ALL: [Self; 5] =
        [Self::Refused, Self::RateLimited, Self::Timeout, Self::Context, Self::Capability];

    /// As the configuration, metrics and logs spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::Context => "context",
            Self::Capability => "capability",
        }
    }
}

/// How a model's requests are shared out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    pub policy: Policy,
    pub sticky_by: StickyBy,
    /// So many beginnings of prompts are remembered, with the target that has seen them.
    pub prefix_entries: usize,
    /// Whether a request may name the target that it wants.
    pub choose_target: bool,
    /// Names of models, by cause and in the order in which they are asked.
    pub fallback: Fallback,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            sticky_by: StickyBy::default(),
            prefix_entries: 65_536,
            choose_target: false,
            fallback: Fallback::default(),
        }
    }
}

/// The models that are asked instead, by cause.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fallback([Vec<String>; Cause::ALL.len()]);

impl Fallback {
    #[must_use]
    pub fn on(&self, cause: Cause) -> &[String] {
        self.0.get(cause as usize).map_or(&[], Vec::as_slice)
    }

    /// Every model named, with the cause it is named for.
    pub fn all(&self) -> impl Iterator<Item = (Cause, &String)> {
        Cause::ALL.into_iter().flat_map(|cause| self.on(cause).iter().map(move |n| (cause, n)))
    }

    fn read(section: &mut Section<'_>) -> Self {
        Self(Cause::ALL.map(|cause| section.list(cause.as_str(), &name_kind())))
    }
}

impl Routing {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let policy = kind::choice(&Policy::ALL, Policy::as_str);
        let sticky_by = kind::choice(&StickyBy::ALL, StickyBy::as_str);
        let entries = kind::integer(1..=10_000_000);
        Self {
            policy: section.get("policy", &policy, default.policy),
            sticky_by: section.get("sticky_by", &sticky_by, default.sticky_by),
            prefix_entries: section.get("prefix_entries", &entries, default.prefix_entries),
            choose_target: section.get("choose_target", &kind::boolean(), default.choose_target),
            fallback: section.section("fallback", Fallback::read),
        }
    }
}

/// Checks that the models that others fall back to are there, and of the same type. With faults
/// among the models, the one that is meant may be missing here.
pub(super) fn check(root: &mut Section<'_>, models: &[Model]) {
    if !root.is_sound("models") {
        return;
    }
    for (index, model) in models.iter().enumerate() {
        for (cause, name) in model.routing.fallback.all() {
            let key = format!("models[{index}].fallback.{}", cause.as_str());
            if let Some(fault) = super::takeover::unfit(name, model, models) {
                root.conflict(&key, fault);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn load(more: &str) -> Result<Routing, String> {
        let text = format!(
            "[[models]]\nname = \"a\"\nprovider = \"vllm\"\n{more}\n\
             [[models]]\nname = \"b\"\nprovider = \"ollama\"\n\
             [[models]]\nname = \"e\"\nprovider = \"ollama\"\ntype = \"embedding\"\n"
        );
        let loaded = Config::parse(&text, []).map_err(|faults| faults.to_string())?;
        Ok(loaded.config.models.into_iter().next().unwrap().routing)
    }

    #[test]
    fn chains_are_read_by_cause() {
        let routing =
            load("policy = \"least-busy\"\n[models.fallback]\ncontext = [\"b\"]").unwrap();
        assert_eq!(routing.policy, Policy::LeastBusy);
        assert_eq!(routing.fallback.on(Cause::Context), ["b"]);
        let others = Cause::ALL.into_iter().filter(|cause| *cause != Cause::Context);
        assert!(others.map(|cause| routing.fallback.on(cause)).all(<[String]>::is_empty));
        assert_eq!(load("").unwrap(), Routing::default());
    }

    #[test]
    fn who_is_fallen_back_to_must_be_there_and_fit() {
        for (name, fault) in [
            ("a", "this is the model itself"),
            ("c", "must name configured models; there is: a, b, e"),
            ("e", "this is for chat, e for embedding"),
        ] {
            let found = load(&format!("[models.fallback]\nrefused = [\"{name}\"]")).unwrap_err();
            assert!(found.starts_with("models[0].fallback.refused = "), "{found}");
            assert!(found.contains(fault), "{found}");
        }
    }
}
