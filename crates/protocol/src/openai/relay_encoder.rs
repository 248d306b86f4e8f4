//! A relayed answer on its way to the client: frames as they came, the terminal as it should be.

use bytes::Bytes;

use super::chunks::{ChunkEncoder, END_MARK, error_frame};
use super::relay::RELAYED_ID;
use crate::codec::{Batch, Encoder, End, Payload};
use crate::outcome::Outcome;

/// Passes on frames.
///
/// A server that was asked for a stream may answer whole all the same. Such an answer comes as
/// events, and goes out in chunks of the gateway's own.
#[derive(Debug)]
pub struct RelayEncoder {
    relayed: bool,
    fallback: ChunkEncoder,
}

impl RelayEncoder {
    /// Chunks of the gateway's own, should they be needed, have a made-up id and no model.
    #[must_use]
    pub fn new() -> Self {
        let id = RELAYED_ID.to_owned();
        Self::with_fallback(ChunkEncoder::new(id, String::new(), 0, false))
    }

    /// Chunks of the gateway's own, should they be needed, are written by `fallback`.
    #[must_use]
    pub fn with_fallback(fallback: ChunkEncoder) -> Self {
        Self { relayed: false, fallback }
    }
}

impl Default for RelayEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder for RelayEncoder {
    fn encode(&mut self, batch: Batch, out: &mut Vec<Payload>) {
        self.relayed |= !batch.frames.is_empty();
        if self.relayed {
            out.extend(batch.frames.into_iter().map(Payload::Wire));
        } else {
            self.fallback.encode(batch, out);
        }
    }

    fn queued(&mut self, _position: usize, _out: &mut Vec<Payload>) {}

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        if end.outcome != Outcome::Completed {
            out.push(Payload::Wire(error_frame(end)));
        } else if self.relayed {
            out.push(Payload::Wire(Bytes::from_static(END_MARK)));
        } else {
            self.fallback.end(end, out);
        }
    }
}
