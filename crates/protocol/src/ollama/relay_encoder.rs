//! A relayed answer on its way to the client: lines as they came, the last when the end is decided.

use bytes::Bytes;

use super::client::{LineEncoder, error_line};
use crate::codec::{Batch, Encoder, End, Join, Payload};
use crate::error::Failure;
use crate::event::{Event, FinishReason};
use crate::outcome::Outcome;

/// Passes on lines; holds back the one that says `"done":true`.
#[derive(Debug)]
pub struct RelayEncoder {
    relayed: bool,
    /// What comes now is events of another upstream's.
    joined: bool,
    last: Option<Bytes>,
    fallback: LineEncoder,
}

impl RelayEncoder {
    /// An answer that does not come in lines, but as events, is written by `fallback`.
    #[must_use]
    pub fn new(fallback: LineEncoder) -> Self {
        Self { relayed: false, joined: false, last: None, fallback }
    }
}

impl Encoder for RelayEncoder {
    fn encode(&mut self, mut batch: Batch, out: &mut Vec<Payload>) {
        self.relayed |= !batch.frames.is_empty();
        if !self.relayed || self.joined {
            self.fallback.encode(batch, out);
            return;
        }
        if batch.events.contains(&Event::Done) {
            self.last = batch.frames.pop();
        }
        out.extend(batch.frames.into_iter().map(Payload::Wire));
    }

    /// The lines before name the upstream's model, and so do those to come.
    fn continued(&mut self, join: &Join<'_>, out: &mut Vec<Payload>) {
        if self.relayed && !self.joined {
            self.joined = true;
            self.fallback.sign(join.signature);
        }
        self.fallback.continued(join, out);
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        match self.last.take() {
            _ if end.outcome != Outcome::Completed => out.push(Payload::Wire(error_line(end))),
            Some(last) => out.push(Payload::Wire(last)),
            None => self.fallback.end(end, out),
        }
    }

    fn objection(&self, finish: Option<&FinishReason>) -> Option<Failure> {
        if self.relayed && !self.joined { None } else { self.fallback.objection(finish) }
    }

    fn held_bytes(&self) -> usize {
        self.last.as_ref().map_or(0, Bytes::len) + self.fallback.held_bytes()
    }
}
