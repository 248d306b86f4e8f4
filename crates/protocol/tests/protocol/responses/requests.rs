//! What a request becomes for each kind of upstream: one file each, with what goes in and all that
//! comes out.

use serde_json::{Value, json};

use super::decode;
use crate::held::{folder, hold_all, targets};

#[test]
fn every_request_is_translated_as_its_file_says() {
    hold_all(&folder("responses/requests"), 10, |path, golden| {
        let asked = decode(&golden["request"])
            .unwrap_or_else(|failure| panic!("{}: {failure}", path.display()));
        let items: Vec<Value> =
            asked.items.iter().map(|item| serde_json::to_value(item.json()).unwrap()).collect();
        let [openai, ollama] = targets(&asked.request);
        json!({
            "request": golden["request"],
            "openai": openai,
            "ollama": ollama,
            "echo": serde_json::to_value(&asked.echo).unwrap(),
            "items": items,
        })
    });
}
