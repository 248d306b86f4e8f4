//! Going on with an answer whose upstream died, at another model.
//!
//! The other is sent the conversation with the text so far as a trailing assistant message, so what
//! it says comes behind what was said. Each model of `continue_on` is asked once at most, on a
//! connection of its own, so that no request goes out twice. None of it happens where the answer is
//! more than text, or may be: then the failure is told as it is.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidegate_protocol::continuation;
use tidegate_protocol::spoken::Spoken;
use tidegate_protocol::{Batch, ErrorKind, Event, Failure, Request};
use tokio::time::{Instant, sleep_until};

use super::asking::{Asked, Reads};
use super::lane::Lane;
use super::legs::Leg;
use super::limits::Limits;
use super::message::{Progress, Takeover};
use super::pump::Pump;
use crate::config::Cause;
use crate::provider::Answer;
use crate::routing::Need;

/// An answer that is not the model's own any more.
pub struct Handover {
    /// The leg of another model that was faster, or what broke the model's own.
    pub next: Result<Leg, Failure>,
    /// Nothing was passed on yet, and this is why another model may be asked instead.
    pub instead: Option<Cause>,
    pub spoken: Option<Box<Spoken>>,
    /// The target of the model that broke off.
    pub dead: Option<usize>,
    /// When the whole answer has to be there.
    pub end: Instant,
}

/// A leg that is to go on with an answer.
pub struct Joining<'a> {
    lane: &'a Lane,
    /// How the leg before broke off.
    broken: Failure,
}

/// What is asked of who goes on.
struct Rest {
    request: Arc<Request>,
    need: Need,
}

impl Pump {
    /// How much of the answer is to be kept; none where nobody could go on with it.
    pub(super) fn kept_bytes(&self) -> Option<usize> {
        let may = self.who_goes_on().next().is_some()
            && self.streams()
            && continuation::is_possible(&self.job.request);
        may.then_some(self.others.max_bytes)
    }

    /// Who goes on with an answer: the model's own other targets, then other models.
    fn who_goes_on(&self) -> impl Iterator<Item = &Rc<Lane>> {
        let own = Some(&self.lane).filter(|lane| lane.has_choice() && lane.continues);
        own.into_iter().chain(&self.others.continue_on)
    }

    /// Whether the answer comes piece by piece, whoever gives it.
    pub(super) fn streams(&self) -> bool {
        let mut upstreams = self.lane.upstreams.iter();
        upstreams.all(|upstream| upstream.provider.streams(&self.job.request))
    }

    /// Brings an answer to its end that is not, or not only, the model's own. Where nobody does,
    /// gives what broke the last leg that said something. No more than `queue` is spent on waiting
    /// for turns.
    pub(super) async fn take_over(
        &self,
        Handover { next, instead, mut spoken, dead, end }: Handover,
        mut queue: Duration,
    ) -> Result<(Answer, Batch), Failure> {
        let mut timer = std::pin::pin!(sleep_until(end));
        let mut limits = Limits::until(timer.as_mut(), self.lane.timeouts.total, end);
        let next = match (next, instead) {
            (Err(failure), Some(cause)) => {
                self.ask_instead(cause, failure, &mut queue, &mut limits).await
            }
            (next, _) => next,
        };
        let mut broken = match next {
            Err(failure) => failure,
            Ok(mut leg) => {
                match self.read(&mut leg, None, &mut limits, &mut spoken, &mut None).await {
                    Ok(last) => return Ok((leg.answer, last)),
                    Err(failure) => failure,
                }
            }
        };
        for lane in self.who_goes_on() {
            let rest = spoken.as_deref().and_then(|spoken| self.rest_of(spoken, lane));
            let Some(rest) = rest.filter(|_| is_death(&broken) && !limits.are_over()) else {
                break;
            };
            let waits = Instant::now();
            let dead = dead.filter(|_| Rc::ptr_eq(lane, &self.lane));
            let asked = self.ask_to_go_on(lane, rest, dead, queue, &mut limits).await;
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
        lane: &Rc<Lane>,
        Rest { request, need }: Rest,
        dead: Option<usize>,
        queue: Duration,
        limits: &mut Limits<'_>,
    ) -> Result<Leg, Failure> {
        let permit = limits.whole(lane.permit(&self.job.claimant, queue)).await?;
        let permit = permit.ok_or_else(no_turn)?;
        let avoid = dead.as_slice();
        let asked = Asked {
            lane,
            request,
            need: &need,
            avoid,
            reads: Reads::Rest,
            holds: false,
            once: true,
        };
        let leg = self.ask_lane(&asked, limits).await.map_err(|none| none.failure)?;
        Ok(leg.by_other(permit))
    }

    /// The request to go on at `lane`, if there can be one.
    fn rest_of(&self, spoken: &Spoken, lane: &Lane) -> Option<Rest> {
        let request = &self.job.request;
        let text = spoken.text(&request.chat()?.sampling.stop)?;
        let rest = continuation::request(request, text, spoken.produced())?;
        let need = lane.in_place_of(&self.lane, &self.job.need, request, &rest)?;
        Some(Rest { request: Arc::new(rest), need: Need { continues: true, ..need } })
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

pub(super) fn no_turn() -> Failure {
    Failure::new(ErrorKind::QueueTimeout, "no turn of the other model in time")
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
