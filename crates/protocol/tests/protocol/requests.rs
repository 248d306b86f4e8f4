//! OpenAI requests: a client's body read, an upstream's body written.

use serde_json::{Value, json};
use tidegate_protocol::openai::{decode_request, encode_request};
use tidegate_protocol::{
    Chat, ErrorKind, Failure, Message, Part, Request, ResponseFormat, Role, Sampling, Task,
    ToolCall, ToolChoice,
};

fn decode(body: &str) -> Result<Request, Failure> {
    decode_request(body.as_bytes())
}

fn faults(body: &str) -> Vec<(String, String)> {
    let failure = decode(body).expect_err(body);
    assert_eq!(failure.kind, ErrorKind::InvalidRequest, "{body}");
    failure.details.into_iter().map(|fault| (fault.field, fault.message)).collect()
}

fn with(fields: &str) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":"hi"}}]{fields}}}"#)
}

fn encoded(request: &Request, stream: bool) -> Value {
    serde_json::from_slice(&body(request, "upstream", stream)).unwrap()
}

fn body(request: &Request, model: &str, stream: bool) -> Vec<u8> {
    encode_request(request, model, stream).unwrap().body
}

fn chat(body: &str) -> Chat {
    decode(body).unwrap().chat().unwrap().clone()
}

/// Without the client's own body, as for a client of another dialect.
fn shared(chat: Chat) -> Request {
    Request { task: Task::Chat(chat), ..Request::default() }
}

#[test]
fn all_known_fields_are_read() {
    let request = decode(&with(
        r#","model":"m","stream":true,"stream_options":{"include_usage":true},"temperature":1,
            "top_p":0.5,"top_k":7,"min_p":0.1,"max_tokens":5,"max_completion_tokens":6,"stop":["a","b"],"seed":-1,
            "presence_penalty":-2,"frequency_penalty":2,"n":1,"user":null,
            "tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"auto",
            "response_format":{"type":"json_object"}"#,
    ))
    .unwrap();
    assert_eq!(
        (request.model.as_deref(), request.stream, request.include_usage),
        (Some("m"), true, true)
    );
    let sampling = Sampling {
        temperature: Some(1.0),
        top_p: Some(0.5),
        top_k: Some(7),
        min_p: Some(0.1),
        max_tokens: Some(6),
        stop: vec!["a".to_owned(), "b".to_owned()],
        seed: Some(-1),
        presence_penalty: Some(-2.0),
        frequency_penalty: Some(2.0),
    };
    assert!(request.losses.refused().is_empty() && request.losses.ignored().is_empty());
    let chat = request.chat().unwrap();
    assert_eq!(chat.sampling, sampling);
    assert_eq!(chat.tool_choice, Some(ToolChoice::Auto));
    assert!(matches!(chat.response_format, Some(ResponseFormat::Json)));
    assert_eq!(chat.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["f"]);
}

#[test]
fn what_is_not_said_or_null_is_absent() {
    let nulls = r#","model":null,"stream":null,"stream_options":null,"temperature":null,
        "max_tokens":-1,"stop":null,"tools":[],"tool_choice":null,"response_format":null"#;
    for body in [with(""), with(nulls)] {
        let request = decode(&body).unwrap();
        assert_eq!((&request.model, request.stream, request.include_usage), (&None, false, false));
        let chat = request.chat().unwrap();
        assert_eq!(chat.sampling, Sampling::default());
        assert!(chat.tools.is_empty() && chat.tool_choice.is_none());
        assert!(chat.response_format.is_none());
    }
}

#[test]
fn messages_of_every_kind() {
    let chat = chat(
        r#"{"messages":[
            {"role":"developer","content":"d"},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"},{"type":"image_url","image_url":{"url":"data:x"}},{"type":"text","text":"c"},{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}]},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","content":"r","tool_call_id":"c"},
            {"role":"assistant","reasoning_content":"hm","refusal":"no"}]}"#,
    );
    let call = ToolCall { id: "c".to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() };
    let text = |text: &str| Part::Text(text.to_owned());
    let sound = Part::Audio { data: "AA".to_owned(), format: "wav".to_owned() };
    let seen = vec![text("ab"), Part::Image("data:x".to_owned()), text("c"), sound];
    let refused = vec![Part::Reasoning("hm".to_owned()), text("no")];
    let expected = [
        Message::text(Role::Developer, "d"),
        Message { content: seen, ..Message::default() },
        Message { tool_calls: vec![call], ..Message::text(Role::Assistant, "") },
        Message { tool_call_id: Some("c".to_owned()), ..Message::text(Role::Tool, "r") },
        Message { role: Role::Assistant, content: refused, ..Message::default() },
    ];
    assert_eq!(chat.messages, expected);
}

#[test]
fn every_fault_is_listed() {
    let found = faults(
        r#"{"model":7,"model":"","temperature":"hot","top_p":2,"max_tokens":0,"stop":[1],"seed":0.5,
            "stream":"x","stream_options":{"include_usage":1},"n":0,"tools":[{}],"tool_choice":1,
            "response_format":{},"messages":[
            {"content":"x"},
            {"role":"user"},
            {"role":"king","content":1},
            {"role":"user","content":[{"text":"x"},{"type":"text"},{"type":"image_url","image_url":"u"},{"type":"image_url","image_url":{}},"s"]},
            {"role":"assistant","tool_calls":[{},{"function":{"name":1}}]},
            null]}"#,
    );
    let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "model",
            "model",
            "messages[5]",
            "messages[0].role",
            "messages[1].content",
            "messages[2].role",
            "messages[2].content",
            "messages[3].content[4]",
            "messages[3].content[0].type",
            "messages[3].content[1].text",
            "messages[3].content[2].image_url",
            "messages[3].content[3].image_url.url",
            "messages[4].tool_calls[0].function",
            "messages[4].tool_calls[1].function.name",
            "messages[4].tool_calls[1].function.arguments",
            "stream",
            "stream_options.include_usage",
            "temperature",
            "top_p",
            "max_tokens",
            "stop",
            "seed",
            "tools[0].type",
            "tool_choice",
            "response_format.type",
            "n",
        ]
    );
    let allowed = "must be one of \"system\", \"developer\", \"user\", \"assistant\", \"tool\"";
    assert_eq!(found[5].1, allowed);
    assert_eq!(found[17].1, "must be a number from 0 to 2");
}

#[test]
fn bodies_that_are_no_request() {
    for (body, part) in [
        ("{\"messages\":\n [}", "line 2 column 3"),
        ("7", "must be a JSON object"),
        ("{\"messages\":[]}", "at least one message"),
        ("{\"model\":\"m\"}", "messages: is required"),
    ] {
        let failure = decode(body).expect_err(body);
        assert_eq!(failure.kind, ErrorKind::InvalidRequest);
        assert!(failure.message.contains(part), "{body}: {}", failure.message);
    }
}

#[test]
fn a_relayed_body_keeps_what_the_gateway_does_not_know() {
    let sent = with(
        r#","model":"public","top_k": 40,"stream":false,"x":{"b":1, "a":[1.0,2e3]},
            "stream_options":{"continuous_usage_stats":true,"include_usage":false},"seed":7"#,
    );
    let request = decode(&sent).unwrap();
    let streamed = body(&request, "up\"stream", true);
    let text = std::str::from_utf8(&streamed).unwrap();
    assert!(text.contains(r#""x":{"b":1, "a":[1.0,2e3]}"#), "values are untouched: {text}");
    let expected = json!({
        "model": "up\"stream", "messages": [{"role": "user", "content": "hi"}], "top_k": 40,
        "x": {"b": 1, "a": [1.0, 2e3]}, "seed": 7, "stream": true,
        "stream_options": {"continuous_usage_stats": true, "include_usage": true},
    });
    assert_eq!(serde_json::from_slice::<Value>(&streamed).unwrap(), expected);
    for name in ["model", "stream", "stream_options", "include_usage"] {
        assert_eq!(text.matches(&format!("\"{name}\":")).count(), 1, "{name}: {text}");
    }
    let whole = encoded(&request, false);
    assert_eq!((&whole["stream"], whole.get("stream_options")), (&json!(false), None));
    let bare = encoded(&decode(&with("")).unwrap(), true);
    assert_eq!(bare["stream_options"], json!({"include_usage": true}));
    assert_eq!(bare["model"], "upstream");
}

#[test]
fn a_body_is_built_where_there_is_none() {
    let chat = chat(
        r#"{"temperature":0.5,"max_tokens":9,"stop":"x","seed":1,"top_p":1,"top_k":4,"min_p":0.5,
            "presence_penalty":0,"frequency_penalty":0,"parallel_tool_calls":false,"user":"u",
            "reasoning_effort":"low",
            "tools":[{"type":"function","function":{"name":"f","parameters":{"type": "object"}}}],
            "tool_choice":{"type":"function","function":{"name":"f"}},
            "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"a":1},"strict":true}},
            "messages":[
                {"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"data:x"}}]},
                {"role":"assistant","reasoning":"hm","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]},
                {"role":"tool","tool_call_id":"c","content":"r"},
                {"role":"user","content":""}]}"#,
    );
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    assert_eq!(
        encoded(&shared(chat), true),
        json!({
            "model": "upstream", "stream": true, "stream_options": {"include_usage": true},
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image_url", "image_url": {"url": "data:x"}}]},
                {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [call]},
                {"role": "tool", "content": "r", "tool_call_id": "c"},
                {"role": "user", "content": ""}],
            "temperature": 0.5, "max_tokens": 9, "stop": ["x"], "seed": 1, "top_p": 1.0, "top_k": 4,
            "min_p": 0.5, "presence_penalty": 0.0, "frequency_penalty": 0.0,
            "parallel_tool_calls": false, "user": "u", "reasoning_effort": "low",
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "response_format": {"type": "json_schema",
                                "json_schema": {"name": "n", "schema": {"a": 1}, "strict": true}},
        })
    );
    let bare = Chat { messages: vec![Message::default()], ..Chat::default() };
    let expected = json!({"model": "upstream", "stream": false, "messages": [{"role": "user", "content": ""}]});
    assert_eq!(encoded(&shared(bare), false), expected);
}

#[test]
fn what_is_built_can_be_decoded() {
    let before = chat(&with(r#","temperature":0.25,"stop":["x","y"],"max_tokens":3"#));
    let again = body(&shared(before.clone()), "m", true);
    let again = chat(std::str::from_utf8(&again).unwrap());
    assert_eq!((again.messages, again.sampling), (before.messages, before.sampling));
}

#[test]
fn what_only_openai_understands_is_refused_or_named_to_others() {
    let request = decode(&with(
        r#","store":true,"metadata":{"a":"b"},"service_tier":null,"modalities":["text"],
            "logprobs":true,"top_logprobs":3,"logit_bias":{"1":2},"audio":{},"n":2,
            "tools":[{"type":"custom","custom":{}},{"type":"function","function":{"name":"f","x":1}}],
            "tool_choice":{"type":"allowed_tools"},"response_format":{"type":"grammar"}"#,
    ))
    .unwrap();
    let refused: Vec<_> = request.losses.refused().iter().map(|f| f.field.as_str()).collect();
    let expected =
        ["tools[0].type", "tool_choice", "response_format.type", "n", "logprobs", "logit_bias"];
    assert_eq!(refused, expected);
    let ignored = ["tools[1].function.x", "store", "metadata", "top_logprobs"];
    assert_eq!(request.losses.ignored(), ignored);
}

#[test]
fn debug_output_holds_names_and_no_content() {
    let request = decode(&with(r#","secret_field":"secret value""#)).unwrap();
    let shown = format!("{:?}", request.original.unwrap());
    assert_eq!(shown, r#"["messages", "secret_field"]"#);
}
