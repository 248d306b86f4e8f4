//! The relay path: what is passed on, and that it is not copied.

use bytes::Bytes;
use tidegate_protocol::openai::{ChunkEncoder, EventDecoder, RelayDecoder, RelayEncoder};
use tidegate_protocol::{
    Batch, Decoder, Encoder, ErrorKind, Event, Failure, FinishReason, Payload, QueuePlace,
};

use crate::support::{
    ROOM, STREAMS, completed, cut, encode, failed, run, run_whole, stream, text, usage, wire,
};

const TOKEN: &str =
    "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n";

fn lies_in(slice: &Bytes, read: &Bytes) -> bool {
    let range = read.as_ptr_range();
    range.contains(&slice.as_ptr()) && slice.as_ptr_range().end <= range.end
}

#[test]
fn a_read_of_whole_frames_leaves_as_one_slice_of_itself() {
    let read = Bytes::from(TOKEN.repeat(50));
    let batch = RelayDecoder::new(ROOM, false, "m").decode(read.clone()).unwrap();
    assert_eq!((batch.frames.as_slice(), batch.chunks), ([read.clone()].as_slice(), 50));
    assert!(lies_in(&batch.frames[0], &read));
    assert!(batch.events.is_empty());
}

#[test]
fn only_a_frame_that_straddles_reads_is_copied() {
    let stream = TOKEN.repeat(3);
    let reads = cut(stream.as_bytes(), &[TOKEN.len() + 5]);
    let mut decoder = RelayDecoder::new(ROOM, false, "m");
    let first = decoder.decode(reads[0].clone()).unwrap();
    assert!(first.frames.len() == 1 && lies_in(&first.frames[0], &reads[0]));
    let second = decoder.decode(reads[1].clone()).unwrap();
    let [straddled, last] = second.frames.as_slice() else { panic!("{:?}", second.frames) };
    assert_eq!((straddled, last), (&Bytes::from(TOKEN), &Bytes::from(TOKEN)));
    assert!(!lies_in(straddled, &reads[1]) && lies_in(last, &reads[1]));
}

#[test]
fn a_frame_that_is_taken_out_parts_the_run() {
    let usage_only = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";
    let read = Bytes::from([TOKEN, usage_only, TOKEN, ": comment\n\n", TOKEN].concat());
    let batch = RelayDecoder::new(ROOM, false, "m").decode(read.clone()).unwrap();
    assert_eq!(batch.frames, vec![Bytes::from(TOKEN); 3]);
    assert!(batch.frames.iter().all(|frame| lies_in(frame, &read)));
    assert_eq!(batch.events, [Event::Usage(usage(1, 0))]);
}

#[test]
fn a_client_of_the_relay_reads_what_the_upstream_said() {
    for (name, stream) in STREAMS {
        let direct = run_whole(EventDecoder::new(ROOM), stream);
        let relayed = run_whole(RelayDecoder::new(ROOM, true, "m"), stream);
        let mut through = run_whole(EventDecoder::new(ROOM), relayed.frames.as_bytes());
        if direct.events.last() == Some(&Event::Done) {
            through.events.push(Event::Done);
        }
        assert_eq!(through.events, direct.events, "{name}");
    }
}

#[test]
fn frames_that_are_not_plain_come_out_plain() {
    let stream = std::str::from_utf8(stream("odd")).unwrap();
    let relayed = run_whole(RelayDecoder::new(ROOM, true, "m"), stream.as_bytes());
    for frame in relayed.frames.split_inclusive("\n\n") {
        let data = frame.strip_prefix("data: ").and_then(|frame| frame.strip_suffix("\n\n"));
        let data = data.unwrap_or_else(|| panic!("{frame:?}"));
        assert!(!data.contains(['\n', '\r']), "{data:?}");
        assert!(serde_json::from_str::<serde_json::Value>(data).is_ok(), "{data:?}");
    }
}

/// Behind a frame of which the relay knows the like, and alone.
#[test]
fn what_looks_like_a_token_is_understood_before_it_is_passed_on() {
    let json = TOKEN.trim_end().strip_prefix("data: ").unwrap();
    let error = r#"],"\u0065rror":{"message":"no"}}"#;
    for (odd, event) in [
        (json.replace("null", r#"null,"finish\u005freason":"stop"#), None),
        (json.replace("]}", r#"],"\u0075sage":{"prompt_tokens":1}}"#), Some("Usage")),
        (json.replace("]}", error), Some("no")),
        (json.replace(r#""x""#, r#""x"y"#), None),
        (json.replace(r#""x""#, "\"a\tb\""), None),
        (json.replace("[{", "[[{"), None),
        (json.replace("null", "nulL"), None),
    ] {
        for before in ["", TOKEN] {
            let stream = format!("{before}data: {odd}\n\n");
            let relayed = run_whole(RelayDecoder::new(ROOM, true, "m"), stream.as_bytes());
            let told = format!("{:?}", relayed.events);
            assert!(told.contains(event.unwrap_or("UpstreamProtocol")), "{odd} {told}");
            assert_eq!(
                (relayed.events.len(), relayed.chunks > 0),
                (1, before == TOKEN || event == Some("Usage")),
                "{odd}"
            );
        }
    }
}

#[test]
fn the_encoder_ends_as_the_stream_did() {
    let relay = |end| {
        let mut encoder = RelayEncoder::new();
        let mut out = Vec::new();
        let batch = Batch { frames: vec![Bytes::from(TOKEN)], ..Batch::default() };
        encoder.encode(batch, &mut out);
        encoder.queued(QueuePlace { position: 3, wait: None }, &mut out);
        encoder.end(&end, &mut out);
        wire(&out)
    };
    let finish = completed(Some(FinishReason::Stop), None);
    assert_eq!(relay(finish), format!("{TOKEN}data: [DONE]\n\n"));
    let failure = Failure::new(ErrorKind::Truncated, "cut\r\n\ndata: [DONE]");
    let told = relay(failed(&failure));
    let seen = run_whole(EventDecoder::new(ROOM), told.as_bytes());
    assert_eq!(seen.events.len(), 2, "{told}");
    let Event::Error(read) = &seen.events[1] else { panic!("{:?}", seen.events) };
    assert_eq!(read.message, "cut   data: [DONE]");
    assert!(told.contains("\"code\":\"TRUNCATED\"") && told.contains("\"type\":\"server_error\""));
}

#[test]
fn an_answer_that_came_whole_goes_out_in_chunks() {
    let own = || ChunkEncoder::new("id".to_owned(), "m".to_owned(), 9, true);
    let finish = Event::Finish(FinishReason::Stop);
    let said = [text("a"), finish.clone(), Event::Usage(usage(1, 2)), Event::Done];
    let end = || completed(Some(FinishReason::Stop), Some(usage(1, 2)));
    let through = encode(&mut RelayEncoder::with_fallback(own()), &said, &end());
    assert_eq!(wire(&through), wire(&encode(&mut own(), &said, &end())));
    // Even one that says nothing has its frames.
    let nothing = encode(&mut RelayEncoder::with_fallback(own()), &[Event::Done], &end());
    let seen = run(EventDecoder::new(ROOM), &[Bytes::from(wire(&nothing))]);
    assert_eq!(seen.events, [finish, Event::Usage(usage(1, 2)), Event::Done]);
    assert!(nothing.iter().all(|payload| matches!(payload, Payload::Wire(_))));
}

#[test]
fn an_answer_of_several_choices_is_finished_when_all_are() {
    let finish = |index: u32, reason: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n"
        )
    };
    let finishes = |choices: u32, frames: &[String]| {
        let decoder = RelayDecoder::new(ROOM, false, "m").with_choices(choices);
        run_whole(decoder, frames.concat().as_bytes()).events
    };
    let (first, second) = (finish(1, "stop"), finish(0, "length"));
    assert_eq!(finishes(2, std::slice::from_ref(&first)), []);
    assert_eq!(finishes(2, &[first.clone(), first.clone()]), []);
    assert_eq!(finishes(2, &[first.clone(), second]), [Event::Finish(FinishReason::Length)]);
    assert_eq!(finishes(1, &[first.clone(), first]), [Event::Finish(FinishReason::Stop)]);
}
