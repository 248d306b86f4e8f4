//! Counting the tokens of a prompt: what llama.cpp and vLLM offer beside OpenAI's API.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::whole_body::malformed;

#[derive(Deserialize)]
struct Templated {
    prompt: String,
}

/// The prompt as llama.cpp's `/apply-template` gives it: the one that a chat with the same body
/// would be answered from.
///
/// # Errors
/// [`ErrorKind::UpstreamProtocol`](crate::ErrorKind::UpstreamProtocol) when there is none.
pub fn decode_prompt(body: &[u8]) -> Result<String, Failure> {
    let templated: Templated = serde_json::from_slice(body).map_err(|_| malformed())?;
    Ok(templated.prompt)
}

#[derive(Serialize)]
struct Tokenize<'a> {
    content: &'a str,
    add_special: bool,
    parse_special: bool,
}

/// The body of llama.cpp's `/tokenize`: the prompt is read as that of a chat is.
#[must_use]
pub fn encode_tokenize(prompt: &str) -> Vec<u8> {
    let body = Tokenize { content: prompt, add_special: true, parse_special: true };
    // Strings and flags only: there is nothing that could fail.
    serde_json::to_vec(&body).unwrap_or_default()
}

#[derive(Deserialize)]
struct Tokens {
    /// vLLM counts; llama.cpp only lists.
    count: Option<u64>,
    tokens: Option<Vec<IgnoredAny>>,
}

/// How many tokens the answer of a `/tokenize` counts or lists.
///
/// # Errors
/// [`ErrorKind::UpstreamProtocol`](crate::ErrorKind::UpstreamProtocol) when it does neither.
pub fn decode_token_count(body: &[u8]) -> Result<u64, Failure> {
    let Tokens { count, tokens } = serde_json::from_slice(body).map_err(|_| malformed())?;
    count.or_else(|| Some(tokens?.len() as u64)).ok_or_else(malformed)
}
