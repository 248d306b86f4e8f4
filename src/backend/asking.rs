//! Asking a model's targets until one of them answers.
//!
//! A target that fails before anything of its answer is passed on is left for another at once; where
//! there is no other it is asked once more, after a pause. Each request has so many attempts in all, so
//! that it cannot wander through a fleet that is down.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_protocol::{ErrorKind, Failure, Request};
use tokio::time::{Instant, sleep, timeout_at};

use super::lane::{Lane, Serving, Upstream};
use super::legs::Leg;
use super::limits::Limits;
use super::message::Progress;
use super::pump::Pump;
use crate::config::{Cause, Timeouts};
use crate::provider::{self, Again, Call, Pool, Reading, Refused};
use crate::routing::{Need, NoTarget, cause_of};

/// What is asked of a lane.
pub(super) struct Asked<'a> {
    pub lane: &'a Rc<Lane>,
    pub request: Arc<Request>,
    pub need: &'a Need,
    /// Targets that are not to be asked.
    pub avoid: &'a [usize],
    pub reads: Reads,
    /// Whether what comes before the first piece of the answer is held back, so that another can
    /// still be asked.
    pub holds: bool,
    /// Whether it goes out once at most, and on a connection of its own.
    pub once: bool,
}

/// How an answer is read, whoever gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// By a client's encoder that expects frames of its dialect, so far as they are.
    Frames(Reading),
    /// By one that expects events.
    Events,
    /// As the rest of an answer, in events.
    Rest,
}

impl Reads {
    /// How one upstream is read, that relays the request or not.
    fn of(self, relays: bool) -> Reading {
        match self {
            Self::Rest => Reading::Continued,
            Self::Events if relays => Reading::Told,
            Self::Frames(reading) => reading,
            Self::Events => Reading::Relayed,
        }
    }
}

/// Why there is no answer, and whether another model may have one.
pub(super) struct NoAnswer {
    pub failure: Failure,
    pub cause: Option<Cause>,
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> Self {
        let cause = cause_of(&failure);
        Self { failure, cause }
    }
}

/// What was tried so far.
struct Tries {
    made: u32,
    /// These are not asked again, while there are others.
    targets: Vec<usize>,
}

/// What is tried next.
enum Next {
    /// The same one, on a connection of its own, or with another key.
    Again,
    Other(Serving),
    /// Whichever of the others has room first.
    Free(Need),
    /// Any, after a pause.
    Later(Duration),
}

impl Pump {
    /// Asks the targets of a lane, one after the other.
    pub(super) async fn ask_lane(
        &self,
        asked: &Asked<'_>,
        limits: &mut Limits<'_>,
    ) -> Result<Leg, NoAnswer> {
        let mut tries = Tries { made: 0, targets: asked.avoid.to_vec() };
        let mut pool = if asked.once { Pool::Avoid } else { Pool::Use };
        let mut serving = self.wait_for_target(asked.lane, asked.need, asked.avoid, limits).await?;
        loop {
            tries.made += 1;
            // A target that is asked once more has no more time than it had; another has its own.
            if tries.made == 1 || asked.lane.has_choice() {
                limits.wait_for("no response within", patience(asked, &serving));
            }
            let Refused { failure, again } =
                match self.ask_target(asked, serving, pool, limits).await {
                    Ok(leg) => return Ok(leg),
                    Err((refused, left)) => {
                        serving = left;
                        refused
                    }
                };
            let next = self.next(asked, &failure, again, &serving, &mut tries);
            // A pooled connection may be closed just when it is used, and there may be no attempt left.
            pool = Pool::Avoid;
            if !matches!(next, Some(Next::Again)) {
                serving.gone(again);
            }
            serving = match next {
                None => return Err(failure.into()),
                Some(Next::Again) => serving,
                Some(Next::Other(other)) => other,
                // What a client should hear if there is none in time is what was wrong.
                Some(Next::Free(need)) => {
                    drop(serving);
                    let free = self.wait_for_target(asked.lane, &need, &tries.targets, limits);
                    free.await.map_err(|_| NoAnswer::from(failure))?
                }
                Some(Next::Later(pause)) => {
                    drop(serving);
                    let Some(()) = limits.phase(sleep(pause)).await else {
                        return Err(failure.into());
                    };
                    let any = self.wait_for_target(asked.lane, asked.need, asked.avoid, limits);
                    any.await.map_err(|_| NoAnswer::from(failure))?
                }
            };
        }
    }

    /// One target's answer; or why there is none, with the serving that is over.
    async fn ask_target(
        &self,
        asked: &Asked<'_>,
        serving: Serving,
        pool: Pool,
        limits: &mut Limits<'_>,
    ) -> Result<Leg, (Refused, Serving)> {
        let Some(upstream) = serving.upstream() else {
            let gone = Failure::new(ErrorKind::Internal, "the target is not on this worker");
            return Err((gone.into(), serving));
        };
        if serving.lane().has_choice() || !Rc::ptr_eq(serving.lane(), &self.lane) {
            self.tell_target(upstream);
        }
        let streams = upstream.provider.streams(&asked.request);
        let reading = asked.reads.of(provider::relays(upstream.kind, &asked.request));
        let request = if reading == Reading::Told && !asked.request.stream {
            // To be read piece by piece, whatever the client wants.
            Arc::new(Request { stream: true, ..Request::clone(&asked.request) })
        } else {
            Arc::clone(&asked.request)
        };
        let provider = Rc::clone(&upstream.provider);
        self.job.asked.fetch_add(1, Ordering::Relaxed);
        let mut serving = serving;
        serving.asked();
        let trace = self.job.trace.as_ref().and_then(|trace| serving.trace(trace, &request));
        let opening = provider.open(Call { request, id: self.job.id, trace, pool, reading });
        if !streams {
            serving.is_whole();
        }
        let answer = match limits.phase(opening).await {
            Some(Ok(answer)) => answer,
            Some(Err(refused)) => return Err(failed(refused, serving)),
            None => return Err(failed(limits.late().into(), serving)),
        };
        self.tell(Progress::Accepted);
        let mut leg = Leg::new(answer, serving);
        if asked.holds && streams {
            limits.rename("no first token within");
            let begun = limits.phase(leg.begin()).await;
            if let Err(failure) = begun.unwrap_or_else(|| Err(limits.late())) {
                return Err(failed(failure.into(), leg.serving));
            }
        }
        Ok(leg)
    }

    /// Tells whose answer it is, or would be.
    pub(super) fn tell_target(&self, upstream: &Upstream) {
        let (target, provider) = (Arc::clone(&upstream.name), upstream.kind.as_str());
        self.tell(Progress::Asked { target, provider });
    }

    /// What is tried behind a failure, if anything.
    fn next(
        &self,
        asked: &Asked<'_>,
        failure: &Failure,
        again: Again,
        serving: &Serving,
        tries: &mut Tries,
    ) -> Option<Next> {
        if asked.once {
            return None;
        }
        if is_at_once(again)
            && let Some(retry) = self.retries.retry(again, failure, tries.made)
        {
            self.tell(Progress::Retrying { reason: retry.reason, failure: failure.clone() });
            return Some(Next::Again);
        }
        if let Some(cause) = cause_of(failure).filter(|_| asked.lane.has_choice()) {
            tries.targets.push(serving.place());
            let need = match cause {
                Cause::Context => Cow::Owned(more_room(asked.need, serving)?),
                _ => Cow::Borrowed(asked.need),
            };
            let next = match asked.lane.serve(&need, &tries.targets) {
                Ok(Some(other)) => {
                    let may = self.retries.fail_over(tries.made, other.is_proven());
                    may.then_some(Next::Other(other))
                }
                Ok(None) => {
                    let may = self.retries.fail_over(tries.made, false);
                    may.then(|| Next::Free(need.into_owned()))
                }
                Err(_) => None,
            };
            if next.is_some() {
                self.tell(Progress::FailedOver { cause, failure: failure.clone() });
                return next;
            }
        }
        let retry = self.retries.retry(again, failure, tries.made)?;
        tries.targets.truncate(asked.avoid.len());
        self.tell(Progress::Retrying { reason: retry.reason, failure: failure.clone() });
        Some(Next::Later(retry.pause))
    }

    /// A target, once one has room. Those that could serve may all be at work, though there was a permit:
    /// where a request needs what only some of them can do, or comes from one that is out.
    async fn wait_for_target(
        &self,
        lane: &Rc<Lane>,
        need: &Need,
        avoid: &[usize],
        limits: &mut Limits<'_>,
    ) -> Result<Serving, NoAnswer> {
        let deadline = Instant::now() + lane.timeouts.queue;
        loop {
            let freed = lane.shared.freed.notified();
            match lane.serve(need, avoid) {
                Ok(Some(serving)) => return Ok(serving),
                Ok(None) => {}
                Err(why) => return Err(no_answer(lane, why, need)),
            }
            let waited = limits.whole(timeout_at(deadline, freed)).await?;
            if waited.is_err() {
                return Err(no_answer(lane, NoTarget::Busy, need));
            }
        }
    }
}

/// How long a target may take to answer; one that answers in one piece has the whole time.
fn patience(asked: &Asked<'_>, serving: &Serving) -> Duration {
    let Timeouts { first_token, total, .. } = asked.lane.timeouts;
    let streams = |upstream: &Upstream| upstream.provider.streams(&asked.request);
    if serving.upstream().is_none_or(streams) { first_token } else { total }
}

/// Where one target found a prompt too long, only one that is known to take more is asked.
fn more_room(need: &Need, serving: &Serving) -> Option<Need> {
    let length = serving.upstream()?.context_length?;
    let prompt_tokens = need.prompt_tokens.max(length.saturating_add(1));
    Some(Need { prompt_tokens, max_tokens: None, ..need.clone() })
}

fn no_answer(lane: &Lane, why: NoTarget, need: &Need) -> NoAnswer {
    let (failure, cause) = lane.refusal(why, need);
    NoAnswer { failure, cause: Some(cause) }
}

/// Whether the same target may be asked again without a pause.
fn is_at_once(again: Again) -> bool {
    matches!(again, Again::OnNewConnection | Again::WithOtherKey)
}

/// A pooled connection that was closed is nobody's fault, and a refused key is not its target's.
fn failed(refused: Refused, mut serving: Serving) -> (Refused, Serving) {
    if is_at_once(refused.again) {
        serving.broke_off(&refused.failure);
    } else {
        serving.failed(&refused.failure);
    }
    (refused, serving)
}
