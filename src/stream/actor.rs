//! The stream actor: from its opening to its one outcome.
//!
//! It asks a backend for the answer, passes what comes on to its transcript, and ends when the
//! backend reports the end. A cancel fires a token that the backend's work listens to, so that it
//! takes effect at once in every phase; the end then comes the same way as any other.

use std::sync::Arc;

use actix::{
    Actor, ActorContext, ActorStreamExt, AsyncContext, Context, Handler, Recipient, WrapStream,
};
use futures::FutureExt;
use tidegate_protocol::{Batch, ErrorKind, Failure, Outcome, Request};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::journal::Bounds;
use super::journals::{Journals, NotKept, Opened, Standing};
use super::level::Level;
use super::message::{Cancel, CancelCause, Inspect, StreamInfo, millis};
use super::slot::Lease;
use super::spec::{Keeping, StreamMeta, StreamSpec};
use super::subscription::{Subscription, subscription};
use super::takeover;
use super::transcript::Transcript;
use crate::backend::{Claimant, Generate, Progress, RetryReason};
use crate::config::{Cause, Disconnect, OnDisconnect};
use crate::routing::Need;
use crate::telemetry::access;
use crate::telemetry::spans::StreamSpan;
use crate::telemetry::spans::upstream::operation;
use crate::telemetry::trace::Trace;
use crate::telemetry::{Ledger, StreamRecorder};

/// One answer being generated.
pub struct StreamActor {
    /// Dropped before the recorder: a stream that counts as ended holds no slot.
    _lease: Lease,
    meta: StreamMeta,
    state: State,
    transcript: Transcript,
    recorder: StreamRecorder,
    control: Control,
    policy: Disconnect,
    opening: Option<Opening>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Queued,
    Connecting,
    Waiting,
    Streaming,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Connecting => "connecting",
            Self::Waiting => "waiting",
            Self::Streaming => "streaming",
        }
    }
}

/// How the stream is ended from outside. The guard fires the token when the actor is dropped in
/// whatever way, so that no upstream outlives its stream.
struct Control {
    token: CancellationToken,
    cause: Option<CancelCause>,
    /// A fault found here while the backend still works, to be reported instead of the cancel.
    fault: Option<Failure>,
    _guard: DropGuard,
}

/// What comes of opening a stream.
pub enum Begun {
    New(Box<StreamActor>, Subscription),
    /// One that is kept answers the same request.
    Joined(Standing, Subscription),
}

/// What is used up by asking the backend.
struct Opening {
    backend: Arc<Recipient<Generate>>,
    request: Arc<Request>,
    need: Need,
    claimant: Claimant,
    trace: Option<Trace>,
}

impl StreamActor {
    /// Makes the actor and its first subscription, unless a stream that is kept answers the same
    /// request; the caller starts it.
    ///
    /// # Errors
    /// When the request claims the key of another one.
    pub fn open(
        mut spec: StreamSpec,
        lease: Lease,
        ledger: Ledger,
        level: Level,
        journals: &Arc<Journals>,
    ) -> Result<Begun, NotKept> {
        let token = CancellationToken::new();
        // Where the client's leaving ends the answer, it does so without asking anybody.
        let ends = spec.disconnect.policy == OnDisconnect::Cancel;
        let left = ends.then(|| token.clone());
        let framing = spec.keeping.as_ref().map(|keeping| keeping.framing);
        let (publisher, subscription) = match spec.keeping.take() {
            None => {
                let (room, lag) = (spec.buffer_bytes, spec.buffer_bytes);
                subscription(Bounds { room, lag, keep: None }, level, left)
            }
            Some(keeping) => {
                let opened =
                    journals.open(standing(&spec.meta, &keeping), keeping.claims, || {
                        subscription(journals.bounds(spec.buffer_bytes), level, left)
                    })?;
                match opened {
                    Opened::New(publisher, subscription) => (publisher, subscription),
                    Opened::Joined(standing, subscription) => {
                        return Ok(Begun::Joined(standing, subscription));
                    }
                }
            }
        };
        let StreamMeta { arrived, dialect, provider, ref target, .. } = spec.meta;
        let (operation, target) = (operation(&spec.request), target.clone());
        spec.record.begun(access::Begun { operation, dialect, provider, target });
        let StreamMeta { id, ref model, .. } = spec.meta;
        let span = spec.trace.map(|trace| StreamSpan::begin(&trace, id, model, dialect));
        let trace = span.as_ref().map(|span| span.inside().clone());
        let recorder = StreamRecorder::start(spec.metrics, ledger, arrived)
            .uploaded_in(spec.upload)
            .told_to(spec.record)
            .traced_by(span);
        let StreamSpec { backend, request, need, claimant, .. } = spec;
        let opening = Opening { backend, request, need, claimant, trace };
        let actor = Self {
            _lease: lease,
            meta: spec.meta,
            state: State::Connecting,
            transcript: Transcript::new(spec.encoder, publisher, spec.answer_bytes, framing),
            recorder,
            control: Control {
                token: token.clone(),
                cause: None,
                fault: None,
                _guard: token.drop_guard(),
            },
            policy: spec.disconnect,
            opening: Some(opening),
        };
        Ok(Begun::New(Box::new(actor), subscription))
    }

    fn take(&mut self, batch: Batch) {
        self.state = State::Streaming;
        self.recorder.chunks(batch.chunks);
        if let Err(fault) = self.transcript.take(batch) {
            self.control.fault = Some(fault);
            self.control.token.cancel();
        }
    }

    /// Nobody reads any more. The answer goes on as far as the policy lets it; a client may come back
    /// meanwhile.
    fn left_alone(&mut self, ctx: &mut Context<Self>) {
        let Disconnect { policy, run_on } = self.policy;
        let StreamMeta { id, ref log_span, .. } = self.meta;
        match policy {
            OnDisconnect::Detach => {
                tracing::info!(parent: log_span, %id, "no client is left; its answer goes on");
            }
            // Nothing was used yet, so there is nothing to learn.
            OnDisconnect::RunOn if self.state != State::Queued => {
                tracing::info!(parent: log_span, %id, ?run_on, "no client is left; its answer runs on");
                let absences = self.transcript.absences();
                ctx.run_later(run_on, move |actor, _| actor.end_if_still_alone(absences));
            }
            OnDisconnect::RunOn | OnDisconnect::Cancel => self.control.token.cancel(),
        }
    }

    fn end_if_still_alone(&self, absences: u64) {
        if self.transcript.clients() == 0 && self.transcript.absences() == absences {
            self.control.token.cancel();
        }
    }

    fn retrying(&mut self, reason: RetryReason, failure: &Failure) {
        self.recorder.retried(reason.as_str());
        let StreamMeta { id, model, log_span, .. } = &self.meta;
        let (reason, error) = (reason.as_str(), failure.logged());
        tracing::info!(parent: log_span, %id, model, reason, error, "the upstream is asked once more");
    }

    fn failed_over(&mut self, cause: Cause, failure: &Failure) {
        self.recorder.failed_over(cause, failure.kind);
        let StreamMeta { id, model, target, log_span, .. } = &self.meta;
        let (target, cause) = (target.as_deref().unwrap_or_default(), cause.as_str());
        let error = failure.logged();
        tracing::info!(parent: log_span, %id, model, target, cause, error, "another target is asked");
    }

    /// The backend's word on the end, read in the light of why it was asked to end.
    fn judge(&mut self, result: Result<(), Failure>) -> Option<Failure> {
        if let Some(fault) = self.control.fault.take() {
            return Some(fault);
        }
        let failure = result.err()?;
        if failure.kind != ErrorKind::Cancelled {
            return Some(failure);
        }
        Some(match self.control.cause {
            Some(CancelCause::Drain) => Failure::new(
                ErrorKind::Drained,
                "the gateway is shutting down and could not wait for the rest of the answer",
            )
            .retry_after(Some(1)),
            Some(CancelCause::Request) => {
                Failure::new(ErrorKind::Cancelled, "the stream was cancelled on request")
            }
            None => Failure::new(ErrorKind::Cancelled, "the client left"),
        })
    }

    fn end(&mut self, result: Result<(), Failure>) {
        let failure = self.judge(result.and_then(|()| self.transcript.can_end_well()));
        let kind = failure.as_ref().map(|failure| failure.kind);
        let outcome = kind.map_or(Outcome::Completed, ErrorKind::outcome);
        if let Some(failure) = &failure {
            self.log_failure(outcome, failure);
        }
        self.recorder.end(outcome, kind, self.transcript.usage());
        let first_piece = self.recorder.time_to_first_token();
        self.transcript.end(outcome, failure, self.recorder.age(), first_piece);
    }

    /// The request's one failure line.
    fn log_failure(&self, outcome: Outcome, failure: &Failure) {
        let StreamMeta { id, model, log_span, .. } = &self.meta;
        let (outcome, code) = (outcome.as_str(), failure.kind.code());
        let tokens = self.recorder.chunk_count();
        if failure.kind == ErrorKind::Cancelled {
            tracing::info!(parent: log_span, %id, model, outcome, tokens, reason = failure.logged(), "stream ended");
        } else {
            tracing::warn!(parent: log_span, %id, model, outcome, code, tokens, error = failure.logged(), "stream ended");
        }
    }
}

fn standing(meta: &StreamMeta, keeping: &Keeping) -> Standing {
    let &StreamMeta { id, dialect, .. } = meta;
    let owner = Arc::clone(&meta.owner);
    Standing { id, owner, dialect, streams: keeping.streams, numbered: keeping.numbered }
}

impl Actor for StreamActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(Opening { backend, request, need, claimant, trace }) = self.opening.take() else {
            return;
        };
        if self.policy.policy != OnDisconnect::Cancel {
            let departures = self.transcript.departures().into_actor(self);
            ctx.spawn(departures.map(|(), actor, ctx| actor.left_alone(ctx)).finish());
        }
        backend.do_send(Generate {
            id: self.meta.id,
            request,
            need,
            claimant,
            trace,
            asked: self.recorder.asked(),
            stream: Arc::new(ctx.address().recipient()),
            cancel: self.control.token.clone(),
        });
    }
}

impl Handler<Progress> for StreamActor {
    type Result = ();

    fn handle(&mut self, progress: Progress, ctx: &mut Self::Context) {
        match progress {
            Progress::Queued(place) => {
                self.state = State::Queued;
                self.recorder.queued();
                self.transcript.queued(place);
            }
            Progress::Dispatched { queue_wait } => {
                self.state = State::Connecting;
                self.recorder.dispatched(queue_wait);
            }
            Progress::Asked { target, provider } => {
                self.state = State::Connecting;
                self.recorder.goes_to(&target, provider);
                self.meta.provider = provider;
                self.meta.target = Some(target);
            }
            Progress::FailedOver { cause, failure } => self.failed_over(cause, &failure),
            Progress::Retrying { reason, failure } => self.retrying(reason, &failure),
            Progress::Accepted => self.state = State::Waiting,
            Progress::Takeover(takeover) => {
                takeover::note(takeover, &self.meta, &mut self.recorder, &mut self.transcript);
            }
            Progress::Batch { batch, taken } => {
                self.take(batch);
                match self.transcript.wait_for_room() {
                    None => drop(taken.send(())),
                    Some(room) => drop(actix_rt::spawn(room.map(|()| taken.send(())))),
                }
            }
            Progress::Ended { last, result } => {
                if !last.is_empty() {
                    self.take(last);
                }
                self.end(result);
                ctx.stop();
            }
        }
    }
}

impl Handler<Cancel> for StreamActor {
    type Result = ();

    fn handle(&mut self, Cancel(cause): Cancel, _: &mut Self::Context) {
        self.control.cause.get_or_insert(cause);
        self.control.token.cancel();
    }
}

impl Handler<Inspect> for StreamActor {
    type Result = StreamInfo;

    fn handle(&mut self, _: Inspect, _: &mut Self::Context) -> StreamInfo {
        let StreamMeta { id, model, provider, target, dialect, owner, client, .. } = &self.meta;
        StreamInfo {
            arrived: self.meta.arrived,
            request_id: id.to_string(),
            model: model.clone(),
            provider,
            target: target.as_deref().map(str::to_owned),
            dialect,
            state: self.state.as_str(),
            age_ms: millis(self.recorder.age()),
            queue_wait_ms: millis(self.recorder.queue_wait()),
            attempts: self.recorder.attempts(),
            continuations: self.recorder.continuations(),
            time_to_first_token_ms: self.recorder.time_to_first_token().map(millis),
            tokens: self.recorder.chunk_count(),
            tokens_per_second: self.recorder.tokens_per_second(),
            bytes_buffered: self.transcript.buffered(),
            owner: owner.to_string(),
            client: client.map(|address| address.to_string()),
            client_left: self.transcript.clients() == 0,
            watchers: self.transcript.readers(),
        }
    }
}

#[cfg(feature = "test-hooks")]
pub mod test_hooks {
    //! Faults on demand, for the tests of supervision.

    use super::{Context, Handler, StreamActor};

    /// Makes the stream's actor panic.
    #[derive(actix::Message, Clone, Copy)]
    #[rtype(result = "()")]
    pub struct Panic;

    impl Handler<Panic> for StreamActor {
        type Result = ();

        #[allow(clippy::panic, reason = "the hook's purpose")]
        fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
            panic!("a test asked this stream to panic");
        }
    }
}

#[cfg(test)]
mod tests;
