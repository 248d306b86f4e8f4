//! Ollama's wire: requests written, answers read.

use serde_json::{Value, json};
use tidegate_protocol::ollama::{EventDecoder, encode_request};
use tidegate_protocol::{
    ErrorKind, Event, Failure, FinishReason, Request, StreamId, ToolCallDelta, openai,
};

use crate::support::{ROOM, Seen, run_whole, text, usage};

fn decoded(body: &Value) -> Request {
    openai::decode_request(body.to_string().as_bytes()).unwrap()
}

fn encoded(body: &Value) -> Result<Value, Failure> {
    let encoded = encode_request(&decoded(body), "llama3:8b")?;
    Ok(serde_json::from_slice(&encoded.body).unwrap())
}

fn faulty_fields(body: &Value) -> Vec<String> {
    let failure = encoded(body).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::InvalidRequest);
    failure.details.into_iter().map(|fault| fault.field).collect()
}

fn events(lines: &str) -> Seen {
    run_whole(EventDecoder::new(ROOM), lines.as_bytes())
}

#[test]
fn a_request_is_said_in_ollamas_words() {
    let tools = json!([{"type": "function", "function": {"name": "get", "parameters": {}}}]);
    let body = json!({
        "model": "public", "stream": false, "temperature": 0.5, "top_p": 0.9, "max_tokens": 10,
        "stop": "END", "seed": -3, "presence_penalty": 1, "frequency_penalty": -1, "tools": tools,
        "messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what is "}, {"type": "text", "text": "this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "get", "arguments": "{\"x\":1}"}},
                {"id": "c2", "type": "function", "function": {"name": "put", "arguments": ""}}]},
            {"role": "tool", "tool_call_id": "c2", "content": "42"}],
    });
    assert_eq!(
        encoded(&body).unwrap(),
        json!({
            "model": "llama3:8b", "stream": true, "tools": tools,
            "options": {"temperature": 0.5, "top_p": 0.9, "num_predict": 10, "stop": ["END"],
                        "seed": -3, "presence_penalty": 1.0, "frequency_penalty": -1.0},
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "what is this?", "images": ["AAAA"]},
                {"role": "assistant", "content": "", "tool_calls": [
                    {"function": {"name": "get", "arguments": {"x": 1}}},
                    {"function": {"name": "put", "arguments": {}}}]},
                {"role": "tool", "content": "42", "tool_name": "put"}],
        })
    );
}

#[test]
fn what_is_not_said_is_left_to_ollama() {
    let plain = json!({"messages": [{"role": "user", "content": "hi"}]});
    let expected = json!({"model": "llama3:8b", "stream": true, "options": {},
                          "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(encoded(&plain).unwrap(), expected);
}

#[test]
fn formats_are_translated() {
    let with = |format: Value| json!({"messages": [{"role": "user", "content": "hi"}], "response_format": format});
    let format = |format| encoded(&with(format)).unwrap()["format"].clone();
    assert_eq!(format(json!({"type": "json_object"})), "json");
    assert_eq!(format(json!({"type": "text"})), Value::Null);
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let named = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    assert_eq!(format(named), schema);
    assert_eq!(
        faulty_fields(&with(json!({"type": "json_schema"}))),
        ["response_format.json_schema.schema"]
    );
    assert_eq!(faulty_fields(&with(json!({"type": "xml"}))), ["response_format.type"]);
}

#[test]
fn what_ollama_has_no_word_for_is_refused() {
    let url = json!({"type": "image_url", "image_url": {"url": "https://host/cat.png"}});
    let sound = json!({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}});
    let call = json!({"function": {"name": "f", "arguments": "[1]"}});
    let body = json!({
        "n": 2, "tool_choice": "required", "parallel_tool_calls": false,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "messages": [
            {"role": "user", "content": [url, sound]},
            {"role": "assistant", "tool_calls": [call]}],
    });
    assert_eq!(
        faulty_fields(&body),
        [
            "n",
            "messages[0].content[0].image_url.url",
            "messages[0].content[1].input_audio",
            "messages[1].tool_calls[0].function.arguments",
            "tool_choice",
            "parallel_tool_calls",
        ]
    );
    let none = json!({"messages": [{"role": "user", "content": "hi"}], "tool_choice": "none",
                      "tools": [{"type": "function", "function": {"name": "f"}}]});
    assert_eq!(encoded(&none).unwrap().get("tools"), None);
}

#[test]
fn tool_calls_come_whole_and_are_numbered() {
    let seen = events(
        "{\"message\":{\"thinking\":\"hm\",\"content\":\"\"},\"done\":false}\n\
         {\"message\":{\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"x\": 1}}},\
         {\"id\":\"own\",\"function\":{\"name\":\"g\"}}]},\"done\":false}\n\
         {\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"h\",\"arguments\":{}}}]}}\n\
         {\"done\":true,\"done_reason\":\"stop\",\"eval_count\":4}\n{\"error\":\"late\"}\n",
    );
    let call = |index: u32, id: &str, name: &str, arguments: &str| {
        let (id, name) = (Some(id.to_owned()), Some(name.to_owned()));
        Event::ToolCall(ToolCallDelta { index, id, name, arguments: arguments.to_owned() })
    };
    let expected = [
        Event::Reasoning("hm".to_owned()),
        call(0, "call_0", "f", "{\"x\": 1}"),
        call(1, "own", "g", "{}"),
        call(2, "call_2", "h", "{}"),
        Event::Finish(FinishReason::ToolCalls),
        Event::Usage(usage(0, 4)),
        Event::Done,
    ];
    assert_eq!((seen.events, seen.chunks), (expected.into(), 3));
}

#[test]
fn lines_that_are_cut_or_malformed() {
    let malformed = events("{\"message\":\n{\"done\":true}\n");
    let [Event::Error(failure)] = malformed.events.as_slice() else { panic!("{malformed:?}") };
    assert_eq!(failure.kind, ErrorKind::UpstreamProtocol);
    let broken = events("{\"error\":\"broken\"}\n{\"done\":true}\n");
    assert!(matches!(broken.events.as_slice(), [Event::Error(_)]), "{broken:?}");
    assert_eq!(events("{\"message\":{\"content\":\"a\"}}\n{\"mess").events, [text("a")]);
    assert_eq!(events("{\"done\":true}").events, [Event::Done]);
    assert_eq!(events("Internal Server Error\n").events, [text("Internal Server Error")]);
}

#[test]
fn a_result_belongs_to_the_last_call_of_its_id_before_it() {
    let call = |name: &str| {
        let function = json!({"name": name, "arguments": "{}"});
        json!({"role": "assistant", "tool_calls": [{"id": "call_0", "function": function}]})
    };
    let result = |said: &str| json!({"role": "tool", "tool_call_id": "call_0", "content": said});
    let body = json!({"messages": [call("get"), result("a"), call("put"), result("b")]});
    let messages = encoded(&body).unwrap()["messages"].clone();
    assert_eq!(
        (&messages[1]["tool_name"], &messages[3]["tool_name"]),
        (&json!("get"), &json!("put"))
    );
}

#[test]
fn calls_of_different_answers_have_different_ids() {
    let line = "{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}\n";
    let id = |answer: u128| {
        let decoder = EventDecoder::new(ROOM).of_answer(StreamId::new(1, answer));
        let seen = run_whole(decoder, line.as_bytes());
        let [Event::ToolCall(call)] = seen.events.as_slice() else { panic!("{seen:?}") };
        call.id.clone().unwrap()
    };
    assert_ne!(id(1), id(2));
    assert!(id(1).starts_with("call_") && id(1).len() <= 40, "{}", id(1));
}
