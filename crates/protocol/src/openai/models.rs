//! The list of models.

use serde::Serialize;

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
