//! Reads the models: those of the file, then those that environment variables name.

use super::credentials;
use super::disconnect::Disconnect;
use super::environment::{NamedModel, VLLM_BASE_URL, VLLM_MODEL};
use super::fault::{Problem, Source};
use super::kind;
use super::models::{Model, ModelType, Timeouts};
use super::queue::QueueLimits;
use super::retries::Retries;
use super::routing::{self, Routing};
use super::section::Section;
use super::takeover::{self, Continuation, Hedging};
use super::target_list;
use super::targets::{OPENAI_URL, ProviderKind, Target};

/// What has been read of a model, whether or not the rest of it is right.
struct Entry {
    name: Option<String>,
    provider: Option<ProviderKind>,
}

impl Entry {
    /// Whether a variable means this model. A provider that is wrong may have been meant.
    fn is(&self, named: &NamedModel<'_>) -> bool {
        self.name.as_deref() == Some(named.name.value)
            && self.provider.is_none_or(|provider| provider == named.provider)
    }
}

/// Reads all models, and checks that they go together.
pub(super) fn read(root: &mut Section<'_>) -> Vec<Model> {
    let mut entries = Vec::new();
    let mut models = root.sections("models", |section| read_model(section, None, &mut entries));
    let environment = root.sources.environment;
    for named in environment.models() {
        if entries.iter().any(|entry: &Entry| entry.is(&named)) {
            continue;
        }
        let provider = named.name.with("provider", named.provider.as_str());
        let overrides = vec![named.name, provider];
        let read = |section: &mut Section<'_>| read_model(section, Some(named), &mut entries);
        models.push(root.section_from_environment("models", models.len(), overrides, read));
    }
    let vllm_url = environment.get(VLLM_BASE_URL);
    if vllm_url.is_some() && environment.get(VLLM_MODEL).is_none() {
        let problem = Problem::Missing(format!("set where {VLLM_BASE_URL} is"));
        root.fault(VLLM_MODEL, None, Source::Variable(VLLM_BASE_URL), problem);
    }
    let models: Vec<_> = models.into_iter().flatten().collect();
    let is_keyless = |target: &Target| target.api_keys.is_empty() && target.base_url == OPENAI_URL;
    let keyless = models.iter().filter(|model| model.targets.iter().any(is_keyless));
    let keyless: Vec<_> = keyless.map(|model| model.name.as_str()).collect();
    credentials::warn(root, &keyless);
    takeover::check(root, &models);
    routing::check(root, &models);
    models
}

/// Reads `active_model`: one of the models.
pub(super) fn read_active(root: &mut Section<'_>, models: &[Model]) -> Option<String> {
    let active = root.optional("active_model", &name_kind())?;
    let known = models.iter().any(|model| model.name == active);
    // With faults among the models, the one that is meant may be missing here.
    if !known && root.is_sound("models") {
        let names: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        root.conflict("active_model", format!("must name a configured model; there is: {names}"));
    }
    Some(active)
}

pub(super) fn name_kind() -> kind::Kind<String> {
    kind::name(128, "._:/@-")
}

/// `added` is set for a model that only the environment has.
fn read_model(
    section: &mut Section<'_>,
    added: Option<NamedModel<'_>>,
    entries: &mut Vec<Entry>,
) -> Option<Model> {
    let providers = kind::choice(&ProviderKind::ALL, ProviderKind::as_str);
    let name = section.required("name", &name_kind());
    let provider = match section.in_file("targets") {
        None => section.required("provider", &providers),
        // Each of them may have its own.
        Some(_) => section.optional("provider", &providers),
    };
    if name.is_some() && entries.iter().any(|other| other.name == name) {
        section.conflict("name", "must be unique: another model has it too");
    }
    let entry = Entry { name: name.clone(), provider };
    let in_environment = section.sources.environment.models();
    let named = in_environment.into_iter().find(|named| match added {
        Some(added) => named.name.variable == added.name.variable,
        None => entry.is(named),
    });
    entries.push(entry);
    if let Some(base_url) = named.and_then(|named| named.base_url) {
        section.overrides.push(base_url);
    }
    let targets = target_list::read(section, name.as_deref().unwrap_or_default(), provider, named);
    let model_type = kind::choice(&ModelType::ALL, ModelType::as_str);
    let model = Model {
        name: name.unwrap_or_default(),
        model_type: section.get("type", &model_type, ModelType::Chat),
        targets,
        routing: Routing::read(section),
        queue: QueueLimits::read(section),
        timeouts: read_timeouts(section),
        retries: Retries::read(section),
        disconnect: Disconnect::read(section),
        coalesce: section.get("coalesce", &kind::boolean(), false),
        continuation: Continuation::read(section),
        hedging: Hedging::read(section),
    };
    // Faults have been noted where it has no name or target.
    (!model.name.is_empty() && !model.targets.is_empty()).then_some(model)
}

fn read_timeouts(section: &mut Section<'_>) -> Timeouts {
    let default = Timeouts::default();
    let mut seconds = |key, default, max| section.get(key, &kind::seconds(max), default);
    Timeouts {
        queue: seconds("queue_timeout_seconds", default.queue, 3600),
        connect: seconds("connect_timeout_seconds", default.connect, 300),
        first_token: seconds("first_token_timeout_seconds", default.first_token, 3600),
        idle: seconds("idle_timeout_seconds", default.idle, 3600),
        total: seconds("total_timeout_seconds", default.total, 86_400),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Faults, Loaded, Model};

    fn load(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Faults> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::parse(text, env)
    }

    fn describe(models: &[Model]) -> Vec<String> {
        let describe = |model: &Model| {
            let target = &model.targets[0];
            format!("{} {} {}", target.provider.as_str(), model.name, target.base_url)
        };
        models.iter().map(describe).collect()
    }

    #[test]
    fn models_of_the_environment_come_after_the_files() {
        let text = "[[models]]\nname = \"demo\"\nprovider = \"builtin\"\n";
        let env = [
            ("VLLM_MODEL", "meta/llama"),
            ("OPENAI_MODEL", "gpt"),
            ("OPENAI_API_KEY", "k"),
            ("OPENAI_BASE_URL", "https://proxy/v1"),
            ("OLLAMA_MODEL", "llama3.2:3b"),
        ];
        let loaded = load(text, &env).unwrap();
        assert_eq!(
            describe(&loaded.config.models),
            [
                "builtin demo ",
                "ollama llama3.2:3b http://127.0.0.1:11434",
                "openai gpt https://proxy/v1",
                "vllm meta/llama http://127.0.0.1:8000/v1",
            ]
        );
        assert_eq!(loaded.config.models[3].targets[0].upstream_model, "meta/llama");
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }

    #[test]
    fn a_variable_overrides_the_model_it_names() {
        let text = "[[models]]\nname = \"m\"\nprovider = \"vllm\"\nbase_url = \"http://a\"\n\
                    max_concurrency = 3\nupstream_model = \"other\"\n";
        let loaded = load(text, &[("VLLM_MODEL", "m"), ("VLLM_BASE_URL", "http://b/")]).unwrap();
        assert_eq!(describe(&loaded.config.models), ["vllm m http://b"]);
        assert_eq!(loaded.config.models[0].targets[0].max_concurrency, 3);
        assert_eq!(loaded.config.models[0].targets[0].upstream_model, "other");
        let setting = loaded.effective.iter().find(|setting| setting.key == "models[0].base_url");
        assert_eq!(setting.unwrap().source.to_string(), "VLLM_BASE_URL");
    }

    #[test]
    fn names_are_unique_over_file_and_environment() {
        let text = "[[models]]\nname = \"m\"\nprovider = \"vllm\"\n";
        assert_eq!(
            load(text, &[("OLLAMA_MODEL", "m")]).unwrap_err().to_string(),
            "models[1].name = \"m\" (OLLAMA_MODEL): must be unique: another model has it too"
        );
        let twice = text.repeat(2);
        assert_eq!(
            load(&twice, &[]).unwrap_err().to_string(),
            "models[1].name = \"m\" (tidegate.toml:5): must be unique: another model has it too"
        );
    }

    #[test]
    fn a_wrong_variable_is_cited_itself() {
        let env = [("VLLM_MODEL", "a b"), ("VLLM_BASE_URL", "host:8000")];
        assert_eq!(
            load("", &env).unwrap_err().to_string(),
            "models[0].name = \"a b\" (VLLM_MODEL): must be 1 to 128 letters, digits and ._:/@-\n\
             models[0].base_url = \"host:8000\" (VLLM_BASE_URL): must be an http or https URL with \
             a host, without user, query and fragment"
        );
    }

    #[test]
    fn a_builtin_model_has_no_upstream() {
        let text = "[[models]]\nname = \"m\"\nprovider = \"builtin\"\nbase_url = \"http://a\"\n\
                    api_key = \"k\"\n";
        assert_eq!(load(text, &[]).unwrap_err().0.len(), 2);
    }

    #[test]
    fn inline_tables_are_models_too() {
        let text = "models = [\n  { name = \"m\", provider = \"vllm\" },\n  { name = \"n\" },\n]\n";
        assert_eq!(
            load(text, &[]).unwrap_err().to_string(),
            "models[1].provider (tidegate.toml:3): missing: \
             must be \"openai\" or \"vllm\" or \"ollama\" or \"builtin\""
        );
    }
}
