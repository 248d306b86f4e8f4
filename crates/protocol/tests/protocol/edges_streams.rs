//! Answers at their edges: what comes after the end, and what counts as a piece.

use bytes::Bytes;
use tidegate_protocol::openai::{self, RelayDecoder};
use tidegate_protocol::{Decoder, Event, FinishReason, ollama};

use crate::support::{ROOM, Seen, run_whole, text};

fn translated(stream: &str) -> Seen {
    run_whole(openai::EventDecoder::new(ROOM), stream.as_bytes())
}

fn relayed(stream: &str) -> Seen {
    run_whole(RelayDecoder::new(ROOM, false, "m"), stream.as_bytes())
}

fn from_ollama(lines: &str) -> Seen {
    run_whole(ollama::EventDecoder::new(ROOM), lines.as_bytes())
}

#[test]
fn nothing_is_told_after_an_end_whatever_reads_follow() {
    let sse_ends = ["data: [DONE]\n\n", "data: {\"error\":\"x\"}\n\n", "data: {\n\n"];
    let line_ends = ["{\"done\":true}\n", "{\"error\":\"x\"}\n", "{\n"];
    for (sse_end, line_end) in sse_ends.into_iter().zip(line_ends) {
        let decoders: [(Box<dyn Decoder>, _, _); 3] = [
            (Box::new(openai::EventDecoder::new(ROOM)), sse_end, "data: late\n\n"),
            (Box::new(RelayDecoder::new(ROOM, true, "m")), sse_end, "data: late\n\n"),
            (Box::new(ollama::EventDecoder::new(ROOM)), line_end, "late\n{\"done\":true}\n"),
        ];
        for (mut decoder, end, late) in decoders {
            let told = decoder.decode(Bytes::from_static(end.as_bytes()));
            assert!(told.is_err() || told.is_ok_and(|batch| batch.events.len() == 1), "{end}");
            for _ in 0..2 {
                let batch = decoder.decode(Bytes::from_static(late.as_bytes())).unwrap();
                assert!(batch.is_empty(), "{end} {batch:?}");
            }
            assert!(decoder.finish().unwrap().is_empty(), "{end}");
        }
    }
}

#[test]
fn pieces_are_counted_and_nothing_else_is() {
    let frame = |delta: &str, finish: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{{delta}}},\"finish_reason\":{finish}}}]}}\n\n")
    };
    let word = "\"content\":\"x\"";
    // With its last piece a server may say why it stops.
    for (stream, pieces) in [
        (frame(word, "null").repeat(3), 3),
        (frame(word, "\"stop\""), 1),
        (frame("\"tool_calls\":[{\"index\":0,\"function\":{}}]", "\"tool_calls\""), 1),
        (frame("", "\"stop\""), 0),
        ("data: a\n\ndata: b\n\n".to_owned(), 2),
        ("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n".to_owned(), 0),
    ] {
        assert_eq!(
            (translated(&stream).chunks, relayed(&stream).chunks),
            (pieces, pieces),
            "{stream}"
        );
    }
    let line = |content: &str| format!("{{\"message\":{{\"content\":\"{content}\"}}}}\n");
    for (lines, pieces) in [
        (line("a") + &line("") + &line("b"), 2),
        ("Service Unavailable\nlater\n".to_owned(), 2),
        ("{\"done\":true,\"eval_count\":1}\n".to_owned(), 0),
    ] {
        assert_eq!(from_ollama(&lines).chunks, pieces, "{lines}");
    }
}

#[test]
fn ollamas_last_line_may_lack_its_line_end() {
    assert_eq!(from_ollama("Bad Gateway").events, [text("Bad Gateway")]);
    assert_eq!(from_ollama("{\"message\":{\"content\":\"a\"}}").events, [text("a")]);
    assert_eq!(from_ollama(" ").events, []);
}

#[test]
fn ollamas_reasons_are_openais_but_for_tool_calls() {
    let call = "{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}\n";
    for (before, reason, told) in [
        ("", "stop", Some(FinishReason::Stop)),
        (call, "stop", Some(FinishReason::ToolCalls)),
        (call, "length", Some(FinishReason::Length)),
        ("", "load", Some(FinishReason::Other("load".to_owned()))),
        (call, "", None),
    ] {
        let lines = format!("{before}{{\"done\":true,\"done_reason\":\"{reason}\"}}\n");
        let events = from_ollama(&lines).events;
        let finish = events.iter().find_map(|event| match event {
            Event::Finish(reason) => Some(reason),
            _ => None,
        });
        assert_eq!((finish, events.last()), (told.as_ref(), Some(&Event::Done)), "{lines}");
    }
}

#[test]
fn a_choice_beyond_all_bounds_finishes_nothing() {
    let finish = |index: u64| {
        format!("data: {{\"choices\":[{{\"index\":{index},\"finish_reason\":\"stop\"}}]}}\n\n")
    };
    for index in [128, 1000, u64::from(u32::MAX)] {
        assert_eq!(relayed(&finish(index)).events, [], "{index}");
        assert_eq!(relayed(&finish(index)).frames, finish(index), "it is passed on all the same");
    }
    assert_eq!(relayed(&finish(127)).events, [Event::Finish(FinishReason::Stop)]);
}
