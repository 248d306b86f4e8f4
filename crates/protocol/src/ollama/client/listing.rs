//! What there is: models, those at work, the version.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::Failure;
use crate::fields::{Faults, decode_body};

/// A model that never leaves: clients want to know when one does.
const NEVER: &str = "9999-12-31T23:59:59Z";

/// A model of the gateway.
#[derive(Debug, Clone)]
pub struct Listed {
    pub name: String,
    /// What the provider is called.
    pub family: String,
    /// Ollama's words for what it can do: `completion`, `embedding`.
    pub capabilities: Vec<&'static str>,
}

#[derive(Serialize)]
struct Models<T> {
    models: Vec<T>,
}

/// An entry of a list. The gateway has no file of the model: its size is told as 0, and its digest
/// is made of its name, so that clients can tell two models apart, and cut it as they do.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_at: Option<&'a str>,
    size: u64,
    digest: String,
    details: Details<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_vram: Option<u64>,
}

/// What is not known of a model is left empty.
#[derive(Serialize)]
struct Details<'a> {
    parent_model: &'static str,
    format: &'static str,
    family: &'a str,
    families: [&'a str; 1],
    parameter_size: &'static str,
    quantization_level: &'static str,
}

impl<'a> Details<'a> {
    fn of(model: &'a Listed) -> Self {
        Self {
            parent_model: "",
            format: "",
            family: &model.family,
            families: [&model.family],
            parameter_size: "",
            quantization_level: "",
        }
    }
}

fn entry(model: &Listed) -> Entry<'_> {
    Entry {
        name: &model.name,
        model: &model.name,
        modified_at: None,
        size: 0,
        digest: digest(&model.name),
        details: Details::of(model),
        expires_at: None,
        size_vram: None,
    }
}

/// 64 hexadecimal digits (FNV-1a, four times with other beginnings).
fn digest(name: &str) -> String {
    let hash = |seed: u64| {
        name.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    [0, 1, 2, 3].map(|seed| format!("{:016x}", hash(seed))).concat()
}

/// Strings and numbers only: there is nothing that could fail.
fn bytes_of(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

/// The answer to `GET /api/tags`.
#[must_use]
pub fn tags_body(models: &[Listed], modified_at: &str) -> Vec<u8> {
    let dated = |model| Entry { modified_at: Some(modified_at), ..entry(model) };
    bytes_of(&Models { models: models.iter().map(dated).collect() })
}

/// The answer to `GET /api/ps`.
#[must_use]
pub fn ps_body(models: &[Listed]) -> Vec<u8> {
    let running = |model| Entry { expires_at: Some(NEVER), size_vram: Some(0), ..entry(model) };
    bytes_of(&Models { models: models.iter().map(running).collect() })
}

#[derive(Serialize)]
struct Version<'a> {
    version: &'a str,
}

/// The answer to `GET /api/version`.
#[must_use]
pub fn version_body(version: &str) -> Vec<u8> {
    bytes_of(&Version { version })
}

/// The model that the body of `POST /api/show` asks about.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) when it names none.
pub fn decode_show(body: &[u8]) -> Result<String, Failure> {
    let mut faults = Faults::default();
    let fields = decode_body(body, &mut faults)?;
    // Ollama's own command sends an empty `model` beside the older `name`.
    let given = |name: &str| fields.get(name).filter(|value| value.get() != "\"\"");
    let name = given("model").or_else(|| given("name"));
    if name.is_none() {
        faults.add("model", "is required: a string");
    }
    let name = name.and_then(|value| faults.string("model", value));
    faults.into_result()?;
    Ok(name.unwrap_or_default())
}

/// What an Ollama says of a model, as far as it is passed on: nothing of its own files.
#[derive(Debug, Default, Deserialize)]
struct Upstream<'a> {
    #[serde(borrow)]
    details: Option<&'a RawValue>,
    #[serde(borrow)]
    model_info: Option<&'a RawValue>,
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Shown<'a> {
    modelfile: &'static str,
    parameters: &'static str,
    template: &'static str,
    details: Value<'a, Details<'a>>,
    /// `null` where nothing is known: Ollama's own command fails on an empty object, and its Python
    /// client without the field.
    model_info: Option<&'a RawValue>,
    capabilities: Value<'a, &'a [&'static str]>,
    modified_at: &'a str,
}

/// The upstream's word, or the gateway's.
#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a, T> {
    Upstream(&'a RawValue),
    Own(T),
}

/// The answer to `POST /api/show`; `upstream` is what an Ollama that serves the model says of it.
#[must_use]
pub fn show_body(model: &Listed, modified_at: &str, upstream: Option<&[u8]>) -> Vec<u8> {
    let said: Upstream<'_> =
        upstream.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    bytes_of(&Shown {
        modelfile: "",
        parameters: "",
        template: "",
        details: said.details.map_or_else(|| Value::Own(Details::of(model)), Value::Upstream),
        model_info: said.model_info,
        capabilities: said
            .capabilities
            .map_or(Value::Own(model.capabilities.as_slice()), Value::Upstream),
        modified_at,
    })
}
