//! What a subscriber is given.

use std::collections::VecDeque;

use bytes::Bytes;
use bytestring::ByteString;
use tidegate_protocol::{ErrorKind, Failure, Outcome, Payload};

/// A numbered piece of an answer; the first is 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub number: u64,
    pub payload: Payload,
}

impl Frame {
    /// Bytes of memory it takes: for a short piece its frame is the larger part.
    #[must_use]
    pub fn weight(&self) -> usize {
        Self::weight_of(self.payload.len())
    }

    /// The same, of a payload of so many bytes.
    #[must_use]
    pub fn weight_of(bytes: usize) -> usize {
        size_of::<Self>() + bytes
    }
}

/// What a subscriber is given.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    /// All that has come in since the last delivery; never empty.
    Frames(VecDeque<Frame>),
    /// The end. Nothing follows.
    End(Closing),
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    pub outcome: Outcome,
    /// The terminal in the client's dialect. Empty when the actor died before it could say it.
    pub frames: Vec<Frame>,
    pub failure: Option<Failure>,
    /// As the upstream reported it, or counted.
    pub tokens: u64,
}

impl Closing {
    /// Moves the terminal into memory of its own size.
    pub fn compact(&mut self) {
        for frame in &mut self.frames {
            match &mut frame.payload {
                Payload::Wire(bytes) => *bytes = Bytes::copy_from_slice(bytes),
                Payload::Event { data, .. } => *data = ByteString::from(&**data),
            }
        }
    }

    /// For a client that has fallen too far behind. Its stream may go on without it.
    #[must_use]
    pub fn too_slow() -> Self {
        let message = "the client was too slow, and is sent no more; what it has missed can be asked \
                       for, if the stream can be resumed";
        let failure = Failure::new(ErrorKind::TooSlow, message);
        Self { outcome: Outcome::Cancelled, frames: Vec::new(), failure: Some(failure), tokens: 0 }
    }
}
