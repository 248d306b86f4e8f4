//! A client's body for embeddings, checked field by field.

use super::common::Texts;
use crate::error::Failure;
use crate::fields::{Faults, Object, decode_body};
use crate::fit::Losses;
use crate::lookalikes;
use crate::original::{Form, Original};
use crate::request::{Embedding, Request, Task};
use crate::wishes::Wish;

/// The fields that decide what is asked of the upstream.
const DECISIVE: [&str; 4] = ["model", "input", "encoding_format", "dimensions"];

/// Reads and checks the body of `POST /v1/embeddings`.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every fault there is.
pub fn decode_embedding(body: &[u8]) -> Result<Request, Failure> {
    let mut faults = Faults::default();
    let fields = decode_body(body, &mut faults)?;
    let mut losses = Losses::named_by(&[(Wish::User, "user")]);
    lookalikes::refuse(&fields, &DECISIVE, &mut faults);
    let dimensions = fields.get("dimensions");
    let embedding = Embedding {
        input: input(&fields, &mut faults, &mut losses),
        dimensions: dimensions.and_then(|value| faults.integer("dimensions", value, 1..=u32::MAX)),
        base64: wants_base64(&fields, &mut faults, &mut losses),
        // In this dialect a text that is too long is an error.
        truncate: Some(false),
        user: faults.optional_string("", &fields, "user"),
    };
    losses.unknown("", &fields, &["model", "input", "encoding_format", "dimensions", "user"]);
    let request = Request {
        model: faults.model(&fields),
        task: Task::Embedding(embedding),
        ..Request::default()
    };
    faults.into_result()?;
    let original = Original::new(Form::OpenAiEmbedding, fields);
    Ok(Request { losses, original: Some(original), ..request })
}

fn input(fields: &Object, faults: &mut Faults, losses: &mut Losses) -> Vec<String> {
    let value = faults.required("", fields, "input", Texts::ALLOWED);
    match value.and_then(|value| Texts::read("input", value, faults)) {
        Some(Texts::Plain(texts)) => texts,
        Some(Texts::Tokens(_)) => {
            losses.refuse("input", Texts::TOKENS);
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Some servers know further formats, which only they can be asked for.
fn wants_base64(fields: &Object, faults: &mut Faults, losses: &mut Losses) -> bool {
    let format = fields.get("encoding_format");
    match format.and_then(|value| faults.string("encoding_format", value)).as_deref() {
        Some("base64") => true,
        None | Some("float") => false,
        Some(_) => {
            losses.refuse("encoding_format", "must be \"float\" or \"base64\"");
            false
        }
    }
}
