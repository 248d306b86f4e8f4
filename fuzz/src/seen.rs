//! All that a decoder of answers gave, from the first read to the end.

use bytes::Bytes;
use tidegate_protocol::{Batch, Decoder, ErrorKind, Event, Failure};

#[derive(Debug, Default, PartialEq)]
pub struct Seen {
    pub frames: String,
    pub events: Vec<Event>,
    pub chunks: u32,
}

impl Seen {
    fn add(&mut self, result: Result<Batch, Failure>) {
        match result {
            Ok(batch) => {
                for frame in batch.frames {
                    self.frames.push_str(std::str::from_utf8(&frame).expect("UTF-8"));
                }
                self.events.extend(batch.events);
                self.chunks += batch.chunks;
            }
            // Whether a failure comes as a result or as an event depends on what came before it
            // in the same read.
            Err(failure) => self.events.push(Event::Error(failure)),
        }
    }

    #[must_use]
    pub fn text(&self) -> String {
        let text = |event: &Event| match event {
            Event::Text(text) => Some(text.clone()),
            _ => None,
        };
        self.events.iter().filter_map(text).collect()
    }

    /// The pieces of the answer: all that is neither evidence of an end nor a report.
    pub fn pieces(&self) -> impl Iterator<Item = &Event> {
        let is_piece = |event: &&Event| {
            matches!(event, Event::Text(_) | Event::Reasoning(_) | Event::ToolCall(_))
        };
        self.events.iter().filter(is_piece)
    }

    /// The end mark or the error, which nothing may follow.
    #[must_use]
    pub fn terminal(&self) -> Option<&Event> {
        self.events.last().filter(|event| is_terminal(event))
    }

    /// Whether the upstream broke the wire format.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        let kind = |failure: &Failure| failure.kind == ErrorKind::UpstreamProtocol;
        matches!(self.terminal(), Some(Event::Error(failure)) if kind(failure))
    }
}

#[must_use]
pub fn is_terminal(event: &Event) -> bool {
    matches!(event, Event::Done | Event::Error(_))
}

/// Runs a decoder over `reads` and the end of the body.
///
/// # Panics
/// When it says more after its end.
#[must_use]
pub fn run(mut decoder: impl Decoder, reads: &[Bytes]) -> Seen {
    let mut seen = Seen::default();
    for read in reads {
        let result = decoder.decode(read.clone());
        let failed = result.is_err();
        seen.add(result);
        if failed {
            break;
        }
    }
    if !matches!(seen.terminal(), Some(Event::Error(_))) {
        seen.add(decoder.finish());
    }
    let terminals = seen.events.iter().filter(|event| is_terminal(event)).count();
    assert!(terminals <= 1 && terminals == usize::from(seen.terminal().is_some()), "{seen:?}");
    seen
}
