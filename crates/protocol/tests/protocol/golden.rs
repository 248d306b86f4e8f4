//! Captures of real servers: what each decoder makes of them.

use tidegate_protocol::openai::{self, RelayDecoder, WholeDecoder};
use tidegate_protocol::{ErrorKind, Event, FinishReason, Timings, ToolCallDelta, Usage, ollama};

use crate::support::{
    LLAMA_WHOLE, OLLAMA_CHAT, OLLAMA_KILLED, ROOM, Seen, VLLM_WHOLE, run_whole, stream, text, usage,
};

fn events(name: &str) -> Seen {
    run_whole(openai::EventDecoder::new(ROOM), stream(name))
}

fn relayed(name: &str, keep_usage: bool) -> Seen {
    run_whole(RelayDecoder::new(ROOM, keep_usage, "m"), stream(name))
}

/// A capture without the frames that hold any of `marks`.
fn without(name: &str, marks: &[&str]) -> String {
    let stream = std::str::from_utf8(stream(name)).unwrap();
    let frames = stream.split_inclusive("\n\n");
    frames.filter(|frame| !marks.iter().any(|mark| frame.contains(mark))).collect()
}

#[test]
fn llama_cpp_with_usage() {
    let seen = events("llama-usage");
    let mut expected: Vec<_> = ["1", ".", " Red", ":", " This", " is"].map(text).into();
    expected.push(Event::Finish(FinishReason::Length));
    let counts = Usage { cached_tokens: Some(0), ..usage(34, 6) };
    expected.push(Event::Usage(counts));
    expected.push(Event::Done);
    assert_eq!((seen.events, seen.chunks), (expected, 6));

    let notices = [Event::Finish(FinishReason::Length), Event::Usage(counts), Event::Done].to_vec();
    let seen = relayed("llama-usage", true);
    assert_eq!(seen.frames, without("llama-usage", &["[DONE]"]));
    assert_eq!(seen.events, notices);
    let seen = relayed("llama-usage", false);
    assert_eq!(seen.frames, without("llama-usage", &["[DONE]", "\"choices\":[],"]));
    assert_eq!(seen.events, notices);
    assert_eq!(seen.chunks, 6);
}

#[test]
fn llama_cpp_killed_in_mid_answer() {
    let seen = events("llama-killed");
    assert_eq!(seen.text(), "Hello there. It's you know");
    let is_text = |event: &Event| matches!(event, Event::Text(_));
    assert!(seen.events.iter().all(is_text), "no evidence of an end: {:?}", seen.events);
    let seen = relayed("llama-killed", false);
    assert_eq!(seen.frames.as_bytes(), stream("llama-killed"));
    assert_eq!(seen.events, []);
}

#[test]
fn vllm_with_usage_at_the_end() {
    let seen = events("vllm-usage");
    let finish = Event::Finish(FinishReason::Length);
    let [newline, usage] = [text("\n"), Event::Usage(usage(24, 3))];
    let expected =
        [newline.clone(), newline.clone(), newline, finish.clone(), usage.clone(), Event::Done];
    assert_eq!(seen.events, expected);
    let seen = relayed("vllm-usage", false);
    assert_eq!(seen.frames, without("vllm-usage", &["[DONE]", "\"choices\":[],"]));
    assert_eq!(seen.events, [finish, usage, Event::Done]);
}

#[test]
fn vllm_with_usage_on_every_chunk() {
    let seen = relayed("vllm-continuous-usage", false);
    // Usage inside a chunk of the answer is the client's to see or ignore.
    assert_eq!(seen.frames, without("vllm-continuous-usage", &["[DONE]", "\"choices\":[],"]));
    let expected = [
        Event::Usage(usage(19, 0)),
        Event::Usage(usage(19, 1)),
        Event::Finish(FinishReason::Length),
        Event::Usage(usage(19, 2)),
        Event::Usage(usage(19, 2)),
        Event::Done,
    ];
    assert_eq!((seen.events, seen.chunks), (expected.into(), 3));
    let seen = events("vllm-continuous-usage");
    assert_eq!((seen.text().as_str(), seen.chunks), ("\n\n", 2));
}

#[test]
fn vllm_tool_calls() {
    let seen = events("vllm-tools");
    let first = ToolCallDelta {
        index: 0,
        id: Some("chatcmpl-tool-ad5986371e6884af".to_owned()),
        name: Some("get_weather".to_owned()),
        arguments: String::new(),
    };
    assert_eq!(seen.events[0], Event::ToolCall(first));
    let next = ToolCallDelta { arguments: "8".to_owned(), ..ToolCallDelta::default() };
    assert_eq!(seen.events[1], Event::ToolCall(next));
    assert_eq!(seen.events.last(), Some(&Event::Done));
    assert_eq!(relayed("vllm-tools", false).frames, without("vllm-tools", &["[DONE]"]));
}

#[test]
fn what_no_capture_has() {
    let seen = events("odd");
    let call = |id: Option<&str>, name: Option<&str>, arguments: &str| {
        let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
        Event::ToolCall(ToolCallDelta { index: 0, id, name, arguments: arguments.to_owned() })
    };
    let expected = [
        Event::Reasoning("Hm…".to_owned()),
        Event::Reasoning(" so".to_owned()),
        text("line\u{2028}separator 🌊 \"usage\":{}"),
        text("two lines"),
        text("plain text, no JSON"),
        call(Some("call_a"), Some("get"), ""),
        call(None, None, "{\"x\":1}"),
        Event::Finish(FinishReason::ToolCalls),
        Event::Usage(usage(5, 7)),
        Event::Done,
    ];
    assert_eq!(seen.events, expected);
}

#[test]
fn whole_answers() {
    let cached = Usage { cached_tokens: Some(33), ..usage(34, 6) };
    for (body, words, counts) in
        [(LLAMA_WHOLE, "1. Red: This is", cached), (VLLM_WHOLE, "\n\n\n", usage(24, 3))]
    {
        let notices = [Event::Finish(FinishReason::Length), Event::Usage(counts), Event::Done];
        let seen = run_whole(WholeDecoder::new(ROOM, true), body);
        assert_eq!(seen.frames.as_bytes(), body);
        assert_eq!(seen.events, notices);
        let seen = run_whole(WholeDecoder::new(ROOM, false), body);
        assert_eq!(seen.frames, "");
        assert_eq!((&seen.events[0], &seen.events[1..]), (&text(words), notices.as_slice()));
    }
}

#[test]
fn ollama() {
    let seen = run_whole(ollama::EventDecoder::new(ROOM), OLLAMA_CHAT);
    let mut expected: Vec<_> = ["1", ".", " Red", " -", " The", " most"].map(text).into();
    expected.push(Event::Finish(FinishReason::Length));
    expected.push(Event::Usage(usage(13, 6)));
    expected.push(Event::Timings(Timings {
        total_ns: Some(2_260_177_709),
        load_ns: Some(1_171_012_266),
        prompt_ns: Some(721_003_430),
        generation_ns: Some(366_394_022),
    }));
    expected.push(Event::Done);
    assert_eq!((seen.events, seen.chunks), (expected, 6));
}

#[test]
fn ollama_whose_runner_was_killed() {
    let seen = run_whole(ollama::EventDecoder::new(ROOM), OLLAMA_KILLED);
    assert_eq!(seen.text(), "The story of Lena's family");
    let Some(Event::Error(failure)) = seen.events.last() else { panic!("{:?}", seen.events) };
    assert_eq!(failure.kind, ErrorKind::UpstreamError);
    assert_eq!(failure.message, "an error was encountered while running the model: unexpected EOF");
}
