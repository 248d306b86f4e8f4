//! What a request becomes for each kind of upstream: one file each, with what goes in and all that
//! comes out.

use serde_json::json;
use tidegate_protocol::anthropic;

use crate::held::{folder, hold_all, targets};

#[test]
fn every_request_is_translated_as_its_file_says() {
    hold_all(&folder("anthropic/requests"), 8, |path, golden| {
        let request = anthropic::decode_request(golden["request"].to_string().as_bytes())
            .unwrap_or_else(|failure| panic!("{}: {failure}", path.display()));
        let [openai, ollama] = targets(&request);
        json!({"request": golden["request"], "openai": openai, "ollama": ollama})
    });
}
