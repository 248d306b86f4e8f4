//! The relay tells the same at every split, and what is written can be read again.

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_protocol::ollama::client::LineEncoder;
use tidegate_protocol::ollama::{EventDecoder, RelayDecoder};
use tidegate_protocol::{Event, FinishReason, Timings, ToolCallDelta, Usage};

use super::chat;
use crate::support::{
    OLLAMA_CHAT, OLLAMA_KILLED, ROOM, Seen, completed, cut, encode, run, wire, with_line_ends,
};

fn relay(bytes: &[u8], places: &[usize]) -> Seen {
    run(RelayDecoder::new(ROOM, chat()), &cut(bytes, places))
}

/// A capture, and lines of every odd kind.
fn inputs() -> Vec<Vec<u8>> {
    let odd = "\n{\"message\":{\"content\":\"\u{e9}\"}}\r\nplain\n\r\n{\r}\r\r\n{\"done\":true,\"eval_count\":1}";
    vec![OLLAMA_CHAT.to_vec(), OLLAMA_KILLED.to_vec(), odd.into()]
}

#[test]
fn every_single_cut() {
    for bytes in inputs() {
        for line_end in ["\n", "\r\n"] {
            let bytes = with_line_ends(&bytes, line_end);
            let whole = relay(&bytes, &[]);
            for place in 0..=bytes.len() {
                assert_eq!(relay(&bytes, &[place]), whole, "{place}");
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let spoken = || "[^\\x00]{1,12}";
    prop_oneof![
        4 => spoken().prop_map(Event::Text),
        1 => spoken().prop_map(Event::Reasoning),
    ]
}

fn call(index: u32) -> impl Strategy<Value = Event> {
    ("[a-z]{1,5}", "[a-z]{1,5}", any::<i32>()).prop_map(move |(id, name, number)| {
        let arguments = format!("{{\"n\":{number}}}");
        Event::ToolCall(ToolCallDelta { index, id: Some(id), name: Some(name), arguments })
    })
}

proptest! {
    #[test]
    fn any_cuts(places in prop::collection::vec(any::<prop::sample::Index>(), 2..6)) {
        for bytes in inputs() {
            let places: Vec<_> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
            prop_assert_eq!(relay(&bytes, &places), relay(&bytes, &[]));
        }
    }

    #[test]
    fn bytes_of_any_kind_are_survived_alike(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        place in 0usize..200,
    ) {
        let framed = [b"{\"message\":{\"content\":\"", bytes.as_slice(), b"\"}}\n"].concat();
        prop_assert_eq!(relay(&framed, &[place]), relay(&framed, &[]));
        prop_assert_eq!(relay(&bytes, &[place]), relay(&bytes, &[]));
    }

    /// Written and read again, nothing is lost; and a relay passes all of it on.
    #[test]
    fn what_is_written_is_read_as_it_was_meant(
        said in prop::collection::vec(event(), 0..8),
        calls in (call(0), call(1)),
        called in 0usize..3,
        counts in any::<Option<(u32, u32)>>(),
        times in any::<(u32, Option<u32>)>(),
    ) {
        let mut events = said;
        events.extend([calls.0, calls.1].into_iter().take(called));
        let finish = if called > 0 { FinishReason::ToolCalls } else { FinishReason::Length };
        let usage = counts.map(|(prompt, answer)| Usage {
            prompt_tokens: prompt.into(), completion_tokens: answer.into(), ..Usage::default()
        });
        let timings = Timings {
            total_ns: Some(times.0.into()), load_ns: times.1.map(Into::into), ..Timings::default()
        };
        let mut end = completed(Some(finish.clone()), usage);
        end.timings = Some(timings);
        let written = wire(&encode(&mut LineEncoder::new(chat()), &events, &end));

        events.push(Event::Finish(finish));
        events.extend(usage.map(Event::Usage));
        events.extend([Event::Timings(timings), Event::Done]);
        let read = run(EventDecoder::new(ROOM), &[Bytes::from(written.clone())]);
        prop_assert_eq!(&read.events, &events);
        let relayed = run(RelayDecoder::new(ROOM, chat()), &[Bytes::from(written.clone())]);
        prop_assert_eq!(relayed.frames, written);
        let notices: Vec<_> = events.into_iter().filter(|event| !matches!(
            event, Event::Text(_) | Event::Reasoning(_) | Event::ToolCall(_))).collect();
        prop_assert_eq!(relayed.events, notices);
    }
}
