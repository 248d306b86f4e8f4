//! What was said of an answer so far, as long as another model can go on with it.
//!
//! A trailing assistant message holds text and nothing else, so an answer that said anything else
//! cannot be gone on with: a call, reasoning, or what the gateway did not understand.

use serde::Deserialize;

use crate::codec::Batch;
use crate::event::{Event, Usage};

/// The answer so far, and what its upstreams reported of it.
#[derive(Debug)]
pub struct Spoken {
    text: String,
    chunks: u64,
    signature: Option<Signature>,
    max_bytes: usize,
    /// Something was said that cannot be repeated, or too much.
    barred: bool,
    before: Before,
    /// As the upstream that speaks now reported it.
    usage: Option<Usage>,
}

/// What the upstreams reported that broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nobody,
    Reported(Usage),
    /// One of them reported nothing: the sum is not known.
    Unknown,
}

impl Spoken {
    /// Keeps up to `max_bytes` of text.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            text: String::new(),
            chunks: 0,
            signature: None,
            max_bytes,
            barred: false,
            before: Before::Nobody,
            usage: None,
        }
    }

    /// Notes what a batch says; before it is passed on.
    pub fn note(&mut self, batch: &Batch) {
        for event in &batch.events {
            if let Event::Usage(usage) = event {
                self.usage = Some(*usage);
            }
        }
        self.chunks += u64::from(batch.chunks);
        if self.barred {
            return;
        }
        if self.signature.is_none() {
            self.signature = batch.frames.first().and_then(|frame| Signature::of(frame));
        }
        self.barred |= batch.opaque;
        for event in &batch.events {
            match event {
                Event::Text(text) => self.text.push_str(text),
                // How an error bars the way is for its kind to say.
                Event::Usage(_) | Event::Timings(_) | Event::Error(_) => {}
                Event::Reasoning(_)
                | Event::ToolCall(_)
                | Event::Embeddings(_)
                | Event::Finish(_)
                | Event::Done => self.barred = true,
            }
        }
        if self.text.len() > self.max_bytes {
            self.barred = true;
        }
        if self.barred {
            self.text = String::new();
        }
    }

    /// The text to go on from, if the answer consists of it. `stop` are the request's stop
    /// sequences: one that has begun may go on in what follows, where nobody would look for it.
    #[must_use]
    pub fn text(&self, stop: &[String]) -> Option<&str> {
        let text = self.text.as_str();
        let begun = |stop: &String| {
            let heads = stop.char_indices().skip(1).map(|(end, _)| &stop[..end]);
            heads.into_iter().any(|head| text.ends_with(head))
        };
        (!self.barred && !text.is_empty() && !stop.iter().any(begun)).then_some(text)
    }

    /// Tokens of the answer, as far as its upstreams reported them; else pieces, of which each is
    /// a token or more.
    #[must_use]
    pub fn produced(&self) -> u64 {
        self.total().map_or(self.chunks, |usage| usage.completion_tokens)
    }

    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    #[must_use]
    pub fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    /// From now on another upstream speaks.
    pub fn join(&mut self) {
        self.before = self.total().map_or(Before::Unknown, Before::Reported);
        self.usage = None;
    }

    /// Makes what an upstream reports of its own part a report of the answer, or takes it out
    /// where that is not known; after [`note`](Self::note).
    pub fn sum_up(&self, batch: &mut Batch) {
        if self.before == Before::Nobody {
            return;
        }
        batch.events.retain(|event| match event {
            Event::Usage(_) => self.before != Before::Unknown,
            // Those of a part.
            Event::Timings(_) => false,
            _ => true,
        });
        for event in &mut batch.events {
            if let (Event::Usage(usage), Before::Reported(before)) = (event, self.before) {
                *usage = sum(before, *usage);
            }
        }
    }

    /// What all upstreams reported together; none where one of them reported nothing.
    fn total(&self) -> Option<Usage> {
        let usage = self.usage?;
        match self.before {
            Before::Nobody => Some(usage),
            Before::Reported(before) => Some(sum(before, usage)),
            Before::Unknown => None,
        }
    }
}

/// The prompt is that of the first: the later ones' holds the text so far too.
fn sum(before: Usage, then: Usage) -> Usage {
    let reasoning = [before.reasoning_tokens, then.reasoning_tokens];
    Usage {
        completion_tokens: before.completion_tokens.saturating_add(then.completion_tokens),
        reasoning_tokens: reasoning.into_iter().flatten().reduce(u64::saturating_add),
        ..before
    }
}

/// What all relayed frames of an answer have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Signature {
    pub id: Option<String>,
    pub model: Option<String>,
    pub created: Option<u64>,
}

impl Signature {
    /// That of the first of a run of frames: an SSE event, or a line of NDJSON.
    #[must_use]
    pub fn of(frames: &[u8]) -> Option<Self> {
        let begin = frames.iter().position(|byte| *byte == b'{')?;
        let rest = frames.get(begin..)?;
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        serde_json::from_slice(rest.get(..end)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ToolCallDelta;

    fn said(events: Vec<Event>) -> Batch {
        Batch { events, chunks: 1, ..Batch::default() }
    }

    fn text(text: &str) -> Event {
        Event::Text(text.to_owned())
    }

    fn usage(prompt_tokens: u64, completion_tokens: u64) -> Usage {
        Usage { prompt_tokens, completion_tokens, ..Usage::default() }
    }

    fn spoken(events: Vec<Event>) -> Spoken {
        let mut spoken = Spoken::new(100);
        for event in events {
            spoken.note(&said(vec![event]));
        }
        spoken
    }

    #[test]
    fn text_alone_can_be_gone_on_with() {
        assert_eq!(spoken(vec![text("a"), text("b")]).text(&[]), Some("ab"));
        assert_eq!(spoken(vec![]).text(&[]), None);
        for other in [
            Event::ToolCall(ToolCallDelta::default()),
            Event::Reasoning("hm".to_owned()),
            Event::Finish("stop".into()),
            Event::Done,
        ] {
            assert_eq!(spoken(vec![text("a"), other.clone()]).text(&[]), None, "{other:?}");
            assert_eq!(spoken(vec![other.clone(), text("a")]).text(&[]), None, "{other:?}");
        }
        let mut spoken = Spoken::new(100);
        spoken.note(&Batch { opaque: true, ..said(vec![text("a")]) });
        assert_eq!(spoken.text(&[]), None);
    }

    #[test]
    fn no_more_is_kept_than_is_allowed() {
        let mut spoken = Spoken::new(3);
        spoken.note(&said(vec![text("abc")]));
        assert_eq!(spoken.text(&[]), Some("abc"));
        spoken.note(&said(vec![text("d")]));
        assert_eq!((spoken.text(&[]), spoken.text.capacity()), (None, 0));
    }

    #[test]
    fn a_stop_sequence_that_has_begun_bars_the_way() {
        let stop = ["END".to_owned(), "é!".to_owned()];
        for (said, goes_on) in [
            ("the", true),
            ("the E", false),
            ("the EN", false),
            ("EN d", true),
            ("caf\u{e9}", false),
        ] {
            assert_eq!(spoken(vec![text(said)]).text(&stop).is_some(), goes_on, "{said}");
        }
    }

    #[test]
    fn usage_is_that_of_all_or_not_told() {
        let mut spoken = spoken(vec![text("a"), Event::Usage(usage(7, 4))]);
        assert_eq!(spoken.produced(), 4);
        spoken.join();
        let mut rest = said(vec![text("b"), Event::Usage(usage(11, 2))]);
        spoken.note(&rest);
        spoken.sum_up(&mut rest);
        assert_eq!(rest.events, [text("b"), Event::Usage(usage(7, 6))]);
        assert_eq!(spoken.produced(), 6);
        spoken.join();
        spoken.join();
        let mut rest = said(vec![Event::Usage(usage(13, 1)), Event::Done]);
        spoken.note(&rest);
        spoken.sum_up(&mut rest);
        assert_eq!(rest.events, [Event::Done]);
        assert_eq!(spoken.produced(), spoken.chunks());
    }

    #[test]
    fn a_signature_is_that_of_the_first_frame() {
        let frames = b": k\ndata: {\"id\":\"a\",\"created\":7,\"x\":1}\n\ndata: {\"id\":\"b\"}\n\n";
        let id = Some("a".to_owned());
        assert_eq!(Signature::of(frames), Some(Signature { id, model: None, created: Some(7) }));
        let line = b"{\"model\":\"m\",\"created_at\":\"now\"}\n";
        assert_eq!(Signature::of(line).unwrap().model.as_deref(), Some("m"));
        assert_eq!(Signature::of(b"data: [DONE]\n\n"), None);
    }
}
