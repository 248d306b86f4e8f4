//! Lists of models: the gateway's own, and an upstream's.

use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, Failure};

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

/// The body of `GET /v1/models`, of pairs of a model's name and who provides it.
#[must_use]
pub fn models_body(names: &[(String, String)], created: u64) -> Vec<u8> {
    let data = names
        .iter()
        .map(|(id, owned_by)| Model { id, object: "model", created, owned_by })
        .collect();
    // Strings and numbers only: there is nothing that could fail.
    serde_json::to_vec(&List { object: "list", data }).unwrap_or_default()
}

/// The body of `GET /v1/models/{model}`.
#[must_use]
pub fn model_body(id: &str, owned_by: &str, created: u64) -> Vec<u8> {
    // Strings and numbers only: there is nothing that could fail.
    serde_json::to_vec(&Model { id, object: "model", created, owned_by }).unwrap_or_default()
}

#[derive(Deserialize)]
struct UpstreamList {
    data: Vec<UpstreamModel>,
}

#[derive(Deserialize)]
struct UpstreamModel {
    id: String,
}

/// The names in an upstream's answer to `GET /v1/models`.
///
/// # Errors
/// [`ErrorKind::UpstreamProtocol`] when it is no such list.
pub fn decode_models(body: &[u8]) -> Result<Vec<String>, Failure> {
    let list: UpstreamList = serde_json::from_slice(body).map_err(|_| {
        Failure::new(ErrorKind::UpstreamProtocol, "the upstream's list of models is not understood")
    })?;
    Ok(list.data.into_iter().map(|model| model.id).collect())
}
