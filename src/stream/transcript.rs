//! Turns what the backend tells into the client's dialect, publishes it, and keeps what the end
//! will say. Plain logic: it knows nothing of actors.

use std::time::Duration;

use tidegate_protocol::spoken::Signature;
use tidegate_protocol::{
    Batch, Encoder, End, ErrorKind, Event, Failure, FinishReason, Framing, Join, Outcome, Payload,
    QueuePlace, Timings, Usage,
};

use super::subscription::{Departures, Publisher, Room};

/// Room for so many payloads is kept from batch to batch: enough for a stream that is not in a
/// hurry, while one burst does not cost memory for the rest of a stream's life.
const KEPT_PAYLOADS: usize = 4;

/// What has been said so far.
pub struct Transcript {
    encoder: Box<dyn Encoder>,
    publisher: Publisher,
    /// Reused from batch to batch.
    payloads: Vec<Payload>,
    usage: Option<Usage>,
    timings: Option<Timings>,
    finish: Option<FinishReason>,
    chunks: u64,
    answer_bytes: usize,
    /// Frames are published one by one, so that each has a number.
    framing: Option<Framing>,
}

impl Transcript {
    #[must_use]
    pub fn new(
        encoder: Box<dyn Encoder>,
        publisher: Publisher,
        answer_bytes: usize,
        framing: Option<Framing>,
    ) -> Self {
        Self {
            encoder,
            publisher,
            payloads: Vec::new(),
            usage: None,
            timings: None,
            finish: None,
            chunks: 0,
            answer_bytes,
            framing,
        }
    }

    /// Says that the request waits in line, if the dialect has a word for it, and unless the client
    /// has not taken what was said before.
    pub fn queued(&mut self, place: QueuePlace) {
        if self.publisher.room().is_there() {
            self.encoder.queued(place, &mut self.payloads);
            self.flush();
        }
    }

    /// Says that another model goes on. What was reported of the part before is no report of the
    /// whole.
    pub fn continued(&mut self, by: &str, failure: &Failure, signature: Option<&Signature>) {
        (self.usage, self.timings) = (None, None);
        let join = Join { model: by, failure, chunks: self.chunks, signature };
        self.encoder.continued(&join, &mut self.payloads);
        self.flush();
    }

    /// Passes pieces of the answer on.
    ///
    /// # Errors
    /// When an unstreamed answer outgrows its bound.
    pub fn take(&mut self, batch: Batch) -> Result<(), Failure> {
        for event in &batch.events {
            match event {
                Event::Usage(usage) => self.usage = Some(*usage),
                Event::Timings(timings) => self.timings = Some(*timings),
                Event::Finish(reason) => self.finish = Some(reason.clone()),
                _ => {}
            }
        }
        self.chunks += u64::from(batch.chunks);
        self.encoder.encode(batch, &mut self.payloads);
        self.flush();
        if self.encoder.held_bytes() > self.answer_bytes {
            return Err(Failure::new(
                ErrorKind::UpstreamProtocol,
                format!("the answer is larger than {} bytes", self.answer_bytes),
            ));
        }
        Ok(())
    }

    fn flush(&mut self) {
        if self.payloads.is_empty() {
            return;
        }
        let payloads = self.payloads.drain(..);
        match self.framing {
            Some(framing) => self.publisher.publish(payloads.flat_map(|it| single(it, framing))),
            None => self.publisher.publish(payloads),
        }
        self.payloads.shrink_to(KEPT_PAYLOADS);
    }

    /// Whether a whole answer can be said in the client's dialect.
    ///
    /// # Errors
    /// When it cannot.
    pub fn can_end_well(&self) -> Result<(), Failure> {
        self.encoder.objection(self.finish.as_ref()).map_or(Ok(()), Err)
    }

    /// Says the one terminal, `age` after the request arrived; the first piece of the answer came
    /// `first_piece` after it.
    pub fn end(
        &mut self,
        outcome: Outcome,
        failure: Option<Failure>,
        age: Duration,
        first_piece: Option<Duration>,
    ) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let end = End {
            outcome,
            failure: failure.as_ref(),
            finish: self.finish.clone(),
            usage: self.usage,
            timings: self.timings,
            chunks: self.chunks,
            duration_ns: nanos(age),
            first_piece_ns: first_piece.map(nanos),
        };
        let mut terminal = Vec::new();
        self.encoder.end(&end, &mut terminal);
        if let Some(framing) = self.framing {
            terminal = terminal.into_iter().flat_map(|it| single(it, framing)).collect();
        }
        let tokens = self.usage.map_or(self.chunks, |usage| usage.completion_tokens);
        self.publisher.close(outcome, failure, terminal, tokens);
    }

    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Nothing where there is room already.
    #[must_use]
    pub fn wait_for_room(&self) -> Option<Room> {
        let room = self.publisher.room();
        (!room.is_there()).then_some(room)
    }

    #[must_use]
    pub fn buffered(&self) -> usize {
        self.publisher.buffered() + self.encoder.held_bytes()
    }

    /// How many read it.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.publisher.readers()
    }

    /// How many of them it is for.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.publisher.clients()
    }

    /// Tells each time that the last client leaves.
    #[must_use]
    pub fn departures(&self) -> Departures {
        self.publisher.departures()
    }

    /// How often the last client has left.
    #[must_use]
    pub fn absences(&self) -> u64 {
        self.publisher.absences()
    }
}

/// The frames of a payload, each as one.
fn single(payload: Payload, framing: Framing) -> impl Iterator<Item = Payload> {
    let (wire, event) = match payload {
        Payload::Wire(wire) => (Some(framing.split(wire)), None),
        event @ Payload::Event { .. } => (None, Some(event)),
    };
    wire.into_iter().flatten().map(Payload::Wire).chain(event)
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::native::EventEncoder;

    use super::*;
    use crate::stream::journal::Bounds;
    use crate::stream::level::Level;
    use crate::stream::subscription::subscription;

    #[test]
    fn a_client_that_does_not_read_is_told_no_more_places() {
        let bounds = Bounds { room: 1, lag: 1, keep: None };
        let (publisher, reader) = subscription(bounds, Level::default(), None);
        let encoder = Box::new(EventEncoder::new("m".to_owned()));
        let mut transcript = Transcript::new(encoder, publisher, 1, None);
        transcript.queued(QueuePlace { position: 9, wait: None });
        let held = transcript.buffered();
        assert!(held > 0);
        (1..9).rev().for_each(|position| {
            transcript.queued(QueuePlace { position, wait: None });
        });
        assert_eq!(transcript.buffered(), held);
        drop(reader);
    }
}
