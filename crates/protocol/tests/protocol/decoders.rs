//! Rules of the decoders that captures do not show.

use bytes::Bytes;
use tidegate_protocol::openai::{EventDecoder, RelayDecoder, WholeDecoder};
use tidegate_protocol::{Decoder, ErrorKind, Event, Failure, FinishReason};

use crate::support::{ROOM, Seen, cut, run, run_whole, text, usage};

fn events(stream: &str) -> Seen {
    run_whole(EventDecoder::new(ROOM), stream.as_bytes())
}

fn relay(stream: &str) -> Seen {
    run_whole(RelayDecoder::new(ROOM, false, "m"), stream.as_bytes())
}

fn failure(seen: &Seen) -> &Failure {
    match seen.events.last() {
        Some(Event::Error(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn json_that_is_none_is_one_clear_failure() {
    for data in ["{\"choices\":", "{}}", "{\"choices\":7}", "[1]", "{'a':1}", "{}\u{c}"] {
        let stream = format!("data: {data}\n\ndata: {{\"choices\":[}}\n\n");
        for seen in [events(&stream), relay(&stream)] {
            assert_eq!(failure(&seen).kind, ErrorKind::UpstreamProtocol, "{data}");
            assert_eq!((seen.events.len(), seen.frames.as_str()), (1, ""), "{data}");
        }
    }
}

#[test]
fn plain_text_is_passed_on_as_text() {
    for words in ["hello", " ", "[INST] x", "null", "\u{2028}"] {
        let stream = format!("data: {words}\n\n");
        assert_eq!(events(&stream).events, [text(words)], "{words:?}");
        let relayed = relay(&stream);
        assert_eq!((relayed.events.len(), relayed.chunks), (0, 1));
        assert_eq!(events(&relayed.frames).events, [text(words)], "{}", relayed.frames);
    }
    assert_eq!(events("data:\n\n"), Seen::default());
}

#[test]
fn errors_inside_a_stream() {
    for (data, kind, message) in [
        (r#"{"error":{"message":"boom","type":"x","code":500}}"#, ErrorKind::UpstreamError, "boom"),
        (r#"{"error":{"message":"slow","code":429}}"#, ErrorKind::UpstreamRateLimited, "slow"),
        (r#"{"error":{"message":"m","code":"odd"}}"#, ErrorKind::UpstreamError, "m"),
        (r#"{"error":"text","choices":[]}"#, ErrorKind::UpstreamError, "text"),
        (r#"{"error":{}}"#, ErrorKind::UpstreamError, "the upstream reported an error"),
    ] {
        let stream = format!("data: {data}\n\ndata: [DONE]\n\n");
        for seen in [events(&stream), relay(&stream)] {
            let Failure { kind: found, message: said, .. } = failure(&seen);
            assert_eq!((*found, said.as_str()), (kind, message), "{data}");
            assert_eq!((seen.events.len(), seen.frames.as_str()), (1, ""));
        }
    }
    let named = "event: error\ndata: {\"message\":\"named\"}\n\n";
    for seen in [events(named), relay(named)] {
        assert_eq!(failure(&seen).message, "named");
    }
    let none = "data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    assert_eq!(events(none).events, [text("x")]);
    assert_eq!((relay(none).frames.as_str(), relay(none).chunks), (none, 1));
}

#[test]
fn what_follows_the_end_mark_is_ignored() {
    let stream = "data: [DONE]\n\ndata: late\n\n";
    for places in [&[][..], &[14]] {
        let reads = cut(stream.as_bytes(), places);
        assert_eq!(run(EventDecoder::new(ROOM), &reads).events, [Event::Done]);
        let seen = run(RelayDecoder::new(ROOM, true, "m"), &reads);
        assert_eq!((seen.events, seen.frames.as_str()), (vec![Event::Done], ""));
    }
}

#[test]
fn a_last_frame_without_its_blank_line() {
    let whole = r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}"#;
    let finish = Event::Finish(FinishReason::Stop);
    for (tail, told, passed) in [
        ("data: [DONE]".to_owned(), vec![Event::Done], false),
        (format!("data: {whole}\n"), vec![text("x"), finish.clone()], true),
        (format!("data: {}", &whole[..20]), vec![], false),
        ("data: half a wor".to_owned(), vec![], false),
    ] {
        assert_eq!(events(&tail).events, told, "{tail}");
        let expected = if passed { format!("data: {whole}\n\n") } else { String::new() };
        assert_eq!(relay(&tail).frames, expected, "{tail}");
    }
}

#[test]
fn only_the_first_choice_is_told_and_the_first_end_reported() {
    let stream = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"length\"},\
                  {\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n\
                  data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    assert_eq!(events(stream).events, [text("a"), Event::Finish(FinishReason::Stop)]);
    let relayed = relay(stream);
    assert_eq!(relayed.frames, stream);
    assert_eq!(relayed.events, [Event::Finish(FinishReason::Length)]);
}

#[test]
fn an_empty_finish_reason_is_none() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"\"}]}\n\n";
    assert_eq!(events(stream).events, [text("a")]);
    assert_eq!((relay(stream).events.len(), relay(stream).chunks), (0, 1));
}

#[test]
fn a_failed_decoder_stays_silent() {
    let bad = Bytes::from_static(b"data: {\n\n");
    let good = Bytes::from_static(b"data: hello\n\n");
    let decoders: [Box<dyn Decoder>; 2] =
        [Box::new(EventDecoder::new(ROOM)), Box::new(RelayDecoder::new(ROOM, false, "m"))];
    for mut decoder in decoders {
        assert!(decoder.decode(bad.clone()).is_err());
        assert!(decoder.decode(good.clone()).unwrap().is_empty());
        assert!(decoder.finish().unwrap().is_empty());
    }
}

#[test]
fn a_whole_body_has_its_bounds_and_faults() {
    let body = r#"{"choices":[{"message":{"content":null,"reasoning":"r","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    for place in 0..=body.len() {
        let reads = cut(body.as_bytes(), &[place]);
        let seen = run(WholeDecoder::new(body.len(), false), &reads);
        let indices = seen.events.iter().filter_map(|event| match event {
            Event::ToolCall(call) => Some((call.index, call.id.clone().unwrap())),
            _ => None,
        });
        assert_eq!(indices.collect::<Vec<_>>(), [(0, "a".to_owned()), (1, "b".to_owned())]);
        assert_eq!(seen.events[0], Event::Reasoning("r".to_owned()));
        assert_eq!(seen.events[seen.events.len() - 2], Event::Usage(usage(1, 2)));
        assert_eq!(run(WholeDecoder::new(body.len(), true), &reads).frames, body);
        let small = run(WholeDecoder::new(body.len() - 1, true), &reads);
        assert_eq!(failure(&small).kind, ErrorKind::UpstreamProtocol);
    }
    for end in 0..body.len() {
        let seen = run_whole(WholeDecoder::new(ROOM, true), &body.as_bytes()[..end]);
        assert_eq!((failure(&seen).kind, seen.frames.as_str()), (ErrorKind::Truncated, ""));
    }
    for bad in ["hello", "[]", "{\"choices\":[}", "\"text\""] {
        let seen = run_whole(WholeDecoder::new(ROOM, true), bad.as_bytes());
        assert_eq!((failure(&seen).kind, seen.frames.as_str()), (ErrorKind::UpstreamProtocol, ""));
    }
    let seen = run_whole(WholeDecoder::new(ROOM, true), br#"{"error":{"message":"no"}}"#);
    assert_eq!((failure(&seen).message.as_str(), seen.frames.as_str()), ("no", ""));
}

#[test]
fn a_stop_sequence_is_told_where_the_server_tells_it() {
    for (reason, finish) in [
        (
            r#""finish_reason":"stop","stop_reason":"END""#,
            FinishReason::StopSequence("END".to_owned()),
        ),
        (r#""finish_reason":"stop","stop_reason":128001"#, FinishReason::Stop),
        (r#""finish_reason":"stop","stop_reason":null"#, FinishReason::Stop),
        (r#""finish_reason":"length","stop_reason":"END""#, FinishReason::Length),
    ] {
        let frame = format!("data: {{\"choices\":[{{\"delta\":{{}},{reason}}}]}}\n\n");
        let seen = events(&frame);
        assert_eq!(seen.events, [Event::Finish(finish)], "{reason}");
    }
}
