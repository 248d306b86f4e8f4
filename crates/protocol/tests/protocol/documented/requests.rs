//! Requests: each is taken by its own dialect.

use serde_json::json;
use tidegate_protocol::ollama::client;
use tidegate_protocol::{Failure, Request, StreamId, anthropic, openai, responses};

use crate::held::{folder, hold_all, targets};

type Decode = fn(&[u8]) -> Result<Request, Failure>;

const ENDPOINTS: [(&str, Decode); 10] = [
    ("openai-chat", openai::decode_request),
    ("openai-completion", openai::decode_completion),
    ("openai-embedding", openai::decode_embedding),
    ("responses", response),
    ("anthropic", anthropic::decode_request),
    ("anthropic-count", anthropic::decode_count_request),
    ("ollama-chat", client::decode_chat),
    ("ollama-generate", client::decode_generate),
    ("ollama-embed", client::decode_embed),
    ("ollama-embeddings", client::decode_embeddings),
];

fn response(body: &[u8]) -> Result<Request, Failure> {
    let unknown = |_: &str| Err("is not known".to_owned());
    responses::decode_request(body, StreamId::new(0, 1), unknown).map(|asked| asked.request)
}

#[test]
fn every_documented_request_is_taken() {
    for (endpoint, decode) in ENDPOINTS {
        let folder = folder("documented/requests").join(endpoint);
        hold_all(&folder, 1, |path, golden| {
            let request = decode(golden["request"].to_string().as_bytes())
                .unwrap_or_else(|failure| panic!("{}: {failure:?}", path.display()));
            let [openai, ollama] = targets(&request);
            json!({"request": golden["request"], "openai": openai, "ollama": ollama})
        });
    }
}
