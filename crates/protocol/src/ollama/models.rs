//! What an Ollama has to offer.

use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, Failure};

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

/// The names in the answer to `GET /api/tags`, in its order.
///
/// # Errors
/// [`ErrorKind::UpstreamProtocol`] when it is no such list.
pub fn decode_tags(body: &[u8]) -> Result<Vec<String>, Failure> {
    let tags: Tags = serde_json::from_slice(body).map_err(|_| not_understood("list of models"))?;
    Ok(tags.models.into_iter().map(|model| model.name).collect())
}

#[derive(Serialize)]
struct Show<'a> {
    model: &'a str,
}

/// The body of `POST /api/show`.
#[must_use]
pub fn encode_show(model: &str) -> Vec<u8> {
    // One string: there is nothing that could fail.
    serde_json::to_vec(&Show { model }).unwrap_or_default()
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    capabilities: Vec<String>,
}

/// The words in the answer to `POST /api/show` that say what a model can do; none from servers
/// too old to say.
///
/// # Errors
/// [`ErrorKind::UpstreamProtocol`] when it is no such answer.
pub fn decode_capabilities(body: &[u8]) -> Result<Vec<String>, Failure> {
    let shown: Shown =
        serde_json::from_slice(body).map_err(|_| not_understood("description of a model"))?;
    Ok(shown.capabilities)
}

fn not_understood(what: &str) -> Failure {
    Failure::new(ErrorKind::UpstreamProtocol, format!("the upstream's {what} is not understood"))
}
