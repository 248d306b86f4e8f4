//! One model as pumps reach it: its targets, and the permits of all of them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_protocol::{Batch, ErrorKind, Failure, FieldFault, Request};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::permits::{Acquired, Permit, PermitPool};
use super::turn::Claimant;
use crate::config::{Cause, ProviderKind, Timeouts};
use crate::provider::{self, Again, Provider};
use crate::routing::{Fault, Fleet, Need, NoTarget, Pick};
use crate::telemetry::spans::UpstreamSpan;
use crate::telemetry::spans::upstream::Asking;
use crate::telemetry::trace::Trace;
use crate::telemetry::{ModelMetrics, TargetMetrics, TargetResult};

/// One upstream of a model, as one worker reaches it.
pub struct Upstream {
    pub name: Arc<str>,
    pub kind: ProviderKind,
    pub base_url: String,
    /// The model's name there.
    pub model: String,
    /// In tokens, where it is known.
    pub context_length: Option<u32>,
    pub provider: Rc<dyn Provider>,
    pub metrics: TargetMetrics,
}

/// What the targets of a model share, on all workers.
pub struct Shared {
    pub fleet: Arc<Fleet>,
    /// As many as all targets that may be asked work on at a time.
    pub permits: Arc<PermitPool>,
    /// Is told whenever a target has done with a request.
    pub freed: Arc<Notify>,
    /// Of the model. Whoever may still record something of it keeps them.
    pub metrics: ModelMetrics,
}

/// One model on one worker.
pub struct Lane {
    /// The public name.
    pub name: Arc<str>,
    /// At least one; in the order of the fleet.
    pub upstreams: Vec<Upstream>,
    /// Their kinds, each once.
    pub kinds: Arc<[ProviderKind]>,
    pub shared: Arc<Shared>,
    pub timeouts: Timeouts,
    /// Whether any of them goes on with a trailing assistant message.
    pub continues: bool,
}

impl Lane {
    /// Whether there is a choice of targets.
    #[must_use]
    pub fn has_choice(&self) -> bool {
        self.upstreams.len() > 1
    }

    /// A permit, if one becomes free within `limit`, that nobody takes back.
    pub async fn permit(&self, claimant: &Claimant, limit: Duration) -> Option<Permit> {
        let may_wait = !limit.is_zero();
        let (class, caller) = (claimant.class, claimant.caller.clone());
        let permit = match self.shared.permits.acquire(class, caller, may_wait) {
            Acquired::Now(permit) => permit,
            Acquired::Later(waiter) => timeout(limit, waiter).await.ok()?.ok()?,
            Acquired::Full | Acquired::TooMany(_) | Acquired::Busy => return None,
        };
        permit.begin();
        Some(permit)
    }

    /// A target for a request that has a permit and `tried` some already; none, now, if all that could
    /// serve it are at work.
    ///
    /// # Errors
    /// Where none can be asked.
    pub fn serve(
        self: &Rc<Self>,
        need: &Need,
        tried: &[usize],
    ) -> Result<Option<Serving>, NoTarget> {
        match self.shared.fleet.pick(need, tried, Instant::now()) {
            Ok(pick) => Ok(Some(Serving {
                pick,
                lane: Rc::clone(self),
                owes_result: false,
                span: None,
                _freed: Freed(self.has_choice().then(|| Arc::clone(&self.shared.freed))),
            })),
            Err(NoTarget::Busy) => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// Why nobody here can be asked for what is needed, in a client's words, and what that is a case of.
    #[must_use]
    pub fn refusal(&self, why: NoTarget, need: &Need) -> (Failure, Cause) {
        match why {
            NoTarget::Unable if self.is_too_long(need) => {
                let tokens = need.prompt_tokens;
                let message = format!(
                    "the prompt of about {tokens} tokens, and the answer that is asked for, are longer than this model takes"
                );
                let mut failure = Failure::new(ErrorKind::InvalidRequest, message);
                failure.upstream_code = Some("context_length_exceeded");
                (failure, Cause::Context)
            }
            NoTarget::Unable => {
                let message = "this model cannot do what the request needs: tools, images or sound";
                let field = "model".to_owned();
                let faults = vec![FieldFault { field, message: message.to_owned() }];
                (Failure::invalid(faults), Cause::Capability)
            }
            NoTarget::Down(pause) => {
                let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
                let message = "none of the model's upstreams can be asked now";
                let failure = Failure::new(ErrorKind::NoTarget, message);
                (failure.retry_after(u32::try_from(seconds.max(1)).ok()), Cause::Refused)
            }
            NoTarget::Busy | NoTarget::Tried => {
                let message = "the model's upstreams are at work";
                (Failure::new(ErrorKind::NoTarget, message).retry_after(Some(1)), Cause::Refused)
            }
        }
    }

    fn is_too_long(&self, need: &Need) -> bool {
        let short = Need { prompt_tokens: 0, max_tokens: None, ..need.clone() };
        self.shared.fleet.is_able(&short)
    }

    /// What a request of `first` needs here, where this model is to be asked in its place with
    /// `asked`: no target that would not be told a field which that of `first` is told, as the client
    /// was told what is lost. None where that leaves nobody.
    #[must_use]
    pub fn in_place_of(
        &self,
        first: &Self,
        need: &Need,
        request: &Request,
        asked: &Request,
    ) -> Option<Need> {
        let known = provider::fit(&first.kinds, request).ok()?.ignored;
        let loses = |kind: &ProviderKind| {
            let lost = provider::ignored(*kind, asked);
            lost.map_or(true, |lost| lost.iter().any(|field| !known.contains(field)))
        };
        let unfit: Vec<_> = self.kinds.iter().copied().filter(loses).collect();
        (unfit.len() < self.kinds.len()).then(|| Need { unfit, target: None, ..need.clone() })
    }

    /// What the first upstream that says anything of the model says of it, in Ollama's words.
    pub async fn describe(&self) -> Option<Bytes> {
        for upstream in &self.upstreams {
            if let Ok(Some(described)) = upstream.provider.describe().await {
                return Some(described);
            }
        }
        None
    }

    /// Whether the client's encoder expects frames that are passed on as they came.
    #[must_use]
    pub fn relays(&self, request: &Request) -> bool {
        self.kinds.iter().any(|kind| provider::relays(*kind, request))
    }
}

/// A request at work at a target. Dropping it gives back the target's room, before the permit is.
pub struct Serving {
    pick: Pick,
    lane: Rc<Lane>,
    /// Whether it was asked, and what that comes to is to be told.
    owes_result: bool,
    /// Where it is part of a trace: most are not, and this moves from future to future.
    span: Option<Box<UpstreamSpan>>,
    /// Dropped behind the pick.
    _freed: Freed,
}

/// Tells those who wait that a target has room.
struct Freed(Option<Arc<Notify>>);

impl Drop for Freed {
    fn drop(&mut self) {
        if let Some(freed) = &self.0 {
            freed.notify_waiters();
        }
    }
}

impl Serving {
    #[must_use]
    pub fn place(&self) -> usize {
        self.pick.target()
    }

    #[must_use]
    pub fn lane(&self) -> &Rc<Lane> {
        &self.lane
    }

    /// The upstream that serves.
    #[must_use]
    pub fn upstream(&self) -> Option<&Upstream> {
        self.lane.upstreams.get(self.pick.target())
    }

    /// Whether others were answered by it lately.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.pick.is_proven(Instant::now())
    }

    /// A request goes to it now.
    pub fn asked(&mut self) {
        self.owes_result = true;
    }

    /// Begins the span of a request to it, in place of an earlier one's; gives the place for the upstream's.
    pub fn trace(&mut self, trace: &Trace, request: &Request) -> Option<Trace> {
        let upstream = self.lane.upstreams.get(self.pick.target())?;
        let asking = Asking {
            request,
            provider: upstream.kind.as_str(),
            base_url: &upstream.base_url,
            upstream_model: &upstream.model,
            model: &self.lane.name,
            target: &upstream.name,
        };
        let span = UpstreamSpan::begin(trace, &asking);
        let inside = span.inside().clone();
        self.span = Some(Box::new(span));
        Some(inside)
    }

    /// What it says, for its span.
    pub fn note(&mut self, batch: &Batch) {
        self.span.iter_mut().for_each(|span| span.note(batch));
    }

    /// It gave no answer, or no more of one, for whatever reason.
    pub fn broke_off(&mut self, failure: &Failure) {
        self.span.iter_mut().for_each(|span| span.failed(failure.kind));
    }

    /// The first piece of the answer is there.
    pub fn begun(&mut self) {
        self.span.iter_mut().for_each(|span| span.begun());
        self.pick.begun(Instant::now());
    }

    /// The answer comes in one piece: how long it takes says nothing about the first token.
    pub fn is_whole(&mut self) {
        self.pick.untimed();
    }

    /// The answer is whole.
    pub fn succeeded(&mut self) {
        if self.tell(TargetResult::Answered) {
            self.pick.succeeded(Instant::now());
            self.resize();
        }
    }

    /// It failed; whether the target is to blame, the failure says.
    pub fn failed(&mut self, failure: &Failure) {
        self.broke_off(failure);
        let fault = Fault::of(failure);
        let result = match fault {
            Some(Fault::Failed) => TargetResult::Failed,
            Some(Fault::Busy(_)) => TargetResult::Busy,
            None if failure.kind == ErrorKind::UpstreamRejected => TargetResult::Refused,
            None => return,
        };
        if !self.tell(result) {
            return;
        }
        match fault {
            Some(fault) => self.pick.failed(Instant::now(), fault),
            // It answered, and rightly.
            None => self.pick.succeeded(Instant::now()),
        }
        self.resize();
    }

    /// It comes to nothing, and the target is not to blame, whatever is told of it from now on.
    pub fn give_up(&mut self) {
        self.tell(TargetResult::GivenUp);
    }

    /// There are as many permits as those who may be asked have slots.
    fn resize(&self) {
        if self.lane.has_choice() {
            let Shared { fleet, permits, .. } = &*self.lane.shared;
            permits.resize(fleet.capacity(Instant::now()));
        }
    }

    /// It is not asked again, though it takes requests with its other keys: there is no attempt left.
    pub fn gone(&mut self, again: Again) {
        if again == Again::WithOtherKey {
            self.tell(TargetResult::Busy);
        }
    }

    /// Tells what it came to, once; gives whether this is it.
    fn tell(&mut self, result: TargetResult) -> bool {
        if !std::mem::take(&mut self.owes_result) {
            return false;
        }
        self.span.iter_mut().for_each(|span| span.came_to(result.as_str()));
        if let Some(upstream) = self.upstream() {
            upstream.metrics.count(result);
        }
        true
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.tell(TargetResult::GivenUp);
    }
}
