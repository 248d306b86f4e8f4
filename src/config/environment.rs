//! The environment variables that have a say.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::targets::ProviderKind;

/// All variables that are read by a fixed name. Others are ignored, but for those that an
/// `api_key_env` and its like name.
const NAMES: [&str; 16] = [
    "PORT",
    "HOST",
    "WORKERS",
    "LOG_LEVEL",
    "ENABLE_METRICS",
    "AUTH_KEY",
    "OLLAMA_BASE_URL",
    "OLLAMA_LISTEN",
    "OLLAMA_MODEL",
    "OPENAI_API_KEY",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_SERVICE_NAME",
    OPENAI_BASE_URL,
    OPENAI_MODEL,
    VLLM_BASE_URL,
    VLLM_MODEL,
];

pub(super) const OPENAI_API_KEY: &str = "OPENAI_API_KEY";
pub(super) const OPENAI_BASE_URL: &str = "OPENAI_BASE_URL";
pub(super) const OPENAI_MODEL: &str = "OPENAI_MODEL";
pub(super) const VLLM_BASE_URL: &str = "VLLM_BASE_URL";
pub(super) const VLLM_MODEL: &str = "VLLM_MODEL";

/// The variables as envy finds them. Everything is text here: the section that a value belongs to
/// judges it, so that faults of all sources read alike.
#[derive(Default, Deserialize)]
struct Variables {
    port: Option<String>,
    host: Option<String>,
    workers: Option<String>,
    log_level: Option<String>,
    enable_metrics: Option<String>,
    auth_key: Option<String>,
    ollama_base_url: Option<String>,
    ollama_listen: Option<String>,
    ollama_model: Option<String>,
    openai_api_key: Option<String>,
    openai_base_url: Option<String>,
    openai_model: Option<String>,
    otel_exporter_otlp_endpoint: Option<String>,
    otel_service_name: Option<String>,
    vllm_base_url: Option<String>,
    vllm_model: Option<String>,
}

/// A value of a variable, in place of that of a key.
#[derive(Clone, Copy)]
pub(super) struct Override<'a> {
    pub(super) key: &'static str,
    pub(super) variable: &'static str,
    pub(super) value: &'a str,
}

impl Override<'_> {
    /// Another key that follows from the same variable.
    pub(super) fn with(self, key: &'static str, value: &'static str) -> Self {
        Self { key, value, ..self }
    }
}

/// A model that variables describe.
#[derive(Clone, Copy)]
pub(super) struct NamedModel<'a> {
    pub(super) provider: ProviderKind,
    pub(super) name: Override<'a>,
    pub(super) base_url: Option<Override<'a>>,
}

/// The environment.
#[derive(Default)]
pub(super) struct Environment {
    variables: Variables,
    /// For `api_key_env` and its like.
    all: BTreeMap<String, String>,
}

impl Environment {
    /// A variable that is set to nothing counts as unset, except `AUTH_KEY`: an empty secret must
    /// not silently leave the gateway open.
    pub(super) fn new(
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, envy::Error> {
        let all: BTreeMap<_, _> = env
            .into_iter()
            .filter(|(name, value)| !value.is_empty() || name == "AUTH_KEY")
            .collect();
        // envy ignores case and stumbles over `port` next to `PORT`, so it sees ours only.
        let ours = all.iter().filter(|(name, _)| NAMES.contains(&name.as_str()));
        let ours = ours.map(|(name, value)| (name.clone(), value.clone()));
        Ok(Self { variables: envy::from_iter(ours)?, all })
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all.get(name).map(String::as_str)
    }

    /// The values for keys of the section at `path`.
    pub(super) fn overrides(&self, path: &str) -> Vec<Override<'_>> {
        let Variables {
            port,
            host,
            workers,
            log_level,
            enable_metrics,
            auth_key,
            ollama_listen,
            otel_exporter_otlp_endpoint: otlp_endpoint,
            otel_service_name: service_name,
            ..
        } = &self.variables;
        let discovery = match &self.variables.ollama_model {
            // With a model, nothing is left to discover, and the URL is the model's.
            Some(_) => &None,
            None => &self.variables.ollama_base_url,
        };
        let all = [
            ("server", "host", "HOST", host),
            ("server", "port", "PORT", port),
            ("server", "workers", "WORKERS", workers),
            ("log", "level", "LOG_LEVEL", log_level),
            ("metrics", "enabled", "ENABLE_METRICS", enable_metrics),
            ("auth", "key", "AUTH_KEY", auth_key),
            ("ollama", "base_url", "OLLAMA_BASE_URL", discovery),
            ("ollama", "listen", "OLLAMA_LISTEN", ollama_listen),
            ("otlp", "endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", otlp_endpoint),
            ("otlp", "service_name", "OTEL_SERVICE_NAME", service_name),
        ];
        let here = all.into_iter().filter(|(section, ..)| *section == path);
        here.filter_map(|(_, key, variable, value)| as_override(key, variable, value.as_ref()))
            .collect()
    }

    /// The models that variables name, in the order in which they are added.
    pub(super) fn models(&self) -> Vec<NamedModel<'_>> {
        let Variables { ollama_model, openai_model, vllm_model, .. } = &self.variables;
        let Variables { ollama_base_url, openai_base_url, vllm_base_url, .. } = &self.variables;
        let all = [
            (
                ProviderKind::Ollama,
                "OLLAMA_MODEL",
                ollama_model,
                "OLLAMA_BASE_URL",
                ollama_base_url,
            ),
            (ProviderKind::OpenAi, OPENAI_MODEL, openai_model, OPENAI_BASE_URL, openai_base_url),
            (ProviderKind::Vllm, VLLM_MODEL, vllm_model, VLLM_BASE_URL, vllm_base_url),
        ];
        let named = all.into_iter().filter_map(|(provider, model, name, url, base_url)| {
            let name = as_override("name", model, name.as_ref())?;
            let base_url = as_override("base_url", url, base_url.as_ref());
            Some(NamedModel { provider, name, base_url })
        });
        named.collect()
    }

    pub(super) fn openai_base_url(&self) -> Option<&str> {
        self.variables.openai_base_url.as_deref()
    }

    /// `OPENAI_API_KEY`, as the key of a model.
    pub(super) fn openai_api_key(&self) -> Option<Override<'_>> {
        as_override("api_key", OPENAI_API_KEY, self.variables.openai_api_key.as_ref())
    }
}

fn as_override<'a>(
    key: &'static str,
    variable: &'static str,
    value: Option<&'a String>,
) -> Option<Override<'a>> {
    value.map(|value| Override { key, variable, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(env: &[(&str, &str)]) -> Environment {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Environment::new(env).unwrap()
    }

    #[test]
    fn every_name_has_a_field() {
        // A name without a field would be dropped by envy.
        for name in NAMES {
            let with_models = [(name, "x"), (OPENAI_MODEL, "m"), (VLLM_MODEL, "m")];
            let environment = environment(&with_models);
            let sections = ["server", "log", "metrics", "auth", "ollama", "otlp"];
            let mut used: Vec<_> =
                sections.iter().flat_map(|path| environment.overrides(path)).collect();
            used.extend(environment.openai_api_key());
            for model in environment.models() {
                used.push(model.name);
                used.extend(model.base_url);
            }
            assert!(used.iter().any(|used| used.variable == name), "{name}");
        }
    }

    #[test]
    fn case_matters_and_nothing_counts_as_unset() {
        let environment =
            environment(&[("port", "1"), ("PORT", "2"), ("HOST", ""), ("AUTH_KEY", "")]);
        let server = environment.overrides("server");
        assert_eq!(server.len(), 1);
        assert_eq!((server[0].variable, server[0].value), ("PORT", "2"));
        assert_eq!(environment.overrides("auth")[0].value, "");
    }
}
