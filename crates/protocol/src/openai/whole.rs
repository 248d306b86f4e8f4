//! An upstream's answer in one piece.

use bytes::{Bytes, BytesMut};
use serde::de::IgnoredAny;

use super::frame::{self, Chunk};
use crate::codec::{Batch, Decoder};
use crate::error::{ErrorKind, Failure};
use crate::event::Event;

/// Collects a JSON body and reads it at its end.
#[derive(Debug)]
pub struct WholeDecoder {
    max_bytes: usize,
    relay: bool,
    body: BytesMut,
}

impl WholeDecoder {
    /// A larger body is a failure. With `relay` the body is passed on as it is, and of the events
    /// only those are told that are no piece of the answer.
    #[must_use]
    pub fn new(max_bytes: usize, relay: bool) -> Self {
        Self { max_bytes, relay, body: BytesMut::new() }
    }
}

/// What is wrong with a body that cannot be understood: mostly it was cut.
fn fault(body: &[u8]) -> Failure {
    match serde_json::from_slice::<IgnoredAny>(body) {
        Err(error) if error.is_eof() => {
            Failure::new(ErrorKind::Truncated, "the upstream's answer ends before its end")
        }
        _ => frame::malformed(),
    }
}

impl Decoder for WholeDecoder {
    fn decode(&mut self, read: Bytes) -> Result<Batch, Failure> {
        if read.len() > self.max_bytes.saturating_sub(self.body.len()) {
            let message = format!("the upstream's answer is larger than {} bytes", self.max_bytes);
            return Err(Failure::new(ErrorKind::UpstreamProtocol, message));
        }
        if self.body.is_empty() {
            // The common case of one read: taken over without copying where nobody else holds it.
            self.body = BytesMut::from(read);
        } else {
            self.body.extend_from_slice(&read);
        }
        Ok(Batch::default())
    }

    fn finish(&mut self) -> Result<Batch, Failure> {
        let body = std::mem::take(&mut self.body).freeze();
        let text = std::str::from_utf8(&body).map_err(|_| fault(&body))?;
        let mut batch = Batch { chunks: 1, ..Batch::default() };
        if !text.trim_ascii_start().starts_with('{') {
            return Err(fault(&body));
        }
        Chunk::decode(text).map_err(|_| fault(&body))?.tell(&mut batch.events);
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
