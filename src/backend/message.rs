//! What a backend is asked, and what it tells the stream that asked.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use actix::{Message, Recipient};
use futures::channel::oneshot;
use tidegate_protocol::spoken::Signature;
use tidegate_protocol::{Batch, Failure, QueuePlace, Request, StreamId};
use tokio_util::sync::CancellationToken;

use super::hedge::HedgeResult;
use super::retry::RetryReason;
use super::turn::Claimant;
use crate::config::Cause;
use crate::routing::Need;
use crate::telemetry::trace::Trace;

/// Asks a backend to generate an answer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Generate {
    pub id: StreamId,
    pub request: Arc<Request>,
    /// What it needs of a target.
    pub need: Need,
    pub claimant: Claimant,
    /// Where it is part of a trace.
    pub trace: Option<Trace>,
    /// Counts how often upstreams are asked.
    pub asked: Arc<AtomicU32>,
    /// Is told everything, from the queue to the end.
    pub stream: Arc<Recipient<Progress>>,
    /// Ends the work at once, in any phase: leaves the queue, closes the upstream connection.
    pub cancel: CancellationToken,
}

/// What happens to an answer. A stream gets any number of these and exactly one `Ended`, last.
#[derive(Message)]
#[rtype(result = "()")]
pub enum Progress {
    /// Waits in the queue. Also when its turn was taken from it, before anything of an answer came.
    Queued(QueuePlace),
    /// Got its permit after it waited for `queue_wait` in all; the request goes out now.
    Dispatched { queue_wait: Duration },
    /// It goes to this target, of this kind, where there is a choice; or that is the one, of two that
    /// were asked, whose answer it is.
    Asked { target: Arc<str>, provider: &'static str },
    /// A target gave no answer, and another is asked.
    FailedOver { cause: Cause, failure: Failure },
    /// The upstream did not take the request, and is asked once more.
    Retrying { reason: RetryReason, failure: Failure },
    /// The upstream accepted the request with a response head.
    Accepted,
    /// Another model comes in.
    Takeover(Takeover),
    /// Pieces of the answer. `taken` is told when the stream has room for more. It is not the
    /// message's own reply, which would make the mailbox's limit, and a sender that stops waiting,
    /// hold the batch back.
    Batch { batch: Batch, taken: oneshot::Sender<()> },
    /// The end: whole, or not. What came with the end mark comes along, so that a client gets
    /// both in one write.
    Ended { last: Batch, result: Result<(), Failure> },
}

/// How another model comes in.
pub enum Takeover {
    /// The first token was late, and this is what asking the model `by` came to; `failure` is that of
    /// the first, where the answer is not its own for that reason.
    Hedged { result: HedgeResult, by: Arc<str>, failure: Option<Failure> },
    /// The model's targets gave no answer because of `failure`, and the model `by` does.
    Instead { by: Arc<str>, cause: Cause, failure: Failure },
    /// The model `by` was asked instead, and gave no answer either.
    NotInstead { by: Arc<str>, cause: Cause, failure: Failure },
    /// The upstream died of `failure`, and the model `by` goes on from where it was. Its pieces
    /// come as events.
    Continued { by: Arc<str>, failure: Failure, signature: Option<Signature> },
    /// The model `by` was to go on, and did not.
    NotContinued { by: Arc<str>, failure: Failure },
}
