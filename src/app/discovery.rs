//! Which models serve when none is configured: an Ollama that answers, else the builtin one.

use std::time::Duration;

use tokio::time::timeout;

use crate::config::{Config, Model};
use crate::provider::{OllamaProbe, client::HttpClient};

/// The models of the configuration, or those found in their place.
pub async fn models(config: &Config) -> Vec<Model> {
    if !config.models.is_empty() {
        return config.models.clone();
    }
    let base_url = &config.ollama.base_url;
    if let Some(name) = find_ollama_model(base_url, config.health.timeout).await {
        tracing::info!(model = name, base_url, "no model is configured; Ollama's serves");
        return vec![Model::ollama(&name, base_url)];
    }
    tracing::warn!(
        base_url,
        "no model is configured and no Ollama with a chat model answers: the BUILTIN DEMO MODEL \
         serves, which is not an LLM; set OLLAMA_MODEL, OPENAI_MODEL or VLLM_MODEL, or add \
         [[models]] to the configuration"
    );
    vec![Model::builtin()]
}

async fn find_ollama_model(base_url: &str, limit: Duration) -> Option<String> {
    let candidate = Model::ollama("discovery", base_url);
    let client = HttpClient::new(std::slice::from_ref(&candidate));
    let probe = OllamaProbe::new(&client, candidate.targets.first()?);
    match timeout(limit, probe.first_chat_model()).await {
        Ok(Ok(found)) => found,
        Ok(Err(failure)) => {
            tracing::debug!(base_url, failure = failure.logged(), "no Ollama");
            None
        }
        Err(_) => None,
    }
}
