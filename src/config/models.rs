//! `[[models]]`: the models that serve.

use std::time::Duration;

use super::disconnect::Disconnect;
use super::queue::QueueLimits;
use super::retries::Retries;
use super::routing::Routing;
use super::takeover::{Continuation, Hedging};
use super::targets::{ProviderKind, Target};

pub(super) const DEFAULT_MAX_CONCURRENCY: usize = 10;

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelType {
    Chat,
    Completion,
    Embedding,
}

impl ModelType {
    pub(super) const ALL: [Self; 3] = [Self::Chat, Self::Completion, Self::Embedding];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completion => "completion",
            Self::Embedding => "embedding",
        }
    }
}

/// A model that serves: a name for one or more upstreams.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The name clients ask for.
    pub name: String,
    pub model_type: ModelType,
    /// At least one.
    pub targets: Vec<Target>,
    pub routing: Routing,
    pub queue: QueueLimits,
    pub timeouts: Timeouts,
    pub retries: Retries,
    pub disconnect: Disconnect,
    /// Whether the same requests at the same time get one answer, where it would be the same.
    pub coalesce: bool,
    pub continuation: Continuation,
    pub hedging: Hedging,
}

/// How long one answer may take, part by part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Waiting for a turn.
    pub queue: Duration,
    /// Connecting to the upstream.
    pub connect: Duration,
    /// From the request to the first token.
    pub first_token: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// All of it.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            queue: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            first_token: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}

impl Model {
    /// The demo model, for gateways without any other.
    #[must_use]
    pub fn builtin() -> Self {
        let name = ProviderKind::Builtin.as_str();
        Self::with_defaults(name, Target::of(ProviderKind::Builtin, "", name))
    }

    /// A model of the Ollama at `base_url`.
    #[must_use]
    pub fn ollama(name: &str, base_url: &str) -> Self {
        Self::with_defaults(name, Target::of(ProviderKind::Ollama, base_url, name))
    }

    fn with_defaults(name: &str, target: Target) -> Self {
        Self {
            name: name.to_owned(),
            model_type: ModelType::Chat,
            targets: vec![target],
            routing: Routing::default(),
            queue: QueueLimits::default(),
            timeouts: Timeouts::default(),
            retries: Retries::default(),
            disconnect: Disconnect::default(),
            coalesce: false,
            continuation: Continuation::default(),
            hedging: Hedging::default(),
        }
    }

    /// The kinds of its upstreams, each once, in the order of the targets.
    #[must_use]
    pub fn kinds(&self) -> Vec<ProviderKind> {
        let mut kinds = Vec::with_capacity(1);
        for target in &self.targets {
            if !kinds.contains(&target.provider) {
                kinds.push(target.provider);
            }
        }
        kinds
    }

    /// How lists spell who provides it: the kind of its upstreams, or `mixed`.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        match self.kinds().as_slice() {
            [kind] => kind.as_str(),
            _ => "mixed",
        }
    }

    /// How many answers all its upstreams generate at a time.
    #[must_use]
    pub fn max_concurrency(&self) -> usize {
        self.targets.iter().map(|target| target.max_concurrency).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::targets::OLLAMA_URL;

    #[test]
    fn discovered_models_are_as_configured_ones() {
        let text = "[[models]]\nname = \"builtin\"\nprovider = \"builtin\"\n\
                    [[models]]\nname = \"llama\"\nprovider = \"ollama\"\n";
        let models = Config::parse(text, []).unwrap().config.models;
        let made = [Model::builtin(), Model::ollama("llama", OLLAMA_URL)];
        assert_eq!(format!("{models:?}"), format!("{made:?}"));
    }
}
