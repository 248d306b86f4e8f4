//! Whatever an upstream says, and in whatever order: the stream keeps to the grammar, a client that
//! reads it has every word, thought and call, and the answer in one piece is the same.

use proptest::prelude::*;
use serde_json::Value;
use tidegate_protocol::{Batch, Encoder, End, ErrorKind, Event, Failure, FinishReason};

use super::reader::read;
use super::{call, encoder, thought};
use crate::support::{completed, failed, text, usage, wire};

const CALLS: u32 = 3;

/// One thing an upstream says.
#[derive(Debug, Clone)]
enum Say {
    Text(String),
    Thought(String),
    /// The next so many characters of a call's arguments.
    More(u32, usize),
}

fn says() -> impl Strategy<Value = Vec<Say>> {
    let say = prop_oneof![
        1 => "[a-z \\n\"é\u{2028}]{0,4}".prop_map(Say::Text),
        1 => "[a-z \\n\"]{0,4}".prop_map(Say::Thought),
        4 => (0..CALLS, 1_usize..5).prop_map(|(call, length)| Say::More(call, length)),
    ];
    proptest::collection::vec(say, 0..30)
}

fn arguments() -> impl Strategy<Value = Vec<String>> {
    let object = "[a-z{\"}]{0,6}".prop_map(|text| serde_json::json!({"x": text}).to_string());
    proptest::collection::vec(object, CALLS as usize)
}

/// The events, and how much of each call they hold.
fn events(says: &[Say], arguments: &[String]) -> (Vec<Event>, Vec<Option<usize>>) {
    let mut sent: Vec<Option<usize>> = vec![None; arguments.len()];
    let mut events = Vec::new();
    for say in says {
        events.push(match say {
            Say::Text(said) => text(said),
            Say::Thought(said) => thought(said),
            Say::More(index, length) => {
                let (whole, sent) = (&arguments[*index as usize], &mut sent[*index as usize]);
                let (first, begin) = (sent.is_none(), sent.unwrap_or(0));
                let end = (begin + length).min(whole.len());
                *sent = Some(end);
                let (id, name) = (format!("id{index}"), format!("f{index}"));
                let named = first.then_some((&*id, &*name)).unzip();
                call(*index, named.0, named.1, &whole[begin..end])
            }
        });
    }
    (events, sent)
}

fn written(events: &[Event], batches: usize, end: &End<'_>, streams: bool) -> String {
    let mut encoder = encoder(streams);
    let mut out = Vec::new();
    for events in events.chunks(batches) {
        encoder.encode(Batch { events: events.to_vec(), ..Batch::default() }, &mut out);
    }
    encoder.end(end, &mut out);
    wire(&out)
}

fn said(events: &[Event], pick: impl Fn(&Event) -> Option<&String>) -> String {
    events.iter().filter_map(pick).map(String::as_str).collect()
}

proptest! {
    #[test]
    fn a_whole_answer_is_told_whole(
        says in says(),
        arguments in arguments(),
        batches in 1_usize..5,
    ) {
        let (mut events, sent) = events(&says, &arguments);
        let begun = (0..).zip(&sent).filter_map(|(index, sent)| Some((index, (*sent)?)));
        let rests: Vec<_> = begun
            .map(|(index, sent)| call(index, None, None, &arguments[index as usize][sent..]))
            .collect();
        events.extend(rests);
        let end = completed(Some(FinishReason::ToolCalls), Some(usage(3, 4)));
        let read = read(&written(&events, batches, &end, true));
        prop_assert_eq!(read.terminal.as_str(), "response.completed");
        let texts = said(&events, |event| match event { Event::Text(said) => Some(said), _ => None });
        prop_assert_eq!(read.joined("message"), texts);
        let thoughts =
            said(&events, |event| match event { Event::Reasoning(said) => Some(said), _ => None });
        prop_assert_eq!(read.joined("reasoning"), thoughts);
        let mut calls = read.calls();
        calls.sort();
        let expected: Vec<_> = (0..CALLS)
            .filter(|index| sent[*index as usize].is_some())
            .map(|index| (format!("f{index}"), arguments[index as usize].clone()))
            .collect();
        prop_assert_eq!(calls, expected);
        let at_once: Value = serde_json::from_str(&written(&events, batches, &end, false)).unwrap();
        prop_assert_eq!(at_once, read.response);
    }

    #[test]
    fn what_is_cut_is_never_told_whole(
        says in says(),
        arguments in arguments(),
        batches in 1_usize..5,
    ) {
        let (events, sent) = events(&says, &arguments);
        let is_whole = |index: usize| sent[index] == Some(arguments[index].len());
        let whole = (0..CALLS as usize).filter(|index| is_whole(*index)).count();

        // Cut by a limit: what was whole before stands, no half call does.
        let end = completed(Some(FinishReason::Length), None);
        let limited = read(&written(&events, batches, &end, true));
        prop_assert_eq!(limited.terminal.as_str(), "response.incomplete");
        prop_assert_eq!(limited.calls().len(), whole);

        // Broken off: the reader holds that no call stands, and that the error is told.
        let failure = Failure::new(ErrorKind::Truncated, "cut \"off\"\n");
        let broken = read(&written(&events, batches, &failed(&failure), true));
        prop_assert_eq!(broken.terminal.as_str(), "response.failed");
        prop_assert_eq!(broken.joined("message"), limited.joined("message"));
        prop_assert_eq!(written(&events, batches, &failed(&failure), false), "");
    }
}
