//! Which other models may go on with a model's answer, or be asked beside it.

use std::time::Duration;

use super::kind;
use super::model_list::name_kind;
use super::models::Model;
use super::section::Section;

/// Who goes on with an answer that broke off.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// Names of models, in the order in which they are asked.
    pub on: Vec<String>,
    /// How many of them one answer may ask.
    pub most: usize,
    /// An answer is kept up to here, to be gone on with.
    pub max_bytes: usize,
    /// When an answer is too slow to be waited for, if ever.
    pub slow: Option<SlowGuard>,
}

/// When an answer is too slow, where another could go on with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowGuard {
    /// Fewer than so many are too few.
    pub tokens_per_second: f64,
    /// For so long.
    pub window: Duration,
}

impl Default for Continuation {
    fn default() -> Self {
        Self { on: Vec::new(), most: 2, max_bytes: 262_144, slow: None }
    }
}

impl Continuation {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            on: section.list("continue_on", &name_kind()),
            most: section.get("max_continuations", &kind::integer(1..=10), default.most),
            max_bytes: section.get(
                "continue_max_bytes",
                &kind::integer(1024..=16_777_216),
                default.max_bytes,
            ),
            slow: SlowGuard::read(section),
        }
    }
}

impl SlowGuard {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let rate = kind::number(0.0..=100_000.0);
        let tokens_per_second = section.get("min_tokens_per_second", &rate, 0.0);
        let window = Duration::from_secs(10);
        let window = section.get("slow_after_seconds", &kind::seconds(3600), window);
        (tokens_per_second > 0.0).then_some(Self { tokens_per_second, window })
    }
}

/// Who is asked too when the first token is late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hedging {
    /// The name of a model.
    pub on: Option<String>,
    /// Second requests for each hundred.
    pub percent: u32,
    /// Late is what comes after the p95 of so many answers, or more.
    pub min_samples: usize,
}

impl Default for Hedging {
    fn default() -> Self {
        Self { on: None, percent: 5, min_samples: 50 }
    }
}

impl Hedging {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            on: section.optional("hedge_on", &name_kind()),
            percent: section.get("hedge_percent", &kind::integer(1..=50), default.percent),
            min_samples: section.get(
                "hedge_min_samples",
                &kind::integer(10..=256),
                default.min_samples,
            ),
        }
    }
}

/// Checks that the models that others name are there, and can do what they are named for. With
/// faults among the models, the one that is meant may be missing here.
pub(super) fn check(root: &mut Section<'_>, models: &[Model]) {
    if !root.is_sound("models") {
        return;
    }
    for (index, model) in models.iter().enumerate() {
        let continued = model.continuation.on.iter().map(|name| ("continue_on", name));
        let hedged = model.hedging.on.iter().map(|name| ("hedge_on", name));
        for (key, name) in continued.chain(hedged) {
            if let Some(fault) = fault(key, name, model, models) {
                root.conflict(&format!("models[{index}].{key}"), fault);
            }
        }
        let names = &model.continuation.on;
        if names.iter().enumerate().any(|(at, name)| names.iter().take(at).any(|n| n == name)) {
            root.conflict(&format!("models[{index}].continue_on"), "names a model twice");
        }
    }
}

fn fault(key: &str, name: &str, model: &Model, models: &[Model]) -> Option<String> {
    let goes_on = |other: &Model| other.targets.iter().any(|target| target.continues);
    unfit(name, model, models).or_else(|| {
        let other = models.iter().find(|other| other.name == name)?;
        let lacks = key == "continue_on" && !goes_on(other);
        lacks.then(|| format!("{name} must be set to `continues = true`, if its server does"))
    })
}

/// Why the model called `name` cannot stand in for `model`, if it cannot.
pub(super) fn unfit(name: &str, model: &Model, models: &[Model]) -> Option<String> {
    let Some(other) = models.iter().find(|other| other.name == name) else {
        let names: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
        return Some(format!("must name configured models; there is: {}", names.join(", ")));
    };
    if other.name == model.name {
        return Some("must name other models: this is the model itself".to_owned());
    }
    (other.model_type != model.model_type).then(|| {
        let (own, its) = (model.model_type.as_str(), other.model_type.as_str());
        format!("must name models of its own type: this is for {own}, {name} for {its}")
    })
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn check(more: &str, others: &str) -> String {
        let text = format!(
            "[[models]]\nname = \"a\"\nprovider = \"vllm\"\n{more}\n\
             [[models]]\nname = \"b\"\nprovider = \"ollama\"\n{others}\n"
        );
        Config::parse(&text, []).map_or_else(|faults| faults.to_string(), |_| String::new())
    }

    #[test]
    fn a_model_that_others_name_must_be_fit_for_it() {
        let good = "continue_on = [\"b\"]\nhedge_on = \"b\"";
        assert_eq!(check(good, "continues = true"), "");
        for (more, others, fault) in [
            (good, "", "b must be set to `continues = true`"),
            ("continue_on = [\"c\"]", "", "must name configured models; there is: a, b"),
            ("continue_on = [\"a\"]\ncontinues = true", "", "this is the model itself"),
            ("hedge_on = \"a\"", "", "this is the model itself"),
            ("hedge_on = \"b\"", "type = \"embedding\"", "this is for chat, b for embedding"),
            ("continue_on = [\"b\", \"b\"]", "continues = true", "names a model twice"),
            ("hedge_percent = 51", "", "must be 1 to 50"),
        ] {
            let found = check(more, others);
            assert!(found.contains(fault), "{more} {others}: {found}");
            assert!(found.starts_with("models[0]."), "{found}");
        }
        let builtin = "[[models]]\nname = \"a\"\nprovider = \"builtin\"\ncontinues = true\n";
        assert!(Config::parse(builtin, []).is_err());
    }
}
