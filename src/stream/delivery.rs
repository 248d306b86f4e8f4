//! What a subscriber is given.

use std::collections::VecDeque;

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
        size_of::<Self>() + self.payload.len()
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
    /// Of an answer whose client has left for having taken nothing for too long.
    #[must_use]
    pub fn took_nothing() -> Self {
        let failure = Failure::new(ErrorKind::Cancelled, "nothing was read for too long");
        Self { outcome: Outcome::Cancelled, frames: Vec::new(), failure: Some(failure), tokens: 0 }
    }
}
