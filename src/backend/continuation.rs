//! Going on with an answer whose upstream died, at another model.
//!
//! The other is sent the conversation with the text so far as a trailing assistant message, so what
//! it says comes behind what was said. Each model of `continue_on` is asked once at most, on a
//! connection of its own, so that no request goes out twice. None of it happens where the answer is
//! more than text, or may be: then the failure is told as it is.

use std::sync::Arc;
use std::time::Duration;

use tidegate_protocol::continuation;
use tidegate_protocol::spoken::Spoken;
use tidegate_protocol::{Batch, ErrorKind, Event, Failure, Request};
use tokio::time::{Instant, sleep_until};

use super::legs::{Lane, Leg};
use super::limits::Limits;
use super::message::{Progress, Takeover};
use super::pump::Pump;
use crate::provider::{Answer, Call, Pool, Reading};

/// An answer that is not the model's own any more.
pub struct Handover {
    /// The leg of another model that was faster, or what broke the model's own.
    pub next: Result<Leg, Failure>,
    pub spoken: Option<Box<Spoken>>,
    /// When the whole answer has to be there.
    pub end: Instant,
}

/// A leg that is to go on with an answer.
pub struct Joining<'a> {
    lane: &'a Lane,
    /// How the leg before broke off.
    broken: Failure,
}

impl Pump {
    /// How much of the answer is to be kept; none where nobody could go on with it.
    pub(super) fn kept_bytes(&self) -> Option<usize> {
        let may = !self.others.continue_on.is_empty()
            && self.provider.streams(&self.job.request)
            && continuation::is_possible(&self.job.request);
        may.then_some(self.others.max_bytes)
    }

    /// Brings an answer to its end that is not, or not only, the model's own. Where nobody does,
    /// gives what broke the last leg that said something. No more than `queue` is spent on waiting
    /// for turns.
    pub(super) async fn take_over(
        &self,
        Handover { next, mut spoken, end }: Handover,
        mut queue: Duration,
    ) -> Result<(Answer, Batch), Failure> {
        let mut timer = std::pin::pin!(sleep_until(end));
        let mut limits = Limits::until(timer.as_mut(), self.timeouts.total, end);
        let mut broken = match next {
            Err(failure) => failure,
            Ok(mut leg) => {
                match self.read(&mut leg, None, &mut limits, &mut spoken, &mut None).await {
                    Ok(last) => return Ok((leg.answer, last)),
                    Err(failure) => failure,
                }
            }
        };
        for lane in &self.others.continue_on {
            let rest = spoken.as_deref().and_then(|spoken| self.rest_of(spoken, lane));
            let Some(request) = rest.filter(|_| is_death(&broken) && !limits.are_over()) else {
                break;
            };
            let waits = Instant::now();
            let asked = self.ask_to_go_on(lane, request, queue, &mut limits).await;
            queue = queue.saturating_sub(waits.elapsed());
            let mut leg = match asked {
                Ok(leg) => leg,
                Err(failure) => {
                    self.could_not(lane, failure);
                    continue;
                }
            };
            let mut joining = Some(Box::new(Joining { lane, broken: broken.clone() }));
            match self.read(&mut leg, None, &mut limits, &mut spoken, &mut joining).await {
                Ok(last) => return Ok((leg.answer, last)),
                Err(failure) if joining.is_some() => self.could_not(lane, failure),
                Err(failure) => broken = failure,
            }
        }
        Err(broken)
    }

    /// On a connection of its own: a request goes out once, or not at all.
    async fn ask_to_go_on(
        &self,
        lane: &Lane,
        request: Arc<Request>,
        queue: Duration,
        limits: &mut Limits<'_>,
    ) -> Result<Leg, Failure> {
        let permit = limits.whole(lane.permit(&self.job.claimant, queue)).await?;
        let permit = permit.ok_or_else(|| {
            Failure::new(ErrorKind::QueueTimeout, "no turn of the other model in time")
        })?;
        limits.wait_for("no response within", lane.timeouts.first_token);
        let (id, pool, reading) = (self.job.id, Pool::Avoid, Reading::Continued);
        let opened = limits.phase(lane.provider.open(Call { request, id, pool, reading })).await;
        let answer = opened.ok_or_else(|| limits.late())?.map_err(|refused| refused.failure)?;
        Ok(Leg::new(answer, lane.timeouts.idle, Some(permit)))
    }

    /// The request to go on at `lane`, if there can be one.
    fn rest_of(&self, spoken: &Spoken, lane: &Lane) -> Option<Arc<Request>> {
        let request = &self.job.request;
        let text = spoken.text(&request.chat()?.sampling.stop)?;
        let rest = continuation::request(request, text, spoken.produced())?;
        lane.stands_in(self.kind, request, &rest).then(|| Arc::new(rest))
    }

    /// The leg begins: from now on the answer is another model's.
    ///
    /// # Errors
    /// When it does anything but go on.
    pub(super) fn join(
        &self,
        batch: &Batch,
        spoken: &mut Option<Box<Spoken>>,
        joining: &mut Option<Box<Joining<'_>>>,
    ) -> Result<(), Failure> {
        let begins = batch.chunks > 0 || batch.events.iter().any(ends);
        if !begins || joining.is_none() {
            return Ok(());
        }
        if batch.events.iter().any(|event| matches!(event, Event::Reasoning(_))) {
            let message = "the model began to think in place of going on";
            return Err(Failure::new(ErrorKind::UpstreamProtocol, message));
        }
        if let (Some(joining), Some(spoken)) = (joining.take(), spoken) {
            let Joining { lane, broken: failure } = *joining;
            spoken.join();
            let signature = spoken.signature().cloned();
            let by = Arc::clone(&lane.name);
            self.tell(Progress::Takeover(Takeover::Continued { by, failure, signature }));
        }
        Ok(())
    }

    fn could_not(&self, lane: &Lane, failure: Failure) {
        let by = Arc::clone(&lane.name);
        self.tell(Progress::Takeover(Takeover::NotContinued { by, failure }));
    }
}

fn ends(event: &Event) -> bool {
    matches!(event, Event::Finish(_) | Event::Done)
}

/// Whether an upstream died, and did not refuse or talk nonsense: what it said until then holds.
fn is_death(failure: &Failure) -> bool {
    matches!(
        failure.kind,
        ErrorKind::Truncated
            | ErrorKind::UpstreamError
            | ErrorKind::UpstreamTimeout
            | ErrorKind::UpstreamOverloaded
            | ErrorKind::UpstreamUnreachable
    )
}
