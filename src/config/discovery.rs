//! `[ollama]`: where to look for models when none is configured.

use super::kind;
use super::models::OLLAMA_URL;
use super::section::Section;

/// The Ollama that is asked for a model at start when none is configured.
#[derive(Debug, Clone)]
pub struct DiscoverOllama {
    pub base_url: String,
}

impl DiscoverOllama {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let base_url = section.get("base_url", &kind::base_url(), OLLAMA_URL.to_owned());
        Self { base_url }
    }
}
