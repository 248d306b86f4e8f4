//! Drives one answer from the provider to its stream, under the model's time limits.
//!
//! Each limit counts from the moment its phase begins: queue from arrival, first token from
//! dispatch (the response head included), idle from the last batch, total from dispatch. An
//! answer that comes in one piece has the total only.
//!
//! Mostly an answer is one leg: what the model's own upstream says. Where that is late, another model
//! may be faster (`hedge`); where it dies in mid-answer, another may go on (`continuation`).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use futures::StreamExt;
use futures::channel::oneshot;
use tidegate_protocol::spoken::Spoken;
use tidegate_protocol::{Batch, ErrorKind, Event, Failure};
use tokio::time::{sleep, timeout};

use super::continuation::{Handover, Joining};
use super::legs::{Leg, Others};
use super::limits::Limits;
use super::message::{Generate, Progress};
use super::permits::{Permit, PermitPool};
use super::retry::RetryBudget;
use super::turn::Turn;
use crate::config::{ProviderKind, Timeouts};
use crate::provider::{Answer, Call, Pool, Provider, Reading, Refused};

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
    pub kind: ProviderKind,
    pub others: Rc<Others>,
}

impl Pump {
    /// Runs to the end and reports it, whatever happens.
    pub async fn run(self) {
        let end = EndReport { stream: Some(Arc::clone(&self.job.stream)) };
        let cancel = self.job.cancel.clone();
        // Pinned here, not moved there: it would take its room twice.
        let driving = std::pin::pin!(self.drive());
        let driven = cancel.run_until_cancelled(driving).await;
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

    /// Gives the answer back, with its last batch, once there is evidence that it is whole. A
    /// request whose turn is taken before its answer begins waits for another.
    async fn drive(&self) -> Result<(Answer, Batch), Failure> {
        let tell = |progress| self.tell(progress);
        let mut turn = Turn::new(&self.permits, &self.job.claimant, self.timeouts.queue, tell);
        let mut permit = turn.come().await?;
        let handover = loop {
            {
                let work = std::pin::pin!(self.generate(&permit));
                match permit.unless_taken(work).await {
                    Some(Ok(whole)) => return Ok(whole),
                    Some(Err(handover)) => break handover,
                    None => {}
                }
            }
            permit = turn.come_again(permit).await?;
        };
        // The upstream works on it no more.
        drop(permit);
        match *handover {
            Handover { next: Err(failure), spoken: None, .. } => Err(failure),
            // In a box: most answers carry no room for it.
            handover => Box::pin(self.take_over(handover, turn.left())).await,
        }
    }

    /// The model's own leg, as far as it goes.
    async fn generate(&self, permit: &Permit) -> Result<(Answer, Batch), Box<Handover>> {
        let total = self.timeouts.total;
        let mut timer = std::pin::pin!(sleep(total));
        let mut limits = Limits::start(timer.as_mut(), total);
        let end = limits.end();
        let mut spoken = self.kept_bytes().map(|bytes| Box::new(Spoken::new(bytes)));
        let asked = match self.hedge() {
            Some(hedge) => Box::pin(self.race(hedge, &mut limits)).await,
            None => self.ask(&mut limits).await,
        };
        let mut leg = match asked {
            Ok(leg) if !leg.is_elsewhere() => leg,
            next => return Err(Box::new(Handover { next, spoken, end })),
        };
        let read = self.read(&mut leg, Some(permit), &mut limits, &mut spoken, &mut None).await;
        match read {
            Ok(last) => Ok((leg.answer, last)),
            Err(failure) => Err(Box::new(Handover { next: Err(failure), spoken, end })),
        }
    }

    async fn ask(&self, limits: &mut Limits<'_>) -> Result<Leg, Failure> {
        let Timeouts { first_token, idle, total, .. } = self.timeouts;
        let streams = self.provider.streams(&self.job.request);
        limits.wait_for("no response within", if streams { first_token } else { total });
        let refused = Cell::new(None);
        let opening = std::pin::pin!(self.open(&refused));
        let opened = limits.phase(opening).await;
        let answer = opened.ok_or_else(|| refused.take().unwrap_or_else(|| limits.late()))??;
        self.tell(Progress::Accepted);
        Ok(Leg::new(answer, idle, None))
    }

    /// Reads a leg to the end of the answer, and gives the last batch; or fails with what broke it
    /// off. `own` is the turn that nobody takes any more once the answer begins.
    pub(super) async fn read(
        &self,
        leg: &mut Leg,
        own: Option<&Permit>,
        limits: &mut Limits<'_>,
        spoken: &mut Option<Box<Spoken>>,
        joining: &mut Option<Box<Joining<'_>>>,
    ) -> Result<Batch, Failure> {
        limits.rename("no first token within");
        let mut evidence = Evidence::default();
        let mut in_flight = None;
        loop {
            let next = match leg.first.take() {
                Some(first) => Some(Some(Ok(*first))),
                None => limits.phase(leg.answer.next()).await,
            };
            // Only now: mostly the last batch was taken long since, and the task not woken for it.
            if let Some(taken) = in_flight.take() {
                limits.whole(room(taken)).await??;
            }
            let mut batch = match next {
                // It breaks behind the finish reason: nothing of the answer is missing.
                Some(Some(Err(broken)))
                    if evidence.finished && broken.kind == ErrorKind::Truncated =>
                {
                    return Ok(Batch::default());
                }
                Some(Some(batch)) => batch?,
                Some(None) => return evidence.verdict().map(|()| Batch::default()),
                // The finish reason is there; only the end mark is missing.
                None if evidence.finished => return Ok(Batch::default()),
                None => return Err(limits.late()),
            };
            own.inspect(|permit| permit.begin());
            self.join(&batch, spoken, joining)?;
            evidence.note(&batch);
            if let Some(spoken) = spoken {
                spoken.note(&batch);
                spoken.sum_up(&mut batch);
            }
            if evidence.done {
                return Ok(batch);
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
                limits.wait_for("the upstream stalled for", leg.idle);
            }
        }
    }

    /// Asks the upstream, and where that is safe and makes sense, once more. While it waits to do
    /// so, `refused` has what a client should hear if the time runs out: what was wrong, and not
    /// that it took too long to find out.
    pub(super) async fn open(&self, refused: &Cell<Option<Failure>>) -> Result<Answer, Failure> {
        self.retries.earn();
        let (mut made, mut pool) = (1, Pool::Use);
        loop {
            let (request, id) = (Arc::clone(&self.job.request), self.job.id);
            let call = Call { request, id, pool, reading: self.reading() };
            let Refused { failure, again } = match self.provider.open(call).await {
                Ok(answer) => return Ok(answer),
                Err(refused) => refused,
            };
            let Some(retry) = self.retries.retry(again, &failure, made) else {
                return Err(failure);
            };
            refused.set(Some(failure.clone()));
            sleep(retry.pause).await;
            refused.set(None);
            made += 1;
            // A pooled one may be closed just when it is used, and there may be no attempt left.
            pool = Pool::Avoid;
            self.tell(Progress::Retrying { reason: retry.reason, failure });
        }
    }

    /// How the model's own answer is read.
    pub(super) fn reading(&self) -> Reading {
        if self.kept_bytes().is_some() { Reading::Heard } else { Reading::Relayed }
    }

    /// Tells the stream. One that is gone has fired the cancel token.
    pub(super) fn tell(&self, progress: Progress) {
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
