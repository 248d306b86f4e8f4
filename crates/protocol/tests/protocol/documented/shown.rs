//! What an Ollama says of a model, and what clients are told of it.

use serde_json::{Value, json};
use tidegate_protocol::ollama::client::listing::{Listed, show_body};
use tidegate_protocol::ollama::{decode_capabilities, decode_goes_on};

use crate::held::{folder, hold_all};

#[test]
fn every_documented_model_is_shown() {
    hold_all(&folder("documented/shown"), 1, |_, golden| {
        let body = golden["upstream"].to_string();
        let model = Listed {
            name: "m".to_owned(),
            family: "ollama".to_owned(),
            capabilities: vec!["completion"],
        };
        let told = show_body(&model, "2026-11-23T03:17:09Z", Some(body.as_bytes()));
        json!({
            "upstream": golden["upstream"],
            "told": serde_json::from_slice::<Value>(&told).unwrap(),
            "capabilities": decode_capabilities(body.as_bytes()).unwrap(),
            "goes on": decode_goes_on(body.as_bytes()).unwrap(),
        })
    });
}
