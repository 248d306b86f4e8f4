//! Drives one answer from the provider to its stream, under the model's time limits.
//!
//! Each limit counts from the moment its phase begins: queue from arrival, first token from
//! dispatch (the response head included), idle from the last batch, total from dispatch. An
//! answer that comes in one piece has the total only.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use futures::StreamExt;
use futures::channel::oneshot;
use tidegate_protocol::{Batch, ErrorKind, Event, Failure};
use tokio::time::{Instant, sleep, timeout};

use super::limits::Limits;
use super::message::{Generate, Progress};
use super::permits::{Acquired, Permit, PermitPool};
use super::retry::RetryBudget;
use crate::config::Timeouts;
use crate::provider::{Again, Answer, Call, Pool, Provider, Refused};

/// How long the end of a finished response is awaited, so that its connection can be used again.
const POOLING_GRACE: Duration = Duration::from_millis(250);

/// Behind a batch of no more than this, the next one is read before there is room for it: a token
/// at a time costs one wake-up less. Behind a burst it would be as large again, and wait in vain.
const READ_AHEAD_CHUNKS: u32 = 4;

/// One answer under way.
pub struct Pump {
    pub job: Generate,
    pub provider: Rc<dyn Provider>,
    pub permits: Arc<PermitPool>,
    pub retries: Arc<RetryBudget>,
    pub timeouts: Timeouts,
}

impl Pump {
    /// Runs to the end and reports it, whatever happens.
    pub async fn run(self) {
        let end = EndReport { stream: Some(Arc::clone(&self.job.stream)) };
        let cancel = self.job.cancel.clone();
        let driven = cancel.run_until_cancelled(self.drive()).await;
        let cancelled = || Failure::new(ErrorKind::Cancelled, "the stream was cancelled");
        match driven.unwrap_or_else(|| Err(cancelled())) {
            Err(failure) => end.report(Batch::default(), Err(failure)),
            Ok((mut answer, last)) => {
                end.report(last, Ok(()));
                let rest = async { while answer.next().await.is_some() {} };
                let _ = timeout(POOLING_GRACE, rest).await;
            }
        }
    }

    /// Gives the answer back, with its last batch, once there is evidence that it is whole.
    async fn drive(&self) -> Result<(Answer, Batch), Failure> {
        let _permit = self.permit().await?;
        self.generate().await
    }

    async fn permit(&self) -> Result<Permit, Failure> {
        let arrived = Instant::now();
        let permit = match self.permits.acquire() {
            Acquired::Now(permit) => permit,
            Acquired::Full => {
                return Err(Failure::new(
                    ErrorKind::QueueFull,
                    "the model is busy and its queue is full",
                )
                .retry_after(Some(1)));
            }
            Acquired::Later(waiter) => {
                self.tell(Progress::Queued { position: waiter.position() });
                timeout(self.timeouts.queue, waiter).await.map_err(|_| {
                    Failure::new(
                        ErrorKind::QueueTimeout,
                        format!("no turn in the model's queue within {:?}", self.timeouts.queue),
                    )
                    .retry_after(Some(1))
                })?
            }
        };
        self.tell(Progress::Dispatched { queue_wait: arrived.elapsed() });
        Ok(permit)
    }

    async fn generate(&self) -> Result<(Answer, Batch), Failure> {
        let Timeouts { first_token, idle, total, .. } = self.timeouts;
        let streams = self.provider.streams(&self.job.request);
        let mut timer = std::pin::pin!(sleep(total));
        let mut limits = Limits::start(timer.as_mut(), total);
        limits.wait_for("no response within", if streams { first_token } else { total });
        let mut answer = self.open(&mut limits).await?;
        self.tell(Progress::Accepted);
        limits.rename("no first token within");
        let mut evidence = Evidence::default();
        let mut in_flight = None;
        loop {
            let next = limits.phase(answer.next()).await;
            // Only now: mostly the last batch was taken long since, and the task not woken for it.
            if let Some(taken) = in_flight.take() {
                limits.whole(room(taken)).await??;
            }
            let batch = match next {
                // It breaks behind the finish reason: nothing of the answer is missing.
                Some(Some(Err(broken)))
                    if evidence.finished && broken.kind == ErrorKind::Truncated =>
                {
                    return Ok((answer, Batch::default()));
                }
                Some(Some(batch)) => batch?,
                Some(None) => return evidence.verdict().map(|()| (answer, Batch::default())),
                // The finish reason is there; only the end mark is missing.
                None if evidence.finished => return Ok((answer, Batch::default())),
                None => return Err(limits.late()),
            };
            evidence.note(&batch);
            if evidence.done {
                return Ok((answer, batch));
            }
            let failure = take_error(&batch);
            let is_burst = batch.chunks > READ_AHEAD_CHUNKS;
            let (reply, taken) = oneshot::channel();
            self.tell(Progress::Batch { batch, taken: reply });
            if is_burst {
                limits.whole(room(taken)).await??;
            } else {
                in_flight = Some(taken);
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
            if evidence.begun {
                limits.wait_for("the upstream stalled for", idle);
            }
        }
    }

    /// Asks the upstream, and where that is safe and makes sense, once more. Whatever it takes, the
    /// limits go on.
    async fn open(&self, limits: &mut Limits<'_>) -> Result<Answer, Failure> {
        self.retries.earn();
        let (mut made, mut pool) = (1, Pool::Use);
        loop {
            let call = Call { request: Arc::clone(&self.job.request), id: self.job.id, pool };
            let opened = limits.phase(self.provider.open(call)).await;
            let Refused { failure, again } = match opened.ok_or_else(|| limits.late())? {
                Ok(answer) => return Ok(answer),
                Err(refused) => refused,
            };
            let Some(retry) = self.retries.retry(again, &failure, made) else {
                return Err(failure);
            };
            // A client should hear what was wrong, not that it took too long to find out.
            if limits.phase(sleep(retry.pause)).await.is_none() {
                return Err(failure);
            }
            made += 1;
            if again == Again::OnNewConnection {
                pool = Pool::Avoid;
            }
            self.tell(Progress::Retrying { reason: retry.reason, failure });
        }
    }

    /// Tells the stream. One that is gone has fired the cancel token.
    fn tell(&self, progress: Progress) {
        self.job.stream.do_send(progress);
    }
}

/// Waits until the stream has taken a batch and has room for more.
async fn room(taken: oneshot::Receiver<()>) -> Result<(), Failure> {
    taken.await.map_err(|_| Failure::new(ErrorKind::Internal, "the stream is gone"))
}

/// What the upstream has said so far about the state of its answer.
#[derive(Default)]
struct Evidence {
    begun: bool,
    finished: bool,
    done: bool,
}

impl Evidence {
    fn note(&mut self, batch: &Batch) {
        self.begun |= !batch.is_empty();
        for event in &batch.events {
            match event {
                Event::Finish(_) => self.finished = true,
                Event::Done => self.done = true,
                _ => {}
            }
        }
    }

    /// A clean end needs proof: an upstream that dies at a chunk's edge ends cleanly too.
    fn verdict(&self) -> Result<(), Failure> {
        if self.finished || self.done {
            return Ok(());
        }
        Err(Failure::new(
            ErrorKind::Truncated,
            "the upstream ended without saying that the answer is complete",
        ))
    }
}

fn take_error(batch: &Batch) -> Option<Failure> {
    batch.events.iter().find_map(|event| match event {
        Event::Error(failure) => Some(failure.clone()),
        _ => None,
    })
}

/// Reports the end exactly once; a pump that panics takes its stream down with it.
struct EndReport {
    stream: Option<Arc<Recipient<Progress>>>,
}

impl EndReport {
    fn report(mut self, last: Batch, result: Result<(), Failure>) {
        if let Some(stream) = self.stream.take() {
            stream.do_send(Progress::Ended { last, result });
        }
    }
}

impl Drop for EndReport {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            let failure = Failure::new(ErrorKind::Internal, "the gateway failed in mid-answer");
            stream.do_send(Progress::Ended { last: Batch::default(), result: Err(failure) });
        }
    }
}
