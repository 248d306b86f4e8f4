//! Bodies that clients send: what is understood of them, and what upstreams are sent.

use serde_json::{Value, json};
use tidegate_protocol::ollama::client::{
    decode_chat, decode_embed, decode_embeddings, decode_generate, only_loads,
};
use tidegate_protocol::{ErrorKind, Failure, Request, Task, ollama, openai};

const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";

type Decode = fn(&[u8]) -> Result<Request, Failure>;

fn read(decode: Decode, body: &Value) -> Request {
    decode(body.to_string().as_bytes()).unwrap()
}

fn faults(decode: Decode, body: &Value) -> Vec<String> {
    let failure = decode(body.to_string().as_bytes()).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::InvalidRequest);
    failure.details.into_iter().map(|fault| fault.field).collect()
}

fn to_ollama(request: &Request) -> Value {
    let encoded = ollama::encode_request(request, "up").unwrap();
    assert_eq!(encoded.ignored, Vec::<String>::new());
    serde_json::from_slice(&encoded.body).unwrap()
}

/// The body for an upstream of OpenAI's dialect, and what is left out.
fn to_openai(request: &Request) -> (Value, Vec<String>) {
    let encoded = openai::encode_request(request, "up", true).unwrap();
    (serde_json::from_slice(&encoded.body).unwrap(), encoded.ignored)
}

fn refused(request: &Request) -> Vec<String> {
    let failure = openai::encode_request(request, "up", true).unwrap_err();
    failure.details.into_iter().map(|fault| fault.field).collect()
}

fn everything() -> Value {
    json!({
        "model": "m", "keep_alive": "5m", "think": "low", "new_field": [1], "format": "json",
        "tools": [{"type": "function", "function": {
            "name": "get", "description": "d", "parameters": {"type": "object"}}}],
        "options": {
            "temperature": 0.5, "top_p": 0.9, "top_k": 40.0, "min_p": 0.1, "num_predict": 7,
            "stop": ["END"], "seed": 3, "presence_penalty": 1.5, "frequency_penalty": -1,
            "num_ctx": 4096, "repeat_penalty": 1.1},
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "what?", "images": [PNG]},
            {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [
                {"function": {"name": "get", "arguments": {"x": 1}}},
                {"function": {"name": "put"}},
                {"id": "own", "function": {"name": "get", "arguments": {}}}]},
            {"role": "tool", "content": "p", "tool_name": "put"},
            {"role": "tool", "content": "g1", "tool_name": "get"},
            {"role": "tool", "content": "g2"}],
    })
}

#[test]
fn an_ollama_is_sent_the_clients_own_body() {
    let mut expected = everything();
    expected["model"] = json!("up");
    expected["stream"] = json!(true);
    assert_eq!(to_ollama(&read(decode_chat, &everything())), expected);
    let mut unstreamed = everything();
    unstreamed["stream"] = json!(false);
    expected["stream"] = json!(false);
    assert_eq!(to_ollama(&read(decode_chat, &unstreamed)), expected);
}

#[test]
fn others_are_told_in_their_own_words() {
    let (body, ignored) = to_openai(&read(decode_chat, &everything()));
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let image = format!("data:image/png;base64,{PNG}");
    let expected = json!({
        "model": "up", "stream": true, "stream_options": {"include_usage": true},
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "max_tokens": 7,
        "stop": ["END"], "seed": 3, "presence_penalty": 1.5, "frequency_penalty": -1.0,
        "tools": everything()["tools"], "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what?"},
                {"type": "image_url", "image_url": {"url": image}}]},
            {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
                call("call_made_up_1", "get", "{\"x\":1}"), call("call_made_up_2", "put", "{}"),
                call("own", "get", "{}")]},
            {"role": "tool", "content": "p", "tool_call_id": "call_made_up_2"},
            {"role": "tool", "content": "g1", "tool_call_id": "call_made_up_1"},
            {"role": "tool", "content": "g2", "tool_call_id": "own"}],
    });
    assert_eq!(body, expected);
    let left_out = ["options.num_ctx", "options.repeat_penalty", "keep_alive", "new_field"];
    assert_eq!(ignored, left_out);
}

#[test]
fn it_streams_unless_told_not_to_and_no_limit_is_none() {
    for (body, streams) in [
        (json!({"messages": []}), true),
        (json!({"messages": [], "stream": true}), true),
        (json!({"messages": [], "stream": null}), true),
        (json!({"messages": [], "stream": false}), false),
    ] {
        assert_eq!(read(decode_chat, &body).stream, streams, "{body}");
    }
    for unlimited in [json!(-1), json!(-2.0), json!(null)] {
        let options = json!({"num_predict": unlimited, "top_k": -1});
        let body = json!({"messages": [{"role": "user", "content": "hi"}], "options": options});
        let (said, _) = to_openai(&read(decode_chat, &body));
        assert_eq!((said.get("max_tokens"), said.get("top_k")), (None, None));
    }
}

#[test]
fn formats_and_thinking() {
    let with = |more: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        to_openai(&read(decode_chat, &body)).0
    };
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let said = with(json!({"format": schema}))["response_format"].clone();
    let named =
        json!({"type": "json_schema", "json_schema": {"name": "response", "schema": schema}});
    assert_eq!(said, named);
    for nothing in [json!(""), json!(null)] {
        assert_eq!(with(json!({"format": nothing})).get("response_format"), None);
    }
    assert_eq!(with(json!({"think": false}))["reasoning_effort"], "none");
    assert_eq!(with(json!({"think": true})).get("reasoning_effort"), None);
}

#[test]
fn a_prompt_is_a_users_message_or_bare_text() {
    let body = json!({"model": "m", "prompt": "hi", "system": "s", "images": [PNG],
                      "options": {"num_predict": 2}});
    let request = read(decode_generate, &body);
    let mut relayed = body;
    relayed["model"] = json!("up");
    relayed["stream"] = json!(true);
    assert_eq!(to_ollama(&request), relayed);
    let (said, _) = to_openai(&request);
    let image = format!("data:image/png;base64,{PNG}");
    let messages = json!([
        {"role": "system", "content": "s"},
        {"role": "user", "content": [
            {"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": image}}]}]);
    assert_eq!((&said["messages"], &said["max_tokens"]), (&messages, &json!(2)));

    let raw = read(decode_generate, &json!({"prompt": "[INST]", "raw": true, "stream": false}));
    assert!(matches!(&raw.task, Task::Completion(asked) if asked.prompt == "[INST]"));
    assert_eq!(to_openai(&raw).0["prompt"], "[INST]");
    assert_eq!(
        to_ollama(&raw),
        json!({"model": "up", "prompt": "[INST]", "raw": true, "stream": false})
    );
}

#[test]
fn what_only_ollama_understands_is_refused_elsewhere() {
    let body = json!({"prompt": "hi", "suffix": "s", "template": "t", "context": [1], "images": ["no"],
                      "logprobs": true, "options": {"num_predict": 0}});
    let mut fields = refused(&read(decode_generate, &body));
    fields.sort();
    let expected =
        ["context", "images[0]", "logprobs", "options.num_predict", "suffix", "template"];
    assert_eq!(fields, expected);
    let nothing =
        json!({"prompt": "hi", "suffix": "", "template": "", "context": [], "logprobs": false});
    assert_eq!(to_openai(&read(decode_generate, &nothing)).1, Vec::<String>::new());
    let raw = json!({"prompt": "hi", "raw": true, "system": "s", "format": "json"});
    assert_eq!(refused(&read(decode_generate, &raw)), ["system", "format"]);
    let stray = json!({"messages": [{"role": "tool", "content": "r", "tool_name": "f"}]});
    assert_eq!(refused(&read(decode_chat, &stray)), ["messages[0].tool_name"]);
}

#[test]
fn every_fault_is_named() {
    let body = json!({
        "model": "", "stream": "yes", "think": "deep", "format": "xml", "tools": [1],
        "options": {"temperature": "hot", "num_predict": 1.5, "stop": 3},
        "messages": [
            {"content": "x"}, {"role": "developer", "content": "x"}, {"role": "user", "content": ["x"]},
            {"role": "user", "content": "x", "images": "x"},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, {}]}],
    });
    let mut fields = faults(decode_chat, &body);
    fields.sort();
    let expected = [
        "format",
        "messages[0].role",
        "messages[1].role",
        "messages[2].content",
        "messages[3].images",
        "messages[4].tool_calls[0].function.arguments",
        "messages[4].tool_calls[1].function",
        "model",
        "options.num_predict",
        "options.stop",
        "options.temperature",
        "stream",
        "think",
        "tools[0]",
    ];
    assert_eq!(fields, expected);
    assert_eq!(faults(decode_embed, &json!({"input": []})), ["input"]);
    assert_eq!(faults(decode_embed, &json!({})), ["input"]);
    assert_eq!(faults(decode_embeddings, &json!({})), ["prompt"]);
    assert_eq!(faults(decode_generate, &json!({"prompt": 1})), ["prompt"]);
}

/// Ollama is written in Go, which takes `Model` for `model`, and the last of the two counts.
#[test]
fn what_ollama_would_take_for_another_field_is_refused() {
    let body = json!({"messages": [], "Model": "other", "\u{17f}tream": false});
    let mut fields = faults(decode_chat, &body);
    fields.sort();
    assert_eq!(fields, ["Model", "\u{17f}tream"]);
    assert_eq!(faults(decode_generate, &json!({"PROMPT": "x"})), ["PROMPT"]);
    assert_eq!(faults(decode_embed, &json!({"input": "x", "INPUT": "y"})), ["INPUT"]);
}

#[test]
fn nothing_but_loading_is_known_for_what_it_is() {
    for (decode, body, loads) in [
        (decode_chat as Decode, json!({"model": "m"}), true),
        (decode_chat, json!({"messages": []}), true),
        (decode_chat, json!({"messages": [{"role": "user", "content": ""}]}), false),
        (decode_generate, json!({"model": "m"}), true),
        (decode_generate, json!({"prompt": "", "system": "s", "images": [PNG]}), true),
        (decode_generate, json!({"prompt": "", "raw": true}), true),
        (decode_generate, json!({"prompt": "x"}), false),
        (decode_embed, json!({"input": ""}), false),
    ] {
        assert_eq!(only_loads(&read(decode, &body)), loads, "{body}");
    }
    for zero in [json!(0), json!("0"), json!("0s"), json!("0m")] {
        let request = read(decode_chat, &json!({"keep_alive": zero}));
        assert_eq!(refused(&request), ["keep_alive"], "{zero}");
    }
    let hint = read(decode_chat, &json!({"keep_alive": -1}));
    assert_eq!(hint.losses.ignored(), ["keep_alive"]);
}

#[test]
fn a_users_message_calls_nothing_and_answers_nothing() {
    let call = json!([{"function": {"name": "f", "arguments": {}}}]);
    let user = json!({"role": "user", "content": "x", "thinking": "t", "tool_calls": call,
                      "tool_name": "f"});
    let request = read(decode_chat, &json!({"messages": [user]}));
    let (body, ignored) = to_openai(&request);
    assert_eq!(body["messages"], json!([{"role": "user", "content": "x"}]));
    let names = ["thinking", "tool_calls", "tool_name"];
    assert_eq!(ignored, names.map(|name| format!("messages[0].{name}")));
}

#[test]
fn texts_for_vectors() {
    let body = json!({"model": "m", "input": ["a", "b"], "truncate": false, "dimensions": 8,
                      "keep_alive": 3, "options": {"num_ctx": 1}});
    let request = read(decode_embed, &body);
    let mut relayed = body;
    relayed["model"] = json!("up");
    assert_eq!(to_ollama(&request), relayed);
    let Task::Embedding(asked) = &request.task else { panic!("{request:?}") };
    assert_eq!((asked.input.len(), asked.dimensions, asked.truncate), (2, Some(8), Some(false)));
    assert!(!request.stream);

    let older = read(decode_embeddings, &json!({"model": "m", "prompt": "a", "keep_alive": 3}));
    let encoded = ollama::encode_request(&older, "up").unwrap();
    let said: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!((&said["model"], &said["input"]), (&json!("up"), &json!(["a"])));
    assert_eq!(encoded.ignored, ["keep_alive"]);
}
