//! Completions and embeddings on upstreams' wires: what is asked, and what is made of the answer.

use serde_json::{Value, json};
use tidegate_protocol::{
    Completion, Decoder, Embedding, ErrorKind, Event, FinishReason, Form, Request, Sampling, Task,
    Timings, Wire, fit, ollama, openai,
};

use crate::support::{ROOM, Seen, run_whole, text, usage};

fn completion(suffix: Option<&str>) -> Request {
    let sampling = Sampling {
        temperature: Some(0.5),
        max_tokens: Some(7),
        stop: vec!["\n".to_owned()],
        seed: Some(3),
        ..Sampling::default()
    };
    let suffix = suffix.map(str::to_owned);
    let completion = Completion { prompt: "Once".to_owned(), suffix, sampling };
    Request { stream: true, task: Task::Completion(completion), ..Request::default() }
}

fn embedding(truncate: Option<bool>) -> Request {
    let embedding = Embedding {
        input: vec!["a".to_owned(), "b".to_owned()],
        dimensions: Some(2),
        truncate,
        user: Some("u".to_owned()),
        ..Embedding::default()
    };
    Request { task: Task::Embedding(embedding), ..Request::default() }
}

fn on_openai(request: &Request) -> (Value, Vec<String>) {
    let encoded = openai::encode_request(request, "up", request.stream).unwrap();
    (serde_json::from_slice(&encoded.body).unwrap(), encoded.ignored)
}

fn on_ollama(request: &Request) -> (Value, Vec<String>) {
    let encoded = ollama::encode_request(request, "up").unwrap();
    (serde_json::from_slice(&encoded.body).unwrap(), encoded.ignored)
}

#[test]
fn a_completion_on_openais_wire() {
    let expected = json!({
        "model": "up", "prompt": "Once", "suffix": "end", "stream": true,
        "stream_options": {"include_usage": true},
        "temperature": 0.5, "max_tokens": 7, "stop": ["\n"], "seed": 3,
    });
    assert_eq!(on_openai(&completion(Some("end"))), (expected, vec![]));
    assert_eq!(fit::form(&completion(None), Wire::OpenAi), Form::OpenAiCompletion);
}

#[test]
fn a_completion_on_ollamas_wire_is_raw_unless_there_is_a_suffix() {
    let options = json!({"temperature": 0.5, "num_predict": 7, "stop": ["\n"], "seed": 3});
    let mut expected = json!({
        "model": "up", "prompt": "Once", "raw": true, "think": false, "stream": true,
        "options": options,
    });
    assert_eq!(on_ollama(&completion(None)), (expected.clone(), vec![]));
    assert_eq!(on_ollama(&completion(Some(""))), (expected.clone(), vec![]));
    expected["raw"] = json!(false);
    expected["suffix"] = json!("end");
    assert_eq!(on_ollama(&completion(Some("end"))), (expected, vec![]));
    assert_eq!(fit::form(&completion(None), Wire::Ollama), Form::OllamaGenerate);
}

#[test]
fn ollama_is_not_asked_to_continue_nothing() {
    let mut request = completion(None);
    request.task = Task::Completion(Completion::default());
    let failure = fit::ignored(&request, Wire::Ollama).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::InvalidRequest);
    assert_eq!(failure.details[0].field, "(the prompt)");
}

#[test]
fn embeddings_on_both_wires() {
    let asked = json!({"model": "up", "input": ["a", "b"], "dimensions": 2, "user": "u"});
    assert_eq!(on_openai(&embedding(None)), (asked.clone(), vec![]));
    // OpenAI's wire has no word for it, and an error for what is too long.
    assert_eq!(
        on_openai(&embedding(Some(true))),
        (asked, vec!["(what becomes of long texts)".to_owned()])
    );

    let asked = json!({"model": "up", "input": ["a", "b"], "truncate": false, "dimensions": 2});
    assert_eq!(on_ollama(&embedding(Some(false))), (asked, vec!["(the user)".to_owned()]));
    assert_eq!(fit::form(&embedding(None), Wire::Ollama), Form::OllamaEmbed);
    assert_eq!(fit::form(&embedding(None), Wire::OpenAi), Form::OpenAiEmbedding);
}

const VLLM: &[u8] = include_bytes!("../wire/vllm-completion.sse");

#[test]
fn vllms_completion_as_events_and_relayed() {
    let seen = run_whole(openai::EventDecoder::new(ROOM), VLLM);
    let expected = [text("\u{fffd}{"), Event::Finish(FinishReason::Length), Event::Done];
    assert_eq!((seen.events.as_slice(), seen.chunks), (expected.as_slice(), 1));
    let seen = run_whole(openai::RelayDecoder::new(ROOM, false, "m"), VLLM);
    let frames = std::str::from_utf8(VLLM).unwrap().trim_end();
    assert_eq!(seen.frames, frames.strip_suffix("data: [DONE]").unwrap());
    assert_eq!(seen.events, [Event::Finish(FinishReason::Length), Event::Done]);
    assert_eq!(seen.chunks, 2);
}

/// Frames that differ in their text alone are read by a template from the second on.
#[test]
fn pieces_of_a_completion_spelt_alike_are_all_told() {
    let frame = |text: &str| {
        format!(
            "data: {{\"id\":\"a\",\"choices\":[{{\"index\":0,\"text\":{},\"finish_reason\":null}}]}}\n\n",
            json!(text)
        )
    };
    let words = ["one", " two", " \"three\"", "", " four"];
    let stream: String = words.map(frame).concat();
    let seen = run_whole(openai::EventDecoder::new(ROOM), stream.as_bytes());
    assert_eq!(seen.text(), words.concat());
    let seen = run_whole(openai::RelayDecoder::new(ROOM, false, "m"), stream.as_bytes());
    assert_eq!((seen.frames, seen.chunks), (stream, 5));
}

#[test]
fn a_piece_that_comes_under_both_names_is_told_once() {
    let frame = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"text\":\"hi\"}]}\n\n";
    let seen = run_whole(openai::EventDecoder::new(ROOM), frame.repeat(3).as_bytes());
    assert_eq!(seen.text(), "hihihi");
}

#[test]
fn ollamas_generated_text() {
    let lines = concat!(
        "{\"model\":\"m\",\"response\":\"\",\"thinking\":\"hm\",\"done\":false}\n",
        "{\"model\":\"m\",\"response\":\"a\",\"done\":false}\n",
        "{\"model\":\"m\",\"response\":\" b\",\"done\":false}\n",
        "{\"model\":\"m\",\"response\":\"\",\"done\":true,\"done_reason\":\"length\",",
        "\"context\":[1,2],\"prompt_eval_count\":3,\"eval_count\":2}\n",
    );
    let seen = run_whole(ollama::EventDecoder::new(ROOM), lines.as_bytes());
    let expected = [
        Event::Reasoning("hm".to_owned()),
        text("a"),
        text(" b"),
        Event::Finish(FinishReason::Length),
        Event::Usage(usage(3, 2)),
        Event::Done,
    ];
    assert_eq!((seen.events.as_slice(), seen.chunks), (expected.as_slice(), 3));
}

const OPENAI_VECTORS: &str = r#"{"object":"list","data":[
    {"object":"embedding","index":1,"embedding":[0.25,-1e-3]},
    {"object":"embedding","index":0,"embedding":[0.1,2]}],
    "model":"m","usage":{"prompt_tokens":5,"total_tokens":5}}"#;
const OLLAMA_VECTORS: &str = r#"{"model":"m","embeddings":[[0.1,2],[0.25,-0.001]],
    "total_duration":9,"load_duration":4,"prompt_eval_count":5}"#;

fn vectors() -> Event {
    Event::Embeddings(vec![vec![0.1, 2.0], vec![0.25, -0.001]])
}

#[test]
fn vectors_of_openais_wire_come_in_the_order_of_the_texts() {
    let seen = run_whole(openai::VectorDecoder::new(ROOM, 2), OPENAI_VECTORS.as_bytes());
    assert_eq!(seen.events, [vectors(), Event::Usage(usage(5, 0)), Event::Done]);
    let seen = run_whole(openai::VectorDecoder::relay(ROOM), OPENAI_VECTORS.as_bytes());
    assert_eq!(seen.frames, OPENAI_VECTORS);
    assert_eq!(seen.events, [Event::Usage(usage(5, 0)), Event::Done]);
}

#[test]
fn vectors_of_ollamas_wire() {
    let timings = Timings { total_ns: Some(9), load_ns: Some(4), ..Timings::default() };
    let notices = [Event::Usage(usage(5, 0)), Event::Timings(timings), Event::Done];
    let seen = run_whole(ollama::VectorDecoder::new(ROOM, 2), OLLAMA_VECTORS.as_bytes());
    assert_eq!((&seen.events[0], &seen.events[1..]), (&vectors(), notices.as_slice()));
    let seen = run_whole(ollama::VectorDecoder::relay(ROOM), OLLAMA_VECTORS.as_bytes());
    assert_eq!(
        (seen.frames.as_str(), seen.events.as_slice()),
        (OLLAMA_VECTORS, notices.as_slice())
    );
}

fn failure_of(decoder: impl Decoder, body: &str) -> (ErrorKind, String) {
    let Seen { events, frames, .. } = run_whole(decoder, body.as_bytes());
    assert_eq!(frames, "", "{body}");
    match events.as_slice() {
        [Event::Error(failure)] => (failure.kind, failure.message.clone()),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn vectors_that_are_not_what_was_asked_for_are_none() {
    let protocol = ErrorKind::UpstreamProtocol;
    for (body, kind) in [
        // One too few, an odd index, an empty vector, a number that is none.
        (r#"{"data":[{"index":0,"embedding":[1]}]}"#, protocol),
        (r#"{"data":[{"index":0,"embedding":[1]},{"index":2,"embedding":[1]}]}"#, protocol),
        (r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}"#, protocol),
        (r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[]}]}"#, protocol),
        (r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1e39]}]}"#, protocol),
        (r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"AAA"}]}"#, protocol),
        (r#"{"object":"list"}"#, protocol),
        ("[]", protocol),
        (r#"{"error":{"message":"no","code":503}}"#, ErrorKind::UpstreamOverloaded),
        (&OPENAI_VECTORS[..OPENAI_VECTORS.len() - 1], ErrorKind::Truncated),
        ("", ErrorKind::Truncated),
    ] {
        assert_eq!(failure_of(openai::VectorDecoder::new(ROOM, 2), body).0, kind, "{body}");
    }
    for (body, kind) in [
        (r#"{"embeddings":[[1]]}"#, protocol),
        (r#"{"embeddings":[[1],[]]}"#, protocol),
        (r#"{"embeddings":[[1],[-1e39]]}"#, protocol),
        (r#"{"model":"m"}"#, protocol),
        (r#"{"error":"gone"}"#, ErrorKind::UpstreamError),
        (&OLLAMA_VECTORS[..40], ErrorKind::Truncated),
    ] {
        assert_eq!(failure_of(ollama::VectorDecoder::new(ROOM, 2), body).0, kind, "{body}");
    }
    // What is passed on must be whole, and vectors.
    for body in [r#"{"object":"list"}"#, &OPENAI_VECTORS[..60], r#"{"error":"gone"}"#] {
        failure_of(openai::VectorDecoder::relay(ROOM), body);
        failure_of(ollama::VectorDecoder::relay(ROOM), body);
    }
    let (kind, message) = failure_of(openai::VectorDecoder::new(10, 2), OPENAI_VECTORS);
    assert_eq!(kind, protocol);
    assert!(message.contains("larger than 10 bytes"), "{message}");
}
