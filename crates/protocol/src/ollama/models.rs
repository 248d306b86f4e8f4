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
    #[serde(default)]
    template: String,
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

/// What a template must name to know the last message from the others.
const LAST: [&str; 3] = ["$last", "slice $.Messages", "slice .Messages"];

/// Whether the model described in the answer to `POST /api/show` can go on with a trailing assistant
/// message. A template that does not know which message is the last closes all of them, and has the
/// model answer anew. One of the older kind, without messages, is cut by Ollama itself behind what
/// the assistant said.
///
/// # Errors
/// [`ErrorKind::UpstreamProtocol`] when it is no such answer.
pub fn decode_goes_on(body: &[u8]) -> Result<bool, Failure> {
    let Shown { template, .. } =
        serde_json::from_slice(body).map_err(|_| not_understood("description of a model"))?;
    Ok(!template.contains(".Messages") || LAST.iter().any(|name| template.contains(name)))
}

fn not_understood(what: &str) -> Failure {
    Failure::new(ErrorKind::UpstreamProtocol, format!("the upstream's {what} is not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_closes_every_message_does_not_go_on() {
        for (template, goes_on) in [
            (
                "{{ range .Messages }}<|im_start|>{{ .Role }}{{ .Content }}<|im_end|>{{ end }}",
                false,
            ),
            (
                "{{- range $i, $_ := .Messages }}{{- $last := eq (len (slice $.Messages $i)) 1 }}\
                 {{ .Content }}{{ if not $last }}<|eot_id|>{{ end }}{{ end }}",
                true,
            ),
            ("[INST] {{ .Prompt }} [/INST] {{ .Response }}</s>", true),
        ] {
            let body = serde_json::json!({ "template": template }).to_string();
            assert_eq!(decode_goes_on(body.as_bytes()), Ok(goes_on), "{template}");
        }
        assert!(decode_goes_on(b"[").is_err());
    }
}
