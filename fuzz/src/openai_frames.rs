//! OpenAI's streams, translated and relayed: the same at every split, and both tell the same end.

use serde_json::Value;
use serde_json::value::RawValue;
use tidegate_protocol::openai::{EventDecoder, RelayDecoder, WholeDecoder};
use tidegate_protocol::{Decoder, Event};

use super::input::Input;
use super::seen::{Seen, is_terminal, run};
use super::{sse, written};

const MODEL: &str = "a \"model\"\n\n";

/// # Panics
/// Where a promise is broken.
pub fn check(data: &[u8]) {
    let Some(input) = Input::parse(data) else { return };
    if input.stream.trim_ascii_start().starts_with(b"{") {
        whole_answer(&input);
    }
    let direct = at_every_split(&input, || EventDecoder::new(input.limit));
    let choices = if input.flag(2) { 2 } else { 1 };
    let relay =
        |keep_usage| RelayDecoder::new(input.limit, keep_usage, MODEL).with_choices(choices);
    let relayed = at_every_split(&input, || relay(input.flag(1)));
    written::check_frames(&relayed.frames);
    assert!(relayed.pieces().next().is_none(), "{relayed:?}");
    let kept = if input.flag(1) {
        relayed
    } else {
        let kept = run(relay(true), &input.whole());
        assert_eq!(kept.events, relayed.events, "what the gateway learns");
        assert_eq!(without_usage(&kept), without_usage(&relayed), "only usage is taken out");
        kept
    };
    frame_by_frame(&input, &direct);
    written::check(&direct);
    // Several choices are passed on, and only the first is translated.
    let agree = same_as_translated(&direct, &kept);
    let excused = || input.flag(2) || of_several_choices(&input);
    assert!(
        agree || excused(),
        "translated: {direct:?}
relayed: {kept:?}"
    );
}

fn at_every_split<D: Decoder>(input: &Input<'_>, decoder: impl Fn() -> D) -> Seen {
    let whole = run(decoder(), &input.whole());
    assert_eq!(run(decoder(), &input.reads()), whole, "split");
    whole
}

/// An answer in one piece. It is limited as a whole.
fn whole_answer(input: &Input<'_>) {
    let translated = at_every_split(input, || WholeDecoder::new(input.limit, false));
    let relayed = at_every_split(input, || WholeDecoder::new(input.limit, true));
    assert_eq!(relayed.terminal(), translated.terminal());
    match translated.terminal() {
        Some(Event::Done) => {
            assert_eq!(relayed.frames.as_bytes(), input.stream);
            assert!(serde_json::from_str::<&RawValue>(&relayed.frames).is_ok(), "{relayed:?}");
            let notices = translated.events.iter().filter(|event| is_notice(event));
            assert!(relayed.events.iter().eq(notices), "{relayed:?} {translated:?}");
            written::check(&translated);
        }
        Some(_) => assert_eq!(relayed.frames, ""),
        None => panic!("an answer without an end: {translated:?}"),
    }
}

/// What a frame says does not depend on the frames before it.
fn frame_by_frame(input: &Input<'_>, direct: &Seen) {
    let stream = sse::decode(input.limit, &input.whole());
    let mut alone = Seen::default();
    for (event, data) in stream.frames {
        if alone.terminal().is_some() {
            break;
        }
        let name = event.map(|event| format!("event: {event}\n")).unwrap_or_default();
        let frame = format!("{name}data: {}\n\n", data.replace('\n', "\ndata: "));
        let seen = run(EventDecoder::new(usize::MAX), &[frame.into()]);
        alone.events.extend(seen.events);
        alone.chunks += seen.chunks;
    }
    let (said, rest) = direct.events.split_at(alone.events.len().min(direct.events.len()));
    assert_eq!(said, alone.events, "frame by frame");
    // The stream may break the wire format behind them, or have a last frame without its end.
    assert!(rest.is_empty() || direct.is_malformed() || stream.tail.is_some(), "{rest:?}");
    assert!(direct.chunks >= alone.chunks, "chunks");
}

/// What a client reads of a relayed answer, but for the counts of tokens.
fn without_usage(relayed: &Seen) -> Vec<Event> {
    let mut read = run(EventDecoder::new(usize::MAX), &[relayed.frames.clone().into()]);
    read.events.retain(|event| !matches!(event, Event::Usage(_)));
    read.events
}

/// Whether the relay learns what a translation says, and a client of it reads the same answer.
fn same_as_translated(direct: &Seen, relayed: &Seen) -> bool {
    let through = run(EventDecoder::new(usize::MAX), &[relayed.frames.clone().into()]);
    let (mut told, mut learnt) = (notices(direct), notices(relayed));
    let said: Vec<_> = direct.events.iter().filter(|event| !is_terminal(event)).collect();
    let mut read: Vec<_> = through.events.iter().filter(|event| !is_terminal(event)).collect();
    if direct.is_malformed() {
        // Of a piece a relay asks no more than that it is JSON, and may go on.
        told.pop();
        learnt.truncate(told.len());
        read.truncate(said.len());
    }
    learnt == told && read == said
}

/// What the gateway must know of an answer: usage, the first reason to finish, the end.
fn notices(seen: &Seen) -> Vec<&Event> {
    let mut notices: Vec<_> = seen.events.iter().filter(|event| is_notice(event)).collect();
    let mut finished = false;
    notices.retain(|event| {
        !matches!(event, Event::Finish(_)) || !std::mem::replace(&mut finished, true)
    });
    notices
}

fn is_notice(event: &Event) -> bool {
    matches!(event, Event::Finish(_) | Event::Usage(_)) || is_terminal(event)
}

fn of_several_choices(input: &Input<'_>) -> bool {
    let stream = sse::decode(input.limit, &input.whole());
    stream.frames.iter().chain(&stream.tail).any(|(_, data)| {
        let chunk: Value = serde_json::from_str(data).unwrap_or_default();
        let choices = chunk["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
        choices.len() > 1 || choices.iter().any(|choice| choice["index"].as_u64() > Some(0))
    })
}
