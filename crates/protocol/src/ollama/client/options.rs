//! What the bodies have in common: the model, `stream`, `options`, `format`, `think`.

use serde_json::value::RawValue;

use crate::chat::{Reasoning, ResponseFormat, Sampling};
use crate::fields::{Faults, Object, join};
use crate::fit::Losses;

/// The options that every upstream has a word for. The others tell a server of llama.cpp's kind
/// how to run the model.
const CARRIED: [&str; 9] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "num_predict",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
];

/// Ollama streams unless told not to.
pub(super) fn stream(fields: &Object, faults: &mut Faults) -> bool {
    faults.optional_boolean("", fields, "stream").unwrap_or(true)
}

pub(super) fn text(name: &str, fields: &Object, faults: &mut Faults) -> String {
    faults.optional_string("", fields, name).unwrap_or_default()
}

/// How long the model stays loaded is not the gateway's to say, but that it should go at once is
/// more than a hint where nothing else is asked.
pub(super) fn keep_alive(fields: &Object, loads: bool, losses: &mut Losses) {
    let Some(value) = fields.get("keep_alive") else { return };
    let amount = value.get().trim_matches('"').trim_end_matches(['s', 'm', 'h']);
    if loads && amount.parse() == Ok(0.0_f64) {
        losses.refuse("keep_alive", "this model's upstream does not unload models on request");
    } else {
        losses.ignore("keep_alive");
    }
}

/// Refuses fields without which the answer would be another one. `false`, `""`, `[]` and 0 ask for
/// nothing.
pub(super) fn refuse(names: &[&str], fields: &Object, losses: &mut Losses) {
    for name in names {
        let asked = fields.get(name).map_or("false", RawValue::get);
        if !matches!(asked, "false" | "\"\"" | "[]" | "0") {
            losses.refuse(*name, "only Ollama understands it, which this model's upstream is not");
        }
    }
}

pub(super) fn sampling(fields: &Object, faults: &mut Faults, losses: &mut Losses) -> Sampling {
    let Some(value) = fields.get("options") else { return Sampling::default() };
    let Some(options) = faults.read::<Object>("options", value, "an object") else {
        return Sampling::default();
    };
    losses.unknown("options", &options, &CARRIED);
    let mut reader = Reader { options: &options, faults };
    let max_tokens = reader.whole("num_predict");
    if max_tokens == Some(0) {
        losses.refuse("options.num_predict", "must not be 0 for this model's upstream");
    }
    Sampling {
        temperature: reader.number("temperature"),
        top_p: reader.number("top_p"),
        min_p: reader.number("min_p"),
        // Below zero, both mean that there is no limit.
        top_k: reader.whole("top_k").and_then(|count| u32::try_from(count).ok()),
        max_tokens: max_tokens.and_then(|count| u32::try_from(count).ok()),
        stop: reader.stop(),
        seed: reader.whole("seed"),
        presence_penalty: reader.number("presence_penalty"),
        frequency_penalty: reader.number("frequency_penalty"),
    }
}

struct Reader<'a> {
    options: &'a Object,
    faults: &'a mut Faults,
}

impl Reader<'_> {
    fn number(&mut self, name: &str) -> Option<f64> {
        let value = self.options.get(name)?;
        self.faults.read(&join("options", name), value, "a number")
    }

    /// Ollama reads all numbers as floats, and clients write them so.
    fn whole(&mut self, name: &str) -> Option<i64> {
        let text = self.options.get(name)?.get();
        let number = text.parse().ok().or_else(|| {
            let float = text.parse::<f64>().ok().filter(|float| float.fract() == 0.0)?;
            format!("{float:.0}").parse().ok()
        });
        if number.is_none() {
            self.faults.add(join("options", name), "must be a whole number");
        }
        number
    }

    fn stop(&mut self) -> Vec<String> {
        let Some(value) = self.options.get("stop") else { return Vec::new() };
        if value.get().starts_with('"') {
            return self.faults.string("options.stop", value).into_iter().collect();
        }
        let allowed = "a string or a list of strings";
        self.faults.read("options.stop", value, allowed).unwrap_or_default()
    }
}

const FORMAT: &str = "\"json\" or a JSON schema";

pub(super) fn format(fields: &Object, faults: &mut Faults) -> Option<ResponseFormat> {
    let value = fields.get("format")?;
    match value.get() {
        "\"\"" => None,
        "\"json\"" => Some(ResponseFormat::Json),
        text if text.starts_with('{') => Some(ResponseFormat::Schema {
            // OpenAI wants a name; here there is none.
            name: "response".to_owned(),
            description: None,
            schema: RawValue::to_owned(value),
            strict: None,
        }),
        _ => {
            faults.add("format", format!("must be {FORMAT}"));
            None
        }
    }
}

const THINK: &str = "true, false, \"low\", \"medium\", \"high\" or \"max\"";

pub(super) fn think(fields: &Object, faults: &mut Faults) -> Option<Reasoning> {
    Some(match fields.get("think")?.get() {
        "true" => Reasoning::On,
        "false" => Reasoning::Off,
        text @ ("\"low\"" | "\"medium\"" | "\"high\"" | "\"max\"") => {
            Reasoning::Effort(text.trim_matches('"').to_owned())
        }
        _ => {
            faults.add("think", format!("must be {THINK}"));
            return None;
        }
    })
}
