//! Vectors of either wire, as each dialect's clients read them.

use serde_json::{Value, json};
use tidegate_protocol::ollama::client::EmbedEncoder;
use tidegate_protocol::openai::VectorEncoder;
use tidegate_protocol::{Encoder, ollama, openai};

use crate::held::{folder, hold_all};
use crate::support::{ROOM, encode, finished, run_whole, wire};

#[test]
fn every_documented_vector_is_told_in_every_dialect() {
    hold_all(&folder("documented/vectors"), 3, |_, golden| {
        let body = golden["upstream"].to_string();
        let texts = usize::try_from(golden["texts"].as_u64().unwrap()).unwrap();
        let (seen, relayed) = match golden["wire"].as_str().unwrap() {
            "openai" => (
                run_whole(openai::VectorDecoder::new(ROOM, texts), body.as_bytes()),
                run_whole(openai::VectorDecoder::relay(ROOM), body.as_bytes()),
            ),
            _ => (
                run_whole(ollama::VectorDecoder::new(ROOM, texts), body.as_bytes()),
                run_whole(ollama::VectorDecoder::relay(ROOM), body.as_bytes()),
            ),
        };
        assert_eq!(relayed.frames, body, "passed on as it came");
        let told = |encoder: &mut dyn Encoder| -> Value {
            let written = encode(encoder, &seen.events, &finished(&seen.events));
            serde_json::from_str(&wire(&written)).unwrap()
        };
        let model = || "m".to_owned();
        json!({
            "wire": golden["wire"],
            "texts": golden["texts"],
            "upstream": golden["upstream"],
            "openai": told(&mut VectorEncoder::new(model(), false)),
            "openai, base64": told(&mut VectorEncoder::new(model(), true)),
            "ollama": told(&mut EmbedEncoder::new(model())),
            "ollama, older": told(&mut EmbedEncoder::older()),
        })
    });
}
