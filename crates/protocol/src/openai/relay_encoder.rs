//! A relayed answer on its way to the client: frames as they came, the terminal as it should be.

use bytes::Bytes;

use super::chunks::{ChunkEncoder, END_MARK, error_frame};
use super::relay::RELAYED_ID;
use crate::codec::{Batch, Encoder, End, Join, Payload};
use crate::outcome::Outcome;

/// Passes on frames.
///
/// A server that was asked for a stream may answer whole all the same. Such an answer comes as
/// events, and goes out in chunks of the gateway's own; so does the rest of one that another model
/// goes on with, under the id, the model's name and the time that the frames before had.
#[derive(Debug)]
pub struct RelayEncoder {
    relayed: bool,
    /// What comes now is events of another upstream's.
    joined: bool,
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
        Self { relayed: false, joined: false, fallback }
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
        if self.relayed && !self.joined {
            out.extend(batch.frames.into_iter().map(Payload::Wire));
        } else {
            self.fallback.encode(batch, out);
        }
    }

    fn continued(&mut self, join: &Join<'_>, out: &mut Vec<Payload>) {
        if self.relayed && !self.joined {
            self.joined = true;
            self.fallback.sign(join.signature);
        }
        self.fallback.continued(join, out);
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        if end.outcome != Outcome::Completed {
            out.push(Payload::Wire(error_frame(end)));
        } else if self.relayed && !self.joined {
            out.push(Payload::Wire(Bytes::from_static(END_MARK)));
        } else {
            self.fallback.end(end, out);
        }
    }
}
