//! How many tokens a prompt has, by the word of those who will read it: nothing is guessed here.

use bytes::Bytes;
use tidegate_protocol::{ErrorKind, Failure, Part, Request, openai};

use super::client::Target;

/// A prompt with its template, or the list of its tokens, is read up to here.
const REPLY_BYTES: usize = 16 * 1024 * 1024;

/// llama.cpp: puts the chat's own body into the model's template, and tokenizes what comes out.
pub async fn by_template(target: &Target, request: &Request) -> Result<u64, Failure> {
    let body = prompt_body(target, request)?;
    let prompt = match target.post_at_root("/apply-template", body, REPLY_BYTES).await {
        Ok(reply) => openai::decode_prompt(&reply),
        Err(failure) => Err(failure),
    };
    let prompt = prompt.map_err(unless_unknown)?;
    let body = Bytes::from(openai::encode_tokenize(&prompt));
    let reply = target.post_at_root("/tokenize", body, REPLY_BYTES).await;
    openai::decode_token_count(&reply.map_err(unless_unknown)?)
}

/// vLLM: takes messages and tools as a chat does, and counts.
pub async fn by_messages(target: &Target, request: &Request) -> Result<u64, Failure> {
    let body = prompt_body(target, request)?;
    let reply = target.post_at_root("/tokenize", body, REPLY_BYTES).await;
    openai::decode_token_count(&reply.map_err(unless_unknown)?)
}

/// The body of the chat itself.
fn prompt_body(target: &Target, request: &Request) -> Result<Bytes, Failure> {
    let encoded = openai::encode_request(request, &target.upstream_model, false)?;
    let messages = request.chat().map(|chat| chat.messages.as_slice()).unwrap_or_default();
    let mut parts = messages.iter().flat_map(|message| &message.content);
    if parts.any(|part| matches!(part, Part::Image(_) | Part::Audio { .. })) {
        let message = "images and sound cannot be counted: only the model turns them into tokens";
        return Err(Failure::new(ErrorKind::InvalidRequest, message));
    }
    Ok(Bytes::from(encoded.body))
}

/// A server without such an endpoint says so, or sends something else altogether.
fn unless_unknown(failure: Failure) -> Failure {
    match failure.kind {
        ErrorKind::UpstreamNotFound | ErrorKind::UpstreamProtocol => cannot_count(),
        _ => failure,
    }
}

/// What is said where nobody can count.
pub fn cannot_count() -> Failure {
    let message = "this model's upstream cannot count tokens; every answer reports its usage";
    Failure::new(ErrorKind::InvalidRequest, message)
}
