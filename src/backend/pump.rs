//! Drives one answer from the provider to its stream, under the model's time limits.
//!
//! Each limit counts from the moment its phase begins: queue from arrival, first token from
//! dispatch (the response head included), idle from the last batch, total from dispatch. An
//! answer that comes in one piece has the total only.
//!
//! Mostly an answer is one leg: what the model's own upstream says. Where that is late, another model
//! may be faster (`hedge`); where it dies in mid-answer, another may go on (`continuation`).

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use futures::StreamExt;
use futures::channel::oneshot;
use tidegate_protocol::spoken::Spoken;
use tidegate_protocol::{Batch, ErrorKind, Event, Failure};
use tokio::time::{Instant, sleep, timeout};

use super::asking::{Asked, NoAnswer, Reads};
use super::continuation::{Handover, Joining};
use super::crawl::Crawl;
use super::lane::Lane;
use super::legs::{Leg, Others};
use super::limits::Limits;
use super::message::{Generate, Progress};
use super::permits::Permit;
use super::retry::RetryBudget;
use super::turn::Turn;
use crate::provider::{Answer, Reading};
use crate::routing::{Need, NoTarget};

/// How long the end of a finished response is awaited, so that its connection can be used again.
const POOLING_GRACE: Duration = Duration::from_millis(250);

/// Behind a batch of no more than this, the next one is read before there is room for it: a token
/// at a time costs one wake-up less. Behind a burst it would be as large again, and wait in vain.
const READ_AHEAD_CHUNKS: u32 = 4;

/// One answer under way.
pub struct Pump {
    pub job: Generate,
    /// The model's own.
    pub lane: Rc<Lane>,
    pub retries: Arc<RetryBudget>,
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
        let queue = self.lane.timeouts.queue;
        if let Some(unable) = self.unable() {
            return Box::pin(self.take_over(unable, queue)).await;
        }
        let tell = |progress| self.tell(progress);
        let permits = &self.lane.shared.permits;
        let mut turn = Turn::new(permits, &self.job.claimant, queue, tell);
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
        // In a box: most answers carry no room for it.
        Box::pin(self.take_over(*handover, turn.left())).await
    }

    /// Why no target can ever serve it, if none can: then it need not wait for its turn.
    fn unable(&self) -> Option<Handover> {
        let Lane { shared, timeouts, .. } = &*self.lane;
        if shared.fleet.is_able(&self.job.need) {
            return None;
        }
        let (failure, cause) = self.lane.refusal(NoTarget::Unable, &self.job.need);
        let end = Instant::now() + timeouts.total;
        Some(Handover { next: Err(failure), instead: Some(cause), spoken: None, dead: None, end })
    }

    /// The model's own leg, as far as it goes.
    async fn generate(&self, permit: &Permit) -> Result<(Answer, Batch), Box<Handover>> {
        let total = self.lane.timeouts.total;
        let mut timer = std::pin::pin!(sleep(total));
        let mut limits = Limits::start(timer.as_mut(), total);
        let end = limits.end();
        self.retries.earn();
        let mut spoken = self.kept_bytes().map(|bytes| Box::new(Spoken::new(bytes)));
        let asked = self.asked(&self.lane, &self.job.need);
        let answered = match self.hedge() {
            Some(hedge) => Box::pin(self.race(hedge, &asked, &mut limits)).await,
            None => self.ask_lane(&asked, &mut limits).await,
        };
        let mut leg = match answered {
            Ok(leg) if !leg.is_elsewhere() => leg,
            Ok(leg) => {
                let next = Ok(leg);
                return Err(Box::new(Handover { next, instead: None, spoken, dead: None, end }));
            }
            Err(NoAnswer { failure, cause }) => {
                let next = Err(failure);
                return Err(Box::new(Handover { next, instead: cause, spoken, dead: None, end }));
            }
        };
        match self.read(&mut leg, Some(permit), &mut limits, &mut spoken, &mut None).await {
            Ok(last) => Ok((leg.answer, last)),
            Err(failure) => {
                let dead = Some(leg.serving.place());
                let next = Err(failure);
                Err(Box::new(Handover { next, instead: None, spoken, dead, end }))
            }
        }
    }

    /// What the request asks of a lane, its own or one that stands in.
    pub(super) fn asked<'a>(&self, lane: &'a Rc<Lane>, need: &'a Need) -> Asked<'a> {
        let request = Arc::clone(&self.job.request);
        let holds = lane.has_choice() || !self.others.fallback.is_empty();
        Asked { lane, request, need, avoid: &[], reads: self.reads(), holds, once: false }
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
        let read = self.read_on(leg, own, limits, spoken, joining).await;
        match &read {
            Ok(_) => leg.serving.succeeded(),
            Err(failure) => leg.serving.failed(failure),
        }
        read
    }

    async fn read_on(
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
        let (mut spoke, mut crawl) = (false, None);
        loop {
            let next = match leg.first.take() {
                Some(first) => Some(Some(Ok(*first))),
                None => limits.phase(leg.answer.next()).await,
            };
            // Only now: mostly the last batch was taken long since, and the task not woken for it.
            if let Some(taken) = in_flight.take() {
                self.wait_for_room(taken, leg, limits).await?;
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
            if batch.chunks > 0 && !std::mem::replace(&mut spoke, true) {
                leg.serving.begun();
                // For the model's own leg only: behind that there may be nobody else.
                let guard = self.others.slow.filter(|_| own.is_some() && spoken.is_some());
                crawl = guard.map(|guard| Crawl::new(guard, std::time::Instant::now()));
                leg.idle = crawl.as_ref().map_or(leg.idle, |c| leg.idle.min(c.longest_pause()));
            }
            evidence.note(&batch);
            leg.serving.note(&batch);
            if let Some(spoken) = spoken {
                spoken.note(&batch);
                spoken.sum_up(&mut batch);
            }
            if evidence.done {
                return Ok(batch);
            }
            let crawl = crawl.as_mut().filter(|_| !evidence.finished);
            let slow = crawl.map(|c| c.note(std::time::Instant::now(), batch.chunks));
            let failure = take_error(&batch).or_else(|| slow?.err());
            let is_burst = batch.chunks > READ_AHEAD_CHUNKS;
            let (reply, taken) = oneshot::channel();
            self.tell(Progress::Batch { batch, taken: reply });
            if is_burst {
                self.wait_for_room(taken, leg, limits).await?;
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

    /// Waits until the stream has taken a batch. If that takes too long, the upstream is not to blame.
    async fn wait_for_room(
        &self,
        taken: oneshot::Receiver<()>,
        leg: &mut Leg,
        limits: &mut Limits<'_>,
    ) -> Result<(), Failure> {
        let waited = limits.whole(room(taken)).await.and_then(|taken| taken);
        waited.inspect_err(|_| leg.serving.give_up())
    }

    /// How an answer is read, by what the client's encoder expects.
    pub(super) fn reads(&self) -> Reads {
        match self.kept_bytes() {
            _ if !self.lane.relays(&self.job.request) => Reads::Events,
            Some(_) => Reads::Frames(Reading::Heard),
            None => Reads::Frames(Reading::Relayed),
        }
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
