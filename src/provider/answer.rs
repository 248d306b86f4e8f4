//! An upstream's response body as a stream of batches.
//!
//! A body hands out one item per HTTP chunk, which for most upstreams is one token. All items
//! that are there already go into one batch, so that a flood costs one message per read and not
//! one per token.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::error::PayloadError;
use futures::stream::{Stream, StreamExt};
use tidegate_protocol::{Batch, Decoder, ErrorKind, Event, Failure};

use super::bearer::Bearer;
use super::client::Body;

/// A batch stops growing here: enough to make messages rare, little enough to keep the memory
/// of a stream small.
pub(super) const BATCH_BYTES: usize = 4 * 1024;

pub struct HttpAnswer {
    /// Fused: awc's body panics when it is polled past its end.
    body: futures::stream::Fuse<Body>,
    decoder: Box<dyn Decoder>,
    /// What the upstream knows and must not tell.
    bearer: Arc<Bearer>,
    /// A failure that came behind frames which are to be passed on first.
    failed: Option<Failure>,
    ended: bool,
}

impl HttpAnswer {
    pub fn new(body: Body, decoder: Box<dyn Decoder>, bearer: Arc<Bearer>) -> Self {
        Self { body: body.fuse(), decoder, bearer, failed: None, ended: false }
    }

    /// Ends the answer with what has been decoded and, behind it, the failure.
    fn fail(&mut self, decoded: Batch, failure: Failure) -> Result<Batch, Failure> {
        self.ended = true;
        if decoded.is_empty() {
            return Err(failure);
        }
        self.failed = Some(failure);
        Ok(decoded)
    }

    /// The body is over; so is the answer, once the decoder has given what it still held.
    fn finish(&mut self, mut decoded: Batch) -> Option<Result<Batch, Failure>> {
        self.ended = true;
        match self.decoder.finish() {
            Ok(rest) => {
                append(&mut decoded, rest, &self.bearer);
                (!decoded.is_empty()).then_some(Ok(decoded))
            }
            Err(failure) => Some(self.fail(decoded, failure)),
        }
    }
}

impl Stream for HttpAnswer {
    type Item = Result<Batch, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(failure) = this.failed.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        let mut decoded = Batch::default();
        let mut size = 0;
        while size < BATCH_BYTES {
            match this.body.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(read))) => {
                    size += read.len();
                    match this.decoder.decode(read) {
                        Ok(more) => append(&mut decoded, more, &this.bearer),
                        Err(failure) => return Poll::Ready(Some(this.fail(decoded, failure))),
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(this.fail(decoded, body_failure(&error))));
                }
                Poll::Ready(None) => return Poll::Ready(this.finish(decoded)),
                Poll::Pending if decoded.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if decoded.is_empty() {
            // A long run of nothing but comments: let others have their turn.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(decoded)))
    }
}

/// Adds what was decoded, but for the keys in what the upstream says of its failures.
fn append(batch: &mut Batch, mut more: Batch, bearer: &Bearer) {
    for event in &mut more.events {
        if let Event::Error(failure) = event {
            failure.message = bearer.hidden_in(std::mem::take(&mut failure.message));
        }
    }
    batch.append(more);
}

fn body_failure(error: &PayloadError) -> Failure {
    match error {
        PayloadError::Incomplete(_) | PayloadError::Io(_) => {
            Failure::new(ErrorKind::Truncated, "the upstream's connection broke within the answer")
        }
        PayloadError::Overflow => {
            Failure::new(ErrorKind::UpstreamProtocol, "the upstream's answer is too large")
        }
        _ => Failure::new(ErrorKind::UpstreamProtocol, "the upstream's answer is not valid HTTP"),
    }
}
