//! Reads the targets of a model: those of `[[models.targets]]`, or the one that its own keys describe.

use super::credentials::{self, Upstream};
use super::environment::NamedModel;
use super::kind;
use super::models::DEFAULT_MAX_CONCURRENCY;
use super::section::Section;
use super::targets::{
    Abilities, DEFAULT_MAX_LINE_BYTES, DEFAULT_WEIGHT, Price, ProviderKind, Target,
};

/// What a model says for all its targets; each of them may say otherwise.
#[derive(Clone)]
struct Common {
    provider: Option<ProviderKind>,
    upstream_model: String,
    max_concurrency: usize,
    max_line_bytes: usize,
    abilities: Abilities,
    price: Price,
    continues: bool,
}

/// Reads the targets of the model called `name`, whose kind has been read as `provider`.
pub(super) fn read(
    section: &mut Section<'_>,
    name: &str,
    provider: Option<ProviderKind>,
    named: Option<NamedModel<'_>>,
) -> Vec<Target> {
    let default = Common {
        provider,
        upstream_model: name.to_owned(),
        max_concurrency: DEFAULT_MAX_CONCURRENCY,
        max_line_bytes: DEFAULT_MAX_LINE_BYTES,
        abilities: Abilities::default(),
        price: Price::default(),
        continues: false,
    };
    let common = Common::read(section, &default);
    if section.in_file("targets").is_none() {
        let base_url = read_base_url(section, provider);
        let api_keys =
            credentials::read(section, &Upstream { provider, base_url: &base_url, named });
        let target = provider.map(|provider| Target {
            base_url,
            api_keys,
            ..common.target(provider.as_str().to_owned(), provider)
        });
        return target.into_iter().collect();
    }
    // These lead somewhere, and no key may go where it was not meant to.
    for key in ["base_url"].into_iter().chain(credentials::KEYS) {
        if section.is_given(key) {
            section.conflict(key, "must stand in each of [[models.targets]]");
        }
        section.known.push(key);
    }
    let mut taken = Vec::new();
    let targets = section.sections("targets", |target| read_target(target, &common, &mut taken));
    let targets: Vec<_> = targets.into_iter().flatten().collect();
    if !targets.iter().any(|target| target.weight > 0) && section.is_sound("targets") {
        section.conflict("targets", "must hold at least one with a weight above 0");
    }
    targets
}

impl Common {
    fn read(section: &mut Section<'_>, default: &Self) -> Self {
        let upstream_model = kind::text("1 to 256 characters", |text| {
            (1..=256).contains(&text.chars().count()).then(|| text.to_owned())
        });
        let mut integer = |key, default, range| section.get(key, &kind::integer(range), default);
        let max_concurrency = integer("max_concurrency", default.max_concurrency, 1..=100_000);
        let max_line_bytes = integer("max_line_bytes", default.max_line_bytes, 1024..=67_108_864);
        let continues = section.get("continues", &kind::boolean(), default.continues);
        if continues && default.provider == Some(ProviderKind::Builtin) {
            section.conflict("continues", "the builtin model begins anew with every request");
        }
        Self {
            provider: default.provider,
            upstream_model: section.get(
                "upstream_model",
                &upstream_model,
                default.upstream_model.clone(),
            ),
            max_concurrency,
            max_line_bytes,
            abilities: Abilities::read(section, &default.abilities),
            price: Price::read(section, default.price),
            continues,
        }
    }

    fn target(self, name: String, provider: ProviderKind) -> Target {
        Target {
            name,
            provider,
            base_url: String::new(),
            upstream_model: self.upstream_model,
            api_keys: Vec::new(),
            max_concurrency: self.max_concurrency,
            weight: DEFAULT_WEIGHT,
            abilities: self.abilities,
            price: self.price,
            continues: self.continues,
            max_line_bytes: self.max_line_bytes,
        }
    }
}

fn read_target(
    section: &mut Section<'_>,
    common: &Common,
    taken: &mut Vec<String>,
) -> Option<Target> {
    let providers = kind::choice(&ProviderKind::ALL, ProviderKind::as_str);
    let provider = match common.provider {
        Some(provider) => Some(section.get("provider", &providers, provider)),
        None => section.required("provider", &providers),
    };
    let place = taken.len() + 1;
    let default = provider.map_or_else(String::new, |kind| format!("{}-{place}", kind.as_str()));
    let name = section.get("name", &kind::name(64, "._:/-"), default);
    if taken.contains(&name) {
        section.conflict("name", "must be unique: another target of this model has it too");
    }
    taken.push(name.clone());
    let weight = section.get("weight", &kind::integer(0..=1000), DEFAULT_WEIGHT);
    let base_url = read_base_url(section, provider);
    let upstream = Upstream { provider, base_url: &base_url, named: None };
    let api_keys = credentials::read(section, &upstream);
    let own = Common::read(section, &Common { provider, ..common.clone() });
    let target = own.target(name, provider?);
    Some(Target { base_url, api_keys, weight, ..target })
}

fn read_base_url(section: &mut Section<'_>, provider: Option<ProviderKind>) -> String {
    let kind = kind::base_url();
    match provider {
        Some(ProviderKind::Builtin) => {
            if section.optional("base_url", &kind).is_some() {
                section.conflict("base_url", "a builtin model has no upstream");
            }
            String::new()
        }
        Some(provider) => section.get("base_url", &kind, provider.default_base_url().to_owned()),
        None => section.optional("base_url", &kind).unwrap_or_default(),
    }
}

impl Abilities {
    fn read(section: &mut Section<'_>, default: &Self) -> Self {
        let length = kind::integer(1..=1_000_000_000);
        let context_length = section.optional("context_length", &length);
        let mut can = |key, default| section.get(key, &kind::boolean(), default);
        Self {
            context_length: context_length.or(default.context_length),
            tools: can("tools", default.tools),
            images: can("images", default.images),
            audio: can("audio", default.audio),
        }
    }
}

impl Price {
    fn read(section: &mut Section<'_>, default: Self) -> Self {
        let mut price = |key, default| section.get(key, &kind::price(), default);
        Self {
            input_micros: price("input_price", default.input_micros),
            output_micros: price("output_price", default.output_micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Secret};

    fn load(model: &str, targets: &[&str]) -> Result<Vec<Target>, String> {
        let targets = targets.iter().map(|keys| format!("[[models.targets]]\n{keys}\n"));
        let text = format!("[[models]]\nname = \"m\"\n{model}\n{}", targets.collect::<String>());
        let env = [("KEY".to_owned(), "secret".to_owned())];
        let loaded = Config::parse(&text, env).map_err(|faults| faults.to_string())?;
        Ok(loaded.config.models.into_iter().next().unwrap().targets)
    }

    #[test]
    fn a_model_without_targets_is_one_itself() {
        let targets =
            load("provider = \"vllm\"\nbase_url = \"http://a\"\ntools = false", &[]).unwrap();
        let [only] = targets.as_slice() else { panic!("{targets:?}") };
        assert_eq!((only.name.as_str(), only.base_url.as_str()), ("vllm", "http://a"));
        assert_eq!((only.upstream_model.as_str(), only.abilities.tools), ("m", false));
    }

    #[test]
    fn targets_share_what_the_model_says_and_may_say_otherwise() {
        let model = "provider = \"vllm\"\nmax_concurrency = 3\nupstream_model = \"u\"\n\
                     context_length = 100\ninput_price = 0.15\nimages = false";
        let own = "provider = \"ollama\"\nname = \"o\"\nmax_concurrency = 1\nimages = true\n\
                   api_key_env = \"KEY\"\nweight = 0\ncontext_length = 50";
        let targets = load(model, &["base_url = \"http://a\"", own]).unwrap();
        let told: Vec<_> = targets
            .iter()
            .map(|t| (t.name.as_str(), t.provider.as_str(), t.max_concurrency, t.weight))
            .collect();
        assert_eq!(told, [("vllm-1", "vllm", 3, 1), ("o", "ollama", 1, 0)]);
        let abilities: Vec<_> =
            targets.iter().map(|t| (t.abilities.context_length, t.abilities.images)).collect();
        assert_eq!(abilities, [(Some(100), false), (Some(50), true)]);
        assert!(targets.iter().all(|t| t.upstream_model == "u" && t.price.input_micros == 150_000));
        let keys = targets.iter().map(|t| t.api_keys.first().map(Secret::expose));
        assert_eq!(keys.collect::<Vec<_>>(), [None, Some("secret")]);
    }

    #[test]
    fn what_leads_somewhere_is_not_shared() {
        for key in ["base_url = \"http://a\"", "api_key = \"canary\"", "api_key_env = \"KEY\""] {
            let model = format!("provider = \"vllm\"\n{key}");
            let fault = load(&model, &["base_url = \"http://b\""]).unwrap_err();
            assert!(fault.contains("must stand in each of [[models.targets]]"), "{fault}");
            assert!(!fault.contains("canary"), "{fault}");
        }
    }

    #[test]
    fn faults_name_the_target() {
        for (targets, fault) in [
            (vec!["name = \"a\"", "name = \"a\""], "models[0].targets[1].name"),
            (vec!["name = \"a b\""], "models[0].targets[0].name"),
            (vec!["weight = 0"], "must hold at least one with a weight above 0"),
            (vec!["weigth = 2"], "did you mean `weight`?"),
            (vec!["provider = \"builtin\"\ncontinues = true"], "begins anew"),
        ] {
            let found = load("provider = \"vllm\"", &targets).unwrap_err();
            assert!(found.contains(fault), "{targets:?}: {found}");
        }
        let fault = load("", &["base_url = \"http://a\""]).unwrap_err();
        assert!(fault.starts_with("models[0].targets[0].provider"), "{fault}");
        assert!(load("targets = []\nprovider = \"vllm\"", &[]).is_err());
    }
}
