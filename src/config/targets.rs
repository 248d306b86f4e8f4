//! The upstreams that run a model: one `[[models.targets]]` each, or the model's own keys for a
//! model with one.

use std::fmt;

use super::models::DEFAULT_MAX_CONCURRENCY;
use super::secret::{Masked, Secret};

pub(super) const OPENAI_URL: &str = "https://api.openai.com/v1";
pub(super) const OLLAMA_URL: &str = "http://127.0.0.1:11434";
const VLLM_URL: &str = "http://127.0.0.1:8000/v1";

pub(super) const DEFAULT_MAX_LINE_BYTES: usize = 1_048_576;
/// An even share.
pub(super) const DEFAULT_WEIGHT: u32 = 1;

/// What kind of upstream runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    OpenAi,
    Vllm,
    Ollama,
    /// The demo model inside the gateway.
    Builtin,
}

impl ProviderKind {
    pub(super) const ALL: [Self; 4] = [Self::OpenAi, Self::Vllm, Self::Ollama, Self::Builtin];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Vllm => "vllm",
            Self::Ollama => "ollama",
            Self::Builtin => "builtin",
        }
    }

    /// Where such an upstream usually is; empty for the one that is nowhere.
    pub(super) fn default_base_url(self) -> &'static str {
        match self {
            Self::OpenAi => OPENAI_URL,
            Self::Vllm => VLLM_URL,
            Self::Ollama => OLLAMA_URL,
            Self::Builtin => "",
        }
    }
}

/// One upstream that runs a model.
#[derive(Clone)]
pub struct Target {
    /// Unique within its model: metrics, the stream list and requests that choose go by it.
    pub name: String,
    pub provider: ProviderKind,
    /// Without a trailing slash; empty for [`ProviderKind::Builtin`].
    pub base_url: String,
    /// The name the upstream knows the model by.
    pub upstream_model: String,
    /// One of them is sent to the upstream as a bearer token; none where there is none.
    pub api_keys: Vec<Secret>,
    /// How many answers the upstream generates at a time.
    pub max_concurrency: usize,
    /// Its share of the requests, where the policy goes by shares; 0 takes no new ones.
    pub weight: u32,
    pub abilities: Abilities,
    pub price: Price,
    /// Whether it goes on with a trailing assistant message.
    pub continues: bool,
    /// The longest line or frame that is taken from the upstream.
    pub max_line_bytes: usize,
}

/// What a target can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    /// Prompt and answer together, in tokens; not known where there is none.
    pub context_length: Option<u32>,
    pub tools: bool,
    pub images: bool,
    pub audio: bool,
}

impl Default for Abilities {
    /// Everything: what an upstream cannot do, it says itself.
    fn default() -> Self {
        Self { context_length: None, tools: true, images: true, audio: true }
    }
}

/// What a million tokens cost, in millionths of whatever currency the prices are given in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Price {
    pub input_micros: u64,
    pub output_micros: u64,
}

impl Target {
    /// A target of defaults, named like its kind.
    #[must_use]
    pub fn of(provider: ProviderKind, base_url: &str, upstream_model: &str) -> Self {
        Self {
            name: provider.as_str().to_owned(),
            provider,
            base_url: base_url.to_owned(),
            upstream_model: upstream_model.to_owned(),
            api_keys: Vec::new(),
            max_concurrency: DEFAULT_MAX_CONCURRENCY,
            weight: DEFAULT_WEIGHT,
            abilities: Abilities::default(),
            price: Price::default(),
            continues: false,
            max_line_bytes: DEFAULT_MAX_LINE_BYTES,
        }
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        // All that can be shown is compared as it is shown.
        format!("{self:?}") == format!("{other:?}")
            && Secret::all_match(&self.api_keys, &other.api_keys)
    }
}

impl Eq for Target {}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("name", &self.name)
            .field("provider", &self.provider)
            .field("base_url", &self.base_url)
            .field("upstream_model", &self.upstream_model)
            .field("api_keys", &self.api_keys.iter().map(|_| Masked).collect::<Vec<_>>())
            .field("max_concurrency", &self.max_concurrency)
            .field("weight", &self.weight)
            .field("abilities", &self.abilities)
            .field("price", &self.price)
            .field("continues", &self.continues)
            .field("max_line_bytes", &self.max_line_bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_keys() {
        let mut target = Target::of(ProviderKind::Vllm, "http://a", "m");
        target.api_keys = vec![Secret::new("canary".to_owned()); 2];
        let text = format!("{target:?}");
        assert!(text.contains("[********, ********]") && !text.contains("canary"), "{text}");
    }
}
