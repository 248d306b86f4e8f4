//! Keeps a response when its answer ends, however it ends.

use tidegate_protocol::responses::ResponseEncoder;
use tidegate_protocol::{Batch, Encoder, End, Failure, FinishReason, Join, Payload, QueuePlace};

use crate::store::Seat;

/// Writes a response, and gives it to the store at its end. Dropped before it, as when nothing was
/// opened for it, it leaves nothing behind.
pub struct Recorded {
    encoder: ResponseEncoder,
    seat: Seat,
}

impl Recorded {
    #[must_use]
    pub fn new(encoder: ResponseEncoder, seat: Seat) -> Self {
        Self { encoder, seat }
    }
}

impl Encoder for Recorded {
    fn encode(&mut self, batch: Batch, out: &mut Vec<Payload>) {
        self.encoder.encode(batch, out);
    }

    fn queued(&mut self, place: QueuePlace, out: &mut Vec<Payload>) {
        self.encoder.queued(place, out);
    }

    fn continued(&mut self, join: &Join<'_>, out: &mut Vec<Payload>) {
        self.encoder.continued(join, out);
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        self.encoder.end(end, out);
        if let Some(finished) = self.encoder.take_finished() {
            self.seat.finish(finished);
        }
    }

    fn objection(&self, finish: Option<&FinishReason>) -> Option<Failure> {
        self.encoder.objection(finish)
    }

    fn held_bytes(&self) -> usize {
        self.encoder.held_bytes()
    }
}
