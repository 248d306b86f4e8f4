//! Counting a prompt's tokens: a question to the upstream beside its answers, so it takes no
//! permit, but no longer than the first token of an answer may.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix::{Context, Handler, Message, ResponseFuture};
use tidegate_protocol::{ErrorKind, Failure, Request};
use tokio::time::timeout;

use super::actor::Backend;
use super::lane::Lane;
use crate::routing::{CircuitState, TargetState};

/// Asks a backend how many tokens the prompt of a request has.
#[derive(Message)]
#[rtype(result = "Result<u64, Failure>")]
pub struct CountTokens(pub Arc<Request>);

impl Handler<CountTokens> for Backend {
    type Result = ResponseFuture<Result<u64, Failure>>;

    fn handle(&mut self, CountTokens(request): CountTokens, _: &mut Context<Self>) -> Self::Result {
        let lane = Rc::clone(&self.lane);
        Box::pin(async move { counted(&lane, request).await })
    }
}

/// By the first target that is there and counts.
async fn counted(lane: &Lane, request: Arc<Request>) -> Result<u64, Failure> {
    let limit = lane.timeouts.first_token;
    let states = lane.shared.fleet.states(Instant::now());
    let is_up = |state: &TargetState| !lane.has_choice() || state.circuit == CircuitState::Closed;
    let up = lane.upstreams.iter().zip(&states).filter(|(_, state)| is_up(state));
    let mut last = None;
    for (upstream, _) in up {
        match timeout(limit, upstream.provider.count_tokens(Arc::clone(&request))).await {
            Ok(Ok(tokens)) => return Ok(tokens),
            Ok(Err(failure)) => last = Some(failure),
            Err(_) => {
                let message = format!("the upstream did not count within {limit:?}");
                last = Some(Failure::new(ErrorKind::UpstreamTimeout, message));
            }
        }
    }
    let down =
        || Failure::new(ErrorKind::NoTarget, "none of the model's upstreams can be asked now");
    Err(last.unwrap_or_else(down))
}
