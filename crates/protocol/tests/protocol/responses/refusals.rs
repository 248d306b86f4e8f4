//! What is refused, whatever stands behind the gateway, and every fault at once.

use serde_json::{Value, json};
use tidegate_protocol::responses::Asked;
use tidegate_protocol::{ErrorKind, ollama, openai};

use super::{decode, decode_after};

fn with(more: &Value) -> Value {
    let mut body = json!({"input": "hi"});
    let fields = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body
}

#[test]
fn what_is_not_here_is_refused_at_every_upstream() {
    for (more, field) in [
        (json!({"background_options": {"a": 1}}), "background_options"),
        (json!({"conversation": "conv_1"}), "conversation"),
        (json!({"prompt": {"id": "p"}}), "prompt"),
        (json!({"max_tool_calls": 3}), "max_tool_calls"),
        (json!({"moderation": {"model": "m"}}), "moderation"),
        (json!({"context_management": [{"type": "compaction"}]}), "context_management"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"truncation": "auto"}), "truncation"),
        (json!({"include": ["message.output_text.logprobs"]}), "include[0]"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (json!({"tool_choice": {"type": "allowed_tools", "tools": []}}), "tool_choice.type"),
        (json!({"text": {"format": {"type": "grammar"}}}), "text.format.type"),
        (json!({"input": [{"type": "web_search_call", "id": "ws"}]}), "input[0].type"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}),
            "input[0].content[0].type",
        ),
        (
            json!({"input": [{"role": "user", "content": [
                {"type": "input_image", "file_id": "f", "detail": "auto"},
            ]}]}),
            "input[0].content[0].file_id",
        ),
        (
            json!({"input": [
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c",
                 "output": [{"type": "input_image", "image_url": "data:"}]},
            ]}),
            "input[1].output[0].type",
        ),
    ] {
        let asked = decode(&with(&more)).unwrap_or_else(|failure| panic!("{failure}: {more}"));
        for encoded in [
            openai::encode_request(&asked.request, "m", true),
            ollama::encode_request(&asked.request, "m"),
        ] {
            let failure = encoded.unwrap_err();
            let fields: Vec<_> = failure.details.iter().map(|fault| &*fault.field).collect();
            assert_eq!(fields, [field], "{more}");
        }
    }
}

/// The client cannot see what is in an earlier response: it is told of its own field.
#[test]
fn what_an_earlier_response_asks_for_is_refused_where_it_is_referred_to() {
    let image = json!({"type": "input_image", "image_url": "https://host/cat.png"});
    let input = json!([{"role": "user", "content": [image, image]}]);
    let asked = decode(&json!({"input": input})).unwrap();
    let refused = |asked: &Asked| {
        let failure = ollama::encode_request(&asked.request, "m").unwrap_err();
        failure.details.into_iter().map(|fault| fault.field).collect::<Vec<_>>()
    };
    let places = ["input[0].content[0].image_url", "input[0].content[1].image_url"];
    assert_eq!(refused(&asked), places);
    let more = json!({"input": "and?", "previous_response_id": "resp_1"});
    let after = decode_after(&more, &asked.items).unwrap();
    assert_eq!(refused(&after), ["previous_response_id"]);
    openai::encode_request(&after.request, "m", true).unwrap();
}

#[test]
fn what_asks_for_nothing_is_no_fault() {
    let more = json!({
        "background": false, "conversation": null, "top_logprobs": 0, "truncation": "disabled",
        "include": ["message.input_image.image_url"], "stream_options": {"include_obfuscation": false},
        "max_tool_calls": null, "context_management": [],
    });
    let asked = decode(&with(&more)).unwrap();
    let encoded = openai::encode_request(&asked.request, "m", true).unwrap();
    assert_eq!(encoded.ignored, Vec::<String>::new());
}

#[test]
fn what_only_tunes_the_service_is_named_as_ignored() {
    let more = json!({
        "service_tier": "auto", "prompt_cache_key": "k", "text": {"verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"], "stream_options": {"include_obfuscation": true},
        "something_new": 1,
    });
    let asked = decode(&with(&more)).unwrap();
    let mut ignored = asked.request.losses.ignored().to_vec();
    ignored.sort();
    let expected = [
        "include[0]",
        "prompt_cache_key",
        "reasoning.summary",
        "service_tier",
        "something_new",
        "stream_options.include_obfuscation",
        "text.verbosity",
    ];
    assert_eq!(ignored, expected);
}

#[test]
fn every_fault_is_told_at_once() {
    let many: Value =
        (0..17).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    let long = json!({"k".repeat(65): "v", "ok": "v".repeat(513), "é".repeat(64): "ü".repeat(512)});
    for (more, fields) in [
        (json!({"input": 1}), vec!["input"]),
        (json!({"input": []}), vec!["input"]),
        (json!({"input": [1]}), vec!["input[0]"]),
        (json!({"input": [{}]}), vec!["input[0].type"]),
        (json!({"input": [{"role": "tool", "content": "x"}]}), vec!["input[0].role"]),
        (json!({"input": [{"role": "user"}]}), vec!["input[0].content"]),
        (
            json!({"input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]}),
            vec!["input[0].content[0].type"],
        ),
        (
            json!({"input": [{"type": "function_call"}]}),
            vec!["input[0].call_id", "input[0].name", "input[0].arguments"],
        ),
        (json!({"metadata": many}), vec!["metadata"]),
        (json!({"metadata": {"a": 1}}), vec!["metadata"]),
        (
            json!({"temperature": 3, "top_p": -1, "max_output_tokens": 0, "stream": 1, "model": ""}),
            vec!["temperature", "top_p", "max_output_tokens", "model", "stream"],
        ),
        (json!({"tools": [{"type": "function"}]}), vec!["tools[0].name"]),
        (json!({"tool_choice": "some"}), vec!["tool_choice"]),
        (json!({"truncation": "middle"}), vec!["truncation"]),
        (json!({"text": {"format": {"type": "json_schema"}}}), vec!["text.format.schema"]),
        (json!({"instructions": ["x"]}), vec!["instructions"]),
        (json!({"parallel_tool_calls": "no"}), vec!["parallel_tool_calls"]),
    ] {
        let failure = decode(&with(&more)).map(|_| ()).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::InvalidRequest);
        let told: Vec<_> = failure.details.iter().map(|fault| &*fault.field).collect();
        assert_eq!(told, fields, "{more}");
    }
    let failure = decode(&with(&json!({"metadata": long}))).map(|_| ()).unwrap_err();
    assert_eq!(failure.details.len(), 2, "{failure:?}");
}
