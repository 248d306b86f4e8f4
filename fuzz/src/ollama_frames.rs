//! Ollama's answers: the same at every split, one end, and all of it can be said to clients; what is
//! passed on to Ollama's own clients says the same again, in lines that are JSON.

use serde_json::value::RawValue;
use tidegate_protocol::ollama::client::{Endpoint, LineWriter};
use tidegate_protocol::ollama::{EventDecoder, RelayDecoder};
use tidegate_protocol::{Event, FinishReason};

use super::input::Input;
use super::seen::{Seen, run};
use super::written;

/// # Panics
/// Where a promise is broken.
pub fn check(data: &[u8]) {
    let Some(input) = Input::parse(data) else { return };
    let decoder = || EventDecoder::new(input.limit);
    let whole = run(decoder(), &input.whole());
    assert_eq!(run(decoder(), &input.reads()), whole, "split");
    written::check(&whole);

    let relay =
        || RelayDecoder::new(input.limit, LineWriter::new(Endpoint::Chat, String::new(), || 0));
    let relayed = run(relay(), &input.whole());
    assert_eq!(run(relay(), &input.reads()), relayed, "split, relayed");
    check_lines(&relayed, &whole);
}

fn check_lines(relayed: &Seen, told: &Seen) {
    // By the grammar: half a surrogate pair in a field nobody reads is the upstream's.
    for line in relayed.frames.lines() {
        assert!(serde_json::from_str::<&RawValue>(line).is_ok(), "{line:?}");
    }
    let says = |seen: &Seen, what: fn(&Event) -> bool| {
        seen.events.iter().filter(|event| what(event)).count()
    };
    let is_error = |event: &Event| matches!(event, Event::Error(_));
    // Who only scans may miss what makes a piece unreadable, but takes nothing else for an end.
    if says(told, is_error) == 0 {
        let is_done = |event: &Event| *event == Event::Done;
        assert_eq!(says(relayed, is_done), says(told, is_done), "{relayed:?} {told:?}");
        assert_eq!(says(relayed, is_error), 0, "{relayed:?} {told:?}");
        let is_length = |event: &Event| *event == Event::Finish(FinishReason::Length);
        assert_eq!(says(relayed, is_length), says(told, is_length));
    }
}
