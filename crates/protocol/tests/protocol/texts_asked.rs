//! Completions and embeddings as OpenAI's clients ask for them, and as they are answered.

use serde_json::{Value, json};
use tidegate_protocol::openai::{self, ChunkEncoder, RelayEncoder, VectorEncoder, WholeEncoder};
use tidegate_protocol::{
    ErrorKind, Event, Failure, FinishReason, Form, Original, Request, Task, Wire, fit,
};

use crate::support::{ROOM, completed, encode, failed, run_whole, text, usage, wire};

fn completion(body: &Value) -> Request {
    openai::decode_completion(body.to_string().as_bytes()).unwrap()
}

fn embedding(body: &Value) -> Request {
    openai::decode_embedding(body.to_string().as_bytes()).unwrap()
}

fn relayed(request: &Request, stream: bool) -> Value {
    let encoded = openai::encode_request(request, "up", stream).unwrap();
    serde_json::from_slice(&encoded.body).unwrap()
}

fn choices(request: &Request) -> u32 {
    request.original.as_ref().map_or(0, Original::choices)
}

fn refused(request: &Request) -> Vec<String> {
    let failure = fit::ignored(request, Wire::Ollama).unwrap_err();
    failure.details.into_iter().map(|fault| fault.field).collect()
}

#[test]
fn a_completion_is_relayed_but_for_what_is_the_gateways() {
    let body = json!({
        "model": "m", "prompt": ["a", "b"], "n": 3, "stream": true, "echo": true, "new": [1],
        "stream_options": {"include_usage": false, "x": 1},
    });
    let request = completion(&body);
    let expected = json!({
        "model": "up", "prompt": ["a", "b"], "n": 3, "stream": true, "echo": true, "new": [1],
        "stream_options": {"include_usage": true, "x": 1},
    });
    assert_eq!(relayed(&request, true), expected);
    assert_eq!((request.stream, request.include_usage, choices(&request)), (true, false, 6));
    assert_eq!(request.original.as_ref().unwrap().form(), Form::OpenAiCompletion);
}

#[test]
fn a_prompt_of_one_text_is_that_text() {
    for prompt in [json!("Once"), json!(["Once"])] {
        let Task::Completion(completion) = completion(&json!({"prompt": prompt})).task else {
            panic!("no completion")
        };
        assert_eq!(completion.prompt, "Once");
    }
}

#[test]
fn what_only_openai_has_a_word_for_is_refused_to_others() {
    for (field, value, count) in [
        ("prompt", json!(["a", "b"]), 2),
        ("prompt", json!([1, 2, 3]), 1),
        ("prompt", json!([[1], [2, 3]]), 2),
        ("n", json!(2), 2),
        ("best_of", json!(2), 1),
        ("echo", json!(true), 1),
        ("logprobs", json!(0), 1),
        ("logit_bias", json!({"1": 1}), 1),
    ] {
        let mut body = json!({"prompt": "a"});
        body[field] = value;
        let request = completion(&body);
        assert_eq!((refused(&request), choices(&request)), (vec![field.to_owned()], count));
    }
    for harmless in
        [json!({"echo": false}), json!({"n": 1, "best_of": 1}), json!({"logit_bias": {}})]
    {
        let mut body = harmless;
        body["prompt"] = json!("a");
        assert_eq!(fit::ignored(&completion(&body), Wire::Ollama).unwrap(), [""; 0], "{body}");
    }
    for input in [json!([1, 2]), json!([[1], [2]])] {
        assert_eq!(refused(&embedding(&json!({"input": input}))), ["input"]);
    }
    assert_eq!(
        refused(&embedding(&json!({"input": "a", "encoding_format": "x"}))),
        ["encoding_format"]
    );
}

#[test]
fn faults_are_named() {
    let field = |failure: Failure| failure.details[0].field.clone();
    for (body, named) in [
        (json!({}), "prompt"),
        (json!({"prompt": null}), "prompt"),
        (json!({"prompt": []}), "prompt"),
        (json!({"prompt": ["a", 1]}), "prompt"),
        (json!({"prompt": [-1]}), "prompt"),
        (json!({"prompt": {"a": 1}}), "prompt"),
        (json!({"prompt": "a", "n": 129}), "n"),
        (json!({"prompt": "a", "best_of": -1}), "best_of"),
        (json!({"prompt": "a", "echo": 1}), "echo"),
        (json!({"prompt": "a", "suffix": 1}), "suffix"),
        (json!({"prompt": "a", "Prompt": "b"}), "Prompt"),
        (json!({"prompt": "a", "model": ""}), "model"),
    ] {
        let failure = openai::decode_completion(body.to_string().as_bytes()).unwrap_err();
        assert_eq!((failure.kind, field(failure).as_str()), (ErrorKind::InvalidRequest, named));
    }
    for (body, named) in [
        (json!({}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": 1}), "input"),
        (json!({"input": "a", "dimensions": 0}), "dimensions"),
        (json!({"input": "a", "encoding_format": 1}), "encoding_format"),
        (json!({"input": "a", "user": 1}), "user"),
        (json!({"input": "a", "INPUT": "b"}), "INPUT"),
    ] {
        let failure = openai::decode_embedding(body.to_string().as_bytes()).unwrap_err();
        assert_eq!((failure.kind, field(failure).as_str()), (ErrorKind::InvalidRequest, named));
    }
}

#[test]
fn embeddings_are_relayed_but_for_the_models_name() {
    let body = json!({"input": [[1, 2]], "model": "m", "encoding_format": "base64", "new": 1});
    let mut expected = body.clone();
    expected["model"] = json!("up");
    assert_eq!(relayed(&embedding(&body), true), expected);
    let Task::Embedding(asked) = embedding(&json!({"input": "a"})).task else { panic!("none") };
    assert_eq!(
        (asked.input, asked.truncate, asked.base64),
        (vec!["a".to_owned()], Some(false), false)
    );
}

fn pieces() -> [Event; 3] {
    [Event::Reasoning("hm".to_owned()), text(" \"a\""), Event::Finish(FinishReason::Length)]
}

const HEAD: &str =
    r#"data: {"id":"cmpl-1","object":"text_completion","created":7,"model":"m","choices":["#;

#[test]
fn a_streamed_completion() {
    let mut encoder = ChunkEncoder::new("cmpl-1".into(), "m".into(), 7, true).of_completion();
    let end = completed(Some(FinishReason::Length), Some(usage(3, 2)));
    let expected = [
        r#"{"index":0,"text":"hm","logprobs":null,"finish_reason":null}],"usage":null}"#,
        r#"{"index":0,"text":" \"a\"","logprobs":null,"finish_reason":null}],"usage":null}"#,
        r#"{"index":0,"text":"","logprobs":null,"finish_reason":"length"}],"usage":null}"#,
        r#"],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
    ]
    .map(|rest| format!("{HEAD}{rest}\n\n"))
    .concat();
    assert_eq!(wire(&encode(&mut encoder, &pieces(), &end)), expected + "data: [DONE]\n\n");

    let failure = Failure::new(ErrorKind::Truncated, "cut");
    let mut encoder = ChunkEncoder::new("cmpl-1".into(), "m".into(), 7, false).of_completion();
    let written = wire(&encode(&mut encoder, &[text("a")], &failed(&failure)));
    assert!(written.ends_with("\"code\":\"TRUNCATED\"}}\n\n"), "{written}");
}

#[test]
fn a_whole_completion() {
    let mut encoder = WholeEncoder::new("cmpl-1".into(), "m".into(), 7).of_completion();
    let end = completed(Some(FinishReason::Length), Some(usage(3, 2)));
    let body: Value = serde_json::from_str(&wire(&encode(&mut encoder, &pieces(), &end))).unwrap();
    let expected = json!({
        "id": "cmpl-1", "object": "text_completion", "created": 7, "model": "m",
        "choices": [{"text": "hm \"a\"", "index": 0, "logprobs": null, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    });
    assert_eq!(body, expected);
}

#[test]
fn plain_text_among_a_relayed_completions_frames_becomes_one_of_them() {
    let decoder = openai::RelayDecoder::new(ROOM, false, "m").of_completion();
    let seen = run_whole(decoder, b"data: plain\n\n");
    let frame: Value =
        serde_json::from_str(seen.frames.strip_prefix("data: ").unwrap().trim_end()).unwrap();
    assert_eq!(frame["object"], "text_completion");
    assert_eq!(frame["choices"][0]["text"], "plain");
    // A server that was asked for a stream and answers whole.
    let fallback = ChunkEncoder::new("cmpl-1".into(), "m".into(), 7, false).of_completion();
    let mut encoder = RelayEncoder::with_fallback(fallback);
    let written = wire(&encode(&mut encoder, &[text("a")], &completed(None, None)));
    assert!(written.starts_with(&format!("{HEAD}{{\"index\":0,\"text\":\"a\"")), "{written}");
}

#[test]
fn vectors_as_numbers_and_as_base64() {
    let vectors = Event::Embeddings(vec![vec![0.1, -2.0], vec![1e-7, 3.0]]);
    let end = completed(None, Some(usage(5, 0)));
    let mut encoder = VectorEncoder::new("m".into(), false);
    let written = wire(&encode(&mut encoder, std::slice::from_ref(&vectors), &end));
    let expected = concat!(
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2.0]},"#,
        r#"{"object":"embedding","index":1,"embedding":[1e-7,3.0]}],"#,
        r#""model":"m","usage":{"prompt_tokens":5,"total_tokens":5}}"#
    );
    assert_eq!(written, expected);
    // As Python's `base64.b64encode(struct.pack("<2f", ...))` writes them.
    let mut encoder = VectorEncoder::new("m".into(), true);
    let body = wire(&encode(&mut encoder, &[vectors], &completed(None, None)));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["data"][0]["embedding"], "zczMPQAAAMA=");
    assert_eq!(body["data"][1]["embedding"], "lb/WMwAAQEA=");
    assert_eq!(body.get("usage"), None, "no counts are made up");
}

#[test]
fn vectors_that_are_held_are_counted() {
    use tidegate_protocol::{Batch, Encoder};
    let mut encoder = VectorEncoder::new("m".into(), false);
    let events = vec![Event::Embeddings(vec![vec![0.5; 100]; 3])];
    encoder.encode(Batch { events, ..Batch::default() }, &mut Vec::new());
    assert!(encoder.held_bytes() >= 1200);
    let failure = Failure::new(ErrorKind::Truncated, "cut");
    let mut out = Vec::new();
    encoder.end(&failed(&failure), &mut out);
    assert_eq!(out, [], "what is not whole is not written");
}
