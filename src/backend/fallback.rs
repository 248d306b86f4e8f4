//! Asking another model when none of a model's targets gives an answer, by what was wrong.
//!
//! Only as long as nothing was passed on: then the answer is the other model's, from its first word.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidegate_protocol::{ErrorKind, Failure};
use tokio::time::Instant;

use super::asking::Asked;
use super::continuation::no_turn;
use super::lane::Lane;
use super::legs::Leg;
use super::limits::Limits;
use super::message::{Progress, Takeover};
use super::pump::Pump;
use crate::config::Cause;
use crate::routing::NoTarget;

impl Pump {
    /// The leg of the first model that answers instead; else `failure`, as it was. What is spent on
    /// waiting for turns is taken off `queue`.
    pub(super) async fn ask_instead(
        &self,
        cause: Cause,
        failure: Failure,
        queue: &mut Duration,
        limits: &mut Limits<'_>,
    ) -> Result<Leg, Failure> {
        for lane in self.others.instead(cause) {
            if limits.are_over() {
                break;
            }
            let by = Arc::clone(&lane.name);
            match self.ask_other(lane, queue, limits).await {
                Ok(leg) => {
                    self.tell(Progress::Takeover(Takeover::Instead { by, cause, failure }));
                    return Ok(leg);
                }
                Err(failure) => {
                    self.tell(Progress::Takeover(Takeover::NotInstead { by, cause, failure }));
                }
            }
        }
        Err(failure)
    }

    async fn ask_other(
        &self,
        lane: &Rc<Lane>,
        queue: &mut Duration,
        limits: &mut Limits<'_>,
    ) -> Result<Leg, Failure> {
        let (request, need) = (&self.job.request, &self.job.need);
        let need = lane.in_place_of(&self.lane, need, request, request);
        let need = need.ok_or_else(|| {
            let message = "the other model would not be told all that this one is";
            Failure::new(ErrorKind::InvalidRequest, message)
        })?;
        if !lane.shared.fleet.is_able(&need) {
            return Err(lane.refusal(NoTarget::Unable, &need).0);
        }
        let waits = Instant::now();
        let permit = limits.whole(lane.permit(&self.job.claimant, *queue)).await?;
        *queue = queue.saturating_sub(waits.elapsed());
        let permit = permit.ok_or_else(no_turn)?;
        let asked = Asked { holds: true, ..self.asked(lane, &need) };
        let leg = self.ask_lane(&asked, limits).await.map_err(|none| none.failure)?;
        Ok(leg.by_other(permit))
    }
}
