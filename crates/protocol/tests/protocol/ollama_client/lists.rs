//! Lists of models, and what is said of one.

use serde_json::{Value, json};
use tidegate_protocol::ollama::client::listing::{
    Listed, decode_show, ps_body, show_body, tags_body, version_body,
};

const STARTED: &str = "2026-11-23T03:17:09.000000000Z";

fn model(name: &str) -> Listed {
    Listed { name: name.to_owned(), family: "vllm".to_owned(), capabilities: vec!["completion"] }
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[test]
fn entries_have_what_clients_look_for() {
    let tags = parsed(&tags_body(&[model("a"), model("b")], STARTED));
    let one = &tags["models"][0];
    let details = json!({"parent_model": "", "format": "", "family": "vllm", "families": ["vllm"],
                         "parameter_size": "", "quantization_level": ""});
    assert_eq!((&one["name"], &one["model"], &one["size"]), (&json!("a"), &json!("a"), &json!(0)));
    assert_eq!((&one["modified_at"], &one["details"]), (&json!(STARTED), &details));
    // `ollama list` cuts it to twelve digits, and fails on less.
    let digest = one["digest"].as_str().unwrap();
    assert!(digest.len() == 64 && digest.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert_ne!(
        one["digest"].as_str().map(|digest| &digest[..12]),
        tags["models"][1]["digest"].as_str().map(|digest| &digest[..12])
    );
    assert_eq!(parsed(&tags_body(&[], STARTED)), json!({"models": []}));

    let running = parsed(&ps_body(&[model("a")]));
    let one = &running["models"][0];
    assert_eq!(
        (&one["expires_at"], &one["size_vram"]),
        (&json!("9999-12-31T23:59:59Z"), &json!(0))
    );
    assert_eq!(parsed(&version_body("0.1.0")), json!({"version": "0.1.0"}));
}

#[test]
fn a_model_is_shown_as_its_ollama_knows_it_but_for_that_ones_files() {
    let own = parsed(&show_body(&model("a"), STARTED, None));
    assert_eq!(own["capabilities"], json!(["completion"]));
    assert_eq!((&own["model_info"], &own["details"]["family"]), (&Value::Null, &json!("vllm")));
    let upstream = json!({
        "modelfile": "FROM /root/secret", "license": "L", "details": {"family": "llama"},
        "model_info": {"general.architecture": "llama"}, "capabilities": ["completion", "tools"],
    });
    let shown = parsed(&show_body(&model("a"), STARTED, Some(upstream.to_string().as_bytes())));
    assert_eq!(shown["capabilities"], json!(["completion", "tools"]));
    assert_eq!(shown["model_info"], json!({"general.architecture": "llama"}));
    assert_eq!(shown["details"], json!({"family": "llama"}));
    assert!(!shown.to_string().contains("secret"));
    let garbage = parsed(&show_body(&model("a"), STARTED, Some(b"<html>")));
    assert_eq!(garbage, own);
}

#[test]
fn a_model_is_asked_about_by_either_name() {
    let asked = |body: Value| decode_show(body.to_string().as_bytes());
    assert_eq!(asked(json!({"model": "a"})).unwrap(), "a");
    assert_eq!(asked(json!({"name": "b", "verbose": true})).unwrap(), "b");
    let of_the_command = json!({"model": "", "system": "", "options": null, "name": "b"});
    assert_eq!(asked(of_the_command).unwrap(), "b");
    assert_eq!(asked(json!({"model": ""})).unwrap_err().details[0].field, "model");
    assert_eq!(asked(json!({})).unwrap_err().details[0].field, "model");
}
