//! What a request becomes for each kind of upstream: one file each, with what goes in and all that
//! comes out.

use serde_json::{Value, json};
use tidegate_protocol::{Encoded, Failure, ollama, openai};

use super::{decode, folder, hold};

/// What an upstream is sent, or why it is not asked.
fn told(encoded: Result<Encoded, Failure>) -> Value {
    match encoded {
        Ok(encoded) => {
            let body: Value = serde_json::from_slice(&encoded.body).unwrap();
            json!({"body": body, "ignored": encoded.ignored})
        }
        Err(failure) => {
            let faults = failure.details.iter();
            let faults: Vec<_> =
                faults.map(|fault| format!("{}: {}", fault.field, fault.message)).collect();
            json!({"refused": faults})
        }
    }
}

#[test]
fn every_request_is_translated_as_its_file_says() {
    let mut files: Vec<_> = std::fs::read_dir(folder("requests")).unwrap().collect();
    assert!(files.len() >= 10, "{} files", files.len());
    for file in files.drain(..) {
        let path = file.unwrap().path();
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let asked = decode(&golden["request"])
            .unwrap_or_else(|failure| panic!("{}: {failure}", path.display()));
        let items: Vec<Value> =
            asked.items.iter().map(|item| serde_json::to_value(item.json()).unwrap()).collect();
        let found = json!({
            "request": golden["request"],
            "openai": told(openai::encode_request(&asked.request, "upstream", true)),
            "ollama": told(ollama::encode_request(&asked.request, "upstream")),
            "echo": serde_json::to_value(&asked.echo).unwrap(),
            "items": items,
        });
        hold(&path, &(serde_json::to_string_pretty(&found).unwrap() + "\n"));
    }
}
