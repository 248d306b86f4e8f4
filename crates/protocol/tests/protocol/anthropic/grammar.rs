//! Whatever an upstream says, and in whatever order: the stream keeps to the grammar, and a client
//! that reads it has every word, thought and call.

use proptest::prelude::*;
use serde_json::Value;
use tidegate_protocol::anthropic::StreamEncoder;
use tidegate_protocol::{Batch, Encoder, Event, FinishReason};

use super::reader::{Block, Read, read};
use super::{call, thought};
use crate::support::{completed, failed, text, usage, wire};

const CALLS: u32 = 4;

/// One thing an upstream says of a call, or in between.
#[derive(Debug, Clone)]
enum Say {
    Text(String),
    Thought(String),
    /// The next so many characters of a call's arguments.
    More(u32, usize),
}

fn arguments() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~é\"{}\\\\\\n\u{2028}]{0,8}".prop_map(Value::from),
        proptest::collection::vec("[{}\"\\[]{0,3}", 0..3).prop_map(Value::from),
    ];
    let object = proptest::collection::btree_map("[a-z{\"]{0,3}", value, 0..4);
    object.prop_map(|fields| serde_json::to_string(&fields).unwrap())
}

fn says() -> impl Strategy<Value = Vec<Say>> {
    let say = prop_oneof![
        1 => "[a-z \\n\"]{1,5}".prop_map(Say::Text),
        1 => "[a-z \\n\"]{1,5}".prop_map(Say::Thought),
        4 => (0..CALLS, 1_usize..7).prop_map(|(call, length)| Say::More(call, length)),
    ];
    proptest::collection::vec(say, 0..40)
}

/// The events, and how much of each call they hold.
fn events(says: &[Say], arguments: &[String]) -> (Vec<Event>, Vec<Option<usize>>) {
    let mut sent = vec![None; arguments.len()];
    let mut events = Vec::new();
    for say in says {
        events.push(match say {
            Say::Text(said) => text(said),
            Say::Thought(said) => thought(said),
            Say::More(index, length) => {
                let whole = &arguments[*index as usize];
                let begin = sent[*index as usize].unwrap_or(0);
                let mut end = (begin + length).min(whole.len());
                while !whole.is_char_boundary(end) {
                    end += 1;
                }
                let first = sent[*index as usize].is_none();
                sent[*index as usize] = Some(end);
                let (id, name) = (format!("id{index}"), format!("f{index}"));
                let piece = &whole[begin..end];
                call(*index, first.then_some(&id), first.then_some(&name), piece)
            }
        });
    }
    (events, sent)
}

/// The rest of every call that was begun.
fn rests(arguments: &[String], sent: &[Option<usize>]) -> Vec<Event> {
    let begun = (0..).zip(sent).filter_map(|(index, sent)| Some((index, (*sent)?)));
    begun.map(|(index, sent)| call(index, None, None, &arguments[index as usize][sent..])).collect()
}

fn streamed(events: &[Event], batches: usize, finish: FinishReason) -> (StreamEncoder, String) {
    let mut encoder = StreamEncoder::new("1", "m".to_owned());
    let mut out = Vec::new();
    for events in events.chunks(batches) {
        encoder.encode(Batch { events: events.to_vec(), ..Batch::default() }, &mut out);
    }
    encoder.encode(Batch { events: vec![Event::Finish(finish)], ..Batch::default() }, &mut out);
    (encoder, wire(&out))
}

fn joined(read: &Read, pick: impl Fn(&Block) -> Option<&String>) -> String {
    read.blocks.iter().filter_map(pick).map(String::as_str).collect()
}

fn said(events: &[Event], pick: impl Fn(&Event) -> Option<&String>) -> String {
    events.iter().filter_map(pick).map(String::as_str).collect()
}

fn inputs(read: &Read) -> Vec<(String, String)> {
    let calls = read.blocks.iter().filter_map(|block| match block {
        Block::Call { id, name, input } => {
            assert_eq!(id[2..], name[1..]);
            Some((name.clone(), input.clone()))
        }
        _ => None,
    });
    calls.collect()
}

proptest! {
    #[test]
    fn a_whole_answer_is_told_whole(
        says in says(),
        arguments in proptest::collection::vec(arguments(), CALLS as usize),
        batches in 1_usize..5,
    ) {
        let (mut events, sent) = events(&says, &arguments);
        events.extend(rests(&arguments, &sent));
        let (mut encoder, mut wire_text) = streamed(&events, batches, FinishReason::Stop);
        prop_assert_eq!(encoder.objection(Some(&FinishReason::Stop)), None);
        let mut out = Vec::new();
        encoder.end(&completed(Some(FinishReason::Stop), Some(usage(3, 4))), &mut out);
        wire_text.push_str(&wire(&out));
        let read = read(&wire_text);

        let words = |event: &Event| matches!(event, Event::Text(_));
        prop_assert_eq!(
            joined(&read, |block| match block { Block::Text(said) => Some(said), _ => None }),
            said(&events, |event| match event { Event::Text(said) => Some(said), _ => None })
        );
        prop_assert_eq!(
            joined(&read, |block| match block { Block::Thinking(said) => Some(said), _ => None }),
            said(&events, |event| match event { Event::Reasoning(said) => Some(said), _ => None })
        );
        let mut told = inputs(&read);
        told.sort();
        let begun = sent.iter().zip(&arguments).zip(0..).filter(|((sent, _), _)| sent.is_some());
        let expected: Vec<_> =
            begun.map(|((_, whole), index)| (format!("f{index}"), whole.clone())).collect();
        prop_assert_eq!(&told, &expected);
        let reason = if told.is_empty() { "end_turn" } else { "tool_use" };
        prop_assert_eq!(read.stop_reason.as_deref(), Some(reason));
        prop_assert_eq!(&read.usage, &serde_json::json!({"input_tokens": 3, "output_tokens": 4}));
        prop_assert!(events.iter().any(words) || !wire_text.contains("text_delta"));
        prop_assert!(encoder.held_bytes() <= 4 * CALLS as usize, "nothing is kept");
    }

    #[test]
    fn what_is_cut_is_never_told_whole(
        says in says(),
        arguments in proptest::collection::vec(arguments(), CALLS as usize),
    ) {
        let (events, sent) = events(&says, &arguments);
        let halves = sent.iter().zip(&arguments).filter(|(sent, whole)| {
            sent.is_some_and(|sent| sent > 0 && sent < whole.len())
        });
        let halves = halves.count();

        // As if it had ended well: the encoder objects.
        let (mut encoder, begun) = streamed(&events, 3, FinishReason::ToolCalls);
        let objection = encoder.objection(Some(&FinishReason::ToolCalls));
        prop_assert_eq!(objection.is_some(), halves > 0);
        if let Some(failure) = objection {
            let mut out = Vec::new();
            encoder.end(&failed(&failure), &mut out);
            let read = read(&(begun + &wire(&out)));
            prop_assert_eq!(read.error.as_deref(), Some("api_error"));
            prop_assert_eq!(read.stop_reason, None);
        }

        // Cut for its length: of the halves at most the one that was under way is there.
        let (mut encoder, begun) = streamed(&events, 3, FinishReason::Length);
        prop_assert_eq!(encoder.objection(Some(&FinishReason::Length)), None);
        let mut out = Vec::new();
        encoder.end(&completed(Some(FinishReason::Length), None), &mut out);
        let read = read(&(begun + &wire(&out)));
        prop_assert_eq!(read.stop_reason.as_deref(), Some("max_tokens"));
        let parsed = |input: &str| input.is_empty() || serde_json::from_str::<Value>(input).is_ok();
        let broken = inputs(&read).into_iter().filter(|(_, input)| !parsed(input)).count();
        prop_assert!(broken <= 1);
    }
}
