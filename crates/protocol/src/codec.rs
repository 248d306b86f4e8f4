//! What moves between upstream and client, and the two traits at either end of it.
//!
//! An upstream's bytes go through a [`Decoder`] into a [`Batch`]; a batch goes through an
//! [`Encoder`] into [`Payload`]s. Where both ends speak the same dialect the batch carries the
//! upstream's own frames, refcounted and only scanned; where they differ it carries [`Event`]s.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use crate::error::Failure;
use crate::event::{Event, FinishReason, Timings, Usage};
use crate::outcome::Outcome;
use crate::spoken::Signature;

/// All complete frames of one upstream read.
#[derive(Debug, Default)]
pub struct Batch {
    /// Relayed only: whole frames as the client will read them, without end mark, error frames
    /// and usage frames the client did not ask for.
    pub frames: Vec<Bytes>,
    /// Translated: all that was said. Relayed: only what the gateway must know (finish reason,
    /// usage, error, end mark).
    pub events: Vec<Event>,
    /// How many frames carried a piece of the answer; a stand-in for tokens until the upstream
    /// reports usage.
    pub chunks: u32,
    /// Relayed and [heard](crate::spoken): a frame told the client more than `events` can say.
    pub opaque: bool,
}

impl Batch {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.events.is_empty() && self.chunks == 0
    }

    /// Adds what was read behind it.
    pub fn append(&mut self, more: Self) {
        if self.is_empty() {
            *self = more;
            return;
        }
        self.frames.extend(more.frames);
        self.events.extend(more.events);
        self.chunks += more.chunks;
        self.opaque |= more.opaque;
    }

    /// The result of a read that may have failed half-way: what came before the failure is not
    /// lost, the failure then follows it as an event.
    pub(crate) fn or_failure(mut self, read: Result<(), Failure>) -> Result<Self, Failure> {
        match read {
            Ok(()) => Ok(self),
            Err(failure) if self.is_empty() => Err(failure),
            Err(failure) => {
                self.events.push(Event::Error(failure));
                Ok(self)
            }
        }
    }
}

/// Reads one upstream answer. Bytes may be split anywhere.
pub trait Decoder {
    /// Takes one read; gives what became complete by it.
    ///
    /// # Errors
    /// [`ErrorKind::UpstreamProtocol`](crate::ErrorKind::UpstreamProtocol) when the bytes break
    /// the wire format or a bound. Behind good frames of the same read the failure is given as an
    /// [`Event::Error`] instead, so that they are not lost. Either way, what follows is ignored.
    fn decode(&mut self, read: Bytes) -> Result<Batch, Failure>;

    /// The upstream's body has ended; gives what its end made complete.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn finish(&mut self) -> Result<Batch, Failure>;
}

/// Writes one answer in a client's dialect.
pub trait Encoder: Send {
    /// Encodes a batch, appending to `out`. An encoder of unstreamed answers only collects.
    fn encode(&mut self, batch: Batch, out: &mut Vec<Payload>);

    /// The request waits in the model's queue. Dialects without a word for it say nothing.
    fn queued(&mut self, _place: QueuePlace, _out: &mut Vec<Payload>) {}

    /// Another model goes on with the answer. What follows comes as events, whatever came before.
    /// Dialects without a word for it say nothing, or say it in a comment.
    fn continued(&mut self, _join: &Join<'_>, _out: &mut Vec<Payload>) {}

    /// Encodes the one terminal of the stream, appending to `out`. Called once, last.
    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>);

    /// Why the answer, whole as it is, cannot be said in this dialect: a tool call whose arguments
    /// are no JSON, where the dialect has room for an object only. Asked once, before a completed
    /// end.
    fn objection(&self, _finish: Option<&FinishReason>) -> Option<Failure> {
        None
    }

    /// Bytes collected but not yet given out.
    fn held_bytes(&self) -> usize {
        0
    }
}

/// A request's place in the queue of its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePlace {
    /// 1 is the next.
    pub position: usize,
    /// When its turn will come, as far as recent answers tell.
    pub wait: Option<Duration>,
}

/// Where another model goes on with an answer that broke off.
#[derive(Debug)]
pub struct Join<'a> {
    /// The public name of the model that goes on.
    pub model: &'a str,
    /// Why the answer broke off.
    pub failure: &'a Failure,
    /// Pieces of the answer that were passed on before.
    pub chunks: u64,
    /// How the relayed frames before are signed, so that those to come can be signed alike.
    pub signature: Option<&'a Signature>,
}

/// How a stream ended, with all that a dialect may want to say about it.
#[derive(Debug)]
pub struct End<'a> {
    pub outcome: Outcome,
    /// Present unless completed.
    pub failure: Option<&'a Failure>,
    pub finish: Option<FinishReason>,
    /// As the upstream reported it.
    pub usage: Option<Usage>,
    /// As the upstream reported them.
    pub timings: Option<Timings>,
    /// Pieces of the answer that were passed on.
    pub chunks: u64,
    /// From the request's arrival to its end.
    pub duration_ns: u64,
    /// From the request's arrival to the first piece of the answer.
    pub first_piece_ns: Option<u64>,
}

/// What a client's connection is given to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Bytes to be written as they are: whole frames, or the body of an unstreamed answer.
    Wire(Bytes),
    /// A named event; the HTTP layer frames it. The data is one line of JSON.
    Event { name: EventName, data: ByteString },
}

/// The events that have names of their own, which are the native dialect's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventName {
    Chunk,
    Done,
    Queued,
    Continued,
    Cancelled,
    Error,
}

impl EventName {
    pub const ALL: [Self; 6] =
        [Self::Chunk, Self::Done, Self::Queued, Self::Continued, Self::Cancelled, Self::Error];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chunk => "chat.completion.chunk",
            Self::Done => "chat.completion.done",
            Self::Queued => "chat.queued",
            Self::Continued => "chat.continued",
            Self::Cancelled => "chat.cancelled",
            Self::Error => "error",
        }
    }
}

impl Payload {
    /// Bytes of memory the payload holds.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Wire(bytes) => bytes.len(),
            Self::Event { data, .. } => data.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
