//! The stream actor: from its opening to its one outcome.
//!
//! It asks a backend for the answer, passes what comes on to its transcript, and ends when the
//! backend reports the end. A cancel fires a token that the backend's work listens to, so that it
//! takes effect at once in every phase; the end then comes the same way as any other.

use std::sync::Arc;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Recipient, WrapFuture,
};
use futures::FutureExt;
use tidegate_protocol::{Batch, ErrorKind, Failure, Outcome, Request};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::level::Level;
use super::message::{Cancel, CancelCause, Inspect, StreamInfo, millis};
use super::slot::Lease;
use super::spec::{StreamMeta, StreamSpec};
use super::subscription::{Subscription, subscription};
use super::transcript::Transcript;
use crate::backend::{Generate, Progress, RetryReason};
use crate::config::{Disconnect, OnDisconnect};
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
    client: Client,
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

/// Who the answer is for.
struct Client {
    policy: Disconnect,
    /// Fires when the client leaves. Where that is to end the answer at once, it is the token
    /// which ends it.
    leaves: CancellationToken,
    has_left: bool,
}

/// What is used up by asking the backend.
struct Opening {
    backend: Arc<Recipient<Generate>>,
    request: Arc<Request>,
}

impl StreamActor {
    /// Makes the actor and its first subscription; the caller starts it.
    #[must_use]
    pub fn open(
        spec: StreamSpec,
        lease: Lease,
        ledger: Ledger,
        level: Level,
    ) -> (Self, Subscription) {
        let token = CancellationToken::new();
        let leaves = match spec.disconnect.policy {
            OnDisconnect::Cancel => token.clone(),
            OnDisconnect::RunOn | OnDisconnect::Detach => CancellationToken::new(),
        };
        let (publisher, subscription) = subscription(spec.buffer_bytes, level, leaves.clone());
        let recorder = StreamRecorder::start(spec.metrics, ledger, spec.meta.arrived);
        let actor = Self {
            _lease: lease,
            meta: spec.meta,
            state: State::Connecting,
            transcript: Transcript::new(spec.encoder, publisher, spec.answer_bytes),
            recorder,
            control: Control {
                token: token.clone(),
                cause: None,
                fault: None,
                _guard: token.drop_guard(),
            },
            client: Client { policy: spec.disconnect, leaves, has_left: false },
            opening: Some(Opening { backend: spec.backend, request: spec.request }),
        };
        (actor, subscription)
    }

    fn take(&mut self, batch: Batch) {
        self.state = State::Streaming;
        self.recorder.chunks(batch.chunks);
        if let Err(fault) = self.transcript.take(batch) {
            self.control.fault = Some(fault);
            self.control.token.cancel();
        }
    }

    /// Nobody reads any more. The answer goes on as far as the policy lets it.
    fn client_left(&mut self, ctx: &mut Context<Self>) {
        self.client.has_left = true;
        let Disconnect { policy, run_on } = self.client.policy;
        let id = self.meta.id;
        match policy {
            OnDisconnect::Detach => tracing::info!(%id, "the client left; its answer goes on"),
            // Nothing was used yet, so there is nothing to learn.
            OnDisconnect::RunOn if self.state != State::Queued => {
                tracing::info!(%id, ?run_on, "the client left; its answer runs on");
                ctx.run_later(run_on, |actor, _| actor.control.token.cancel());
            }
            OnDisconnect::RunOn | OnDisconnect::Cancel => self.control.token.cancel(),
        }
    }

    fn retrying(&mut self, reason: RetryReason, failure: &Failure) {
        self.recorder.retried(reason.as_str());
        let StreamMeta { id, model, .. } = &self.meta;
        let (attempt, reason) = (self.recorder.attempts(), reason.as_str());
        let error = failure.logged();
        tracing::info!(%id, model, attempt, reason, error, "the upstream is asked once more");
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
        let StreamMeta { id, model, .. } = &self.meta;
        let (outcome, code) = (outcome.as_str(), failure.kind.code());
        let tokens = self.recorder.chunk_count();
        if failure.kind == ErrorKind::Cancelled {
            tracing::info!(%id, model, outcome, tokens, reason = failure.logged(), "stream ended");
        } else {
            tracing::warn!(%id, model, outcome, code, tokens, error = failure.logged(), "stream ended");
        }
    }
}

impl Actor for StreamActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(Opening { backend, request }) = self.opening.take() else { return };
        if self.client.policy.policy != OnDisconnect::Cancel {
            let left = self.client.leaves.clone().cancelled_owned().into_actor(self);
            ctx.spawn(left.map(|(), actor, ctx| actor.client_left(ctx)));
        }
        backend.do_send(Generate {
            id: self.meta.id,
            request,
            stream: Arc::new(ctx.address().recipient()),
            cancel: self.control.token.clone(),
        });
    }
}

impl Handler<Progress> for StreamActor {
    type Result = ();

    fn handle(&mut self, progress: Progress, ctx: &mut Self::Context) {
        match progress {
            Progress::Queued { position } => {
                self.state = State::Queued;
                self.transcript.queued(position);
            }
            Progress::Dispatched { queue_wait } => {
                self.state = State::Connecting;
                self.recorder.dispatched(queue_wait);
            }
            Progress::Retrying { reason, failure } => self.retrying(reason, &failure),
            Progress::Accepted => self.state = State::Waiting,
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
        let StreamMeta { id, model, provider, dialect, owner, client, .. } = &self.meta;
        StreamInfo {
            request_id: id.to_string(),
            model: model.clone(),
            provider,
            dialect,
            state: self.state.as_str(),
            age_ms: millis(self.recorder.age()),
            queue_wait_ms: millis(self.recorder.queue_wait()),
            attempts: self.recorder.attempts(),
            time_to_first_token_ms: self.recorder.time_to_first_token().map(millis),
            tokens: self.recorder.chunk_count(),
            tokens_per_second: self.recorder.tokens_per_second(),
            bytes_buffered: self.transcript.buffered(),
            owner: owner.to_string(),
            client: client.map(|address| address.to_string()),
            client_left: self.client.has_left,
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
mod tests {
    use std::time::Instant;

    use actix::{Addr, Handler};
    use tidegate_protocol::StreamId;
    use tidegate_protocol::native::EventEncoder;

    use super::*;
    use crate::stream::message::Gone;
    use crate::stream::slot::Cap;
    use crate::telemetry::Metrics;

    /// Stands for the backend and the registry; keeps what it is asked.
    #[derive(Default)]
    struct Probe {
        asked: Option<Generate>,
    }

    impl Actor for Probe {
        type Context = Context<Self>;
    }

    impl Handler<Generate> for Probe {
        type Result = ();

        fn handle(&mut self, job: Generate, _: &mut Self::Context) {
            self.asked = Some(job);
        }
    }

    impl Handler<Gone> for Probe {
        type Result = ();

        fn handle(&mut self, _: Gone, _: &mut Self::Context) {}
    }

    #[derive(actix::Message)]
    #[rtype(result = "Option<CancellationToken>")]
    struct Token;

    impl Handler<Token> for Probe {
        type Result = Option<CancellationToken>;

        fn handle(&mut self, _: Token, _: &mut Self::Context) -> Self::Result {
            self.asked.as_ref().map(|job| job.cancel.clone())
        }
    }

    fn open(probe: &Addr<Probe>, cap: &Arc<Cap>) -> (StreamActor, Subscription) {
        let metrics = Metrics::new(false).unwrap();
        let id = StreamId::new(0, 1);
        let spec = StreamSpec {
            meta: StreamMeta {
                id,
                model: "m".to_owned(),
                provider: "openai",
                dialect: "native",
                owner: "anonymous".into(),
                client: None,
                arrived: Instant::now(),
            },
            request: Arc::default(),
            encoder: Box::new(EventEncoder::new("m".to_owned())),
            backend: Arc::new(probe.clone().recipient()),
            metrics: Arc::new(metrics.model("m")),
            disconnect: Disconnect::default(),
            buffer_bytes: 1,
            answer_bytes: 1,
        };
        let lease = Lease::new(id, probe.clone().recipient(), cap.take().unwrap());
        StreamActor::open(spec, lease, metrics.streams, Level::default())
    }

    /// A client that does not read keeps its subscription; the upstream must not outlive the
    /// actor all the same.
    #[actix::test]
    async fn an_actor_that_dies_stops_its_upstream_and_frees_its_slot() {
        let (probe, cap) = (Probe::default().start(), Cap::new(1));
        let (actor, subscription) = open(&probe, &cap);
        let stream = actor.start();
        stream.send(Inspect).await.unwrap();
        let token = probe.send(Token).await.unwrap().unwrap();
        assert_eq!((token.is_cancelled(), cap.active()), (false, 1));

        stream.do_send(test_hooks::Panic);
        token.cancelled().await;
        assert_eq!(cap.active(), 0);
        drop(subscription);
    }
}
