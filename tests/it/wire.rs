//! What the scripted upstream says: heads, tokens and answers on each wire.

use crate::upstream::Step;

/// A whole response with a body of known length.
pub fn whole(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Test\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A refusal with further header lines, each ending in CRLF.
pub fn refusal(status: u16, headers: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    vec![Step::Raw(
        format!(
            "HTTP/1.1 {status} Test\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes(),
    )]
}

/// The head of an event stream.
pub fn sse_head() -> Step {
    chunked_head("text/event-stream")
}

/// The head of an NDJSON body.
pub fn ndjson_head() -> Step {
    chunked_head("application/x-ndjson")
}

fn chunked_head(content_type: &str) -> Step {
    let chunked = "Transfer-Encoding: chunked";
    Step::Raw(
        format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{chunked}\r\n\r\n").into(),
    )
}

/// One token as OpenAI's wire carries it.
pub fn openai_token(text: &str) -> Step {
    let data = serde_json::json!({
        "id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "test",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
    });
    Step::Chunk(format!("data: {data}\n\n").into_bytes())
}

/// Finish reason, usage and end mark, and the end of the body.
pub fn openai_end(prompt_tokens: u64, completion_tokens: u64) -> Vec<Step> {
    let total = prompt_tokens + completion_tokens;
    let base = r#""id":"chatcmpl-up","object":"chat.completion.chunk","created":1,"model":"test""#;
    let frames = [
        format!(
            r#"data: {{{base},"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}]}}"#
        ),
        format!(
            r#"data: {{{base},"choices":[],"usage":{{"prompt_tokens":{prompt_tokens},"completion_tokens":{completion_tokens},"total_tokens":{total}}}}}"#
        ),
        "data: [DONE]".to_owned(),
    ];
    let mut steps: Vec<_> =
        frames.iter().map(|frame| Step::Chunk(format!("{frame}\n\n").into_bytes())).collect();
    steps.push(Step::EndOfBody);
    steps
}

/// A whole streamed answer on OpenAI's wire.
pub fn openai_answer(tokens: &[&str]) -> Vec<Step> {
    let mut steps = vec![sse_head()];
    steps.extend(tokens.iter().map(|token| openai_token(token)));
    steps.extend(openai_end(7, tokens.len() as u64));
    steps
}

/// One token as Ollama's wire carries it.
pub fn ollama_token(text: &str) -> Step {
    let line = serde_json::json!({
        "model": "test", "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": text}, "done": false,
    });
    Step::Chunk(format!("{line}\n").into_bytes())
}

/// A template that knows the last message from the others.
pub const TEMPLATE: &str =
    "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}";

/// What Ollama says of a model with this template.
pub fn ollama_shown(template: &str) -> Vec<Step> {
    let shown = serde_json::json!({ "template": template, "capabilities": ["completion"] });
    vec![Step::Raw(whole(200, "application/json", &shown.to_string()))]
}

/// A whole streamed answer on Ollama's wire.
pub fn ollama_answer(tokens: &[&str]) -> Vec<Step> {
    let mut steps = vec![ndjson_head()];
    steps.extend(tokens.iter().map(|token| ollama_token(token)));
    let end = serde_json::json!({
        "model": "test", "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop",
        "total_duration": 5, "prompt_eval_count": 7, "eval_count": tokens.len(),
    });
    steps.push(Step::Chunk(format!("{end}\n").into_bytes()));
    steps.push(Step::EndOfBody);
    steps
}
