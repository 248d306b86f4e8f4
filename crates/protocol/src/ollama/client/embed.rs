//! The bodies of `POST /api/embed` and of the older `POST /api/embeddings`.

use crate::error::Failure;
use crate::fields::{Faults, Object, decode_body};
use crate::fit::Losses;
use crate::lookalikes;
use crate::original::{Form, Original};
use crate::request::{Embedding, Request, Task};
use crate::wishes::Wish;

/// What is understood.
const KNOWN: [&str; 4] = ["model", "input", "dimensions", "truncate"];
const INPUT: &str = "a string or a list of strings";

/// Reads and checks the body of `/api/embed`.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every fault there is.
pub fn decode_embed(body: &[u8]) -> Result<Request, Failure> {
    let mut faults = Faults::default();
    let fields = decode_body(body, &mut faults)?;
    lookalikes::refuse(&fields, &KNOWN, &mut faults);
    let dimensions = fields.get("dimensions");
    let embedding = Embedding {
        input: input(&fields, &mut faults),
        dimensions: dimensions
            .filter(|value| value.get() != "0")
            .and_then(|value| faults.integer("dimensions", value, 1..=u32::MAX)),
        truncate: faults.optional_boolean("", &fields, "truncate"),
        ..Embedding::default()
    };
    let mut losses = Losses::named_by(&[(Wish::CutTexts, "truncate")]);
    losses.unknown("", &fields, &KNOWN);
    let original = |fields| Some(Original::new(Form::OllamaEmbed, fields));
    finish(embedding, losses, fields, faults, original)
}

/// Reads and checks the body of `/api/embeddings`. Its answer has another shape, so that no
/// upstream is sent it as it is.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every fault there is.
pub fn decode_embeddings(body: &[u8]) -> Result<Request, Failure> {
    let mut faults = Faults::default();
    let fields = decode_body(body, &mut faults)?;
    let prompt = faults.required_string("", &fields, "prompt").unwrap_or_default();
    let embedding = Embedding { input: vec![prompt], ..Embedding::default() };
    let mut losses = Losses::default();
    losses.unknown("", &fields, &["model", "prompt"]);
    finish(embedding, losses, fields, faults, |_| None)
}

fn finish(
    embedding: Embedding,
    losses: Losses,
    fields: Object,
    mut faults: Faults,
    original: impl FnOnce(Object) -> Option<Original>,
) -> Result<Request, Failure> {
    let model = faults.model(&fields);
    faults.into_result()?;
    let task = Task::Embedding(embedding);
    Ok(Request { model, task, losses, original: original(fields), ..Request::default() })
}

fn input(fields: &Object, faults: &mut Faults) -> Vec<String> {
    let Some(value) = faults.required("", fields, "input", INPUT) else { return Vec::new() };
    if value.get().starts_with('"') {
        return faults.string("input", value).into_iter().collect();
    }
    faults.not_empty("input", value, "text");
    faults.read("input", value, INPUT).unwrap_or_default()
}
