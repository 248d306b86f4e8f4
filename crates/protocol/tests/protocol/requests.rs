//! OpenAI requests: a client's body read, an upstream's body written.

use serde_json::{Value, json};
use tidegate_protocol::openai::{decode_request, encode_request};
use tidegate_protocol::{ChatRequest, ErrorKind, Failure, Message, Role, Sampling, ToolCall};

fn decode(body: &str) -> Result<ChatRequest, Failure> {
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

fn encoded(request: &ChatRequest, stream: bool) -> Value {
    serde_json::from_slice(&encode_request(request, "upstream", stream)).unwrap()
}

#[test]
fn all_known_fields_are_read() {
    let request = decode(&with(
        r#","model":"m","stream":true,"stream_options":{"include_usage":true},"temperature":1,
            "top_p":0.5,"max_tokens":5,"max_completion_tokens":6,"stop":["a","b"],"seed":-1,
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
        max_tokens: Some(6),
        stop: vec!["a".to_owned(), "b".to_owned()],
        seed: Some(-1),
        presence_penalty: Some(-2.0),
        frequency_penalty: Some(2.0),
    };
    assert_eq!(request.sampling, sampling);
    assert_eq!(request.tool_choice.unwrap().get(), "\"auto\"");
    assert_eq!(request.response_format.unwrap().get(), r#"{"type":"json_object"}"#);
    assert!(request.tools.unwrap().get().contains("\"f\""));
    assert!(request.original.unwrap().untranslatable().is_empty());
}

#[test]
fn what_is_not_said_or_null_is_absent() {
    let nulls = r#","model":null,"stream":null,"stream_options":null,"temperature":null,
        "max_tokens":-1,"stop":null,"tools":[],"tool_choice":null,"response_format":null"#;
    for body in [with(""), with(nulls)] {
        let request = decode(&body).unwrap();
        assert_eq!((&request.model, request.stream, request.include_usage), (&None, false, false));
        assert_eq!(request.sampling, Sampling::default());
        assert!(request.tools.is_none() && request.tool_choice.is_none());
        assert!(request.response_format.is_none());
    }
}

#[test]
fn messages_of_every_kind() {
    let request = decode(
        r#"{"messages":[
            {"role":"developer","content":"d"},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:x"}},{"type":"text","text":"b"}]},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","content":"r","tool_call_id":"c"},
            {"role":"assistant","refusal":"no"}]}"#,
    )
    .unwrap();
    let call = ToolCall { id: "c".to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() };
    let message =
        |role, content: &str| Message { role, content: content.to_owned(), ..Message::default() };
    let expected = [
        message(Role::Developer, "d"),
        Message { images: vec!["data:x".to_owned()], ..message(Role::User, "ab") },
        Message { tool_calls: vec![call], ..message(Role::Assistant, "") },
        Message { tool_call_id: Some("c".to_owned()), ..message(Role::Tool, "r") },
        message(Role::Assistant, ""),
    ];
    assert_eq!(request.messages, expected);
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
    let body = with(
        r#","model":"public","top_k": 40,"stream":false,"x":{"b":1, "a":[1.0,2e3]},
            "stream_options":{"continuous_usage_stats":true,"include_usage":false},"seed":7"#,
    );
    let request = decode(&body).unwrap();
    let streamed = encode_request(&request, "up\"stream", true);
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
    let request = decode(&with(
        r#","temperature":0.5,"max_tokens":9,"stop":"x","seed":1,"top_p":1,"presence_penalty":0,
            "frequency_penalty":0,"tools":[{"type":"function"}],"tool_choice":"auto",
            "response_format":{"type":"text"}"#,
    ))
    .unwrap();
    let call = ToolCall { id: "c".to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() };
    let assistant = Message { role: Role::Assistant, tool_calls: vec![call], ..Message::default() };
    let tool = Message {
        role: Role::Tool,
        content: "r".to_owned(),
        tool_call_id: Some("c".to_owned()),
        ..Message::default()
    };
    let seen = Message {
        content: "see".to_owned(),
        images: vec!["data:x".to_owned()],
        ..Message::default()
    };
    let request = ChatRequest { original: None, messages: vec![seen, assistant, tool], ..request };
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    assert_eq!(
        encoded(&request, true),
        json!({
            "model": "upstream", "stream": true, "stream_options": {"include_usage": true},
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image_url", "image_url": {"url": "data:x"}}]},
                {"role": "assistant", "content": null, "tool_calls": [call]},
                {"role": "tool", "content": "r", "tool_call_id": "c"}],
            "temperature": 0.5, "max_tokens": 9, "stop": ["x"], "seed": 1, "top_p": 1.0,
            "presence_penalty": 0.0, "frequency_penalty": 0.0, "tools": [{"type": "function"}],
            "tool_choice": "auto", "response_format": {"type": "text"},
        })
    );
    let request = ChatRequest { messages: vec![Message::default()], ..ChatRequest::default() };
    let expected = json!({"model": "upstream", "stream": false, "messages": [{"role": "user", "content": ""}]});
    assert_eq!(encoded(&request, false), expected);
}

#[test]
fn what_is_built_can_be_decoded() {
    let request = decode(&with(r#","temperature":0.25,"stop":["x","y"],"max_tokens":3"#)).unwrap();
    let request = ChatRequest { original: None, ..request };
    let again = decode_request(&encode_request(&request, "m", true)).unwrap();
    assert_eq!((again.messages, again.sampling), (request.messages, request.sampling));
}

#[test]
fn debug_output_holds_names_and_no_content() {
    let request = decode(&with(r#","secret_field":"secret value""#)).unwrap();
    let shown = format!("{:?}", request.original.unwrap());
    assert_eq!(shown, r#"["messages", "secret_field"]"#);
}
