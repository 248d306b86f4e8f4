//! Answers written in Ollama's lines.

use serde_json::{Value, json};
use tidegate_protocol::ollama::EventDecoder;
use tidegate_protocol::ollama::client::stamp::rfc3339;
use tidegate_protocol::ollama::client::{
    EmbedEncoder, Endpoint, LineEncoder, WholeEncoder, error_body,
};
use tidegate_protocol::{
    Batch, Encoder, End, ErrorKind, Event, Failure, FieldFault, FinishReason, Timings,
    ToolCallDelta, openai,
};

use super::{chat, lines};
use crate::support::{
    OLLAMA_CHAT, ROOM, completed, encode, failed, finished, run_whole, stream, text, usage, wire,
};

const NOW: &str = "2026-11-23T03:17:09.262632805Z";

fn parsed(written: &str) -> Vec<Value> {
    assert!(written.ends_with('\n'), "{written:?}");
    written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn call(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> Event {
    let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
    Event::ToolCall(ToolCallDelta { index, id, name, arguments: arguments.to_owned() })
}

fn piece(message: &Value) -> Value {
    json!({"model": "m", "created_at": NOW, "message": message, "done": false})
}

#[test]
fn a_stream_of_llama_cpp() {
    let seen = run_whole(openai::EventDecoder::new(ROOM), stream("llama-usage"));
    let end = End { duration_ns: 9_000, first_piece_ns: Some(4_000), ..finished(&seen.events) };
    let written = wire(&encode(&mut LineEncoder::new(chat()), &seen.events, &end));
    let words = ["1", ".", " Red", ":", " This", " is"];
    let mut expected: Vec<_> =
        words.map(|word| piece(&json!({"role": "assistant", "content": word}))).into();
    expected.push(json!({
        "model": "m", "created_at": NOW, "message": {"role": "assistant", "content": ""},
        "done": true, "done_reason": "length", "total_duration": 9_000, "prompt_eval_count": 34,
        "eval_count": 6, "eval_duration": 5_000,
    }));
    assert_eq!(parsed(&written), expected);
}

/// What Ollama said comes out as it said it, but for the model's name and the moments.
#[test]
fn a_stream_of_ollama_is_the_same_again() {
    let seen = run_whole(EventDecoder::new(ROOM), OLLAMA_CHAT);
    let again = encode(&mut LineEncoder::new(chat()), &seen.events, &finished(&seen.events));
    let mut said = parsed(std::str::from_utf8(OLLAMA_CHAT).unwrap());
    for line in &mut said {
        line["model"] = json!("m");
        line["created_at"] = json!(NOW);
    }
    assert_eq!(parsed(&wire(&again)), said);
}

#[test]
fn calls_are_said_whole_once_the_answer_is() {
    let events = [
        Event::Reasoning("hm".to_owned()),
        call(0, Some("a"), Some("get"), "{\"x\""),
        call(1, Some("b"), Some("put"), ""),
        call(0, None, None, ":1}"),
    ];
    let end = completed(Some(FinishReason::ToolCalls), None);
    let mut encoder = LineEncoder::new(chat());
    assert_eq!(encoder.objection(Some(&FinishReason::ToolCalls)), None);
    let written = parsed(&wire(&encode(&mut encoder, &events, &end)));
    let calls = json!([
        {"id": "a", "function": {"index": 0, "name": "get", "arguments": {"x": 1}}},
        {"id": "b", "function": {"index": 1, "name": "put", "arguments": {}}}]);
    let [thinking, called, last] = written.as_slice() else { panic!("{written:?}") };
    assert_eq!(*thinking, piece(&json!({"role": "assistant", "content": "", "thinking": "hm"})));
    assert_eq!(*called, piece(&json!({"role": "assistant", "content": "", "tool_calls": calls})));
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));

    let whole = parsed(&wire(&encode(&mut WholeEncoder::new(chat()), &events, &end)));
    let message =
        json!({"role": "assistant", "content": "", "thinking": "hm", "tool_calls": calls});
    assert_eq!((whole.len(), &whole[0]["message"]), (1, &message));
}

#[test]
fn a_call_that_is_no_object_is_no_call() {
    for arguments in ["{\"x\"", "[1]", "7", "null", "{} {}"] {
        let half = [call(0, Some("a"), Some("whole"), "{}"), call(1, None, Some("f"), arguments)];
        let ask = |encoder: &mut dyn Encoder, finish: Option<FinishReason>| {
            encoder.encode(Batch { events: half.to_vec(), ..Batch::default() }, &mut Vec::new());
            encoder.objection(finish.as_ref()).map(|failure| failure.kind)
        };
        for finish in [None, Some(FinishReason::Stop), Some(FinishReason::ToolCalls)] {
            let objection = Some(ErrorKind::UpstreamProtocol);
            assert_eq!(ask(&mut LineEncoder::new(chat()), finish.clone()), objection);
            assert_eq!(ask(&mut WholeEncoder::new(chat()), finish), objection);
        }
        // The limit cut it: it is left out, and the reason tells.
        let limit = Some(FinishReason::Length);
        assert_eq!(ask(&mut LineEncoder::new(chat()), limit.clone()), None);
        let written = encode(&mut LineEncoder::new(chat()), &half, &completed(limit, None));
        let written = parsed(&wire(&written));
        assert_eq!(written[0]["message"]["tool_calls"].as_array().unwrap().len(), 1);
        assert_eq!(written[1]["done_reason"], "length");
    }
    let mut generate = LineEncoder::new(lines(Endpoint::Generate));
    let batch = Batch { events: vec![call(0, None, Some("f"), "{}")], ..Batch::default() };
    generate.encode(batch, &mut Vec::new());
    assert!(generate.objection(Some(&FinishReason::ToolCalls)).is_some());
}

#[test]
fn a_generated_text_stands_by_itself() {
    let events = [Event::Reasoning("hm".to_owned()), text("a")];
    let end = completed(Some(FinishReason::Stop), Some(usage(2, 1)));
    let written = encode(&mut LineEncoder::new(lines(Endpoint::Generate)), &events, &end);
    let base = json!({"model": "m", "created_at": NOW});
    let with = |more: Value| {
        let mut line = base.clone();
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    let counts = json!({"total_duration": 1_500_000, "prompt_eval_count": 2, "eval_count": 1});
    let mut last = with(json!({"response": "", "done": true, "done_reason": "stop"}));
    last.as_object_mut().unwrap().extend(counts.as_object().unwrap().clone());
    let expected = [
        with(json!({"response": "", "thinking": "hm", "done": false})),
        with(json!({"response": "a", "done": false})),
        last.clone(),
    ];
    assert_eq!(parsed(&wire(&written)), expected);
    let whole = encode(&mut WholeEncoder::new(lines(Endpoint::Generate)), &events, &end);
    last["response"] = json!("a");
    last["thinking"] = json!("hm");
    assert_eq!(parsed(&wire(&whole)), [last]);
}

#[test]
fn an_error_is_one_line_and_the_last() {
    let failure = Failure::new(ErrorKind::Truncated, "cut \"here\"\n");
    let written = encode(&mut LineEncoder::new(chat()), &[text("a")], &failed(&failure));
    let written = wire(&written);
    assert_eq!(parsed(&written)[1], json!({"error": "cut \"here\"\n"}));
    assert_eq!(written.lines().count(), 2);
    // Calls of an answer that failed are not said, and a whole answer says nothing.
    let half = [call(0, Some("a"), Some("f"), "{}")];
    let written = encode(&mut LineEncoder::new(chat()), &half, &failed(&failure));
    assert_eq!(wire(&written).lines().count(), 1);
    assert_eq!(encode(&mut WholeEncoder::new(chat()), &[text("a")], &failed(&failure)), []);

    let fault = |field: &str| FieldFault { field: field.to_owned(), message: "bad".to_owned() };
    let body = error_body(&Failure::invalid(vec![fault("a"), fault("b")]));
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body, json!({"error": "2 fields of the request are not valid: a: bad; b: bad"}));
}

#[test]
fn times_are_the_upstreams_or_measured_or_left_out() {
    let written = |end: &End<'_>| {
        let payloads = encode(&mut LineEncoder::new(chat()), &[], end);
        parsed(&wire(&payloads)).pop().unwrap()
    };
    let timings =
        Timings { total_ns: None, load_ns: Some(1), prompt_ns: None, generation_ns: Some(3) };
    let told = End { timings: Some(timings), first_piece_ns: Some(5), ..completed(None, None) };
    let line = written(&told);
    let times = ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"];
    let read = |line: &Value| times.map(|name| line[name].as_u64());
    assert_eq!(read(&line), [Some(1_500_000), Some(1), None, Some(3)]);
    assert_eq!((&line["eval_count"], &line["prompt_eval_count"]), (&Value::Null, &Value::Null));
    let one_piece = End { chunks: 1, first_piece_ns: Some(5), ..completed(None, None) };
    assert_eq!(read(&written(&one_piece)), [Some(1_500_000), None, None, None]);
}

#[test]
fn vectors_are_written_and_counted() {
    let events = [Event::Embeddings(vec![vec![0.5, -0.25], vec![1.0, 0.1]])];
    let end = completed(None, Some(usage(7, 0)));
    let written = wire(&encode(&mut EmbedEncoder::new("m".to_owned()), &events, &end));
    let expected = "{\"model\":\"m\",\"embeddings\":[[0.5,-0.25],[1.0,0.1]],\"total_duration\":1500000,\
                    \"prompt_eval_count\":7}";
    assert_eq!(written, expected);
    assert_eq!(
        wire(&encode(&mut EmbedEncoder::older(), &events, &end)),
        "{\"embedding\":[0.5,-0.25]}"
    );
    let mut encoder = EmbedEncoder::older();
    encoder.encode(Batch { events: events.to_vec(), ..Batch::default() }, &mut Vec::new());
    assert_eq!(encoder.held_bytes(), 2 * size_of::<Vec<f32>>() + 16);
}

#[test]
fn loading_is_answered_as_ollama_does() {
    let body: Value = serde_json::from_slice(&chat().loaded()).unwrap();
    let expected = json!({"model": "m", "created_at": NOW, "done": true, "done_reason": "load",
                          "message": {"role": "assistant", "content": ""}});
    assert_eq!(body, expected);
}

#[test]
fn moments() {
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
    assert_eq!(rfc3339(951_782_399_000_000_001), "2000-02-28T23:59:59.000000001Z");
    assert_eq!(rfc3339(951_782_400_000_000_000), "2000-02-29T00:00:00.000000000Z");
    assert_eq!(rfc3339(951_868_800_000_000_000), "2000-03-01T00:00:00.000000000Z");
    assert_eq!(rfc3339(1_767_225_599_999_999_999), "2025-12-31T23:59:59.999999999Z");
    assert_eq!(rfc3339(4_107_542_400_000_000_000), "2100-03-01T00:00:00.000000000Z");
}

#[test]
fn what_is_held_is_counted() {
    let mut encoder = LineEncoder::new(chat());
    let batch =
        Batch { events: vec![call(0, None, Some("f"), &"x".repeat(100))], ..Batch::default() };
    encoder.encode(batch, &mut Vec::new());
    assert!(encoder.held_bytes() > 100);
    let mut whole = WholeEncoder::new(chat());
    whole.encode(Batch { events: vec![text("four")], ..Batch::default() }, &mut Vec::new());
    assert_eq!(whole.held_bytes(), 4);
}
