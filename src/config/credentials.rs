//! Which key goes to which upstream.
//!
//! `OPENAI_API_KEY` is set on many machines for other programs. It is sent to the default URL of
//! `openai` models, or to where `OPENAI_BASE_URL` points, and never anywhere else.

use super::environment::{Environment, NamedModel, OPENAI_API_KEY, Override};
use super::kind;
use super::secret::Secret;
use super::section::Section;
use super::targets::{OPENAI_URL, ProviderKind};
use super::url;

/// The model whose key is wanted.
pub(super) struct Upstream<'a> {
    pub(super) provider: Option<ProviderKind>,
    pub(super) base_url: &'a str,
    /// Whether `OPENAI_MODEL` or its like names the model: variables go before the file then.
    pub(super) named: Option<NamedModel<'a>>,
}

/// Where keys stand; one of these is given at most.
pub(super) const KEYS: [&str; 4] = ["api_key", "api_key_env", "api_keys", "api_key_envs"];

/// A target has so many keys at most.
const MAX_KEYS: usize = 100;

/// Reads the keys of a target, wherever they stand.
pub(super) fn read(section: &mut Section<'_>, upstream: &Upstream<'_>) -> Vec<Secret> {
    let given: Vec<_> = KEYS.into_iter().filter(|key| section.in_file(key).is_some()).collect();
    if let Some(key) = openai_key(section.sources.environment, upstream)
        && (upstream.named.is_some() || given.is_empty())
    {
        section.overrides.push(key);
    }
    let overridden = section.overrides.iter().any(|found| found.key == "api_key");
    let key = section.optional("api_key", &kind::secret(1));
    let variable = section.optional("api_key_env", &kind::variable_name());
    let keys = section.list("api_keys", &kind::secret(1));
    let variables = section.list("api_key_envs", &kind::variable_name());
    if upstream.provider == Some(ProviderKind::Builtin) {
        for refused in given {
            section.conflict(refused, "a builtin model has no upstream that takes a key");
        }
        return Vec::new();
    }
    if let Some((first, others)) = given.split_first() {
        for other in others {
            section.conflict(other, format!("must not be given together with {first}"));
        }
    }
    if overridden || key.is_some() {
        return key.into_iter().collect();
    }
    if let Some(variable) = variable {
        return from_variable(section, "api_key_env", &variable).into_iter().collect();
    }
    let from_variables =
        variables.iter().filter_map(|variable| from_variable(section, "api_key_envs", variable));
    let from_variables: Vec<_> = from_variables.collect();
    check_list(section, "api_keys", &keys);
    check_list(section, "api_key_envs", &from_variables);
    if keys.is_empty() { from_variables } else { keys }
}

/// Checks the keys of a list. None of them is quoted.
fn check_list(section: &mut Section<'_>, list: &'static str, keys: &[Secret]) {
    if section.in_file(list).is_none() {
        return;
    }
    if keys.is_empty() {
        section.conflict(list, "must not be empty");
    } else if keys.len() > MAX_KEYS {
        section.conflict(list, format!("must have no more than {MAX_KEYS} keys"));
    } else if Secret::any_twice(keys) {
        section.conflict(list, "has the same key twice");
    }
}

/// `OPENAI_API_KEY`, if it may go there.
fn openai_key<'a>(environment: &'a Environment, upstream: &Upstream<'_>) -> Option<Override<'a>> {
    let configured = environment.openai_base_url().and_then(url::base);
    let trusted = upstream.base_url == OPENAI_URL
        || configured.is_some_and(|configured| configured == upstream.base_url);
    let openai = upstream.provider == Some(ProviderKind::OpenAi);
    environment.openai_api_key().filter(|_| openai && trusted)
}

/// The key that a variable holds, which `place` names.
fn from_variable(section: &mut Section<'_>, place: &str, variable: &str) -> Option<Secret> {
    let text = section.sources.environment.get(variable);
    if text.is_none() {
        section.conflict(place, format!("the environment variable {variable} is not set"));
    }
    let kind = kind::secret(1);
    let key = kind.parse(super::raw::Raw::Variable(text?));
    if key.is_none() {
        section.conflict(place, format!("the value of {variable} must be {}", kind.allowed));
    }
    key
}

/// Tells of variables that came to nothing, and of models that will be refused.
pub(super) fn warn(section: &mut Section<'_>, keyless: &[&str]) {
    let environment = section.sources.environment;
    if !environment.models().iter().any(|named| named.provider == ProviderKind::OpenAi) {
        if environment.openai_base_url().is_some() {
            section.report.warn("OPENAI_BASE_URL adds no model while OPENAI_MODEL is not set");
        }
        if environment.openai_api_key().is_some() && !section.report.uses(OPENAI_API_KEY) {
            section.report.warn("OPENAI_API_KEY is not used: no model is OpenAI's without a key of its own, and OPENAI_MODEL is not set");
        }
    }
    for name in keyless {
        section.report.warn(format!("the model `{name}` has no API key: OpenAI will refuse it"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Loaded};

    fn load(text: &str, env: &[(&str, &str)]) -> Loaded {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::parse(text, env).unwrap()
    }

    fn model(provider: &str, more: &str) -> String {
        format!("[[models]]\nname = \"m\"\nprovider = \"{provider}\"\n{more}\n")
    }

    fn key_of(loaded: &Loaded) -> Option<&str> {
        loaded.config.models[0].targets[0].api_keys.first().map(Secret::expose)
    }

    #[test]
    fn the_openai_key_goes_to_openai_or_where_its_url_points_only() {
        let elsewhere = "base_url = \"https://host/v1\"";
        let key = ("OPENAI_API_KEY", "k");
        let url = ("OPENAI_BASE_URL", "https://host/v1/");
        let named = ("OPENAI_MODEL", "m");
        for (provider, more, env, expected) in [
            ("openai", "", vec![key], Some("k")),
            ("openai", elsewhere, vec![key], None),
            ("openai", elsewhere, vec![key, named], None),
            ("openai", elsewhere, vec![key, url], Some("k")),
            ("openai", "base_url = \"https://api.openai.com.evil/v1\"", vec![key], None),
            ("vllm", "base_url = \"https://api.openai.com/v1\"", vec![key], None),
            ("ollama", "", vec![key], None),
            ("openai", "api_key = \"own\"", vec![key], Some("own")),
            ("openai", "api_key_env = \"OWN\"", vec![key, ("OWN", "own")], Some("own")),
            ("openai", "api_key = \"own\"", vec![key, named], Some("k")),
            ("openai", "api_key_env = \"OWN\"", vec![key, named, ("OWN", "own")], Some("k")),
        ] {
            let loaded = load(&model(provider, more), &env);
            assert_eq!(key_of(&loaded), expected, "{provider} {more} {env:?}");
            assert_eq!(loaded.config.models.len(), 1);
        }
    }

    #[test]
    fn several_keys_are_read_in_their_order() {
        let two = [("A", "canary-a"), ("B", "canary-b")];
        for more in ["api_keys = [\"canary-a\", \"canary-b\"]", "api_key_envs = [\"A\", \"B\"]"] {
            // The one for OpenAI is not among them.
            for provider in ["vllm", "openai"] {
                let mut env = two.to_vec();
                env.push(("OPENAI_API_KEY", "other"));
                let loaded = load(&model(provider, more), &env);
                let keys = &loaded.config.models[0].targets[0].api_keys;
                let keys: Vec<_> = keys.iter().map(Secret::expose).collect();
                assert_eq!(keys, ["canary-a", "canary-b"], "{provider} {more}");
                let shown = format!("{:?} {:?}", loaded.effective, loaded.config);
                assert!(!shown.contains("canary"), "{shown}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_list_of_keys_is_told_without_them() {
        let many: Vec<_> = (0..=MAX_KEYS).map(|number| format!("\"canary-{number}\"")).collect();
        let many = format!("api_keys = [{}]", many.join(", "));
        for (more, fault) in [
            ("api_keys = []", "must not be empty"),
            ("api_key_envs = []", "must not be empty"),
            ("api_keys = \"canary\"", "a list, each 1 to 4096 ASCII letters, digits and signs"),
            ("api_keys = [\"canary\", \"can ary\"]", "1 to 4096 ASCII letters, digits and signs"),
            ("api_keys = [\"canary\", \"x\", \"canary\"]", "has the same key twice"),
            ("api_key_envs = [\"A\", \"A\"]", "has the same key twice"),
            ("api_key_envs = [\"A\", \"B\"]", "has the same key twice"),
            ("api_key_envs = [\"A\", \"Z\"]", "the environment variable Z is not set"),
            ("api_key_envs = [\"A\", \"C\"]", "the value of C must be 1 to 4096"),
            ("api_key_envs = [\"sk-canary\"]", "the name of an environment variable"),
            ("api_keys = [\"a\"]\napi_key = \"b\"", "must not be given together with api_key"),
            (
                "api_keys = [\"a\"]\napi_key_envs = [\"A\"]",
                "must not be given together with api_keys",
            ),
            (&many, "must have no more than 100 keys"),
        ] {
            let env = [("A", "canary-a"), ("B", "canary-a"), ("C", "canary c")];
            let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let faults = Config::parse(&model("vllm", more), env).unwrap_err();
            assert_eq!(faults.0.len(), 1, "{faults}");
            assert!(faults.to_string().contains(fault), "{more}: {faults}");
            for secret in ["canary", "can ary"] {
                assert!(!faults.to_string().contains(secret), "{faults}");
            }
        }
        let builtin = Config::parse(&model("builtin", "api_keys = [\"canary\"]"), []).unwrap_err();
        assert!(builtin.to_string().contains("a builtin model has no upstream"), "{builtin}");
    }

    #[test]
    fn a_key_has_one_source_that_is_there() {
        for (more, fault) in [
            ("api_key = \"a\"\napi_key_env = \"B\"", "must not be given together with api_key"),
            ("api_key_env = \"B\"", "the environment variable B is not set"),
            (
                "api_key_env = \"C\"",
                "the value of C must be 1 to 4096 ASCII letters, digits and signs",
            ),
        ] {
            let env = [("C".to_owned(), "canary with spaces".to_owned())];
            let faults = Config::parse(&model("vllm", more), env).unwrap_err();
            assert_eq!(faults.0.len(), 1, "{faults}");
            assert!(faults.to_string().ends_with(fault), "{faults}");
            assert!(!faults.to_string().contains("canary"));
        }
    }

    #[test]
    fn unused_variables_and_missing_keys_are_told() {
        let both = [("OPENAI_API_KEY", "canary"), ("OPENAI_BASE_URL", "https://host")];
        let warnings = load("", &both).warnings;
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(!warnings.concat().contains("canary"));
        assert!(load(&model("openai", ""), &both[..1]).warnings.is_empty());
        let warnings = load(&model("openai", ""), &[]).warnings;
        assert_eq!(warnings, ["the model `m` has no API key: OpenAI will refuse it"]);
    }
}
