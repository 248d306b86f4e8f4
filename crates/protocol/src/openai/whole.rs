//! An upstream's answer in one piece.

use bytes::Bytes;

use super::frame::Chunk;
use crate::codec::{Batch, Decoder};
use crate::error::Failure;
use crate::event::Event;
use crate::whole_body::WholeBody;

/// Collects a JSON body and reads it at its end.
#[derive(Debug)]
pub struct WholeDecoder {
    relay: bool,
    body: WholeBody,
}

impl WholeDecoder {
    /// A larger body is a failure. With `relay` the body is passed on as it is, and of the events
    /// only those are told that are no piece of the answer.
    #[must_use]
    pub fn new(max_bytes: usize, relay: bool) -> Self {
        Self { relay, body: WholeBody::new(max_bytes) }
    }
}

impl Decoder for WholeDecoder {
    fn decode(&mut self, read: Bytes) -> Result<Batch, Failure> {
        self.body.take(read).map(|()| Batch::default())
    }

    fn finish(&mut self) -> Result<Batch, Failure> {
        let mut batch = Batch { chunks: 1, ..Batch::default() };
        let ((), body) = self.body.end(|text| {
            Chunk::decode(text).ok()?.tell(&mut batch.events);
            Some(())
        })?;
        if matches!(batch.events.as_slice(), [Event::Error(_)]) {
            batch.chunks = 0;
            return Ok(batch);
        }
        batch.events.push(Event::Done);
        if self.relay {
            let is_notice =
                |event: &Event| matches!(event, Event::Finish(_) | Event::Usage(_) | Event::Done);
            batch.events.retain(is_notice);
            batch.frames.push(body);
        }
        Ok(batch)
    }
}
