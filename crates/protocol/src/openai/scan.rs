//! The little that a relayed frame is asked for.
//!
//! An ordinary token frame is recognised by a few searches and never parsed.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::errors;
use super::frame;
use crate::error::Failure;
use crate::event::{FinishReason, Usage};

/// What a frame that is not ordinary says.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub error: Option<Failure>,
    /// The choices that the frame finishes, by index.
    pub finished: Vec<(u32, FinishReason)>,
    pub usage: Option<Usage>,
    pub has_piece: bool,
    /// It reports usage and holds no choice: the frame that only comes when it was asked for.
    pub is_usage_only: bool,
}

impl Scanned {
    /// # Errors
    /// [`ErrorKind::UpstreamProtocol`](crate::ErrorKind::UpstreamProtocol) when it cannot be
    /// understood.
    pub fn of(json: &str) -> Result<Self, Failure> {
        let chunk: Chunk<'_> = serde_json::from_str(json).map_err(|_| frame::malformed())?;
        let choices = chunk.choices.unwrap_or_default();
        let usage = chunk.usage.and_then(frame::usage);
        let finished =
            |choice: &Choice| Some((choice.index, frame::finish(choice.finish_reason.as_deref())?));
        let has_piece = |choice: &Choice| choice.delta.as_ref().is_some_and(Delta::has_piece);
        Ok(Self {
            error: chunk.error.map(errors::decode_error_value),
            finished: choices.iter().filter_map(finished).collect(),
            usage,
            has_piece: choices.iter().any(has_piece),
            is_usage_only: usage.is_some() && choices.is_empty(),
        })
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    choices: Option<Vec<Choice>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    finish_reason: Option<String>,
    delta: Option<Delta>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<IgnoredAny>,
    reasoning_content: Option<IgnoredAny>,
    reasoning: Option<IgnoredAny>,
    tool_calls: Option<IgnoredAny>,
}

impl Delta {
    fn has_piece(&self) -> bool {
        let fields = [&self.content, &self.reasoning_content, &self.reasoning, &self.tool_calls];
        fields.iter().any(|field| field.is_some())
    }
}

static FINISH_REASON: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(br#""finish_reason""#));
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""usage""#));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""error""#));

/// Whether a frame says nothing but a piece of the answer, told without parsing it.
///
/// No text can pass for one of these keys: inside a JSON string a quote is escaped. A value that
/// is spelt like a key only costs a parse.
pub(super) fn is_ordinary(json: &[u8]) -> bool {
    let mut reasons = FINISH_REASON.find_iter(json);
    let Some(reason) = reasons.next() else { return false };
    json.ends_with(b"}")
        && is_null(json, reason + FINISH_REASON.needle().len())
        && reasons.next().is_none()
        && USAGE.find_iter(json).all(|at| is_null(json, at + USAGE.needle().len()))
        && ERROR.find(json).is_none()
}

/// Whether `null` is the value of the key that ends at `at`.
fn is_null(json: &[u8], at: usize) -> bool {
    let rest = json.get(at..).unwrap_or_default().trim_ascii_start();
    rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str =
        r#"{"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}"#;

    #[test]
    fn an_ordinary_frame_is_told_without_parsing() {
        assert!(is_ordinary(TOKEN.as_bytes()));
        assert!(is_ordinary(TOKEN.replace(":null", " : null").as_bytes()));
        assert!(is_ordinary(TOKEN.replace("]}", "],\"usage\":null}").as_bytes()));
    }

    #[test]
    fn whatever_must_be_known_is_not_ordinary() {
        for other in [
            TOKEN.replace("null", "\"stop\""),
            TOKEN.replace("]}", "],\"usage\":{\"prompt_tokens\":1}}"),
            TOKEN.replace("]}", "],\"error\":{}}"),
            TOKEN.replace("]}", ",{\"index\":1,\"finish_reason\":\"stop\"}]}"),
            TOKEN.replace(",\"finish_reason\":null", ""),
            TOKEN[..TOKEN.len() - 1].to_owned(),
        ] {
            assert!(!is_ordinary(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn content_cannot_pass_for_a_key() {
        let content = serde_json::to_string(r#"{"finish_reason":"stop","usage":{},"error":1}"#);
        let quoting = TOKEN.replace("\"hi\"", &content.unwrap_or_default());
        assert!(is_ordinary(quoting.as_bytes()), "{quoting}");
        let finished = quoting.replace("null", "\"length\"");
        assert!(!is_ordinary(finished.as_bytes()), "{finished}");
    }
}
