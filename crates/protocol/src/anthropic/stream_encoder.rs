//! A streamed answer, in the events that Anthropic streams.

use super::answer::{Kind, Message, WireUsage, stop_reason};
use super::errors::error_event;
use super::events::{message_end, message_start};
use super::queue::{Queue, Voice};
use super::whole_encoder::no_object;
use crate::codec::{Batch, Encoder, End, Join, Payload};
use crate::error::Failure;
use crate::event::{Event, FinishReason, Usage};
use crate::outcome::Outcome;
use crate::sse;

/// Writes one answer as events: `message_start`, the blocks one after another, `message_delta` with
/// the stop reason and the usage, `message_stop`. All events of a batch go out as one slice.
///
/// The message begins with the first piece of the answer, so that what fails before it can have a
/// status of its own.
#[derive(Debug)]
pub struct StreamEncoder {
    id: String,
    model: String,
    begun: bool,
    /// As far as it was told before the message began.
    usage: Option<Usage>,
    queue: Queue,
    /// What comes next is another model's.
    joins: bool,
}

impl StreamEncoder {
    /// `id` is the message's without its prefix, `model` the public name.
    #[must_use]
    pub fn new(id: &str, model: String) -> Self {
        let queue = Queue::new(id.to_owned());
        Self { id: format!("msg_{id}"), model, begun: false, usage: None, queue, joins: false }
    }

    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Text(text) => {
                self.begin(out);
                self.queue.say(Voice::Text, text, out);
            }
            Event::Reasoning(text) => {
                self.begin(out);
                self.queue.say(Voice::Thinking, text, out);
            }
            Event::ToolCall(fragment) => {
                self.begin(out);
                self.queue.call(fragment, out);
            }
            Event::Usage(usage) if !self.begun => self.usage = Some(*usage),
            // Usage, errors and the end are told by the terminal; times and vectors have no place.
            Event::Finish(_)
            | Event::Usage(_)
            | Event::Timings(_)
            | Event::Embeddings(_)
            | Event::Error(_)
            | Event::Done => {}
        }
    }

    fn payload(&mut self, events: Vec<u8>) -> Payload {
        let joins = std::mem::take(&mut self.joins);
        Payload::Wire(if joins { [sse::CONTINUED, &events].concat().into() } else { events.into() })
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            let message = Message {
                id: &self.id,
                kind: Kind::default(),
                model: &self.model,
                content: Vec::new(),
                stop_reason: None,
                stop_sequence: None,
                usage: WireUsage::of_message(self.usage),
            };
            message_start(message, out);
        }
    }
}

impl Encoder for StreamEncoder {
    fn encode(&mut self, batch: Batch, out: &mut Vec<Payload>) {
        let mut events = Vec::new();
        for event in &batch.events {
            self.write(event, &mut events);
        }
        if !events.is_empty() {
            out.push(self.payload(events));
        }
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        if end.outcome != Outcome::Completed {
            out.push(Payload::Wire(error_event(end)));
            return;
        }
        let mut events = Vec::new();
        self.begin(&mut events);
        self.queue.finish(&mut events);
        let reason = stop_reason(end.finish.as_ref(), self.queue.has_called());
        message_end(reason, WireUsage::of_end(end.usage), &mut events);
        out.push(self.payload(events));
    }

    fn continued(&mut self, _join: &Join<'_>, _out: &mut Vec<Payload>) {
        self.joins = true;
    }

    fn objection(&self, finish: Option<&FinishReason>) -> Option<Failure> {
        let cut = finish == Some(&FinishReason::Length);
        self.queue.is_faulty(cut).then(no_object)
    }

    fn held_bytes(&self) -> usize {
        self.queue.held_bytes()
    }
}
