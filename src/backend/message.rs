//! What a backend is asked, and what it tells the stream that asked.

use std::sync::Arc;
use std::time::Duration;

use actix::{Message, Recipient};
use futures::channel::oneshot;
use tidegate_protocol::{Batch, Failure, Request, StreamId};
use tokio_util::sync::CancellationToken;

use super::retry::RetryReason;

/// Asks a backend to generate an answer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Generate {
    pub id: StreamId,
    pub request: Arc<Request>,
    /// Is told everything, from the queue to the end.
    pub stream: Arc<Recipient<Progress>>,
    /// Ends the work at once, in any phase: leaves the queue, closes the upstream connection.
    pub cancel: CancellationToken,
}

/// What happens to an answer. A stream gets any number of these and exactly one `Ended`, last.
#[derive(Message)]
#[rtype(result = "()")]
pub enum Progress {
    /// Waits in the queue; 1 is the next in line.
    Queued { position: usize },
    /// Got its permit after `queue_wait`; the request goes out now.
    Dispatched { queue_wait: Duration },
    /// The upstream did not take the request, and is asked once more.
    Retrying { reason: RetryReason, failure: Failure },
    /// The upstream accepted the request with a response head.
    Accepted,
    /// Pieces of the answer. `taken` is told when the stream has room for more. It is not the
    /// message's own reply, which would make the mailbox's limit, and a sender that stops waiting,
    /// hold the batch back.
    Batch { batch: Batch, taken: oneshot::Sender<()> },
    /// The end: whole, or not. What came with the end mark comes along, so that a client gets
    /// both in one write.
    Ended { last: Batch, result: Result<(), Failure> },
}
