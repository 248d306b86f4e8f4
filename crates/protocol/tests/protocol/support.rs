//! What the tests share: captures, cuts, and runs of decoders and encoders.

use bytes::Bytes;
use tidegate_protocol::{
    Batch, Decoder, Encoder, End, Event, Failure, FinishReason, Outcome, Payload, Usage,
};

pub use crate::properties::seen::{Seen, run};

macro_rules! capture {
    ($name:literal) => {
        include_bytes!(concat!("../wire/", $name)).as_slice()
    };
}

/// The captures of OpenAI streams, by name.
pub const STREAMS: [(&str, &[u8]); 7] = [
    ("llama-killed", capture!("llama-killed.sse")),
    ("llama-length", capture!("llama-length.sse")),
    ("llama-usage", capture!("llama-usage.sse")),
    ("vllm-continuous-usage", capture!("vllm-continuous-usage.sse")),
    ("vllm-tools", capture!("vllm-tools.sse")),
    ("vllm-usage", capture!("vllm-usage.sse")),
    ("odd", capture!("odd.sse")),
];

/// A capture of an OpenAI stream by name.
pub fn stream(name: &str) -> &'static [u8] {
    STREAMS.iter().find(|(known, _)| *known == name).expect(name).1
}

pub const OLLAMA_CHAT: &[u8] = capture!("ollama-chat.ndjson");
pub const OLLAMA_KILLED: &[u8] = capture!("ollama-runner-killed.ndjson");
pub const LLAMA_WHOLE: &[u8] = capture!("llama-whole.json");
pub const VLLM_WHOLE: &[u8] = capture!("vllm-whole.json");
pub const VLLM_TOO_LONG: &[u8] = capture!("vllm-error-too-long.json");
pub const VLLM_BAD_TYPE: &[u8] = capture!("vllm-error-bad-type.json");

/// More than any frame of the captures.
pub const ROOM: usize = 64 * 1024;

/// Cuts `input` at `places`, which need not be in order.
pub fn cut(input: &[u8], places: &[usize]) -> Vec<Bytes> {
    let mut places: Vec<_> = places.iter().map(|place| place % (input.len() + 1)).collect();
    places.sort_unstable();
    let mut reads = Vec::new();
    let mut begin = 0;
    for end in places.into_iter().chain([input.len()]) {
        reads.push(Bytes::copy_from_slice(&input[begin..end]));
        begin = end;
    }
    reads
}

/// `text` with its line ends written as `line_end`.
pub fn with_line_ends(text: &[u8], line_end: &str) -> Vec<u8> {
    std::str::from_utf8(text).unwrap().replace('\n', line_end).into_bytes()
}

pub fn run_whole(decoder: impl Decoder, input: &[u8]) -> Seen {
    run(decoder, &[Bytes::copy_from_slice(input)])
}

pub fn text(text: &str) -> Event {
    Event::Text(text.to_owned())
}

pub fn usage(prompt_tokens: u64, completion_tokens: u64) -> Usage {
    Usage { prompt_tokens, completion_tokens, ..Usage::default() }
}

pub fn completed(finish: Option<FinishReason>, usage: Option<Usage>) -> End<'static> {
    End {
        outcome: Outcome::Completed,
        failure: None,
        finish,
        usage,
        chunks: 3,
        duration_ns: 1_500_000,
        timings: None,
        first_piece_ns: None,
    }
}

/// The end of an answer with these events.
pub fn finished(events: &[Event]) -> End<'static> {
    let mut end = completed(None, None);
    for event in events {
        match event {
            Event::Finish(reason) => end.finish = Some(reason.clone()),
            Event::Usage(usage) => end.usage = Some(*usage),
            Event::Timings(timings) => end.timings = Some(*timings),
            _ => {}
        }
    }
    end
}

pub fn failed(failure: &Failure) -> End<'_> {
    let outcome = failure.kind.outcome();
    End { outcome, failure: Some(failure), ..completed(None, None) }
}

/// Runs an encoder over one batch for each of `events`, and its end.
pub fn encode(encoder: &mut dyn Encoder, events: &[Event], end: &End<'_>) -> Vec<Payload> {
    let mut out = Vec::new();
    for event in events {
        let batch = Batch { events: vec![event.clone()], chunks: 1, ..Batch::default() };
        encoder.encode(batch, &mut out);
    }
    encoder.end(end, &mut out);
    out
}

/// The bytes of payloads that are all of the wire kind.
pub fn wire(payloads: &[Payload]) -> String {
    let bytes = payloads.iter().map(|payload| match payload {
        Payload::Wire(bytes) => std::str::from_utf8(bytes).expect("UTF-8"),
        Payload::Event { .. } => panic!("an event where wire bytes were expected"),
    });
    bytes.collect()
}

/// What the gateway keeps of an answer.
#[derive(Default)]
pub struct Told {
    pub out: Vec<Payload>,
    pub finish: Option<FinishReason>,
    pub usage: Option<Usage>,
    pub whole: bool,
}

impl Told {
    pub fn take(&mut self, batch: Batch, encoder: &mut impl Encoder) {
        for event in &batch.events {
            match event {
                Event::Finish(reason) => self.finish = Some(reason.clone()),
                Event::Usage(usage) => self.usage = Some(*usage),
                _ => {}
            }
            self.whole |= matches!(event, Event::Finish(_) | Event::Done);
        }
        encoder.encode(batch, &mut self.out);
    }
}
